"""Squared norms of gradients of two batch sizes, measured while a model trains.

Where `separable` programs run, the backward pass gives the norms of single rows away. For other networks (convolutions,
normalisation, shared layers) whole batches and pieces of them are run again, at the weights that a call begins with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from fastann_kernels.backend import Record
from fastann_kernels.per_example import separable
from numpy.typing import NDArray

from fastann.callbacks.callback_list import CallbackList
from fastann.training.feeds import Feed, Portion
from fastann.training.session import Session

PER_EXAMPLE, TWO_BATCH = "per-example", "two-batch"

#: Pieces of a batch whose gradients are compared with that of the whole.
PIECES = 4

#: Most updates between two measurements, by the method, and measurements that an epoch of few steps has at least.
#: Norms in every step of 784-128-10 cost 8 % of the time at batch 32 and 4 % at 128 on Numba, 19 % and 7 % on JAX (one
#: core): most of it is one more pass over the gradient. A measurement of two batches costs about two steps.
MOST_APART = {PER_EXAMPLE: 8, TWO_BATCH: 50}
LEAST_MEASURED = {PER_EXAMPLE: 16, TWO_BATCH: 8}


@dataclass(frozen=True, eq=False)
class GradientSquares:
    """What was measured in some steps of an epoch, in each for one batch.

    Attributes:
        small: float64[n], mean squared norm of the gradients of batches of `small_rows` rows.
        large: float64[n], squared norm of the gradient of the batch of `large_rows` rows that they are part of.
        small_rows, large_rows: rows; gradients are those of the mean loss over them, without penalties.
        population: rows that the batches are drawn from without replacement; None for infinitely many.
        method: "per-example" for exact norms of single rows, "two-batch" for pieces of a batch.
    """

    small: NDArray[np.float64]
    large: NDArray[np.float64]
    small_rows: int
    large_rows: int
    population: int | None
    method: str


def make_meter(session: Session, feed: Feed, callbacks: CallbackList) -> Meter | None:
    """Return what measures for the callbacks that ask for it; None if none does."""
    if not callbacks.overrides("on_gradient_squares"):
        return None
    return Meter(session, feed, callbacks.least_squares_every())


class Meter:
    """Collects the squared norms of an epoch. Only full batches count, so that all are of one size.

    Args:
        session: at work.
        feed: says how large batches are.
        every: updates from one measurement to the next; by default few enough to cost little.

    Attributes:
        method: "per-example" or "two-batch".
        every_step: what `Session.train` is to measure.
    """

    def __init__(self, session: Session, feed: Feed, every: int | None = None) -> None:
        self.method = PER_EXAMPLE if separable(session.program) else TWO_BATCH
        steps = MOST_APART[self.method] * LEAST_MEASURED[self.method] if feed.steps is None else feed.steps
        wanted = max(1, min(MOST_APART[self.method], steps // LEAST_MEASURED[self.method]))
        self._every = wanted if every is None else every
        self.every_step = self._every if self.method == PER_EXAMPLE else 0
        self._session = session
        self._population = feed.rows
        self._rows = feed.batch_size if feed.rows is None else min(feed.batch_size, feed.rows)
        self._small_rows = 1 if self.method == PER_EXAMPLE else max(1, self._rows // PIECES)
        self._taken: list[NDArray[np.float64]] = []

    def look(self, portion: Portion) -> None:
        """Measure batches that are about to be trained on, if training itself does not."""
        if self.every_step or self._rows == self._small_rows:
            return
        session = self._session
        visited = portion.data.rows if portion.order is None else len(portion.order)
        size = min(portion.batch_size, visited)
        due = [k for k in range(visited // size) if (session.iterations + k) % self._every == 0]
        if size != self._rows or not due:
            return
        places = (np.array(due)[:, None] * size + np.arange(size)).astype(np.int64)
        rows = places if portion.order is None else portion.order[places]
        pieces = size // self._small_rows
        parts = np.ascontiguousarray(rows[:, : pieces * self._small_rows]).reshape(-1)
        large = session.gradient_squares(portion.data, rows.reshape(-1), size, training=True)[:, 1]
        small = session.gradient_squares(portion.data, parts, self._small_rows, training=True)[:, 1]
        self._taken.append(np.column_stack([small.reshape(-1, pieces).mean(axis=1), large]))

    def add(self, record: Record) -> None:
        """Take what was measured in the steps of a record."""
        if record.gradient_squares is not None:
            self._taken.append(record.gradient_squares[record.rows == self._rows])

    def take(self) -> GradientSquares:
        """Return what was measured since the last call; measurements that are not finite are left out."""
        taken = np.concatenate([np.zeros((0, 2)), *self._taken])
        small, large = taken[np.isfinite(taken).all(axis=1)].T.copy()
        self._taken = []
        return GradientSquares(small, large, self._small_rows, self._rows, self._population, self.method)
