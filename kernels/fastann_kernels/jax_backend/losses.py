"""Losses: a value at each position from target y and what the loss works on, p, both (..., K). Formulas of Keras 3.

Gradients are JAX's. The formulas are written so that they are finite wherever the loss is, and at a kink equal what
hand-written kernels give: sign(0) = 0, a hinge is flat where its margin is met, a clipped value passes no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from fastann_kernels.jax_backend.activations import log_softmax
from fastann_kernels.program import Loss, Metric

Array = jax.Array
Settings = Loss | Metric  # what has delta, smoothing and logits

EPSILON = 1e-7  # `keras.config.epsilon`


def absolute(e: Array) -> Array:
    """|e| with slope sign(e), 0 at 0, where `jnp.abs` has slope 1."""
    return e * lax.stop_gradient(jnp.sign(e))


def clip(p: Array, low: float, high: float) -> Array:
    """Clip with slope 1 on the bounds themselves, where `jnp.clip` has 1/2."""
    return jnp.where(p < low, low, jnp.where(p > high, high, p))


def hinge_labels(y: Array) -> Array:
    """Turn labels 0 and 1 into -1 and 1 if the whole batch has no others, as Keras does."""
    binary = ((y == 0) | (y == 1)).all()
    return jnp.where(binary, 2 * y - 1, y)


def margin(y: Array, p: Array) -> Array:
    """max(0, 1 - y p)"""
    gap = 1 - hinge_labels(y) * p
    return jnp.where(gap > 0, gap, 0.0)


def absolute_percentage(y: Array, p: Array, loss: Settings) -> Array:
    return 100 * absolute(p - y) / jnp.where(jnp.abs(y) > EPSILON, jnp.abs(y), EPSILON)


def squared_logarithmic(y: Array, p: Array, loss: Settings) -> Array:
    """(log(1 + max(p, eps)) - log(1 + max(y, eps)))^2"""
    p, y = jnp.where(p > EPSILON, p, EPSILON), jnp.where(y > EPSILON, y, EPSILON)
    return jnp.square(jnp.log1p(p) - jnp.log1p(y))


def huber(y: Array, p: Array, loss: Settings) -> Array:
    """e^2 / 2 up to |e| = delta, delta |e| - delta^2 / 2 beyond. Huber 1964."""
    e, d = jnp.abs(p - y), loss.delta
    return jnp.where(e <= d, 0.5 * jnp.square(p - y), d * e - 0.5 * d * d)


def log_cosh(y: Array, p: Array, loss: Settings) -> Array:
    """log cosh e = -1/2 log(1 - tanh(e)^2), and |e| + log(1 + exp(-2 |e|)) - log 2 where tanh(e)^2 comes close to 1."""
    e = p - y
    size, near = jnp.abs(e), jnp.abs(e) < 1
    inner = -0.5 * jnp.log1p(-jnp.square(jnp.tanh(jnp.where(near, e, 0.0))))
    return jnp.where(near, inner, size + jnp.log1p(jnp.exp(-2 * size)) - math.log(2))


def binary_crossentropy(y: Array, p: Array, loss: Settings) -> Array:
    """-y log p - (1 - y) log(1 - p), p clipped; from logits log(1 + exp(z)) - y z."""
    y = y * (1 - loss.smoothing) + 0.5 * loss.smoothing
    if loss.logits >= 0:
        # softplus(z) - y z, rearranged so that nothing cancels when z is large and y is 1
        return 0.5 * (p + jnp.abs(p)) - y * p + jnp.log1p(jnp.exp(-jnp.abs(p)))
    p = clip(p, EPSILON, 1 - EPSILON)
    return -(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))


def poisson(y: Array, p: Array, loss: Settings) -> Array:
    return p - y * jnp.log(p + EPSILON)


def categorical_crossentropy(y: Array, p: Array, loss: Settings) -> Array:
    """-sum_k y_k log q_k, q = softmax(p) for logits, else p divided by its sum and clipped."""
    y = y * (1 - loss.smoothing) + loss.smoothing / p.shape[-1]
    if loss.logits >= 0:
        return -(y * log_softmax(p)).sum(-1)
    return -(y * jnp.log(clip(p / p.sum(-1, keepdims=True), EPSILON, 1 - EPSILON))).sum(-1)


def categorical_hinge(y: Array, p: Array, loss: Settings) -> Array:
    """max(0, 1 + max_k (1 - y_k) p_k - sum_k y_k p_k); of equal maxima the first takes the gradient."""
    others = (1 - y) * p
    first = one_hot(lax.argmax(lax.stop_gradient(others), others.ndim - 1, jnp.int32), p.shape[-1], p.dtype)
    gap = 1 + (first * others).sum(-1) - (y * p).sum(-1)
    return jnp.where(gap > 0, gap, 0.0)


def kl_divergence(y: Array, p: Array, loss: Settings) -> Array:
    """sum_k y_k log(y_k / p_k), both clipped to [eps, 1]."""
    y, p = clip(y, EPSILON, 1.0), clip(p, EPSILON, 1.0)
    return (y * jnp.log(y / p)).sum(-1)


def unit(v: Array) -> Array:
    """Return v / |v| over the last axis; below a length of eps the divisor is eps, so that 0 stays 0."""
    square = jnp.square(v).sum(-1, keepdims=True)
    long = square > EPSILON * EPSILON
    return v * jnp.where(long, lax.rsqrt(jnp.where(long, square, 1.0)), 1 / EPSILON)


def cosine_similarity(y: Array, p: Array, loss: Settings) -> Array:
    """Minus the cosine of the angle between y and p."""
    return -(unit(y) * unit(p)).sum(-1)


Function = Callable[[Array, Array, Settings], Array]

#: Element-wise losses; the value of a position is the mean over its last axis.
MEANS: dict[str, Function] = {
    "mean_squared_error": lambda y, p, loss: jnp.square(p - y),
    "mean_absolute_error": lambda y, p, loss: absolute(p - y),
    "mean_absolute_percentage_error": absolute_percentage,
    "mean_squared_logarithmic_error": squared_logarithmic,
    "half_squared_error": lambda y, p, loss: 0.5 * jnp.square(p - y),
    "huber": huber,
    "log_cosh": log_cosh,
    "binary_crossentropy": binary_crossentropy,
    "hinge": lambda y, p, loss: margin(y, p),
    "squared_hinge": lambda y, p, loss: jnp.square(margin(y, p)),
    "poisson": poisson,
}

#: Losses over the last axis as a whole.
ROWS: dict[str, Function] = {
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": categorical_crossentropy,
    "categorical_hinge": categorical_hinge,
    "kl_divergence": kl_divergence,
    "cosine_similarity": cosine_similarity,
}

OPERATIONS = frozenset({*MEANS, *ROWS, "callable"})


def one_hot(labels: Array, count: int, dtype: DTypeLike) -> Array:
    """Return `dtype`[..., count]: 1 in the column that the int32 label names, else 0."""
    columns = lax.broadcasted_iota(jnp.int32, (*labels.shape, count), labels.ndim)
    return (columns == labels[..., None]).astype(dtype)


def loss_values(loss: Settings, y: Array, p: Array) -> Array:
    """Return the value at each position, (B, positions...); y has no last axis if the loss is sparse."""
    axis = loss.axis if isinstance(loss, Loss) else -1
    if axis not in (-1, p.ndim - 1):
        p, y = jnp.moveaxis(p, axis, -1), y if loss.sparse else jnp.moveaxis(y, axis, -1)
    if loss.sparse:
        y = one_hot(y.astype(jnp.int32), p.shape[-1], p.dtype)
    if loss.op in MEANS:
        return MEANS[loss.op](y, p, loss).mean(-1)
    return ROWS[loss.op](y, p, loss)


def callable_values(loss: Loss, y: Array, p: Array) -> Array:
    """Return what the user's function gives for the batch; one number counts for every row."""
    if loss.function is None:
        raise ValueError("a loss with op 'callable' needs a function, got None: set Loss.function.")
    values = jnp.asarray(loss.function(y, p)).astype(p.dtype)
    return values if values.ndim else jnp.broadcast_to(values, p.shape[:1])
