"""Networks with one instruction on images, and their gradients by PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.operations import Array, Network, close, gradient, network
from tests.programs import Chain


class Case(NamedTuple):
    """Images (H, W, C) and a window that moves over them; padding "valid" or "same" as TensorFlow defines it."""

    shape: tuple[int, int, int]
    window: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: str = "valid"
    groups: int = 1
    outputs: int = 4

    @property
    def places(self) -> tuple[int, int]:
        """Height and width of the output."""
        high, wide = (
            -(-size // s) if self.padding == "same" else (size - reach) // s + 1
            for size, s, reach in zip(self.shape, self.stride, self._reaches, strict=False)
        )
        return high, wide

    @property
    def margins(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Cells of padding (top, bottom), (left, right)."""
        sizes = zip(self.shape, self.places, self.stride, self._reaches, strict=False)
        totals = [max(0, (p - 1) * s + reach - size) if self.padding == "same" else 0 for size, p, s, reach in sizes]
        high, wide = ((total // 2, total - total // 2) for total in totals)
        return high, wide

    @property
    def _reaches(self) -> list[int]:
        return [(k - 1) * d + 1 for k, d in zip(self.window, self.dilation, strict=True)]

    @property
    def attributes(self) -> dict[str, int]:
        """What every instruction with a window is told."""
        (top, _), (left, _) = self.margins
        return {"stride_h": self.stride[0], "stride_w": self.stride[1], "pad_top": top, "pad_left": left}

    def pad(self, x: Array, fill: float = 0.0) -> Array:
        """Return images (B, H, W, C) with their margins."""
        return np.pad(x, ((0, 0), *self.margins, (0, 0)), constant_values=fill)


def behind_dense(shape: tuple[int, ...]) -> Chain:
    """A chain whose last value is an image out of a dense layer: the gradient of its kernel shows that of each cell."""
    chain = Chain(2)
    chain.dense(int(np.prod(shape)))
    chain.reshape(*shape)
    return chain


def images(chain: Chain, shape: tuple[int, ...], rows: int = 3, seed: int = 1) -> Network:
    """Complete a chain that begins with images."""
    x = np.random.default_rng(seed).normal(size=(rows, int(np.prod(shape))))
    return network(chain, x)


def check_against_torch(net: Network, layer: Callable[..., Any], shape: tuple[int, ...]) -> None:
    """Compare the gradient of a network from `behind_dense` with PyTorch's.

    `layer(x, *parameters)` is the instruction on tensors: x (B, C, H, W), as its result.
    """
    torch = pytest.importorskip("torch")
    program = net.program
    tensors = [
        torch.tensor(net.params[p.offset : p.offset + p.size].reshape(p.shape), requires_grad=True)
        for p in program.parameters
    ]
    W, b, *own, V, c = tensors
    x = (torch.tensor(net.x) @ W + b).reshape(-1, *shape)
    y = layer(x.permute(0, 3, 1, 2), *own).permute(0, 2, 3, 1)
    loss = ((y.reshape(len(net.x), -1) @ V + c - torch.tensor(net.y)) ** 2).mean()
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, tensors)]).numpy()
    close(gradient(net, "numba"), expected, 1e-12, "gradient")


def torch_pad(case: Case, x: Any, fill: float = 0.0) -> Any:
    """Return a tensor (B, C, H, W) with the margins of a case."""
    torch = pytest.importorskip("torch")
    (top, bottom), (left, right) = case.margins
    return torch.nn.functional.pad(x, (left, right, top, bottom), value=fill)
