"""Losses and metrics as units of the epoch loop: where in the frame their numbers lie.

A unit is given the number of a loss, or of a metric, which follow the losses.
"""

from __future__ import annotations

from typing import Any

from fastann_kernels.numba_backend import arguments as A
from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend import frame as F
from fastann_kernels.numba_backend import losses as L
from fastann_kernels.numba_backend import plan as T
from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.numba_backend.metrics import metric


@lean
def sample_weights(frame, row, out):
    """Copy the sample weights of a loss or metric to `out` and return how many there are: 0 where it has none."""
    columns, rows, batch_w = F.arguments(frame)[A.W_COLUMNS], F.call(frame)[C.ROWS], F.batch_w(frame)
    if columns == 0 or not row[T.L_WEIGHTED]:
        return 0
    for r in range(rows):
        out[r] = batch_w[r * columns + row[T.L_WEIGHT_COLUMN]]
    return rows


def _loss(values_of: Any) -> Any:
    """Return the unit of the losses that a function of `losses` computes."""

    @lean
    def unit(frame, number, scaled):
        """Return the sum of a loss over this member's rows; `scaled`: its gradient is added to `deltas`."""
        losses, call, values, deltas, top = (
            F.loss_table(frame),
            F.call(frame),
            F.values(frame),
            F.deltas(frame),
            F.top(frame),
        )
        count = losses.shape[0]
        row = losses[number] if number < count else F.metric_table(frame)[number - count]
        numbers = F.loss_numbers(frame)[number] if number < count else F.metric_numbers(frame)[number - count]
        weights = F.spare(frame)[: sample_weights(frame, row, F.spare(frame))]
        rows, capacity, columns = call[C.ROWS], call[C.CAPACITY], row[T.L_POSITIONS] * row[T.L_WIDTH]
        size, above = rows * columns, call[C.PLACE] * columns
        z_first, p_first = row[T.L_Z] * capacity + above, row[T.L_P] * capacity + above
        z = values[:0] if row[T.L_Z] < 0 else values[z_first : z_first + size]
        # where the logits are the prediction, the probabilities go to the far end of the scratch
        p = top[top.size - size :] if row[T.L_P] < 0 else values[p_first : p_first + size]
        first = row[T.L_DELTA] * capacity + above
        delta = deltas[first : first + size] if scaled and row[T.L_DELTA] >= 0 else deltas[:0]
        scale = numbers[T.N_WEIGHT] / (call[C.BATCH_ROWS] * row[T.L_POSITIONS])
        return values_of(
            row[T.L_OP], F.batch_y(frame)[row[T.L_COLUMN] :], F.arguments(frame)[A.Y_COLUMNS], z, p, row[T.L_WIDTH],
            weights, row[T.L_POSITIONS], numbers[T.N_FACTOR], numbers[T.N_SMOOTHING], scale, delta, top,
        )  # fmt: skip

    return unit


#: Units of losses, by the names that `losses.kind` gives.
LOSSES = {name: _loss(function) for name, function in L.KINDS.items()}


@lean
def other_metric(frame, number):
    """Return the sum of a metric that is no loss over this member's rows."""
    place = number - F.loss_table(frame).shape[0]
    row, call, values = F.metric_table(frame)[place], F.call(frame), F.values(frame)
    weights = F.spare(frame)[: sample_weights(frame, row, F.spare(frame))]
    columns = row[T.L_POSITIONS] * row[T.L_WIDTH]
    first = row[T.L_P] * call[C.CAPACITY] + call[C.PLACE] * columns
    p = values[first : first + call[C.ROWS] * columns]
    return metric(
        row[T.L_OP], F.batch_y(frame)[row[T.L_COLUMN] :], F.arguments(frame)[A.Y_COLUMNS], p, row[T.L_WIDTH], weights,
        row[T.L_POSITIONS], F.metric_numbers(frame)[place, T.N_THRESHOLD], row[T.L_K],
    )  # fmt: skip
