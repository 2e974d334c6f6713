"""Activations and their derivatives over flat arrays.

Derivatives are written in terms of the output y where that loses nothing, else in terms of the input z; `needs_input`
tells which, so that the plan keeps z only where it is read again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastann_kernels.numba_backend.compiling import inlined, lean
from fastann_kernels.numba_backend.elementary import exp, like, log1p_unit, sigmoid, tanh
from fastann_kernels.numba_backend.frame import array_from

#: Activations whose derivative reads z; those whose derivative does where alpha is negative; those that work on rows.
_OF_INPUT = frozenset({"gelu", "gelu_tanh", "silu", "softplus", "softsign"})
_OF_EITHER = frozenset({"relu", "leaky_relu", "elu"})
BY_ROWS = frozenset({"softmax", "log_softmax"})

# Klambauer et al. 2017, equation 14.
_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715  # Hendrycks & Gimpel 2016, the tanh form


def needs_input(name: str, alpha: float) -> bool:
    """Say whether the derivative reads z; with a negative slope the sign of y no longer tells that of z."""
    return name in _OF_INPUT or (name in _OF_EITHER and alpha < 0)


@inlined
def _bent(v, positive, alpha):
    """Return v, or alpha v where it is not positive; NaN stays.

    Were it chosen between the two, LLVM would store what changes and leave the rest, which takes several times as long.
    """
    return (v if positive else like(v, 0)) + alpha * (like(v, 0) if positive else v)


@inlined
def _relu(z, alpha):
    return _bent(z, z > like(z, 0), alpha)


@lean
def _relu_scale(y, z, delta, alpha):
    v = z if alpha < 0 else y
    for i in range(v.size):
        delta[i] = _bent(delta[i], v[i] > like(v, 0), alpha)


@inlined
def _elu(z, alpha):
    zero, positive = like(z, 0), z > like(z, 0)
    return (z if positive else zero) + alpha * (exp(zero if positive else z) - like(z, 1))


@inlined
def _elu_slope_of_input(z, alpha):
    return like(z, 1) if z > like(z, 0) else alpha * exp(z)


@lean
def _elu_scale(y, z, delta, alpha):
    if alpha < 0:
        for i in range(z.size):
            delta[i] *= _elu_slope_of_input(z[i], alpha)
    else:
        for i in range(y.size):
            delta[i] = _bent(delta[i], y[i] > like(y, 0), y[i] + alpha)


@inlined
def _selu(z, alpha):
    scale = like(z, _SELU_SCALE)
    return scale * z if z > like(z, 0) else like(z, _SELU_SCALE * _SELU_ALPHA) * (exp(z) - like(z, 1))


@inlined
def _selu_slope(y, alpha):
    return like(y, _SELU_SCALE) if y > like(y, 0) else y + like(y, _SELU_SCALE * _SELU_ALPHA)


@inlined
def _gelu(z, alpha):
    return z * like(z, 0.5 * (1 + math.erf(z * math.sqrt(0.5))))


@inlined
def _gelu_slope(z, alpha):
    cdf = 0.5 * (1 + math.erf(z * math.sqrt(0.5)))
    return like(z, cdf + z * math.exp(-0.5 * z * z) * math.sqrt(0.5 / math.pi))


@inlined
def _gelu_tanh(z, alpha):
    one, half = like(z, 1), like(z, 0.5)
    return half * z * (one + tanh(like(z, _SQRT_2_OVER_PI) * (z + like(z, _GELU_CUBIC) * z * z * z)))


@inlined
def _gelu_tanh_slope(z, alpha):
    one, half = like(z, 1), like(z, 0.5)
    t = tanh(like(z, _SQRT_2_OVER_PI) * (z + like(z, _GELU_CUBIC) * z * z * z))
    inner = like(z, _SQRT_2_OVER_PI) * (one + like(z, 3 * _GELU_CUBIC) * z * z)
    return half * (one + t) + half * z * (one - t * t) * inner


@inlined
def _silu(z, alpha):
    return z * sigmoid(z)


@inlined
def _silu_slope(z, alpha):
    s = sigmoid(z)
    return s * (like(z, 1) + z * (like(z, 1) - s))


@inlined
def _softplus(z, alpha):
    return (z if z > like(z, 0) else like(z, 0) * z) + log1p_unit(exp(-abs(z)))


@inlined
def _softplus_slope(z, alpha):
    return sigmoid(z)


@inlined
def _softsign(z, alpha):
    return z / (like(z, 1) + abs(z))


@inlined
def _softsign_slope(z, alpha):
    d = like(z, 1) + abs(z)
    return like(z, 1) / (d * d)


@inlined
def _clip(z, low, high):
    z = low if z < low else z
    return high if z > high else z


@inlined
def _hard_sigmoid(z, alpha):
    return _clip(z + like(z, 3), like(z, 0), like(z, 6)) / like(z, 6)


@inlined
def _hard_sigmoid_slope(y, alpha):
    return like(y, 1 / 6) if like(y, 0) < y < like(y, 1) else like(y, 0)


@inlined
def _relu6(z, alpha):
    return _clip(z, like(z, 0), like(z, 6))


@inlined
def _relu6_slope(y, alpha):
    return like(y, 1) if like(y, 0) < y < like(y, 6) else like(y, 0)


@inlined
def _sigmoid(z, alpha):
    return sigmoid(z)


@inlined
def _sigmoid_slope(y, alpha):
    return y * (like(y, 1) - y)


@inlined
def _tanh(z, alpha):
    return tanh(z)


@inlined
def _tanh_slope(y, alpha):
    return like(y, 1) - y * y


@inlined
def _exponential(z, alpha):
    return exp(z)


@inlined
def _exponential_slope(y, alpha):
    return y


@lean
def shifted_exponentials(z, width, out, top):
    """out = exp(z - max of its row), top = those maxima; one flat pass of exp, which vectorises whatever the width."""
    for r in range(z.size // width):
        row = z[r * width : (r + 1) * width]
        best = row[0]
        for j in range(1, width):
            # a NaN must win, so that it reaches the loss
            best = row[j] if row[j] > best or row[j] != row[j] else best
        top[r] = best
        for j in range(width):
            out[r * width + j] = row[j] - best
    for i in range(z.size):
        out[i] = exp(out[i])


@lean
def softmax(z, width, out, top):
    """out = exp(z) / sum(exp(z)) over rows of `width`; `top` is scratch of one number a row."""
    shifted_exponentials(z, width, out, top)
    for r in range(z.size // width):
        total = like(z, 0)
        for j in range(width):
            total += out[r * width + j]
        scale = like(z, 1) / total
        for j in range(width):
            out[r * width + j] *= scale


@lean
def log_softmax(z, width, out, top):
    """out = z - log(sum(exp(z))) over rows of `width`."""
    # two passes over z, so out must not be z
    shifted_exponentials(z, width, out, top)
    for r in range(z.size // width):
        total = 0.0
        for j in range(width):
            total += out[r * width + j]
        shift = top[r] + like(z, math.log(total))
        for j in range(width):
            out[r * width + j] = z[r * width + j] - shift


@lean
def softmax_backward(y, width, delta):
    """delta <- y * (delta - sum(delta * y)) over rows."""
    for r in range(y.size // width):
        row, d = y[r * width : (r + 1) * width], delta[r * width : (r + 1) * width]
        inner = like(y, 0)
        for j in range(width):
            inner += d[j] * row[j]
        for j in range(width):
            d[j] = row[j] * (d[j] - inner)


@lean
def log_softmax_backward(y, width, delta):
    """delta <- delta - exp(y) * sum(delta) over rows."""
    for r in range(y.size // width):
        row, d = y[r * width : (r + 1) * width], delta[r * width : (r + 1) * width]
        total = like(y, 0)
        for j in range(width):
            total += d[j]
        for j in range(width):
            d[j] -= exp(row[j]) * total


def _map(function: Callable[..., Any]) -> Any:
    """Return the unit of y[i] = f(y[i], alpha). With a second array, were it y itself, LLVM would not vectorise."""

    @lean
    def unit(z, y, top, size, width, alpha):
        y = array_from(y, size)
        alpha = like(y, alpha)
        for i in range(size):
            y[i] = function(y[i], alpha)
        return 0.0

    return unit


def _by_rows(function: Any) -> Any:
    """Return the unit of an activation that works on rows."""

    @lean
    def unit(z, y, top, size, width, alpha):
        function(array_from(z, size), width, array_from(y, size), array_from(top, size // width))
        return 0.0

    return unit


def _scale(slope: Callable[..., Any], of_input: bool = False) -> Any:
    """Return the unit of delta[i] *= f'(v[i]), v being y or z."""

    @lean
    def unit(y, z, delta, size, width, alpha):
        v, delta = array_from(z if of_input else y, size), array_from(delta, size)
        alpha = like(v, alpha)
        for i in range(size):
            delta[i] *= slope(v[i], alpha)
        return 0.0

    return unit


def _scale_either(function: Any) -> Any:
    """Return the unit of a derivative that reads y or z, as alpha has it."""

    @lean
    def unit(y, z, delta, size, width, alpha):
        y, z, delta = array_from(y, size), array_from(z, size), array_from(delta, size)
        function(y, z, delta, like(y, alpha))
        return 0.0

    return unit


def _scale_rows(function: Any) -> Any:
    """Return the unit of a derivative that works on rows."""

    @lean
    def unit(y, z, delta, size, width, alpha):
        function(array_from(y, size), width, array_from(delta, size))
        return 0.0

    return unit


#: Units, see `units`, by name: (z*, y*, top*, size, width, alpha) for y = f(z), where y holds a copy of z to begin
#: with, and top is scratch of the two that work on rows of `width`; (y*, z*, delta*, size, width, alpha), which turns
#: dL/dy into dL/dz, in place, and reads z only where `needs_input` says so.
UNITS = {
    "relu": (_map(_relu), _scale_either(_relu_scale)),
    "elu": (_map(_elu), _scale_either(_elu_scale)),
    "selu": (_map(_selu), _scale(_selu_slope)),
    "gelu": (_map(_gelu), _scale(_gelu_slope, True)),
    "gelu_tanh": (_map(_gelu_tanh), _scale(_gelu_tanh_slope, True)),
    "silu": (_map(_silu), _scale(_silu_slope, True)),
    "softplus": (_map(_softplus), _scale(_softplus_slope, True)),
    "softsign": (_map(_softsign), _scale(_softsign_slope, True)),
    "hard_sigmoid": (_map(_hard_sigmoid), _scale(_hard_sigmoid_slope)),
    "sigmoid": (_map(_sigmoid), _scale(_sigmoid_slope)),
    "tanh": (_map(_tanh), _scale(_tanh_slope)),
    "exponential": (_map(_exponential), _scale(_exponential_slope)),
    "softmax": (_by_rows(softmax), _scale_rows(softmax_backward)),
    "log_softmax": (_by_rows(log_softmax), _scale_rows(log_softmax_backward)),
    "relu6": (_map(_relu6), _scale(_relu6_slope)),
}


def unit_of(name: str) -> str:
    """Return the name of an activation's units, "" for the linear one, which needs none."""
    return {"linear": "", "leaky_relu": "relu"}.get(name, name)
