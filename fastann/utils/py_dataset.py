"""Batches by number: the base class for data that is made or read while a model trains."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any


class PyDataset:
    """Batches that can be asked for by number, in any order; `fit`, `evaluate` and `predict` take one as `x`.

    A subclass has `__getitem__(index)`, which returns batch number `index` as (x,), (x, y) or (x, y, sample_weight),
    and `__len__()`, the number of batches. Any object with these two methods does; this class adds the hooks and their
    names in Keras (`keras.utils.PyDataset`, once `Sequence`).

    `fit` visits the batches in a new order each epoch unless `shuffle=False`. One background thread calls
    `__getitem__`, a few batches ahead of the training.

    Args:
        workers, use_multiprocessing: taken for the sake of programs written for Keras; there is one reading thread.
        max_queue_size: most batches to read ahead.

    >>> class Squares(PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         x = np.arange(4.0) + 4 * index
    ...         return x, x**2
    >>> import numpy as np
    >>> [float(y.sum()) for x, y in Squares()]
    [14.0, 126.0, 366.0]
    """

    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        """Return batch number `index`; a subclass must have this."""
        raise NotImplementedError(f"{type(self).__name__} must have a method __getitem__(index) that returns a batch.")

    @property
    def num_batches(self) -> int | None:
        """Number of batches, by default `len(self)`; a subclass may return None for one that never ends."""
        if not hasattr(self, "__len__"):
            raise NotImplementedError(f"{type(self).__name__} must have a method __len__() or a property num_batches.")
        return len(self)

    def __iter__(self) -> Iterator[Any]:
        """Return the batches one after the other."""
        number = self.num_batches
        for index in count() if number is None else range(number):
            yield self[index]

    def on_epoch_begin(self) -> None:
        """Before an epoch."""

    def on_epoch_end(self) -> None:
        """After the last batch of an epoch."""


Sequence = PyDataset
