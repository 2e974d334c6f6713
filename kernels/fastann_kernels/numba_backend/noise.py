"""Gaussian noise in training: y = x + stddev n, with n from two uniform numbers (Box & Muller 1958)."""

from __future__ import annotations

import math

import numpy as np

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import kernel, lean
from fastann_kernels.numba_backend.dropout import stream_key, threefry
from fastann_kernels.numba_backend.elementary import copy, cos_turn, like, log_unit
from fastann_kernels.program import Instruction, Program

#: Elements whose uniform numbers are drawn before any of them is used: two loops that vectorise.
_BLOCK = 512
_UNIT = 2.0**-23


def _encode(program: Program, instruction: Instruction) -> Encoding:
    return Encoding((int(instruction.get("stream")),), (float(instruction.get("stddev")),), workspace=2 * _BLOCK)


@lean
def _uniform(k0, k1, counter, u):
    """u[i] = ((bits >> 9) + 1/2) 2^-23 with the bits of counters counter, counter + 2, ...; in (0, 1)."""
    half, unit = like(u, 0.5), like(u, _UNIT)
    for i in range(u.size):
        x0, x1 = threefry(k0, k1, np.uint32(0), np.uint32(counter + 2 * i))
        u[i] = (like(u, np.int32(np.uint32(x0 ^ x1) >> np.uint32(9))) + half) * unit


@lean
def _add_normal(x, u, v, stddev, y):
    """y = x + stddev sqrt(-2 ln u) cos(2 pi v)."""
    stddev, minus_two = like(x, stddev), like(x, -2)
    for i in range(y.size):
        y[i] = x[i] + stddev * like(x, math.sqrt(minus_two * log_unit(u[i]))) * cos_turn(v[i])


@kernel
def _gaussian_noise(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    x, y = C.source(call, t, values, 0), C.output(call, t, values)
    if not call[C.TRAINING]:
        copy(x, y)
        return 0.0
    k0, k1 = stream_key(call, C.own(t)[0])
    first = call[C.FIRST] * t[C.OUT_SIZE]
    for start in range(0, x.size, _BLOCK):
        stop = min(start + _BLOCK, x.size)
        u, v = workspace[: stop - start], workspace[_BLOCK : _BLOCK + stop - start]
        _uniform(k0, k1, 2 * (first + start), u)
        _uniform(k0, k1, 2 * (first + start) + 1, v)
        _add_normal(x[start:stop], u, v, numbers[0], y[start:stop])
    return 0.0


@kernel
def _gaussian_noise_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    C.put(C.delta(call, t, deltas), C.source_delta(call, t, deltas, 0), C.accumulates(t, 0))


GAUSSIAN_NOISE = Operation(_encode, _gaussian_noise, _gaussian_noise_backward)
