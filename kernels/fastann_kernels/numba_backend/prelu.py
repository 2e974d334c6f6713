"""Rectifier with learned slopes: y = x where x > 0, slope x elsewhere. He, Zhang, Ren & Sun 2015."""

from __future__ import annotations

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend.broadcasting import axes_of, collapse, expand
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import kernel, lean
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


@lean
def _rectify(x, slopes, y):
    zero = like(x, 0)
    for j in range(x.size):
        # everything is read before the choice, or the loop would not vectorise
        v, slope = x[j], slopes[j]
        y[j] = v if v > zero else slope * v


@lean
def _add_to_slopes(x, delta, sums):
    """sums += delta x where x <= 0."""
    zero = like(x, 0)
    for j in range(x.size):
        v, product = x[j], delta[j] * x[j]
        sums[j] += zero if v > zero else product


@lean
def _scale_gradient(x, delta, slopes):
    """delta <- delta where x > 0, slope delta elsewhere."""
    zero = like(x, 0)
    for j in range(x.size):
        v, d, lower = x[j], delta[j], slopes[j] * delta[j]
        delta[j] = d if v > zero else lower


@kernel
def _prelu(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    x, y, slopes = C.source(call, t, values, 0), C.output(call, t, values), _slopes(t, params, workspace)
    n = slopes.size
    for start in range(0, x.size, n):
        _rectify(x[start : start + n], slopes, y[start : start + n])
    return 0.0


@kernel
def _prelu_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    """The derivative at 0 is the slope; dL/dslope = sum of delta x where x <= 0."""
    own, slopes = C.own(t), _slopes(t, params, workspace)
    n = slopes.size
    x, delta, dx = C.source(call, t, values, 0), C.delta(call, t, deltas), C.source_delta(call, t, deltas, 0)
    sums, d_slopes = workspace[n : 2 * n], C.parameter(t, grads, 0)
    fill(sums, 0)
    for start in range(0, x.size, n):
        _add_to_slopes(x[start : start + n], delta[start : start + n], sums)
        _scale_gradient(x[start : start + n], delta[start : start + n], slopes)
    if not C.adds_gradient(t, 0):
        fill(d_slopes, 0)
    collapse(sums, own[1 : 1 + own[0]], d_slopes)
    C.put(delta, dx, C.accumulates(t, 0))


PRELU = Operation(_encode, _prelu, _prelu_backward)
