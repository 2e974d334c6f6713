"""Activations f(z). Their derivatives are JAX's; at a kink the formulas give the derivative of the left side.

`jnp.where` picks a branch where `jnp.maximum` would share a tie between both sides, and each branch stays finite where
it is not picked, so that no gradient becomes 0 * inf.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017, equation 14


def relu(z: Array, alpha: float = 0.0) -> Array:
    """max(z, 0), or alpha z below 0; the slope at 0 is alpha."""
    # XLA keeps a multiplication by 0, forward and backward, as it would have to keep a NaN.
    return jnp.where(z > 0, z, alpha * z) if alpha else jax.nn.relu(z)


def relu6(z: Array) -> Array:
    """min(max(z, 0), 6)"""
    return jnp.where(z > 0, jnp.where(z < 6, z, 6.0), 0.0)


def elu(z: Array, alpha: float) -> Array:
    """z above 0, alpha (exp(z) - 1) below. Clevert et al. 2016."""
    return jnp.where(z > 0, z, alpha * jnp.expm1(jnp.where(z > 0, 0.0, z)))


def selu(z: Array) -> Array:
    return SELU_SCALE * elu(z, SELU_ALPHA)


def gelu(z: Array) -> Array:
    """z Phi(z), Phi the standard normal distribution function. Hendrycks & Gimpel 2016."""
    return 0.5 * z * (1 + lax.erf(z * math.sqrt(0.5)))


def gelu_tanh(z: Array) -> Array:
    return 0.5 * z * (1 + jnp.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z)))


def silu(z: Array) -> Array:
    return z * lax.logistic(z)


def softplus(z: Array) -> Array:
    """log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)).

    The maximum is written (z + |z|) / 2: whatever slope |z| has at 0, that of the sum is then sigmoid(0).
    """
    return 0.5 * (z + jnp.abs(z)) + jnp.log1p(jnp.exp(-jnp.abs(z)))


def softsign(z: Array) -> Array:
    return z / (1 + jnp.abs(z))


def hard_sigmoid(z: Array) -> Array:
    """z / 6 + 1/2, cut to [0, 1], as in Keras 3."""
    return jnp.where(z > -3, jnp.where(z < 3, z / 6 + 0.5, 1.0), 0.0)


def softmax(z: Array) -> Array:
    """exp(z_i) / sum_k exp(z_k) over the last axis."""
    e = jnp.exp(z - lax.stop_gradient(z.max(-1, keepdims=True)))
    return e / e.sum(-1, keepdims=True)


def log_softmax(z: Array) -> Array:
    """z_i - log sum_k exp(z_k) over the last axis."""
    shifted = z - lax.stop_gradient(z.max(-1, keepdims=True))
    return shifted - jnp.log(jnp.exp(shifted).sum(-1, keepdims=True))


#: f(z, alpha) by the names of `program.ACTIVATIONS`.
FUNCTIONS: dict[str, Callable[[Array, float], Array]] = {
    "linear": lambda z, alpha: z,
    "relu": relu,
    "leaky_relu": relu,
    "elu": elu,
    "selu": lambda z, alpha: selu(z),
    "gelu": lambda z, alpha: gelu(z),
    "gelu_tanh": lambda z, alpha: gelu_tanh(z),
    "silu": lambda z, alpha: silu(z),
    "softplus": lambda z, alpha: softplus(z),
    "softsign": lambda z, alpha: softsign(z),
    "hard_sigmoid": lambda z, alpha: hard_sigmoid(z),
    "sigmoid": lambda z, alpha: lax.logistic(z),
    "tanh": lambda z, alpha: jnp.tanh(z),
    "exponential": lambda z, alpha: jnp.exp(z),
    "softmax": lambda z, alpha: softmax(z),
    "log_softmax": lambda z, alpha: log_softmax(z),
    "relu6": lambda z, alpha: relu6(z),
}


def activate(name: str, z: Array, alpha: float = 0.0) -> Array:
    """Return f(z), shape and dtype of `z`."""
    return FUNCTIONS[name](z, alpha)
