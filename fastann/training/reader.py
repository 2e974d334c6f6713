"""From a stream to calls of a backend: batches checked, read ahead in a thread, and put together where that pays."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from fastann_kernels.backend import Array

from fastann.training.data import Dataset
from fastann.training.prefetch import Prefetcher
from fastann.training.streams import Order, Stream

#: Bytes of batches that are read ahead, and as many again that are put together.
AHEAD_BYTES = 1 << 26

#: Most batches read ahead, or put together.
MOST_BATCHES = 64

#: Different shapes of calls for which a compiling backend compiles, before it is given single batches.
MOST_SHAPES = 16


@dataclass(frozen=True)
class Group:
    """Consecutive batches as one set of rows.

    Attributes:
        data: all rows.
        batch_size: rows of each batch; the last one may have fewer.
        batches: how many.
    """

    data: Dataset
    batch_size: int
    batches: int

    def targets(self) -> tuple[Array, Array | None]:
        """Return targets and weights of the rows."""
        assert self.data.y is not None
        return self.data.y, self.data.weights


class BatchReader:
    """The batches of a stream, epoch by epoch, in groups of equal size.

    Args:
        stream: where they come from.
        prepare: makes rows for the backend of the batch and its number; called in the reading thread.
        first: the first batch, prepared, to judge the others by.
        patient: wait until a group is as large as it may be, for backends that compile for every size; otherwise take
            the batches that are there.

    Attributes:
        order: of the batches of a pass, where they can be asked for by number.
        batch_size: rows of the first batch.
        read: batches read so far.
    """

    order: Order = range

    def __init__(
        self,
        stream: Stream,
        prepare: Callable[[Any, int], Dataset],
        first: Dataset,
        patient: bool = False,
    ) -> None:
        self.stream = stream
        self.batch_size = first.rows
        self.read = 0
        self._prepare = prepare
        self._patient = patient
        self._affordable = max(1, min(MOST_BATCHES, AHEAD_BYTES // max(1, _bytes(first))))
        self._shapes: set[tuple[int, int]] = set()
        self._pending: deque[Dataset] = deque()
        self._pass: Iterator[Any] | None = None
        self._ahead: Prefetcher[Dataset] | None = None

    def begin(self, limit: int | None = None, again: bool = False) -> None:
        """Begin an epoch.

        Args:
            limit: batches to read; by default a whole pass.
            again: go on where the last epoch ended, and with another pass if one is over; otherwise begin a pass.
        """
        self.end()
        self.stream.begin_epoch()
        capacity = self._affordable if self.stream.ahead is None else min(self._affordable, self.stream.ahead)
        self._ahead = Prefetcher(self._batches(limit, again), max(2, capacity))

    def take(self, most: int, stop: Callable[[], bool] = lambda: False) -> Group | None:
        """Return the next group of at most `most` batches; None at the end of the epoch, or if `stop` says so."""
        assert self._ahead is not None
        irregular = self._patient and len(self._shapes) > MOST_SHAPES
        most = 1 if irregular else max(1, min(most, self._affordable))
        pending = self._pending
        while len(pending) < most and (not pending or pending[-1].rows == pending[0].rows):
            batch = self._ahead.get(wait=self._patient or not pending, stop=stop)
            if batch is None:
                break
            pending.append(batch)
        if not pending:
            return None
        count = _run([batch.rows for batch in pending])
        group = [pending.popleft() for _ in range(min(count, most))]
        made = Group(join(group), group[0].rows, len(group))
        self._shapes.add((made.data.rows, made.batch_size))
        return made

    def end(self) -> None:
        """End the epoch and the thread; what was read ahead is forgotten."""
        self._pending.clear()
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def abandon(self) -> None:
        """Let the next epoch begin a new pass where that is possible."""
        self._pass = None

    def _batches(self, limit: int | None, again: bool) -> Iterator[Dataset]:
        left = limit
        if not again or self._pass is None or self.stream.once:
            self._pass = self.stream.batches(self.order)
        fruitless = False
        while left is None or left > 0:
            batch = next(self._pass, _END)
            if batch is not _END:
                fruitless = False
                self.read += 1
                left = None if left is None else left - 1
                yield owned(self._prepare(batch, self.read))
            elif fruitless or not again:
                self._pass = None
                return
            else:
                fruitless = True
                self._pass = self.stream.batches(self.order)


_END = object()


def _run(sizes: list[int]) -> int:
    """Return how many batches may go together: those as large as the first, and one smaller one after them."""
    same = next((i for i, size in enumerate(sizes) if size != sizes[0]), len(sizes))
    return same + 1 if same < len(sizes) and sizes[same] < sizes[0] else same


def owned(data: Dataset) -> Dataset:
    """Return a data set that no later change of the arrays it was made of can reach: generators reuse theirs."""
    x, y, weights = (a if a is None or a.flags.owndata else a.copy() for a in (data.x, data.y, data.weights))
    assert x is not None
    return replace(data, x=x, y=y, weights=weights)


def join(parts: list[Dataset]) -> Dataset:
    """Return the rows of several data sets as one."""
    if len(parts) == 1:
        return parts[0]
    x = np.concatenate([part.x for part in parts])
    y = None if parts[0].y is None else np.concatenate([part.y for part in parts if part.y is not None])
    return replace(parts[0], x=x, y=y, weights=_joined_weights(parts))


def _joined_weights(parts: list[Dataset]) -> Array | None:
    example = next((part.weights for part in parts if part.weights is not None), None)
    if example is None:
        return None
    ones = (np.ones((part.rows, example.shape[1]), example.dtype) for part in parts)
    return np.concatenate(
        [one if part.weights is None else part.weights for part, one in zip(parts, ones, strict=True)]
    )


def _bytes(data: Dataset) -> int:
    return sum(array.nbytes for array in (data.x, data.y, data.weights) if array is not None)
