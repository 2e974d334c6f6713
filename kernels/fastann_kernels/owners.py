"""What is known of an array: kept by the array that owns the memory, whatever view is given, and gone with it."""

from __future__ import annotations

import mmap
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
What = TypeVar("What")


def _behind(values: Any) -> Iterator[Any]:
    """Yield an array and what it is a view of, through the objects that NumPy and Python put in between."""
    while values is not None:
        yield values
        values = values.obj if isinstance(values, memoryview) else getattr(values, "base", None)


def owner_of(values: Array) -> Array:
    """Return the array that a view is of."""
    return [each for each in _behind(values) if isinstance(each, np.ndarray)][-1]


def is_mapped(values: Any) -> bool:
    """Return whether the bytes of an array lie in a file."""
    return any(isinstance(each, np.memmap | mmap.mmap) for each in _behind(values))


def is_whole(values: Array) -> bool:
    """Return whether an array, or a view, holds all of an array in memory."""
    return owner_of(values).nbytes == values.nbytes and not is_mapped(values)


def said_to_stay(values: Array) -> bool:
    """Return whether an array holds all of one that is read-only: who says so is taken at his word."""
    return is_whole(values) and not owner_of(values).flags.writeable


class Known(Generic[What]):
    """What is known of some arrays; threads may ask and tell at once.

    Args:
        most: arrays of which something is kept; the oldest goes first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[int, tuple[weakref.ref[Array], What]] = {}  # by the id of the owner
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return of how many arrays something is known."""
        return len(self._kept)

    def get(self, values: Array) -> What | None:
        """Return what was said last of the array that `values` is a view of, or None."""
        owner = owner_of(values)
        kept = self._kept.get(id(owner))
        return kept[1] if kept is not None and kept[0]() is owner else None

    def keep(self, values: Array, what: What) -> None:
        """Keep `what` until the array that `values` is a view of is no more, or others take its place."""
        owner = owner_of(values)
        key = id(owner)
        with self._lock:
            self._kept.pop(key, None)
            for oldest in list(self._kept)[: max(0, len(self._kept) - self._most + 1)]:
                self._kept.pop(oldest, None)
            self._kept[key] = (weakref.ref(owner, partial(self._forget, key)), what)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def _forget(self, key: int, owner: weakref.ref[Array]) -> None:
        """Let go of what is known of an array that is no more; takes no lock, since an array may die anywhere."""
        kept = self._kept.get(key)
        if kept is not None and kept[0] is owner:
            self._kept.pop(key, None)
