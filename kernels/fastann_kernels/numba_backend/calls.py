"""Instructions that are compiled on their own: what the epoch loop hands to one, and how it reads it.

The loop itself knows `dense`, `activation`, `dropout` and `reshape`. Every other instruction is a function with a
machine address that the loop calls, so a new one costs no other network any compile time. All of them receive

    call      int64[]: the run-time numbers named below
    t         int64[]: the instruction, as `encode` lays it out
    numbers   float64[]: its constants
    params, grads                  the flat vectors (grads: this member's own)
    values, deltas, scratch        the team's buffers of columns, see `layout`
    workspace                      this member's own, not kept between two calls
    shared                         the team's, to exchange sums between members
    barrier                        for `wait_for_all`

and read them with the functions of this file. `forward` returns what the instruction adds to the loss of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastann_kernels.numba_backend.compiling import kernel
from fastann_kernels.program import Instruction, Program

# Entries of `call`: rows of this member, the first of them in the batch, rows the buffers are made for, whether this is
# training, member and members of the team, rows of the batch, the key of the step, the largest product for
# `small_gemm`, the same of those whose first factor is transposed, whether the norms of gradients are measured, the
# place of this member's first row in the buffers, the rows that all members have there, the number of the step, and
# which part of its batch is in work.
(
    ROWS, FIRST, CAPACITY, TRAINING, MEMBER, MEMBERS, BATCH_ROWS, KEY_0, KEY_1, SMALL, SMALL_TURNED, SQUARES, PLACE,
    PART_ROWS, STEP, PART,
) = range(16)  # fmt: skip
CALL_SIZE = 16

# Entries of `t`, followed by IN, D_IN, ACCUMULATE, SIZE of each input, then OFFSET, LENGTH, ADD of each parameter,
# then the instruction's own integers.
OUT, OUT_SIZE, D_OUT, SCRATCH, SHARED, INPUTS, PARAMETERS, OWN = range(8)
INPUT_FIELDS, PARAMETER_FIELDS = 4, 3


@dataclass(frozen=True)
class Encoding:
    """What one instruction needs beside its inputs, output and parameters.

    Attributes:
        integers, numbers: its constants.
        scratch: columns kept from forward to backward.
        workspace: elements of the workspace.
        shared: elements that each member of a team has in `shared`.
    """

    integers: tuple[int, ...] = ()
    numbers: tuple[float, ...] = ()
    scratch: int = 0
    workspace: int = 0
    shared: int = 0


@dataclass(frozen=True)
class Operation:
    """An instruction as kernels, each with the arguments listed above.

    Attributes:
        encode: its constants and needs.
        forward: writes the output and returns what is added to the loss of the batch.
        backward: writes the gradients of parameters to `grads`, added where `adds_gradient`, and those of inputs to
            `deltas`, added where `accumulates`.
        commit: called by member 0 alone once a step is sure to be made, for parameters that no gradient changes.
    """

    encode: Callable[[Program, Instruction], Encoding]
    forward: Any
    backward: Any
    commit: Any = None


@kernel
def output(call, t, values):
    """Return the output, rows * size elements."""
    start = t[OUT] * call[CAPACITY] + call[PLACE] * t[OUT_SIZE]
    return values[start : start + call[ROWS] * t[OUT_SIZE]]


@kernel
def delta(call, t, deltas):
    """Return the gradient of the output."""
    start = t[D_OUT] * call[CAPACITY] + call[PLACE] * t[OUT_SIZE]
    return deltas[start : start + call[ROWS] * t[OUT_SIZE]]


@kernel
def source(call, t, values, k):
    """Return input number k."""
    place = OWN + 1 + INPUT_FIELDS * k
    start = t[place] * call[CAPACITY] + call[PLACE] * t[place + 3]
    return values[start : start + call[ROWS] * t[place + 3]]


@kernel
def source_delta(call, t, deltas, k):
    """Return where the gradient of input number k goes: an empty array if nobody needs it."""
    place = OWN + 1 + INPUT_FIELDS * k
    if t[place + 1] < 0:
        return deltas[:0]
    start = t[place + 1] * call[CAPACITY] + call[PLACE] * t[place + 3]
    return deltas[start : start + call[ROWS] * t[place + 3]]


@kernel
def accumulates(t, k):
    """Return whether the gradient of input number k is to be added to what is there."""
    return t[OWN + 1 + INPUT_FIELDS * k + 2] != 0


@kernel
def parameter(t, vector, k):
    """Return parameter number k of the instruction, or its gradient, out of a flat vector."""
    place = OWN + 1 + INPUT_FIELDS * t[INPUTS] + PARAMETER_FIELDS * k
    return vector[t[place] : t[place] + t[place + 1]]


@kernel
def adds_gradient(t, k):
    """Return whether the gradient of parameter number k is to be added to that of another instruction that uses it."""
    return t[OWN + 1 + INPUT_FIELDS * t[INPUTS] + PARAMETER_FIELDS * k + 2] != 0


@kernel
def kept(call, t, scratch, columns):
    """Return the scratch of the instruction, rows * columns elements."""
    start = t[SCRATCH] * call[CAPACITY] + call[PLACE] * columns
    return scratch[start : start + call[ROWS] * columns]


@kernel
def own(t):
    """Return the instruction's own integers."""
    return t[t[OWN] :]


@kernel
def put(result, dx, add):
    """dx = result, or dx += result; nothing where dx is empty. For gradients of parameters too."""
    if add:
        for i in range(dx.size):
            dx[i] += result[i]
    else:
        for i in range(dx.size):
            dx[i] = result[i]
