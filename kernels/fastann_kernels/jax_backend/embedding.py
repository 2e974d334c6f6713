"""Rows of a table by number."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from fastann_kernels.jax_backend.context import Context
from fastann_kernels.program import Instruction

Array = jax.Array


def embedding(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return table[x]; a number that is no row of the table gives NaN."""
    table = tensors[0]
    rows = inputs[0].astype(jnp.int32)
    inside = (rows >= 0) & (rows < table.shape[0])
    found = table.at[jnp.where(inside, rows, 0)].get(mode="clip")
    return jnp.where(inside[..., None], found, jnp.nan)
