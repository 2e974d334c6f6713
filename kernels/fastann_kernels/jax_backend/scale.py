"""Affine maps with numbers that are not trained."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from fastann_kernels.jax_backend.context import Context
from fastann_kernels.program import Instruction

Array = jax.Array


def scale(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return scale x + offset."""
    return inputs[0] * float(i.get("scale")) + float(i.get("offset"))


def normalize(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return (x - mean) / max(sqrt(variance), epsilon), or with `invert` the way back."""
    mean, variance = tensors
    spread = jnp.maximum(jnp.sqrt(variance), float(i.get("epsilon")))
    return mean + spread * inputs[0] if i.get("invert") else (inputs[0] - mean) / spread
