"""Activations with their derivatives in terms of z."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import erf, expit

from .types import Array

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017, equation 14


def _elu(z: Array, alpha: float) -> Array:
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def _elu_slope(z: Array, alpha: float) -> Array:
    return np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0)))


def _gelu_slope(z: Array, alpha: float) -> Array:
    """Phi(z) + z phi(z), phi the standard normal density. Hendrycks & Gimpel 2016."""
    return 0.5 * (1 + erf(z / np.sqrt(2))) + z * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


def _gelu_tanh(z: Array, alpha: float) -> Array:
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def _gelu_tanh_slope(z: Array, alpha: float) -> Array:
    inner = np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)
    inner_slope = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * z**2)
    return 0.5 * (1 + np.tanh(inner)) + 0.5 * z * inner_slope / np.cosh(inner) ** 2


Elementwise = Callable[[Array, float], Array]

#: Formulas as in the documentation of `keras.activations`; a kink takes the derivative of its left side.
ELEMENTWISE: dict[str, tuple[Elementwise, Elementwise]] = {
    "linear": (lambda z, a: z, lambda z, a: np.ones_like(z)),
    "relu": (lambda z, a: np.where(z > 0, z, a * z), lambda z, a: np.where(z > 0, 1.0, a)),
    "leaky_relu": (lambda z, a: np.where(z > 0, z, a * z), lambda z, a: np.where(z > 0, 1.0, a)),
    "relu6": (lambda z, a: np.clip(z, 0, 6), lambda z, a: np.where((z > 0) & (z < 6), 1.0, 0.0)),
    "elu": (_elu, _elu_slope),
    "selu": (
        lambda z, a: SELU_SCALE * _elu(z, SELU_ALPHA),
        lambda z, a: SELU_SCALE * _elu_slope(z, SELU_ALPHA),
    ),
    "gelu": (lambda z, a: 0.5 * z * (1 + erf(z / np.sqrt(2))), _gelu_slope),
    "gelu_tanh": (_gelu_tanh, _gelu_tanh_slope),
    "silu": (
        lambda z, a: z * expit(z),
        lambda z, a: expit(z) + z * expit(z) * expit(-z),
    ),
    "softplus": (lambda z, a: np.logaddexp(0, z), lambda z, a: expit(z)),
    "softsign": (lambda z, a: z / (1 + np.abs(z)), lambda z, a: 1 / (1 + np.abs(z)) ** 2),
    "hard_sigmoid": (
        lambda z, a: np.clip(z / 6 + 0.5, 0, 1),
        lambda z, a: np.where(np.abs(z) < 3, 1 / 6, 0.0),
    ),
    "sigmoid": (lambda z, a: expit(z), lambda z, a: expit(z) * expit(-z)),
    "tanh": (lambda z, a: np.tanh(z), lambda z, a: 1 / np.cosh(z) ** 2),
    "exponential": (lambda z, a: np.exp(z), lambda z, a: np.exp(z)),
}


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def activate(name: str, z: Array, alpha: float) -> Array:
    """Return f(z)."""
    if name == "softmax":
        return softmax(z)
    if name == "log_softmax":
        return z - np.logaddexp.reduce(z, axis=-1, keepdims=True)
    return ELEMENTWISE[name][0](z, alpha)


def activate_back(name: str, z: Array, alpha: float, grad: Array) -> Array:
    """Return dL/dz from dL/df. The last two use the Jacobian df_i/dz_j in full."""
    if name in ("softmax", "log_softmax"):
        p, identity = softmax(z), np.eye(z.shape[-1])
        jacobian = identity - p[..., None, :]
        if name == "softmax":
            jacobian = p[..., :, None] * jacobian
        return np.einsum("...i,...ij->...j", grad, jacobian)
    return grad * ELEMENTWISE[name][1](z, alpha)
