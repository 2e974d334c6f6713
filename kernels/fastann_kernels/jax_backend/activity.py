"""Penalties on activations."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from fastann_kernels.jax_backend.context import Context
from fastann_kernels.jax_backend.losses import absolute
from fastann_kernels.program import Instruction

Array = jax.Array


def activity_penalty(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return x and add (l1 sum |x| + l2 sum x^2) / B to the loss."""
    x = inputs[0]
    total = float(i.get("l1")) * absolute(x).sum() + float(i.get("l2")) * jnp.square(x).sum()
    context.added.append(total / x.shape[0])
    return x
