"""Short epochs: several of them in one call of a backend, where nothing happens between two."""

from __future__ import annotations

import time
from collections import deque

from fastann_kernels.backend import Record

from fastann.callbacks.callback_list import CallbackList
from fastann.callbacks.history import History
from fastann.training.feeds import Feed, PassFeed
from fastann.training.logs import Tally
from fastann.training.pace import GrowingPace
from fastann.training.progress import Progress, Silent
from fastann.training.session import Session

#: Rows of which the orders are drawn for one call: 2 MB of them.
ROWS_AHEAD = 1 << 18


def records_of_epochs(record: Record, steps: int) -> list[Record]:
    """Cut the record of whole epochs of `steps` steps, the last of which may have failed, into one for each."""
    return [
        Record(
            losses=record.losses[first : first + steps],
            rows=record.rows[first : first + steps],
            metric_sums=record.metric_sums[first : first + steps],
            metric_weights=record.metric_weights[first : first + steps],
            parts=record.parts[first : first + steps],
            completed=min(steps, record.completed - first),
        )
        for first in range(0, len(record.losses), steps)
    ]


class EpochsAhead:
    """Epochs that are trained already and wait to be told of, one after the other.

    Args:
        session: what trains.
        feed: rows that are all there.
    """

    def __init__(self, session: Session, feed: PassFeed) -> None:
        self._session = session
        self._feed = feed
        self._pace = GrowingPace(1)
        self._records: deque[Record] = deque()

    @property
    def waiting(self) -> bool:
        """Whether there are such epochs."""
        return bool(self._records)

    def count(self, left: int) -> int:
        """Return how many epochs, of those left, the next call should take: 1 until they are known to be short."""
        return max(1, min(self._pace.steps(left), ROWS_AHEAD // self._feed.pass_rows))

    def report(self, epochs: int, seconds: float) -> None:
        """Learn how long epochs took."""
        self._pace.report(epochs, seconds)

    def train(self, count: int, stop_at_nonfinite: bool) -> tuple[Record, float]:
        """Train so many epochs; return what became of their steps, and the seconds."""
        portion = self._feed.take_passes(count)
        began = time.perf_counter()
        record = self._session.train(
            portion.data, portion.order, portion.batch_size, False, stop_at_nonfinite, self._feed.pass_rows
        )
        seconds = time.perf_counter() - began
        self.report(count, seconds)
        self._records.extend(records_of_epochs(record, self._feed.steps))
        self._session.epochs_trained -= count - len(self._records)
        return record, seconds

    def take(self) -> tuple[Record, int]:
        """Return the record of the next epoch, and the number of updates made when it was over."""
        record = self._records.popleft()
        return record, self._session.iterations - sum(later.completed for later in self._records)


def epochs_ahead(
    session: Session, feed: Feed, tally: Tally, callbacks: CallbackList, progress: Progress, validates: bool
) -> EpochsAhead | None:
    """Return a way to train several epochs in one call; None where something has to happen after each."""
    heard = validates or tally.needs_outputs or type(progress) is not Silent
    if heard or any(type(callback) is not History for callback in callbacks.callbacks):
        return None
    if not isinstance(feed, PassFeed) or not feed.by_passes:
        return None
    # JAX reads rows as they lie faster than in an order, which several passes in a call would need.
    return EpochsAhead(session, feed) if feed.shuffled or session.backend != "jax" else None
