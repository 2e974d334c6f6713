"""The largest cell, or the mean, of each window of an image (B, H, W, C)."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fastann_kernels.jax_backend.context import Context
from fastann_kernels.jax_backend.conv2d import windows
from fastann_kernels.program import Instruction

Array = jax.Array


Pair = tuple[int, int]


def _geometry(i: Instruction, x: Array, context: Context) -> tuple[Pair, Pair, list[Pair]]:
    """Return window, strides and padding."""
    window = (int(i.get("pool_h")), int(i.get("pool_w")))
    strides = (int(i.get("stride_h")), int(i.get("stride_w")))
    return window, strides, windows(i, x.shape, context.shape, window)


def _cells(x: Array, window: Pair, strides: Pair, padding: list[Pair], fill: float) -> list[Array]:
    """Return, for each cell of a window in reading order, its value in every window: arrays of the output's shape."""
    spread = lax.pad(x, jnp.asarray(fill, x.dtype), ((0, 0, 0), *((a, b, 0) for a, b in padding), (0, 0, 0)))
    rows, columns = ((spread.shape[1 + k] - window[k]) // strides[k] + 1 for k in (0, 1))
    return [
        lax.slice(
            spread,
            (0, h, w, 0),
            (x.shape[0], h + (rows - 1) * strides[0] + 1, w + (columns - 1) * strides[1] + 1, x.shape[3]),
            (1, *strides, 1),
        )
        for h in range(window[0])
        for w in range(window[1])
    ]


#: Cells of a window up to which it is reduced cell by cell: XLA's way back through a window is slow on a CPU.
_FEW = 16


def max_pool2d(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return the largest cell of each window; the first of several gets the gradient, and NaN wins."""
    x = inputs[0]
    window, strides, padding = _geometry(i, x, context)
    if window[0] * window[1] <= _FEW:
        cells = _cells(x, window, strides, padding, -np.inf)
        best = cells[0]
        for cell in cells[1:]:
            best = jnp.where((best >= cell) | jnp.isnan(best), best, cell)
        return best
    if window == x.shape[1:3]:
        # one window, the whole image: the first maximum by its place
        flat = x.reshape(x.shape[0], -1, x.shape[3])
        place = lax.stop_gradient(flat).argmax(axis=1)
        return jnp.take_along_axis(flat, place[:, None], axis=1)[:, :, None].reshape(context.shape)
    low = jnp.asarray(-np.inf, x.dtype)
    edges = ((0, 0), *padding, (0, 0))
    largest: Array = lax.reduce_window(x, low, lax.max, (1, *window, 1), (1, *strides, 1), edges)
    return largest


def average_pool2d(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return the mean of the cells of each window that lie inside the image."""
    x = inputs[0]
    window, strides, padding = _geometry(i, x, context)
    if window == x.shape[1:3] and context.shape[1:3] == (1, 1):
        return x.mean(axis=(1, 2), keepdims=True).reshape(context.shape)
    if window[0] * window[1] <= _FEW:
        total = sum(_cells(x, window, strides, padding, 0.0), jnp.zeros(context.shape, x.dtype))
    else:
        edges = ((0, 0), *padding, (0, 0))
        # the literal zero, and no array of it, is what lets XLA differentiate the sum
        total = lax.reduce_window(x, 0.0, lax.add, (1, *window, 1), (1, *strides, 1), edges)
    high, wide = (_inside(x.shape[1 + k], window[k], strides[k], padding[k][0], context.shape[1 + k]) for k in (0, 1))
    return total / jnp.asarray(np.outer(high, wide)[..., None], x.dtype)


def _inside(size: int, window: int, stride: int, before: int, count: int) -> list[int]:
    """Return how many cells of each window lie inside, along one axis."""
    starts = [k * stride - before for k in range(count)]
    return [min(start + window, size) - max(start, 0) for start in starts]
