"""The order in which rows are visited: pass after pass over the data, cut into batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from fastann_kernels.backend import get_backend
from numpy.typing import NDArray

from fastann.random import epoch_orders
from fastann.training.session import Session


@dataclass(frozen=True)
class Stretch:
    """Some consecutive batches of one pass.

    Attributes:
        order: int64[last - first], the rows, or None if they are first, ..., last - 1.
        first, last: where it begins and ends in the pass, in rows.
        steps: number of batches.
    """

    order: NDArray[np.int64] | None
    first: int
    last: int
    steps: int

    @property
    def rows(self) -> slice | NDArray[np.int64]:
        """An index of the rows, in the order of the visit."""
        return slice(self.first, self.last) if self.order is None else self.order


class Passes:
    """An endless sequence of batches; each pass visits every row once, its last batch may be short.

    The order of a pass is a function of the session's seed and of the number of passes before it in the life of the
    model, which `Session.epochs_trained` counts.

    Args:
        session: whose passes they are.
        rows: rows of the data.
        batch_size: rows a batch.
        shuffle: False to visit the rows as they lie.
        draw: in place of `fastann.random.epoch_order`; what it returns is not written to.

    Attributes:
        rows, shuffle: as above.
    """

    def __init__(
        self,
        session: Session,
        rows: int,
        batch_size: int,
        shuffle: bool,
        draw: Callable[[int, int, int], NDArray[np.int64]] | None = None,
    ) -> None:
        self._session = session
        self.rows = rows
        self._batch_size = batch_size
        self.shuffle = shuffle
        self._draw = draw
        self._shuffle = get_backend(session.backend).shuffle
        self._order: NDArray[np.int64] | None = None
        self._position = rows

    @property
    def steps(self) -> int:
        """Batches a pass."""
        return -(-self.rows // self._batch_size)

    def take(self, limit: int) -> Stretch:
        """Return the next batches: at most `limit`, none beyond the end of a pass."""
        if self._position >= self.rows:
            self._begin()
        first = self._position
        last = min(self.rows, first + limit * self._batch_size)
        self._position = last
        order = None if self._order is None else self._order[first:last]
        return Stretch(order, first, last, -(-(last - first) // self._batch_size))

    def take_whole(self, count: int) -> NDArray[np.int64]:
        """Return the rows of the next `count` passes, one after the other; the pass before has to be over."""
        order = self._next(count)
        self._position = self.rows
        return np.tile(np.arange(self.rows), count) if order is None else order

    def abandon(self) -> None:
        """Skip the rest of the pass."""
        self._position = self.rows

    def _begin(self) -> None:
        self._order = self._next(1)
        self._position = 0

    def _next(self, count: int) -> NDArray[np.int64] | None:
        """Return the orders of the next `count` passes, one after the other; None for rows as they lie."""
        first, seed = self._session.epochs_trained, self._session.seed
        self._session.epochs_trained += count
        if not self.shuffle:
            return None
        if self._draw is None:
            return epoch_orders(seed, first, count, self.rows, self._shuffle)
        orders = [self._draw(seed, first + number, self.rows) for number in range(count)]
        return orders[0] if count == 1 else np.concatenate(orders)
