"""Rectified linear units whose slopes are learned. He, Zhang, Ren & Sun 2015."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from fastann_kernels.jax_backend.context import Context
from fastann_kernels.program import Instruction

Array = jax.Array


def prelu(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return x where it is positive, slope x elsewhere."""
    x = inputs[0]
    return jnp.where(x > 0, x, tensors[0] * x)
