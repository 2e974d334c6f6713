"""Random flips and random affine maps of images (B, H, W, C), drawn anew for every row of every training step."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from fastann_kernels.jax_backend.context import Context
from fastann_kernels.jax_backend.dropout import random_bits
from fastann_kernels.program import Instruction

Array = jax.Array

#: Numbers drawn for each row, in this order.
_DRAWN = ("angle", "shift_h", "shift_w", "zoom_h", "zoom_w")


def random_flip(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Mirror each image left-right and up-down, or not, in training."""
    x = inputs[0]
    if not context.training:
        return x
    flipped = random_bits(context.stream(i), (x.shape[0], 2)) < np.uint32(1 << 31)
    for name, column, axis in (("horizontal", 0, 2), ("vertical", 1, 1)):
        if i.get(name):
            x = jnp.where(flipped[:, column, None, None, None], jnp.flip(x, axis), x)
    return x


def random_affine(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Turn, shift and zoom each image in training; the formula is at `program.Instruction`."""
    x = inputs[0]
    if not context.training:
        return x
    row, column = _sources(i, x, context)
    if i.get("interpolation", "bilinear") == "nearest":
        return _read(i, x, jnp.floor(row + 0.5), jnp.floor(column + 0.5))
    upper, left = jnp.floor(row), jnp.floor(column)
    a, b = ((at - low)[..., None].astype(x.dtype) for at, low in ((row, upper), (column, left)))
    top = (1 - b) * _read(i, x, upper, left) + b * _read(i, x, upper, left + 1)
    bottom = (1 - b) * _read(i, x, upper + 1, left) + b * _read(i, x, upper + 1, left + 1)
    return (1 - a) * top + a * bottom


def _sources(i: Instruction, x: Array, context: Context) -> tuple[Array, Array]:
    """Return (B, H, W) rows and columns where each cell of the output is read."""
    u = (random_bits(context.stream(i), (x.shape[0], 8)) >> np.uint32(8)).astype(x.dtype) * 2.0**-24
    drawn = []
    for k, name in enumerate(_DRAWN):
        plain = 1.0 if name.startswith("zoom") else 0.0
        low, high = float(i.get(f"{name}_low", plain)), float(i.get(f"{name}_high", plain))
        drawn.append((low + u[:, k] * (high - low))[:, None, None])
    angle, shift_h, shift_w, zoom_h, zoom_w = drawn
    zoom_w = zoom_h if i.get("zoom_square") else zoom_w
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    middle_h, middle_w = (x.shape[1] - 1) / 2, (x.shape[2] - 1) / 2
    p = zoom_h * (jnp.arange(x.shape[1], dtype=x.dtype)[None, :, None] - middle_h)
    q = zoom_w * (jnp.arange(x.shape[2], dtype=x.dtype)[None, None, :] - middle_w)
    return middle_h + cos * p + sin * q - shift_h, middle_w - sin * p + cos * q - shift_w


def _read(i: Instruction, x: Array, row: Array, column: Array) -> Array:
    """Return x[row, column] (B, H, W, C), or what lies outside as `fill` says."""
    fill = str(i.get("fill", "constant"))
    rows, row_inside = _inside(row.astype(jnp.int32), x.shape[1], fill)
    columns, column_inside = _inside(column.astype(jnp.int32), x.shape[2], fill)
    batch = jnp.arange(x.shape[0])[:, None, None]
    found = x[batch, rows, columns]
    if fill != "constant":
        return found
    return jnp.where((row_inside & column_inside)[..., None], found, float(i.get("fill_value")))


def _inside(place: Array, length: int, fill: str) -> tuple[Array, Array]:
    """Return the place along an axis that stands for `place`, and whether that was inside."""
    inside = (place >= 0) & (place < length)
    if fill == "wrap":
        place = place % length
    elif fill == "reflect":
        place = place % (2 * length)
        place = jnp.where(place < length, place, 2 * length - 1 - place)
    return jnp.clip(place, 0, length - 1), inside
