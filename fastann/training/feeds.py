"""What training is fed with: the batches of an epoch, as many in one call of a backend as the loop asks for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from fastann_kernels.backend import Array
from numpy.typing import NDArray

from fastann.random import epoch_order
from fastann.training.arguments import FitArguments
from fastann.training.data import Dataset
from fastann.training.opening import open_with_targets
from fastann.training.passes import Passes, Stretch
from fastann.training.reader import MOST_BATCHES, BatchReader
from fastann.training.session import PlacedData, Session
from fastann.training.source import Source, make_source
from fastann.training.trainable import Trainable
from fastann.training.weights import with_class_weights


@dataclass(frozen=True)
class Portion:
    """Consecutive batches to train on in one call.

    Attributes:
        data, order, batch_size: as `Session.train` takes them.
        steps: number of batches.
        targets: returns targets and weights of the rows, in the order of the visit.
    """

    data: PlacedData
    order: NDArray[np.int64] | None
    batch_size: int
    steps: int
    targets: Callable[[], tuple[Array, Array | None]]


class Feed(Protocol):
    """The batches of one `fit`.

    Attributes:
        steps: batches of an epoch; None if that is not known yet.
        batch_size: rows of most batches.
        rows: rows of the data that a pass visits, each once; None if they come as they come.
        finished: whether the epoch has no more batches, as far as is known.
    """

    batch_size: int

    @property
    def steps(self) -> int | None: ...

    @property
    def rows(self) -> int | None: ...

    @property
    def finished(self) -> bool: ...

    @property
    def longest(self) -> int:
        """Batches of the longest call that makes sense, to set the pace by."""

    def ready(self) -> bool:
        """Return whether there is data for another epoch; warns if not."""

    def begin_epoch(self) -> None:
        """Begin an epoch."""

    def take(self, limit: int, stop: Callable[[], bool]) -> Portion | None:
        """Return the next batches, at most `limit`; None at the end of the epoch, or if `stop` says so."""

    def abandon(self) -> None:
        """Skip the rest of the pass over the data."""

    def end_epoch(self) -> None:
        """End the epoch, even if there were more batches."""

    def close(self) -> None:
        """End the run."""


class PassFeed:
    """Rows that are all there, in the order of `Passes`."""

    def __init__(self, source: Source, passes: Passes, arguments: FitArguments) -> None:
        self.batch_size = arguments.batch_size
        self.steps: int = arguments.steps_per_epoch or passes.steps
        self.rows: int = passes.rows
        self._source = source
        self._passes = passes
        self._left = 0

    @property
    def finished(self) -> bool:
        return self._left == 0

    @property
    def longest(self) -> int:
        return self.steps

    def ready(self) -> bool:
        return True

    def begin_epoch(self) -> None:
        self._left = self.steps

    def take(self, limit: int, stop: Callable[[], bool]) -> Portion | None:
        if self._left == 0:
            return None
        limit = min(limit, self._left)
        if self._source.longest is not None:
            limit = max(1, min(limit, self._source.longest // self.batch_size))
        stretch = self._passes.take(limit)
        self._left -= stretch.steps
        data, order = self._source.stretch(stretch)
        return Portion(data, order, self.batch_size, stretch.steps, partial(self._source.targets, stretch.rows))

    @property
    def by_passes(self) -> bool:
        """Whether an epoch is a pass over rows that are all placed, so that `take_passes` may be used."""
        return self._source.longest is None and self.steps == self._passes.steps

    @property
    def shuffled(self) -> bool:
        """Whether rows are visited in an order of their own in each pass."""
        return self._passes.shuffle

    @property
    def pass_rows(self) -> int:
        """Rows of a pass."""
        return self._passes.rows

    def take_passes(self, count: int) -> Portion:
        """Return whole epochs, one after the other, as one portion."""
        order = self._passes.take_whole(count)
        stretch = Stretch(order, 0, len(order), count * self.steps)
        data, placed = self._source.stretch(stretch)
        return Portion(data, placed, self.batch_size, stretch.steps, partial(self._source.targets, stretch.rows))

    def abandon(self) -> None:
        self._passes.abandon()

    def end_epoch(self) -> None:
        """Leave the rest of the pass to the next epoch."""

    def close(self) -> None:
        """Let go of nothing."""


class StreamFeed:
    """Batches that an object brings, in the order in which they come or, where it has numbers for them, shuffled.

    Like the passes over rows, the order is a function of the session's seed and `epochs_trained`.
    """

    def __init__(self, session: Session, reader: BatchReader, arguments: FitArguments) -> None:
        self.batch_size = reader.batch_size
        self.rows: int | None = None
        self._session = session
        self._reader = reader
        self._limit = arguments.steps_per_epoch
        self._shuffle = arguments.shuffle
        self._known: int | None = None
        self._taken = 0
        self._finished = self._dry = False
        reader.order = self._order

    @property
    def steps(self) -> int | None:
        return self._limit or self._reader.stream.length or self._known

    @property
    def longest(self) -> int:
        return min(MOST_BATCHES, self.steps or MOST_BATCHES)

    @property
    def finished(self) -> bool:
        return self._finished or self._taken == self._limit

    def ready(self) -> bool:
        if not self._dry and not self._reader.stream.ready():
            self._run_dry()
        return not self._dry

    def begin_epoch(self) -> None:
        if not self._reader.stream.indexed:
            self._session.epochs_trained += 1
        self._taken, self._finished = 0, False
        self._reader.begin(self._limit, again=self._limit is not None)

    def take(self, limit: int, stop: Callable[[], bool]) -> Portion | None:
        group = self._reader.take(limit, stop)
        if group is None:
            if not stop():
                self._finished, self._known = True, self._taken
                if self._limit is not None and self._taken < self._limit:
                    self._run_dry()
            return None
        self._taken += group.batches
        data = group.data
        placed = self._session.put(data.x, data.y, data.weights)
        return Portion(placed, None, group.batch_size, group.batches, group.targets)

    def abandon(self) -> None:
        self._reader.abandon()

    def end_epoch(self) -> None:
        self._reader.end()
        self._reader.stream.end_epoch()

    def close(self) -> None:
        self._reader.end()

    def _run_dry(self) -> None:
        self._dry = True
        warnings.warn(
            f"{self._reader.stream.name} ran out of data after {self._reader.read} batches, and training ends there; "
            "let the generator go on for all epochs, or give an object that can be read again, such as a "
            "fastann.utils.PyDataset.",
            UserWarning,
            stacklevel=7,
        )

    def _order(self, batches: int) -> Sequence[int] | NDArray[np.int64]:
        """Return the order of a pass, and count it."""
        epoch = self._session.epochs_trained
        self._session.epochs_trained += 1
        return epoch_order(self._session.seed, epoch, batches) if self._shuffle else range(batches)


def row_feed(session: Session, data: Dataset, class_weight: Any, arguments: FitArguments) -> PassFeed:
    """Return a feed of rows with targets, each counting as `class_weight` says."""
    assert data.y is not None
    data = replace(data, weights=with_class_weights(data.weights, class_weight, data.y, session.program))
    passes = Passes(session, data.rows, arguments.batch_size, arguments.shuffle)
    return PassFeed(make_source(session, data), passes, arguments)


def stream_feed(model: Trainable, given: Any, class_weight: Any, arguments: FitArguments) -> tuple[Session, StreamFeed]:
    """Return the session of a compiled model and a feed of the batches that an object brings."""
    session, reader = open_with_targets(model, given, arguments.steps_per_epoch, class_weight=class_weight)
    return session, StreamFeed(session, reader, arguments)
