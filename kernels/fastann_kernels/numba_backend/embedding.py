"""Rows of a table looked up by number: y[i] = table[x[i]]."""

from __future__ import annotations

import math

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import kernel, lean
from fastann_kernels.numba_backend.elementary import copy, fill
from fastann_kernels.program import Instruction, Program

# Own integers: rows and columns of the table, and whether it is trained.
_ROWS, _COLUMNS, _TRAINABLE = range(3)


def _encode(program: Program, instruction: Instruction) -> Encoding:
    table = program.parameters[instruction.params[0]]
    return Encoding(integers=(*table.shape, int(table.trainable)))


@lean
def _row(x, rows):
    """Return the row that the number x names, or -1 if the table has none."""
    return int(x) if x >= 0 and x < rows else -1


@kernel
def _embedding(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    own, table = C.own(t), C.parameter(t, params, 0)
    n = own[_COLUMNS]
    x, y = C.source(call, t, values, 0), C.output(call, t, values)
    for i in range(x.size):
        row = _row(x[i], own[_ROWS])
        out = y[i * n : (i + 1) * n]
        if row < 0:
            fill(out, math.nan)  # nothing is read beside the table, and the loss shows it
        else:
            copy(table[row * n : (row + 1) * n], out)
    return 0.0


@kernel
def _embedding_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    own, d_table = C.own(t), C.parameter(t, grads, 0)
    n = own[_COLUMNS]
    x, delta, dx = C.source(call, t, values, 0), C.delta(call, t, deltas), C.source_delta(call, t, deltas, 0)
    if not C.accumulates(t, 0):
        fill(dx, 0)  # a number of a row has no derivative
    if not own[_TRAINABLE]:
        return
    if not C.adds_gradient(t, 0):
        fill(d_table, 0)
    for i in range(x.size):
        row = _row(x[i], own[_ROWS])
        if row >= 0:
            C.put(delta[i * n : (i + 1) * n], d_table[row * n : (row + 1) * n], True)


EMBEDDING = Operation(_encode, _embedding, _embedding_backward)
