"""Activations and their derivatives over flat arrays.

Derivatives are written in terms of the output y where that loses nothing, else in terms of the input z; `NEEDS_INPUT`
and `needs_input` tell which, so that the plan keeps z only where it is read again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastann_kernels.numba_backend.compiling import inlined, lean
from fastann_kernels.numba_backend.elementary import copy, exp, like, log1p_unit, sigmoid, tanh
from fastann_kernels.program import ACTIVATIONS

(
    LINEAR, RELU, LEAKY_RELU, ELU, SELU, GELU, GELU_TANH, SILU, SOFTPLUS, SOFTSIGN, HARD_SIGMOID,
    SIGMOID, TANH, EXPONENTIAL, SOFTMAX, LOG_SOFTMAX, RELU6,
) = range(len(ACTIVATIONS))  # fmt: skip

#: Activations whose derivative reads z.
NEEDS_INPUT = frozenset({GELU, GELU_TANH, SILU, SOFTPLUS, SOFTSIGN})

# Klambauer et al. 2017, equation 14.
_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715  # Hendrycks & Gimpel 2016, the tanh form


def needs_input(code: int, alpha: float) -> bool:
    """Say whether the derivative reads z; with a negative slope the sign of y no longer tells that of z."""
    return code in NEEDS_INPUT or (code in (RELU, LEAKY_RELU, ELU) and alpha < 0)


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
def _relu_scale(y, alpha, delta):
    for i in range(y.size):
        delta[i] = _bent(delta[i], y[i] > like(y, 0), alpha)


@inlined
def _elu(z, alpha):
    zero, positive = like(z, 0), z > like(z, 0)
    return (z if positive else zero) + alpha * (exp(zero if positive else z) - like(z, 1))


@lean
def _elu_scale(y, alpha, delta):
    for i in range(y.size):
        delta[i] = _bent(delta[i], y[i] > like(y, 0), y[i] + alpha)


@inlined
def _elu_slope_of_input(z, alpha):
    return like(z, 1) if z > like(z, 0) else alpha * exp(z)


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


def _map(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loop v[i] = f(v[i], alpha). With a second array, were it v itself, LLVM would not vectorise."""

    @lean
    def loop(v, alpha):
        for i in range(v.size):
            v[i] = function(v[i], alpha)

    return loop


def _scale(slope: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loop delta[i] *= f'(v[i]), v being y or z as the slope wants it."""

    @lean
    def loop(v, alpha, delta):
        for i in range(v.size):
            delta[i] *= slope(v[i], alpha)

    return loop


_relu_map = _map(_relu)
_elu_map, _elu_scale_of_input = _map(_elu), _scale(_elu_slope_of_input)
_selu_map, _selu_scale = _map(_selu), _scale(_selu_slope)
_gelu_map, _gelu_scale = _map(_gelu), _scale(_gelu_slope)
_gelu_tanh_map, _gelu_tanh_scale = _map(_gelu_tanh), _scale(_gelu_tanh_slope)
_silu_map, _silu_scale = _map(_silu), _scale(_silu_slope)
_softplus_map, _softplus_scale = _map(_softplus), _scale(_softplus_slope)
_softsign_map, _softsign_scale = _map(_softsign), _scale(_softsign_slope)
_hard_sigmoid_map, _hard_sigmoid_scale = _map(_hard_sigmoid), _scale(_hard_sigmoid_slope)
_relu6_map, _relu6_scale = _map(_relu6), _scale(_relu6_slope)
_sigmoid_map, _sigmoid_scale = _map(_sigmoid), _scale(_sigmoid_slope)
_tanh_map, _tanh_scale = _map(_tanh), _scale(_tanh_slope)
_exponential_map, _exponential_scale = _map(_exponential), _scale(_exponential_slope)


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


@lean
def activate(code, alpha, z, width, out, top):
    """out = f(z) for flat z made of rows of `width`, two arrays apart; top: scratch of the two that work on rows."""
    if code == SOFTMAX:
        softmax(z, width, out, top)
    elif code == LOG_SOFTMAX:
        log_softmax(z, width, out, top)
    else:
        copy(z, out)
        activate_in_place(code, alpha, out)


@lean
def activate_in_place(code, alpha, y):
    """y = f(y), element by element."""
    alpha = like(y, alpha)
    if code == RELU or code == LEAKY_RELU:
        _relu_map(y, alpha)
    elif code == SIGMOID:
        _sigmoid_map(y, alpha)
    elif code == TANH:
        _tanh_map(y, alpha)
    elif code == ELU:
        _elu_map(y, alpha)
    elif code == SELU:
        _selu_map(y, alpha)
    elif code == GELU:
        _gelu_map(y, alpha)
    elif code == GELU_TANH:
        _gelu_tanh_map(y, alpha)
    elif code == SILU:
        _silu_map(y, alpha)
    elif code == SOFTPLUS:
        _softplus_map(y, alpha)
    elif code == SOFTSIGN:
        _softsign_map(y, alpha)
    elif code == HARD_SIGMOID:
        _hard_sigmoid_map(y, alpha)
    elif code == EXPONENTIAL:
        _exponential_map(y, alpha)
    elif code == RELU6:
        _relu6_map(y, alpha)


@lean
def activate_backward(code, alpha, y, z, width, delta):
    """Turn dL/dy into dL/dz, in place; z is read only by the codes that `needs_input` names."""
    alpha = like(y, alpha)
    if code == RELU or code == LEAKY_RELU:
        _relu_scale(z if alpha < 0 else y, alpha, delta)
    elif code == SIGMOID:
        _sigmoid_scale(y, alpha, delta)
    elif code == TANH:
        _tanh_scale(y, alpha, delta)
    elif code == SOFTMAX:
        softmax_backward(y, width, delta)
    elif code == LOG_SOFTMAX:
        log_softmax_backward(y, width, delta)
    elif code == ELU:
        if alpha < 0:
            _elu_scale_of_input(z, alpha, delta)
        else:
            _elu_scale(y, alpha, delta)
    elif code == SELU:
        _selu_scale(y, alpha, delta)
    elif code == GELU:
        _gelu_scale(z, alpha, delta)
    elif code == GELU_TANH:
        _gelu_tanh_scale(z, alpha, delta)
    elif code == SILU:
        _silu_scale(z, alpha, delta)
    elif code == SOFTPLUS:
        _softplus_scale(z, alpha, delta)
    elif code == SOFTSIGN:
        _softsign_scale(z, alpha, delta)
    elif code == HARD_SIGMOID:
        _hard_sigmoid_scale(y, alpha, delta)
    elif code == EXPONENTIAL:
        _exponential_scale(y, alpha, delta)
    elif code == RELU6:
        _relu6_scale(y, alpha, delta)
