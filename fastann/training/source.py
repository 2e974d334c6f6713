"""Where batches come from. `fit` and `evaluate` know data only through `Source`."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from fastann_kernels.backend import Array
from numpy.typing import NDArray

from fastann.training.data import Dataset, matrix
from fastann.training.passes import Stretch
from fastann.training.session import PlacedData, Session

#: Bytes of data that are converted together when they cannot be converted as a whole.
PIECE_BYTES = 1 << 26


class Source(Protocol):
    """Rows for a session, a stretch of a pass at a time; other kinds of data need only these members.

    Attributes:
        rows: N.
        longest: most rows that may be asked for at once, or None.
    """

    rows: int
    longest: int | None

    def stretch(self, stretch: Stretch) -> tuple[PlacedData, NDArray[np.int64] | None]:
        """Return data and the order of rows in it (None: all, as they lie) that make up a stretch of training."""

    def part(self, first: int, last: int) -> PlacedData:
        """Return rows first to last - 1."""

    def inputs(self, first: int, last: int) -> Array:
        """Return the inputs alone of rows first to last - 1, (rows, columns)."""

    def targets(self, rows: slice | NDArray[np.int64]) -> tuple[Array, Array | None]:
        """Return targets and weights of some rows."""


def make_source(session: Session, data: Dataset) -> Source:
    """Return a source of rows: one that places all of them, or one that converts them piece by piece."""
    return ConvertingSource(session, data) if data.deferred else ResidentSource(session, data)


class ResidentSource:
    """Rows that are given to the backend once and stay there."""

    longest: int | None = None

    def __init__(self, session: Session, data: Dataset) -> None:
        self._session = session
        self._data = data
        self._placed: PlacedData | None = None
        self.rows = data.rows

    def stretch(self, stretch: Stretch) -> tuple[PlacedData, NDArray[np.int64] | None]:
        order = stretch.order
        if order is None and stretch.last - stretch.first < self.rows:
            order = np.arange(stretch.first, stretch.last)
        return self._whole(), order

    def part(self, first: int, last: int) -> PlacedData:
        if last - first == self.rows:
            return self._whole()
        data = self._data.part(first, last)
        return self._session.put(data.x, data.y, data.weights)

    def inputs(self, first: int, last: int) -> Array:
        return self._data.x[first:last]

    def targets(self, rows: slice | NDArray[np.int64]) -> tuple[Array, Array | None]:
        return _targets(self._data, rows)

    def _whole(self) -> PlacedData:
        if self._placed is None:
            self._placed = self._session.put(self._data.x, self._data.y, self._data.weights)
        return self._placed


class ConvertingSource:
    """Rows of a memory map in another type: gathered and converted a piece at a time, and forgotten."""

    longest: int | None

    def __init__(self, session: Session, data: Dataset) -> None:
        self._session = session
        self._data = data
        self._dtype = data.x.dtype if data.x.dtype == np.uint8 else session.dtype
        self.rows = data.rows
        self.longest = max(1, PIECE_BYTES // max(1, data.x[:1].size * self._dtype.itemsize))

    def stretch(self, stretch: Stretch) -> tuple[PlacedData, NDArray[np.int64] | None]:
        return self._put(stretch.rows), None

    def part(self, first: int, last: int) -> PlacedData:
        return self._put(slice(first, last))

    def inputs(self, first: int, last: int) -> Array:
        return matrix(self._data.x[first:last], self._dtype)

    def targets(self, rows: slice | NDArray[np.int64]) -> tuple[Array, Array | None]:
        return _targets(self._data, rows)

    def _put(self, rows: slice | NDArray[np.int64]) -> PlacedData:
        y = None if self._data.y is None else np.ascontiguousarray(self._data.y[rows])
        weights = None if self._data.weights is None else np.ascontiguousarray(self._data.weights[rows])
        return self._session.put(matrix(self._data.x[rows], self._dtype), y, weights)


def _targets(data: Dataset, rows: slice | NDArray[np.int64]) -> tuple[Array, Array | None]:
    assert data.y is not None
    return data.y[rows], None if data.weights is None else data.weights[rows]
