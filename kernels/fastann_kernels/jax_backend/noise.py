"""Gaussian noise from the random streams."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from fastann_kernels.jax_backend.context import Context
from fastann_kernels.jax_backend.dropout import random_bits
from fastann_kernels.program import Instruction

Array = jax.Array


def gaussian_noise(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return x + stddev n in training, n by Box & Muller 1958, else x."""
    x, stddev = inputs[0], float(i.get("stddev"))
    if not context.training or stddev == 0:
        return x
    bits = random_bits(context.stream(i), (*x.shape, 2))
    u = ((bits >> np.uint32(9)).astype(x.dtype) + 0.5) * 2.0**-23
    normal = jnp.sqrt(-2 * jnp.log(u[..., 0])) * jnp.cos(2 * math.pi * u[..., 1])
    return x + stddev * normal
