"""Activation functions on NumPy arrays, with Keras' names and defaults, and the spec a layer holds.

Functions keep float32 and float64 and turn whole numbers into float32; none overflows where its result does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from fastann_kernels.program import ACTIVATION_ALPHA
from numpy.typing import ArrayLike, NDArray

from fastann.spec import Spec, deserialize, lookup, number, register

Array: TypeAlias = NDArray[Any]

_SELU_SCALE = 1.0507009873554805  # Klambauer et al. 2017, equation 14
_SELU_ALPHA = 1.6732632423543772
_GELU_CUBIC = 0.044715  # Hendrycks & Gimpel 2016


def _floats(x: ArrayLike) -> Array:
    """Return x as floats: float32 and float64 stay, Python floats are float64, all else becomes float32."""
    array = np.asarray(x)
    if array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float32)


def linear(x: ArrayLike) -> Array:
    """Return x."""
    return _floats(x)


def relu(x: ArrayLike, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Array:
    """Return max(x, 0), with a slope below the threshold and a ceiling if wanted.

    f(x) = max_value for x >= max_value, x for threshold < x < max_value, negative_slope * (x - threshold) else.
    """
    x = _floats(x)
    edge, slope = x.dtype.type(threshold), x.dtype.type(negative_slope)
    low = np.minimum(x - edge, 0) * slope if slope else np.where(np.isnan(x), x, slope)
    y = np.where(x > edge, x, low)
    return y if max_value is None else np.minimum(y, y.dtype.type(max_value))


def leaky_relu(x: ArrayLike, negative_slope: float = 0.2) -> Array:
    """Return x above 0, negative_slope * x below."""
    return relu(x, negative_slope)


def relu6(x: ArrayLike) -> Array:
    """Return min(max(x, 0), 6)."""
    return relu(x, max_value=6.0)


def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """Return x above 0, alpha (e^x - 1) below. Clevert, Unterthiner & Hochreiter 2016."""
    x = _floats(x)
    return np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0)))


def selu(x: ArrayLike) -> Array:
    """Return the scaled exponential linear unit, which keeps mean 0 and variance 1. Klambauer et al. 2017."""
    x = _floats(x)
    return np.asarray(x.dtype.type(_SELU_SCALE) * elu(x, _SELU_ALPHA))


def gelu(x: ArrayLike, approximate: bool = False) -> Array:
    """Return x * Phi(x), Phi the normal distribution function, or with `approximate` its form with tanh.

    Hendrycks & Gimpel 2016.
    """
    x = _floats(x)
    if approximate:
        inner = math.sqrt(2 / math.pi) * (x + x.dtype.type(_GELU_CUBIC) * x * x * x)
        return np.asarray((0.5 * x * (1 + np.tanh(inner))).astype(x.dtype))
    from scipy.special import ndtr

    return np.asarray(x * ndtr(x), x.dtype)


def silu(x: ArrayLike) -> Array:
    """Return x * sigmoid(x), also called swish."""
    x = _floats(x)
    return x * sigmoid(x)


def softplus(x: ArrayLike) -> Array:
    """Return log(1 + e^x)."""
    x = _floats(x)
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def softsign(x: ArrayLike) -> Array:
    """Return x / (1 + |x|)."""
    x = _floats(x)
    return np.asarray(x / (1 + np.abs(x)))


def hard_sigmoid(x: ArrayLike) -> Array:
    """Return relu6(x + 3) / 6."""
    return relu6(_floats(x) + 3) / 6


def sigmoid(x: ArrayLike) -> Array:
    """Return 1 / (1 + e^-x)."""
    x = _floats(x)
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, e) / (1 + e))


def tanh(x: ArrayLike) -> Array:
    """Return the hyperbolic tangent."""
    return np.tanh(_floats(x))


def exponential(x: ArrayLike) -> Array:
    """Return e^x; inf where that overflows."""
    with np.errstate(over="ignore"):
        return np.exp(_floats(x))


def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """Return e^x / sum(e^x) along an axis."""
    x = _floats(x)
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def log_softmax(x: ArrayLike, axis: int = -1) -> Array:
    """Return x - log(sum(e^x)) along an axis."""
    x = _floats(x)
    shifted = x - x.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def _gelu_tanh(x: ArrayLike) -> Array:
    return gelu(x, approximate=True)


swish = silu

_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "linear": linear, "relu": relu, "leaky_relu": leaky_relu, "elu": elu, "selu": selu, "gelu": gelu,
    "gelu_tanh": _gelu_tanh, "silu": silu, "softplus": softplus, "softsign": softsign, "hard_sigmoid": hard_sigmoid,
    "sigmoid": sigmoid, "tanh": tanh, "exponential": exponential, "softmax": softmax, "log_softmax": log_softmax,
    "relu6": relu6,
}  # fmt: skip
_ALIASES = {"swish": "silu", "exp": "exponential", "leakyrelu": "leaky_relu", "identity": "linear"}


def _relu_slope(x: Array, alpha: float) -> Array:
    return np.where(x > 0, 1.0, alpha)


def _elu_slope(x: Array, alpha: float) -> Array:
    return np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))


def _gelu_slope(x: Array, alpha: float) -> Array:
    from scipy.special import ndtr

    return np.asarray(ndtr(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))


def _gelu_tanh_slope(x: Array, alpha: float) -> Array:
    t = np.tanh(math.sqrt(2 / math.pi) * (x + _GELU_CUBIC * x**3))
    return np.asarray(0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * _GELU_CUBIC * x * x))


def _silu_slope(x: Array, alpha: float) -> Array:
    return np.asarray(sigmoid(x) * (1 + x * sigmoid(-x)))


_SLOPES: dict[str, Callable[[Array, float], Array]] = {
    "linear": lambda x, alpha: np.ones_like(x),
    "relu": _relu_slope,
    "leaky_relu": _relu_slope,
    "elu": _elu_slope,
    "selu": lambda x, alpha: _SELU_SCALE * _elu_slope(x, _SELU_ALPHA),
    "gelu": _gelu_slope,
    "gelu_tanh": _gelu_tanh_slope,
    "silu": _silu_slope,
    "softplus": lambda x, alpha: sigmoid(x),
    "softsign": lambda x, alpha: 1 / (1 + np.abs(x)) ** 2,
    "hard_sigmoid": lambda x, alpha: np.where(np.abs(x) < 3, 1 / 6, 0.0),
    "sigmoid": lambda x, alpha: sigmoid(x) * sigmoid(-x),
    "tanh": lambda x, alpha: 1 - np.tanh(x) ** 2,
    "exponential": lambda x, alpha: exponential(x),
    "relu6": lambda x, alpha: np.where((x > 0) & (x < 6), 1.0, 0.0),
}


@register("activations")
@dataclass(frozen=True)
class Activation(Spec):
    """An activation function as data.

    Args:
        name: a name of `fastann_kernels.program.ACTIVATIONS`; "gelu_tanh" is the approximate GELU.
        alpha: the slope below zero of relu and leaky_relu, the scale of elu; left out or None, it is 0, 0.2 or 1.

    Raises:
        ValueError: the name is unknown, or it takes no alpha. TypeError: the name is no string or alpha no number.

    >>> float(Activation("leaky_relu", 0.1)(-2.0))
    -0.2
    """

    name: str
    alpha: float = field(default=None)  # type: ignore[assignment]  # a float once the object is made

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"an activation's name must be a string, got {self.name!r}.")
        if self.name not in _FUNCTIONS:
            raise ValueError(f"activation must be one of {', '.join(sorted(_FUNCTIONS))}, got {self.name!r}.")
        default = ACTIVATION_ALPHA.get(self.name, 0.0)
        alpha = default if self.alpha is None else number(self.alpha, "alpha")
        if alpha != default and self.name not in ACTIVATION_ALPHA:
            raise ValueError(f"activation {self.name!r} takes no alpha, got {alpha:g}; leave it out.")
        self._set(alpha=alpha)

    def __call__(self, x: ArrayLike) -> Array:
        """Return f(x), element by element; softmax and log_softmax work on the last axis."""
        function = _FUNCTIONS[self.name]
        return function(x, self.alpha) if self.name in ACTIVATION_ALPHA else function(x)

    def derivative(self, x: ArrayLike) -> Array:
        """Return f'(x) in float64, the derivative from the left at a kink.

        Raises:
            ValueError: softmax and log_softmax mix the entries of a row and have a matrix of derivatives instead.
        """
        if self.name not in _SLOPES:
            raise ValueError(f"{self.name!r} is not element-wise, so that it has no derivative of its own entry alone.")
        return _SLOPES[self.name](np.asarray(x, np.float64), self.alpha)


class SupportsActivation(Protocol):
    """A layer that stands for one activation."""

    def as_activation(self) -> Activation:
        """Return it."""


ActivationLike: TypeAlias = str | Activation | SupportsActivation | Callable[..., Any] | Mapping[str, Any] | None


def get(identifier: ActivationLike) -> Activation:
    """Return the activation that is meant.

    >>> get("leaky_relu")
    Activation(name='leaky_relu', alpha=0.2)
    >>> get(relu) == get("ReLU") == Activation("relu")
    True

    Args:
        identifier: None (linear), a name in any case, an `Activation`, one of the functions of this module with its
            defaults, an activation layer, or what `fastann.spec.serialize` made of an `Activation`.

    Raises:
        ValueError: the name is unknown. TypeError: none of the above.
    """
    if identifier is None:
        return Activation("linear")
    if isinstance(identifier, Activation):
        return identifier
    if isinstance(identifier, str):
        return Activation(_ALIASES.get(identifier.lower(), identifier.lower()))
    if isinstance(identifier, Mapping):
        return get(deserialize(identifier, lookup("activations")))
    if not isinstance(identifier, type) and hasattr(identifier, "as_activation"):
        return identifier.as_activation()
    for name, function in _FUNCTIONS.items():
        if identifier is function:
            return Activation(name)
    raise TypeError(
        "an activation must be a name, an Activation, a layer or a function of fastann.activations, "
        f"got {identifier!r}."
    )
