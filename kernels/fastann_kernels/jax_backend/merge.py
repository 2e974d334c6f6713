"""Instructions that bring several values together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import jax
import jax.numpy as jnp

from fastann_kernels.jax_backend.context import Context
from fastann_kernels.program import Instruction

Array = jax.Array


def add(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return the sum."""
    return reduce(jnp.add, inputs)


def subtract(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return the first less the second."""
    return inputs[0] - inputs[1]


def multiply(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return the product."""
    return reduce(jnp.multiply, inputs)


def average(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return the mean."""
    return reduce(jnp.add, inputs) * (1 / len(inputs))


def maximum(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return the largest, taken two by two; equal ones share the gradient by halves."""
    return reduce(jnp.maximum, inputs)


def minimum(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return the smallest, taken two by two; equal ones share the gradient by halves."""
    return reduce(jnp.minimum, inputs)


def concatenate(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return the values one behind the other along an axis."""
    return jnp.concatenate(inputs, axis=int(i.get("axis")) + 1)
