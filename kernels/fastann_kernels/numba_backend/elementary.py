"""Elementary functions that LLVM can vectorise: exp, tanh, sigmoid, log1p, and log and cos for random numbers.

Numba calls libm one element at a time for these (2.5 to 12.6 ns each). In float32 the functions below are short
polynomials without branches, accurate to 3e-7 relative, which vectorise; in float64, which is there for checking,
libm does the work. The coefficients are minimax fits of our own (reweighted least squares on Chebyshev nodes); each
fit's error is beside it.

NaN stays NaN everywhere: comparisons are written so that a NaN falls through.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastann_kernels.numba_backend.compiling import lean, overload, types

# "reassoc" would merge the two parts of ln 2 below, so only fused multiply-adds are allowed here.
_LEAF: Any = {"error_model": "numpy", "fastmath": {"contract"}, "forceinline": True}

_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693359375)  # 9 bits, so that n * _LN2_HIGH is exact
_LN2_LOW = np.float32(-2.12194440e-4)
_SHIFT = np.float32(12582912.0)  # 1.5 * 2^23: adding it leaves round(x) in the low bits
_EXP_HIGH = np.float32(88.7228)
_EXP_LOW = np.float32(-87.0)
_INFINITY = np.float32(np.inf)
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)

# exp(r) = 1 + r + r^2 P(r) on |r| <= ln(2) / 2: 3.1e-9
_E0, _E1, _E2, _E3, _E4 = (
    np.float32(c) for c in (0.49999994, 0.1666652, 0.041668393, 0.008368781, 0.0013814465)
)  # fmt: skip
# tanh(x) = x + x^3 P(x^2) on |x| <= 0.625: 4.1e-9
_T0, _T1, _T2, _T3, _T4 = (
    np.float32(c) for c in (-0.33333284, 0.13331491, -0.053743497, 0.020650584, -0.0057170414)
)  # fmt: skip
# log1p(x) = x P(x) on [0, 1]: 4.7e-9
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8, _L9 = (
    np.float32(c)
    for c in (
        1.0, -0.49999902, 0.33329964, -0.24954133, 0.19675931,
        -0.1530557, 0.10603617, -0.056959163, 0.019851265, -0.0032439814,
    )
)  # fmt: skip
# sin(2 pi s) = s P(s^2) on |s| <= 1/4: 5.3e-9
_S0, _S1, _S2, _S3, _S4 = (np.float32(c) for c in (6.2831853, -41.341677, 81.602231, -76.574992, 39.710918))
_LN2 = np.float32(0.6931471805599453)
_HALF, _QUARTER = np.float32(0.5), np.float32(0.25)


def like(x: Any, value: float) -> Any:
    """Return `value` in the dtype of the number or array x; one float64 literal would double the width of a loop."""
    return np.asarray(value, np.asarray(x).dtype)[()]


def exp(x: Any) -> Any:
    """Return e^x; float32: inf above 88.72, 0 below -87."""
    return np.exp(x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent."""
    return np.tanh(x)


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e^-x) without overflow."""
    return 1 / (1 + np.exp(-x))


def log1p_unit(x: Any) -> Any:
    """Return log(1 + x) for x in [0, 1]."""
    return np.log1p(x)


def log_unit(x: Any) -> Any:
    """Return log(x) for x in (0, 1)."""
    return np.log(x)


def cos_turn(x: Any) -> Any:
    """Return cos(2 pi x) for x in [0, 1]."""
    return np.cos(2 * np.pi * x)


@overload(like, jit_options=_LEAF)
def _like(x, value):
    number = getattr(x, "dtype", x)
    return lambda x, value: number(value)


@overload(exp, jit_options=_LEAF)
def _exp(x):
    if x != types.float32:
        return lambda x: math.exp(x) if x < 709.0 else np.exp(x)

    def polynomial(x):
        high = _EXP_HIGH if x > _EXP_HIGH else x
        inside = _EXP_LOW if high < _EXP_LOW else high
        shifted = inside * _LOG2_E + _SHIFT
        n = shifted - _SHIFT
        r = (inside - n * _LN2_HIGH) - n * _LN2_LOW
        p = (((_E4 * r + _E3) * r + _E2) * r + _E1) * r + _E0
        p = (p * r) * r + r + _ONE
        # 2^(n - 1) from its exponent bits, then doubled, so that n = 128 does not overflow too early
        half = np.int32((np.float32(shifted).view(np.int32) + 126) << 23).view(np.float32)
        y = p * half * _TWO
        y = _INFINITY if x > _EXP_HIGH else y
        return _ZERO if x < _EXP_LOW else y

    return polynomial


@overload(tanh, jit_options=_LEAF)
def _tanh(x):
    if x != types.float32:
        return lambda x: math.tanh(x)

    def two_ranges(x):
        size = abs(x)
        s = x * x
        near = x + x * s * ((((_T4 * s + _T3) * s + _T2) * s + _T1) * s + _T0)
        e = exp(-_TWO * size)
        far = (_ONE - e) / (_ONE + e)
        far = -far if x < _ZERO else far
        return near if size < np.float32(0.625) else far

    return two_ranges


@overload(sigmoid, jit_options=_LEAF)
def _sigmoid(x):
    one = x(1)

    def by_size(x):
        e = exp(-abs(x))
        top = one if x >= 0 else e
        return top / (one + e)

    return by_size


@overload(log1p_unit, jit_options=_LEAF)
def _log1p_unit(x):
    if x != types.float32:
        return lambda x: math.log1p(x)

    def polynomial(x):
        p = ((((_L9 * x + _L8) * x + _L7) * x + _L6) * x + _L5) * x + _L4
        return x * ((((p * x + _L3) * x + _L2) * x + _L1) * x + _L0)

    return polynomial


@overload(log_unit, jit_options=_LEAF)
def _log_unit(x):
    if x != types.float32:
        return lambda x: math.log(x)

    def polynomial(x):
        bits = np.float32(x).view(np.int32)
        power = np.float32((bits >> 23) - 127)
        mantissa = np.int32((bits & 0x7FFFFF) | 0x3F800000).view(np.float32)
        # x = mantissa 2^power; above 1/2, where that would cancel, x = 1 / (1 + (1 - x) / x)
        near = x > _HALF
        log1p = log1p_unit((_ONE - x) / x if near else mantissa - _ONE)
        return -log1p if near else power * _LN2 + log1p

    return polynomial


@overload(cos_turn, jit_options=_LEAF)
def _cos_turn(x):
    if x != types.float32:
        return lambda x: math.cos(2 * math.pi * x)

    def polynomial(x):
        # cos(2 pi x) = sin(2 pi s), with nothing lost in s
        s = abs(x - _HALF) - _QUARTER
        q = s * s
        return s * ((((_S4 * q + _S3) * q + _S2) * q + _S1) * q + _S0)

    return polynomial


@lean
def copy(x, out):
    """out = x, element by element."""
    for i in range(x.size):
        out[i] = x[i]


@lean
def fill(out, value):
    """Set every element of out."""
    number = like(out, value)
    for i in range(out.size):
        out[i] = number
