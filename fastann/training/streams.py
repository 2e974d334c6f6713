"""Objects that bring their batches themselves: generators, sequences of batches, loaders of other libraries."""

from __future__ import annotations

import collections.abc as abc
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, Protocol

import numpy as np

from fastann.training.tables import is_table

#: Given the number of batches of a pass, return the order to read them in.
Order = Callable[[int], Iterable[int]]

_END = object()
_ARRAYS = ("__array__", "__array_interface__", "__dlpack__", "toarray")


class Stream(Protocol):
    """Batches of a user's object, pass after pass.

    Attributes:
        name: what messages call it.
        once: whether a batch that was read is gone, as with a generator.
        indexed: whether batches are asked for by number.
        ahead: most batches to read ahead, or None.
    """

    name: str
    once: bool
    indexed: bool
    ahead: int | None

    @property
    def length(self) -> int | None:
        """Batches of a pass; None if it is not known, or there is no end."""

    @property
    def endless(self) -> bool:
        """Whether it says that it has no end."""

    def first(self) -> Any:
        """Return a batch to look at, which is not lost to the passes; raises ValueError if there is none."""

    def ready(self) -> bool:
        """Return whether another batch will come; may read it."""

    def batches(self, order: Order) -> Iterator[Any]:
        """Return the batches of a pass."""

    def begin_epoch(self) -> None:
        """Tell the object that an epoch begins, if it wants to know."""

    def end_epoch(self) -> None:
        """Tell the object that an epoch is over, if it wants to know."""


def is_stream(given: Any) -> bool:
    """Return whether an object brings batches, and is no array, list or table of rows."""
    if isinstance(given, abc.Iterator):
        return True
    values = (type, str, bytes, np.ndarray, abc.Sequence, abc.Mapping, abc.Set)
    if isinstance(given, values) or is_table(given) or any(hasattr(given, name) for name in _ARRAYS):
        return False
    return hasattr(given, "__iter__") or _is_indexed(given)


def make_stream(given: Any, name: str) -> Stream:
    """Return the stream of an object for which `is_stream` holds.

    Raises:
        ValueError: it has no batches.
    """
    return IndexedStream(given, name) if _is_indexed(given) else IteratedStream(given, name)


def _is_indexed(given: Any) -> bool:
    return hasattr(given, "__getitem__") and (hasattr(given, "__len__") or hasattr(type(given), "num_batches"))


class IndexedStream:
    """Batches by number, as `fastann.utils.PyDataset` has them."""

    once = False
    indexed = True

    def __init__(self, given: Any, name: str) -> None:
        self.name = name
        self.ahead: int | None = getattr(given, "max_queue_size", None)
        self._given = given
        if self.length == 0:
            raise _empty(name)

    @property
    def length(self) -> int | None:
        if hasattr(type(self._given), "num_batches"):
            number = self._given.num_batches
            return None if number is None else int(number)
        return len(self._given)

    @property
    def endless(self) -> bool:
        return self.length is None

    def first(self) -> Any:
        return self._given[0]

    def ready(self) -> bool:
        return True

    def batches(self, order: Order) -> Iterator[Any]:
        length = self.length
        for index in count() if length is None else order(length):
            yield self._given[int(index)]

    def begin_epoch(self) -> None:
        _call(self._given, "on_epoch_begin")

    def end_epoch(self) -> None:
        _call(self._given, "on_epoch_end")


class IteratedStream:
    """Batches one after the other: of a generator once, of anything else that can be iterated over again and again."""

    indexed = False
    ahead: int | None = None
    endless = False

    def __init__(self, given: Any, name: str) -> None:
        self.name = name
        self._given = given
        self._begun: Iterator[Any] | None = iter(given)
        self.once = self._begun is given
        self._held: list[Any] = []

    @property
    def length(self) -> int | None:
        try:
            return len(self._given)
        except (TypeError, NotImplementedError):
            return None

    def first(self) -> Any:
        if not self._hold():
            raise _empty(self.name)
        return self._held[0]

    def ready(self) -> bool:
        return not self.once or self._hold()

    def batches(self, order: Order) -> Iterator[Any]:
        begun = iter(self._given) if self._begun is None else self._begun
        self._begun = begun if self.once else None
        while self._held:
            yield self._held.pop(0)
        # neither `for` nor `yield from`: they ask for `iter`, which sets some objects back, and close generators
        while (batch := next(begun, _END)) is not _END:
            yield batch
        self._begun = None

    def begin_epoch(self) -> None:
        _call(self._given, "on_epoch_begin")

    def end_epoch(self) -> None:
        _call(self._given, "on_epoch_end")

    def _hold(self) -> bool:
        """Read a batch to have it at hand; return whether there is one."""
        if not self._held:
            if self._begun is None:
                self._begun = iter(self._given)
            batch = next(self._begun, _END)
            self._held += [] if batch is _END else [batch]
        return bool(self._held)


def _call(given: Any, method: str) -> None:
    hook = getattr(given, method, None)
    if callable(hook):
        hook()


def _empty(name: str) -> ValueError:
    return ValueError(f"{name} must bring at least one batch, got none; if it is a generator, make a new one.")


def unpack(batch: Any, name: str) -> tuple[Any, Any, Any]:
    """Return inputs, targets and sample weights, or None, of a batch to train on or to evaluate.

    Raises:
        TypeError: it is no (x, y) or (x, y, sample_weight), as a tuple or a list.
    """
    if isinstance(batch, tuple | list) and len(batch) in (2, 3):
        return batch[0], batch[1], batch[2] if len(batch) == 3 else None
    size = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
    raise TypeError(
        f"{name} must bring batches (x, y) or (x, y, sample_weight), got {type(batch).__name__}{size}; "
        "yield whole batches with their targets in a tuple."
    )


def unpack_inputs(batch: Any) -> Any:
    """Return the inputs of a batch to predict: the first of a tuple or of a list of arrays, or all of it."""
    if isinstance(batch, tuple) or (isinstance(batch, list) and batch and hasattr(batch[0], "shape")):
        return batch[0] if batch else None
    return batch
