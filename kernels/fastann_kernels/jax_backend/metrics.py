"""Streaming metrics: a value at each position, and the sums over a batch. Formulas of Keras 3."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from fastann_kernels.jax_backend import losses
from fastann_kernels.program import Metric

Array = jax.Array


def labels(y: Array, metric: Metric) -> Array:
    """Return the int32 class of each position; of equal entries the first counts."""
    return y.astype(jnp.int32) if metric.sparse else lax.argmax(y, y.ndim - 1, jnp.int32)


def binary_accuracy(y: Array, p: Array, metric: Metric) -> Array:
    """Share of the last axis where (p > threshold) equals y."""
    return ((p > metric.threshold).astype(p.dtype) == y).astype(p.dtype).mean(-1)


def best_class(y: Array, p: Array, metric: Metric) -> Array:
    """1 where the largest p stands at the label."""
    return (lax.argmax(p, p.ndim - 1, jnp.int32) == labels(y, metric)).astype(p.dtype)


def top_k(y: Array, p: Array, metric: Metric) -> Array:
    """1 where fewer than k entries are larger than the label's, so ties count as hits and NaN never does."""
    here = losses.one_hot(labels(y, metric), p.shape[-1], jnp.bool_)
    own = jnp.where(here, p, 0.0).sum(-1, keepdims=True)
    larger = (p > jnp.where(jnp.isnan(own), -jnp.inf, own)).sum(-1, dtype=jnp.int32)
    return (larger < metric.k).astype(p.dtype)


def accuracy(y: Array, p: Array, metric: Metric) -> Array:
    """Share of the last axis where p equals y."""
    return (p == y).astype(p.dtype).mean(-1)


#: Metric operations beside the losses.
FUNCTIONS: dict[str, Callable[[Array, Array, Metric], Array]] = {
    "binary_accuracy": binary_accuracy,
    "categorical_accuracy": best_class,
    "sparse_categorical_accuracy": best_class,
    "top_k_categorical_accuracy": top_k,
    "sparse_top_k_categorical_accuracy": top_k,
    "accuracy": accuracy,
}

OPERATIONS = frozenset({*FUNCTIONS, *losses.OPERATIONS} - {"callable"})


def metric_values(metric: Metric, y: Array, p: Array) -> Array:
    """Return the value at each position, (B, positions...)."""
    if metric.op in FUNCTIONS:
        return FUNCTIONS[metric.op](y, p, metric)
    return losses.loss_values(metric, y, p)
