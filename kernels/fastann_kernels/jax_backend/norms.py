"""Batch normalisation and layer normalisation: y = gamma (x - mean) / sqrt(var + epsilon) + beta.

Ioffe & Szegedy 2015; Ba, Kiros & Hinton 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from fastann_kernels.jax_backend.context import Context
from fastann_kernels.program import Instruction

Array = jax.Array


def _normal(i: Instruction, x: Array, mean: Array, variance: Array, tensors: Sequence[Array]) -> Array:
    """Return gamma (x - mean) / sqrt(variance + epsilon) + beta; gamma and beta come first in `tensors`, if at all."""
    factor = lax.rsqrt(variance + float(i.get("epsilon")))
    if i.get("scale"):
        factor = factor * tensors[0]
    y = (x - mean) * factor
    return y + tensors[int(i.get("scale"))] if i.get("center") else y


def batch_norm(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Normalise by the statistics of the batch in training, which the moving ones follow, else by the moving ones."""
    x = inputs[0]
    moving_mean, moving_variance = (lax.stop_gradient(t) for t in tensors[-2:])
    if not context.training or i.get("frozen"):
        return _normal(i, x, moving_mean, moving_variance, tensors)
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axis=axes)
    variance = jnp.square(x - mean).mean(axis=axes)
    momentum = float(i.get("momentum"))
    for number, moving, batch in zip(i.params[-2:], (moving_mean, moving_variance), (mean, variance), strict=True):
        # a layer that is used twice moves them twice
        so_far = context.updates.get(number, moving)
        context.updates[number] = momentum * so_far + (1 - momentum) * lax.stop_gradient(batch)
    return _normal(i, x, mean, variance, tensors)


def layer_norm(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Normalise each row by its own statistics over the last axes."""
    x = inputs[0]
    axes = tuple(range(x.ndim - int(i.get("axes")), x.ndim))
    mean = x.mean(axis=axes, keepdims=True)
    variance = jnp.square(x - mean).mean(axis=axes, keepdims=True)
    return _normal(i, x, mean, variance, tensors)
