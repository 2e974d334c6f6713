"""What goes forward through a network: rows cut into calls of a backend, or batches as an object brings them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from fastann_kernels.backend import Array

from fastann.training.pace import step_seconds
from fastann.training.reader import MOST_BATCHES, BatchReader, Group
from fastann.training.session import PlacedData, Session
from fastann.training.source import Source

#: Seconds that a call may take, so that interrupts are served.
CALL_SECONDS = 1.0

#: Rows that go through the network together where nobody looks at single batches: results do not depend on it.
ROWS_TOGETHER = {"numba": 256, "jax": 1024}


@dataclass(frozen=True)
class Piece:
    """Rows of one call.

    Attributes:
        done: batches of the user up to and with this piece.
        together: rows to compute with at a time.
        place: returns the rows, given to the backend.
        inputs: returns the inputs alone, (rows, columns).
        targets: returns targets and weights.
    """

    done: int
    together: int
    place: Callable[[], PlacedData]
    inputs: Callable[[], Array]
    targets: Callable[[], tuple[Array, Array | None]]


class Pieces(Protocol):
    """What one evaluation after the other, or a prediction, goes through.

    Attributes:
        batches: how many batches of the user, or None where that is not known.
    """

    @property
    def batches(self) -> int | None: ...

    def ready(self) -> bool:
        """Return whether there are rows; warns if not."""

    def cut(self, every_batch: bool, stop: Callable[[], bool]) -> Generator[Piece, None, None]:
        """Return the pieces: each one batch of the user, or whatever is fastest; none any more if `stop` says so.

        It is to be closed when it is left early.
        """


class RowPieces:
    """The rows of a source, `batch_size` of them a batch."""

    def __init__(self, session: Session, source: Source, batch_size: int) -> None:
        self._session = session
        self._source = source
        self._batch_size = batch_size

    @property
    def batches(self) -> int:
        return -(-self._source.rows // self._batch_size)

    def ready(self) -> bool:
        return True

    def cut(self, every_batch: bool, stop: Callable[[], bool]) -> Generator[Piece, None, None]:
        source, size = self._source, self._batch_size
        together = size if every_batch else rows_together(self._session, size)
        for first, last in pieces(self._session, source, together, every_batch):
            yield Piece(
                done=-(-last // size),
                together=min(together, last - first),
                place=partial(source.part, first, last),
                inputs=partial(source.inputs, first, last),
                targets=partial(source.targets, slice(first, last)),
            )


class StreamPieces:
    """The batches of a reader.

    Args:
        session: where they go.
        reader: of a stream.
        limit: batches of an evaluation; by default a whole pass.
        keep: whether this is for many evaluations, so that batches which come only once have to be kept. With a
            limit, each evaluation has the next batches.
    """

    def __init__(self, session: Session, reader: BatchReader, limit: int | None, keep: bool = False) -> None:
        self._session = session
        self._reader = reader
        self._limit = limit
        self._kept: list[Group] | None = [] if keep and limit is None and reader.stream.once else None
        self._dry = False

    @property
    def batches(self) -> int | None:
        length = self._reader.stream.length
        return length if self._limit is None else self._limit if length is None else min(self._limit, length)

    def ready(self) -> bool:
        if not self._kept and not self._dry and not self._reader.stream.ready():
            self._dry = True
            self._warn("there are no more evaluations of it")
        return not self._dry

    def cut(self, every_batch: bool, stop: Callable[[], bool]) -> Generator[Piece, None, None]:
        done = 0
        with closing(self._groups(every_batch, stop)) as groups:
            for group in groups:
                done += group.batches
                yield self._piece(group, done, every_batch)
        if self._limit is not None and done < self._limit and self._reader.stream.once and not stop():
            self._warn(f"{done} of {self._limit} batches are evaluated")

    def _groups(self, every_batch: bool, stop: Callable[[], bool]) -> Generator[Group, None, None]:
        yield from self._kept or ()
        reader = self._reader
        most = min(MOST_BATCHES, batches_a_call(self._session, reader.batch_size))
        reader.begin(self._limit)
        try:
            while (group := reader.take(1 if every_batch else most, stop)) is not None:
                if self._kept is not None:
                    self._kept.append(group)
                yield group
        finally:
            reader.end()
        reader.stream.end_epoch()

    def _piece(self, group: Group, done: int, every_batch: bool) -> Piece:
        data, size = group.data, group.batch_size
        together = size if every_batch else rows_together(self._session, size)
        return Piece(
            done=done,
            together=min(together, data.rows),
            place=lambda: self._session.put(data.x, data.y, data.weights),
            inputs=lambda: data.x,
            targets=group.targets,
        )

    def _warn(self, consequence: str) -> None:
        stream = self._reader.stream
        warnings.warn(
            f"{stream.name} ran out of data after {self._reader.read} batches, and {consequence}; let the generator go "
            "on, or give an object that can be read again, such as a fastann.utils.PyDataset.",
            UserWarning,
            stacklevel=6,
        )


def rows_together(session: Session, batch_size: int) -> int:
    """Return how many rows to compute with at a time when the user's batches do not matter."""
    return max(batch_size, ROWS_TOGETHER.get(session.backend, batch_size))


def pieces(session: Session, source: Source, batch_size: int, every_batch: bool) -> Iterator[tuple[int, int]]:
    """Return first and last row (excluded) of each call: whole batches, about a second of work, or one batch."""
    batches = 1 if every_batch else batches_a_call(session, batch_size)
    if source.longest is not None:
        batches = max(1, min(batches, source.longest // batch_size))
    step = batches * batch_size
    return ((first, min(first + step, source.rows)) for first in range(0, source.rows, step))


def batches_a_call(session: Session, batch_size: int) -> int:
    """Return how many batches make about `CALL_SECONDS` of work, a power of two."""
    # forward is a third of a step
    batches = max(1, int(3 * CALL_SECONDS / step_seconds(session.program, batch_size)))
    return 1 << (batches.bit_length() - 1)
