"""Reading ahead: one thread takes items from an iterator while the caller is at work on those before."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

#: Seconds between two looks at whether to go on waiting, and to wait for the thread at the end.
LOOK, PATIENCE = 0.05, 5.0


class Prefetcher(Generic[T]):
    """The items of an iterator, in order, at most `capacity` of them ahead of the caller.

    What the iterator raises is raised by `get`, as it is and after the items before it.

    Args:
        items: advanced in the thread only.
        capacity: most items in waiting.
    """

    def __init__(self, items: Iterator[T], capacity: int) -> None:
        self._items = items
        self._capacity = max(1, capacity)
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._over = False
        self._closed = False
        self._thread = threading.Thread(target=self._read, name="fastann-prefetch", daemon=True)
        self._thread.start()

    def get(self, wait: bool = True, stop: Callable[[], bool] = lambda: False) -> T | None:
        """Return the next item; None if there are no more, if `stop` says so, or if none is there and not to wait."""
        with self._changed:
            while wait and not self._waiting and not self._over:
                if stop():
                    return None
                self._changed.wait(LOOK)
            if self._waiting:
                item = self._waiting.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def close(self) -> None:
        """End the thread: at once, or when the iterator has returned the item it is at."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(PATIENCE)

    def _read(self) -> None:
        try:
            while self._has_room():
                item = next(self._items, None)
                if item is None:
                    break
                with self._changed:
                    self._waiting.append(item)
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        """Wait for room; return whether to go on."""
        with self._changed:
            while len(self._waiting) >= self._capacity and not self._closed:
                self._changed.wait()
            return not self._closed
