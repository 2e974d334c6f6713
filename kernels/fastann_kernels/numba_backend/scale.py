"""Fixed shifts and scales: y = scale x + offset, and y = (x - mean) / s for each channel or the way back."""

from __future__ import annotations

import math

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import kernel, lean
from fastann_kernels.numba_backend.elementary import like
from fastann_kernels.program import Instruction, Program

# Numbers of scale, numbers of normalize, own integers of normalize.
_SCALE, _OFFSET = range(2)
_EPSILON = 0
_CHANNELS, _WIDTH, _INVERT = range(3)

#: Channels are repeated until there are about so many, for loops that are long enough to vectorise.
_LONG = 64


def _encode_scale(program: Program, instruction: Instruction) -> Encoding:
    return Encoding(numbers=(float(instruction.get("scale", 1.0)), float(instruction.get("offset"))))


@kernel
def _scale(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    x, y = C.source(call, t, values, 0), C.output(call, t, values)
    scale, offset = like(x, numbers[_SCALE]), like(x, numbers[_OFFSET])
    for i in range(x.size):
        y[i] = scale * x[i] + offset
    return 0.0


@lean
def _put_scaled(delta, factor, dx, add):
    """dx = factor delta, or dx += factor delta."""
    if add:
        for i in range(dx.size):
            dx[i] += factor * delta[i]
    else:
        for i in range(dx.size):
            dx[i] = factor * delta[i]


@kernel
def _scale_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    delta, dx = C.delta(call, t, deltas), C.source_delta(call, t, deltas, 0)
    _put_scaled(delta, like(delta, numbers[_SCALE]), dx, C.accumulates(t, 0))


def _encode_normalize(program: Program, instruction: Instruction) -> Encoding:
    channels = program.values[instruction.output].shape[-1]
    width = channels * max(1, _LONG // channels)
    integers = (channels, width, int(instruction.get("invert")))
    return Encoding(integers, (float(instruction.get("epsilon")),), workspace=2 * width)


@kernel
def _repeated_statistics(t, numbers, params, workspace):
    """Return mean and 1 / s of the channels, s to `_INVERT`, again and again over `_WIDTH` elements.

    s = max(sqrt(variance), epsilon)
    """
    own = C.own(t)
    width = own[_WIDTH]
    mean, factor = workspace[:width], workspace[width : 2 * width]
    means, variances = C.parameter(t, params, 0), C.parameter(t, params, 1)
    for j in range(width):
        c = j % own[_CHANNELS]
        mean[j] = means[c]
        s = max(math.sqrt(variances[c]), numbers[_EPSILON])
        factor[j] = like(mean, s if own[_INVERT] else 1.0 / s)
    return mean, factor


@lean
def _normalized(x, mean, inverse, y):
    for j in range(x.size):
        y[j] = (x[j] - mean[j]) * inverse[j]


@lean
def _denormalized(x, mean, s, y):
    for j in range(x.size):
        y[j] = mean[j] + s[j] * x[j]


@kernel
def _normalize(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    x, y = C.source(call, t, values, 0), C.output(call, t, values)
    mean, factor = _repeated_statistics(t, numbers, params, workspace)
    invert = C.own(t)[_INVERT]
    for start in range(0, x.size, mean.size):
        stop = min(start + mean.size, x.size)
        if invert:
            _denormalized(x[start:stop], mean, factor, y[start:stop])
        else:
            _normalized(x[start:stop], mean, factor, y[start:stop])
    return 0.0


@kernel
def _normalize_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    delta, dx = C.delta(call, t, deltas), C.source_delta(call, t, deltas, 0)
    _mean, factor = _repeated_statistics(t, numbers, params, workspace)
    add = C.accumulates(t, 0)
    for start in range(0, dx.size, factor.size):
        for j in range(min(factor.size, dx.size - start)):
            g = delta[start + j] * factor[j]
            dx[start + j] = dx[start + j] + g if add else g


SCALE = Operation(_encode_scale, _scale, _scale_backward)
NORMALIZE = Operation(_encode_normalize, _normalize, _normalize_backward)
