"""Batches of images, changed at random: the base of the iterators over arrays and over folders."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.random import check_seed, next_seed
from fastann.utils import PyDataset

_ORDER, _CHANGES = 0, 1


class ImageIterator(PyDataset):
    """Batches of images, by number for `fit` or one after the other without end.

    Order and changes of an epoch are functions of the seed and of the number of epochs before, so that a batch is the
    same however often, and in whichever thread, it is asked for.

    Args:
        n: number of images.
        batch_size: images a batch; the last one of an epoch may have fewer.
        shuffle: have a new order each epoch.
        seed: of order and changes; by default the next after `fastann.utils.set_random_seed`.

    Attributes:
        n, batch_size, shuffle: as above.
        seed: the one in use.
        epoch: epochs that are over.
    """

    def __init__(self, n: int, batch_size: int, shuffle: bool, seed: int | None) -> None:
        super().__init__()
        if n == 0:
            raise ValueError("expected at least one image, got none.")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        self.n = n
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = next_seed() if seed is None else check_seed(seed)
        self.epoch = 0
        self._next = 0
        self._order: tuple[int, NDArray[np.int64]] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        """Return batch number `index` of this epoch: x, (x, y) or (x, y, sample_weight)."""
        return self._batch(self.epoch, index)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """Return the next batch; there is always one."""
        with self._lock:
            epoch, index = self.epoch, self._next
            self._next += 1
            if self._next == len(self):
                self.on_epoch_end()
        return self._batch(epoch, index)

    def on_epoch_end(self) -> None:
        """Go on to the order and the changes of the next epoch."""
        self.epoch += 1
        self._next = 0

    def reset(self) -> None:
        """Begin the epoch anew."""
        self._next = 0

    def samples(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Any:
        """Return the batch of the images with these numbers, changed as `rng` decides."""
        raise NotImplementedError(f"{type(self).__name__} must have a method samples(rows, rng) that returns a batch.")

    def _batch(self, epoch: int, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"there are batches from 0 to {len(self) - 1}, got {index}.")
        rows = self._rows(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        return self.samples(rows, self._generator(_CHANGES, epoch, index))

    def _rows(self, epoch: int) -> NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(self.n)
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, self._generator(_ORDER, epoch, 0).permutation(np.int64(self.n))
        return self._order[1]

    def _generator(self, purpose: int, epoch: int, index: int) -> np.random.Generator:
        sequence = np.random.SeedSequence(self.seed, spawn_key=(purpose, epoch, index))
        return np.random.Generator(np.random.PCG64(sequence))
