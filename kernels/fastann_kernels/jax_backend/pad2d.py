"""Zeros around images."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from fastann_kernels.jax_backend.context import Context
from fastann_kernels.program import Instruction

Array = jax.Array


def pad2d(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return (B, H, W, C) images with zeros around, of the shape of the output."""
    x, top, left = inputs[0], int(i.get("pad_top")), int(i.get("pad_left"))
    bottom, right = context.shape[1] - x.shape[1] - top, context.shape[2] - x.shape[2] - left
    return jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
