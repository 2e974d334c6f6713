"""PyTorch: eager, compiled, and with bfloat16 autocast."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from fastann.bench.cases import Case
from fastann.bench.contenders.base import EPSILON, LEARNING_RATE, EpochByEpoch, Order, Weights


class Eager(EpochByEpoch):
    """`nn.Sequential`, `torch.optim.Adam`, rows indexed by a permutation."""

    def __init__(self, case: Case, weights: Weights) -> None:
        import torch

        self.torch: Any = torch
        self.case = case
        x, y = case.data()
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        network = self.build(weights)
        self.loss = torch.nn.BCEWithLogitsLoss() if y.dtype == np.float32 else torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, eps=EPSILON)
        self.network = self.prepared(network)
        self.about = {"torch": torch.__version__, "threads": torch.get_num_threads()}

    def linear(self, kernel: Any, bias: Any) -> Any:
        """Return a dense layer with these weights."""
        linear = self.torch.nn.Linear(*kernel.shape)
        with self.torch.no_grad():
            linear.weight.copy_(self.torch.tensor(kernel.T))
            linear.bias.copy_(self.torch.tensor(bias))
        return linear

    def build(self, weights: Weights) -> Any:
        """Return the network with its first weights; the last layer gives logits."""
        modules: list[Any] = []
        for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
            modules += [self.linear(kernel, bias), self.torch.nn.ReLU()]
        return self.torch.nn.Sequential(*modules[:-1])

    def prepared(self, network: Any) -> Any:
        """Return what is called in each step."""
        return network

    def context(self) -> AbstractContextManager[Any]:
        """Return the context in which the network is called."""
        return nullcontext()

    def epoch(self, order: Order | None = None) -> float:
        """Train one epoch."""
        rows = self.torch.randperm(self.case.rows) if order is None else self.torch.from_numpy(order)
        total = self.torch.zeros(())
        for batch in rows.split(self.case.batch_size):
            self.optimizer.zero_grad()
            with self.context():
                output = self.network(self.x[batch])
                target = self.y[batch]
                loss = self.loss(output.float(), target)
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return float(total) / self.case.steps


class Compiled(Eager):
    """The network through `torch.compile`; it needs a C++ compiler."""

    def prepared(self, network: Any) -> Any:
        """Return the compiled network."""
        return self.torch.compile(network)


class BFloat16(Eager):
    """Forward and backward under `torch.autocast` in bfloat16, float32 master weights.

    Raises:
        RuntimeError: the processor cannot multiply such numbers; PyTorch would, many times slower than float32.
    """

    def __init__(self, case: Case, weights: Weights) -> None:
        super().__init__(case, weights)
        if not self.torch.ops.mkldnn._is_mkldnn_bf16_supported():
            raise RuntimeError("this processor has no instructions for products of bfloat16")

    def context(self) -> AbstractContextManager[Any]:
        """Return the autocast."""
        context: AbstractContextManager[Any] = self.torch.autocast("cpu", dtype=self.torch.bfloat16)
        return context


class Images(Eager):
    """The convolutional network, images as (N, C, H, W), as PyTorch has them by default."""

    def __init__(self, case: Case, weights: Weights) -> None:
        super().__init__(case, weights)
        self.x = self.x.permute(0, 3, 1, 2).contiguous()

    def build(self, weights: Weights) -> Any:
        """Return the network with its first weights; the last layer gives logits."""
        from fastann.bench.images import FILTERS, HIDDEN, SIDE

        nn = self.torch.nn
        kernel, bias, hidden, hidden_bias, last, last_bias = weights
        convolution = nn.Conv2d(1, FILTERS, 3)
        with self.torch.no_grad():
            convolution.weight.copy_(self.torch.tensor(kernel.transpose(3, 2, 0, 1)))
            convolution.bias.copy_(self.torch.tensor(bias))
        pooled = (SIDE - 2) // 2
        # PyTorch flattens channels first
        hidden = hidden.reshape(pooled, pooled, FILTERS, HIDDEN).transpose(2, 0, 1, 3).reshape(-1, HIDDEN)
        return nn.Sequential(
            convolution, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), self.linear(hidden, hidden_bias), nn.ReLU(),
            self.linear(last, last_bias),
        )  # fmt: skip
