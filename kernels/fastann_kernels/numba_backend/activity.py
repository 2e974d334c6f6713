"""A penalty on activations: y = x, and (l1 sum |x| + l2 sum x^2) / B is added to the loss of a batch of B rows.

The plan gives input and output one place, and their gradients too, so nothing is copied.
"""

from __future__ import annotations

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import kernel
from fastann_kernels.numba_backend.elementary import fill
from fastann_kernels.numba_backend.updates import penalty, penalty_gradient
from fastann_kernels.program import Instruction, Program

# Numbers.
_L1, _L2 = range(2)


def _encode(program: Program, instruction: Instruction) -> Encoding:
    return Encoding(numbers=(float(instruction.get("l1")), float(instruction.get("l2"))))


@kernel
def _activity_penalty(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    return penalty(C.source(call, t, values, 0), numbers[_L1], numbers[_L2]) / call[C.BATCH_ROWS]


@kernel
def _activity_penalty_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    """dL/dx = dL/dy + (l1 sign(x) + 2 l2 x) / B, where dL/dy is there already, if anything reads y."""
    dx = C.source_delta(call, t, deltas, 0)
    if not C.accumulates(t, 0):
        fill(dx, 0)
    if dx.size:
        rows = call[C.BATCH_ROWS]
        penalty_gradient(C.source(call, t, values, 0), numbers[_L1] / rows, numbers[_L2] / rows, dx)


ACTIVITY_PENALTY = Operation(_encode, _activity_penalty, _activity_penalty_backward)
