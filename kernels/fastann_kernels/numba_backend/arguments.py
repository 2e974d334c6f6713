"""What the epoch loop is given: a mode with other integers, and a table that says where the arrays lie."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

TRAIN, GRADIENTS, EVALUATE, PREDICT = range(4)

# Slots of the integer arguments of a run.
(
    MODE, N_ROWS, BATCH, CAPACITY, FIRST_STEP, KEY_0, KEY_1, FLAGS, STOP, DROP, COLLECT,
    X_ADDRESS, X_IS_BYTES, X_COLUMNS, Y_ADDRESS, Y_COLUMNS, W_ADDRESS, W_COLUMNS, ORDERED, MEMBERS,
    SMALL, SMALL_TURNED, PASS_ROWS, SQUARES_EVERY, PART,
) = range(25)  # fmt: skip
ARGUMENTS = 25

#: Tables of a program, see `plan.Plan.tables`, with the addresses of its instructions and units; work buffers of a team
#: member, see `executor.Workspace`.
TABLES, BUFFERS = 15, 11

# Rows of the table of arrays, see `frame`; the first holds the number of the team member.
MEMBER, FIRST_TABLE = 0, 1
FIRST_BUFFER = FIRST_TABLE + TABLES
(
    CALL, OWN_GRADS, BARRIER, INTEGERS, ORDER, COEFFICIENTS, PENALTIES, PARAMS, GRADS, SLOTS, SHARED, LOSSES, PARTS,
    SUMS, TOTALS, SQUARES, COLLECTED,
) = range(FIRST_BUFFER + BUFFERS, FIRST_BUFFER + BUFFERS + 17)  # fmt: skip

#: Entries of the table of units, see `units`; those of losses are followed by those of metrics.
FORWARD, BACKWARD, FOLLOW, UPDATE, FIRST_LOSS = range(5)

#: Words of a row: the address of the array and up to three axes.
WORDS = 4


def words(arrays: Iterable[NDArray[Any]]) -> list[int]:
    """Return the rows of contiguous arrays, one behind the other; the arrays must be kept alive."""
    found: list[int] = []
    for array in arrays:
        found.append(array.__array_interface__["data"][0])
        found += array.shape
        found += (0,) * (WORDS - 1 - array.ndim)
    return found
