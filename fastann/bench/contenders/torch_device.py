"""PyTorch with data and network on one device, in any precision: eager, compiled, and as a CUDA graph.

Adam is PyTorch's fused one. tensorfloat32 is `set_float32_matmul_precision("high")`, bfloat16 is autocast.
"""

from __future__ import annotations

from typing import Any

from fastann.bench.cases import Case
from fastann.bench.contenders.base import EPSILON, LEARNING_RATE, Order, Weights
from fastann.bench.contenders.torch import Eager

_WARM_UP = 3  # steps before a graph is captured, as PyTorch asks for


class OnDevice(Eager):
    """Eager; rows are gathered and the order is drawn on the device."""

    def __init__(self, case: Case, weights: Weights) -> None:
        import torch

        self.torch: Any = torch
        self.case = case
        if case.device == "gpu" and not torch.cuda.is_available():
            raise RuntimeError("this PyTorch has no CUDA")
        self.device: Any = torch.device("cuda" if case.device == "gpu" else "cpu")
        torch.set_float32_matmul_precision("high" if case.precision == "tensorfloat32" else "highest")
        self.x, self.y = (torch.from_numpy(a).to(self.device) for a in case.data())
        self.criterion = torch.nn.BCEWithLogitsLoss() if self.y.dtype == torch.float32 else torch.nn.CrossEntropyLoss()
        self.network = self.build(weights).to(self.device)
        on_gpu = case.device == "gpu"
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=LEARNING_RATE, eps=EPSILON, fused=True, capturable=on_gpu
        )
        self.loss_of = self.prepared(self.batch_loss)
        name = torch.cuda.get_device_name() if on_gpu else "cpu"
        self.about = {"torch": torch.__version__, "device": name, "threads": torch.get_num_threads()}

    def batch_loss(self, rows: Any) -> Any:
        """Return the mean loss of some rows."""
        with self.torch.autocast(
            self.device.type, dtype=self.torch.bfloat16, enabled=self.case.precision == "bfloat16"
        ):
            output = self.network(self.x[rows])
        return self.criterion(output.float(), self.y[rows])

    def step(self, rows: Any) -> Any:
        """Take a step on some rows and return their loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss_of(rows)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def epoch(self, order: Order | None = None) -> float:
        """Train one epoch."""
        torch = self.torch
        rows = torch.randperm(self.case.rows, device=self.device) if order is None else torch.from_numpy(order)
        total = torch.zeros((), device=self.device)
        for batch in rows.to(self.device).split(self.case.batch_size):
            total += self.step(batch)
        return float(total) / self.case.steps


class CompiledOnDevice(OnDevice):
    """Gathering, network and loss through `torch.compile`."""

    def prepared(self, network: Any) -> Any:
        """Return the compiled function."""
        return self.torch.compile(network)


class ReducedOverhead(OnDevice):
    """The same with `mode="reduce-overhead"`: CUDA graphs that PyTorch captures."""

    def prepared(self, network: Any) -> Any:
        """Return the compiled function."""
        return self.torch.compile(network, mode="reduce-overhead")


class Graphed(OnDevice):
    """A whole step, optimizer and all, captured by hand as one CUDA graph."""

    def __init__(self, case: Case, weights: Weights) -> None:
        if case.device != "gpu":
            raise RuntimeError("CUDA graphs are for GPUs")
        super().__init__(case, weights)
        torch = self.torch
        self.rows = torch.arange(case.batch_size, device=self.device)
        self.total = torch.zeros((), device=self.device)
        first = [parameter.detach().clone() for parameter in self.network.parameters()]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                self.step(self.rows)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(self.graph):
            loss = self.batch_loss(self.rows)
            loss.backward()
            self.optimizer.step()
            self.total += loss.detach()
        self.start_again(first)

    def start_again(self, first: list[Any]) -> None:
        """Undo the steps of the warm-up, in the memory that the graph knows."""
        with self.torch.no_grad():
            for parameter, value in zip(self.network.parameters(), first, strict=True):
                parameter.copy_(value)
                for moment in self.optimizer.state[parameter].values():
                    moment.zero_()

    def epoch(self, order: Order | None = None) -> float:
        """Train one epoch."""
        torch = self.torch
        rows = torch.randperm(self.case.rows, device=self.device) if order is None else torch.from_numpy(order)
        self.total.zero_()
        for batch in rows.to(self.device).split(self.case.batch_size):
            self.rows.copy_(batch)
            self.graph.replay()
        return float(self.total) / self.case.steps
