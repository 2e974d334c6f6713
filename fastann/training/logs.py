"""Sums over batches, and the numbers for `History` that are made of them."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from fastann_kernels.backend import Array, Record
from numpy.typing import NDArray

from fastann.callbacks.base import Logs
from fastann.training.session import Session


def _continued(total: Array, steps: Array) -> Array:
    """Return `total` and what each of some steps adds to it, (steps, ...), summed up in this order.

    How many steps a call takes depends on the time that they need, and must not show in the last digit.
    """
    found: Array = np.add.accumulate(np.concatenate([total[None], steps]), axis=0)[-1]
    return found


class Tally:
    """Running means of loss and metrics.

    loss = sum_k loss_k rows_k / sum_k rows_k;  metric = finalize(sum of values / sum of weights)

    Metrics that the backend does not compute are updated from what the network puts out; they are copies of the
    model's, so that a validation inside a training disturbs nothing.
    """

    def __init__(self, session: Session) -> None:
        self._program = session.program
        self._loss_keys = session.loss_keys
        self._entries = tuple(
            entry if entry.streamed else replace(entry, metric=copy.deepcopy(entry.metric)) for entry in session.metrics
        )
        self.needs_outputs = any(not entry.streamed for entry in self._entries)
        self.by_batch = any(not entry.streamed and entry.metric.by_batch for entry in self._entries)
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        count = len(self._program.metrics)
        self._loss = 0.0
        self._rows = 0
        self._parts = np.zeros(len(self._loss_keys))
        self._sums = np.zeros(count)
        self._weights = np.zeros(count)
        for entry in self._entries:
            if not entry.streamed:
                entry.metric.reset_state()

    def spoil(self, loss: float) -> None:
        """Make the mean loss what a batch gave that was not counted, NaN or infinite."""
        self._loss = loss * max(1, self._rows)
        self._rows = max(1, self._rows)

    @property
    def empty(self) -> bool:
        """Whether no row was counted."""
        return self._rows == 0

    def add(self, record: Record, steps: int | None = None) -> None:
        """Count the first `steps` steps of a record, all by default."""
        rows = record.rows[:steps]
        with np.errstate(all="ignore"):
            self._loss = float(_continued(np.asarray(self._loss), record.losses[:steps] * rows))
            if self._loss_keys:
                self._parts = _continued(self._parts, record.parts[:steps] * rows[:, None])
            if self._program.metrics:
                self._sums = _continued(self._sums, record.metric_sums[:steps])
                self._weights = _continued(self._weights, record.metric_weights[:steps])
        self._rows += int(rows.sum())

    def add_outputs(
        self, outputs: Array, y: Array, weights: Array | None, batches: NDArray[np.int64] | None = None
    ) -> None:
        """Count what the network put out for some rows.

        Args:
            outputs: (rows, output columns).
            y: (rows, target columns), the rows in the same order.
            weights: (rows, outputs), or None.
            batches: rows of each of the batches that these are; one by default.
        """
        ends = np.cumsum([len(y)] if batches is None else batches)
        for entry in self._entries:
            if entry.streamed:
                continue
            target, prediction = self._unpacked(entry.output, y, outputs)
            weight = weights[:, entry.output] if entry.weighted and weights is not None else None
            first = 0
            for end in ends if entry.metric.by_batch else [len(y)]:
                rows, first = slice(first, end), end
                share = None if weight is None else weight[rows]
                entry.metric.update_state(target[rows], prediction[rows], sample_weight=share)

    def logs(self) -> Logs:
        """Return "loss", the losses of single outputs where there are several, and the metrics, as Python floats."""
        logs: Logs = {"loss": self._loss / self._rows if self._rows else float("nan")}
        for key, part in zip(self._loss_keys, self._parts, strict=True):
            logs[key] = float(part) / self._rows if self._rows else float("nan")
        column = 0
        for entry in self._entries:
            if entry.streamed:
                weight = float(self._weights[column])
                logs[entry.key] = float(entry.metric.finalize(float(self._sums[column]) / weight if weight else 0.0))
                column += 1
            else:
                logs |= _numbered(entry.key, entry.metric.result())
        return logs

    def _unpacked(self, output: int, y: Array, outputs: Array) -> tuple[Any, Any]:
        """Return targets and predictions of one output in their shapes; labels are integers."""
        program = self._program
        shapes = [program.values[value].shape for value in program.outputs]
        first = sum(program.values[value].size for value in program.outputs[:output])
        size = program.values[program.outputs[output]].size
        loss = next(loss for loss in program.losses if loss.weight_column == output)
        width = int(np.prod(loss.target_shape, dtype=np.int64))
        target = y[:, loss.column : loss.column + width].reshape(len(y), *loss.target_shape)
        prediction = outputs[:, first : first + size].reshape(len(outputs), *shapes[output])
        return target.astype(np.int64) if loss.sparse else target, prediction


def _numbered(key: str, result: Any) -> Logs:
    """Return a result by its name; several numbers, such as one a class, by the name with their places."""
    if np.size(result) == 1:
        return {key: float(np.ravel(result)[0])}
    return {f"{key}_{place}": float(value) for place, value in enumerate(np.ravel(result))}
