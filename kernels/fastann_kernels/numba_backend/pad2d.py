"""Zeros around images, and back."""

from __future__ import annotations

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import kernel, lean
from fastann_kernels.numba_backend.elementary import copy, fill
from fastann_kernels.numba_backend.patches import add
from fastann_kernels.program import Instruction, Program

# Own integers: elements a line of x and of y, elements an image, and elements before the first of x.
_HEIGHT, _LINE, _WIDE_LINE, _IMAGE, _BEFORE = range(5)


def _encode(program: Program, instruction: Instruction) -> Encoding:
    height, width, channels = program.values[instruction.inputs[0]].shape
    out = program.values[instruction.output]
    wide_line = out.shape[1] * channels
    before = int(instruction.get("pad_top")) * wide_line + int(instruction.get("pad_left")) * channels
    return Encoding(integers=(height, width * channels, wide_line, out.size, before))


@lean
def pad2d(x, rows, own, y):
    """y = x with zeros around every image: x (rows, H, W, C), y (rows, P, Q, C), both flat."""
    line = own[_LINE]
    fill(y, 0)
    for k in range(rows * own[_HEIGHT]):
        start = k // own[_HEIGHT] * own[_IMAGE] + own[_BEFORE] + k % own[_HEIGHT] * own[_WIDE_LINE]
        copy(x[k * line : (k + 1) * line], y[start : start + line])


@lean
def pad2d_backward(delta, rows, own, dx, add_x):
    """dx = what of delta does not lie in the padding, added to what is there if the flag says so."""
    line = own[_LINE]
    for k in range(rows * own[_HEIGHT]):
        start = k // own[_HEIGHT] * own[_IMAGE] + own[_BEFORE] + k % own[_HEIGHT] * own[_WIDE_LINE]
        inside, cells = delta[start : start + line], dx[k * line : (k + 1) * line]
        if add_x:
            add(inside, cells)
        else:
            copy(inside, cells)


@kernel
def _pad2d(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    pad2d(C.source(call, t, values, 0), call[C.ROWS], C.own(t), C.output(call, t, values))
    return 0.0


@kernel
def _pad2d_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    dx = C.source_delta(call, t, deltas, 0)
    if dx.size:
        pad2d_backward(C.delta(call, t, deltas), call[C.ROWS], C.own(t), dx, C.accumulates(t, 0))


PAD2D = Operation(_encode, _pad2d, _pad2d_backward)
