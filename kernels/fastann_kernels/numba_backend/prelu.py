"""Rectifier with learned slopes: y = x where x > 0, slope x elsewhere. He, Zhang, Ren & Sun 2015."""

from __future__ import annotations

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend.broadcasting import axes_of, collapse, expand
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import kernel
from fastann_kernels.numba_backend.elementary import fill, like
from fastann_kernels.program import Instruction, Program


def _encode(program: Program, instruction: Instruction) -> Encoding:
    whole = program.values[instruction.output]
    axes = axes_of(program.parameters[instruction.params[0]].shape, whole.shape)
    return Encoding(integers=(len(axes), *axes), workspace=2 * whole.size)


@kernel
def _slopes(t, params, workspace):
    """Return the slope of each element of a row."""
    own, slopes = C.own(t), workspace[: t[C.OUT_SIZE]]
    expand(C.parameter(t, params, 0), own[1 : 1 + own[0]], slopes)
    return slopes


@kernel
def _prelu(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    x, y, slopes = C.source(call, t, values, 0), C.output(call, t, values), _slopes(t, params, workspace)
    zero = like(x, 0)
    for start in range(0, x.size, slopes.size):
        for j in range(slopes.size):
            v = x[start + j]
            y[start + j] = v if v > zero else slopes[j] * v
    return 0.0


@kernel
def _prelu_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    """The derivative at 0 is the slope; dL/dslope = sum of delta x where x <= 0."""
    own, slopes = C.own(t), _slopes(t, params, workspace)
    n = slopes.size
    x, delta, dx = C.source(call, t, values, 0), C.delta(call, t, deltas), C.source_delta(call, t, deltas, 0)
    sums, zero = workspace[n : 2 * n], like(x, 0)
    fill(sums, 0)
    for start in range(0, x.size, n):
        for j in range(n):
            v = x[start + j]
            sums[j] += zero if v > zero else delta[start + j] * v
    d_slopes = C.parameter(t, grads, 0)
    if not C.adds_gradient(t, 0):
        fill(d_slopes, 0)
    collapse(sums, own[1 : 1 + own[0]], d_slopes)
    add = C.accumulates(t, 0)
    for start in range(0, dx.size, n):
        for j in range(n):
            i = start + j
            g = delta[i] if x[i] > zero else slopes[j] * delta[i]
            dx[i] = dx[i] + g if add else g


PRELU = Operation(_encode, _prelu, _prelu_backward)
