"""Cut a data set in two, and bring its columns to one scale."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastann.datasets.dataset import Array, Dataset


@dataclass(frozen=True, eq=False)
class Scaling:
    """x -> (x - mean) / scale, column by column; mean and scale are float64[F]."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, x: Array) -> Scaling:
        """Measure x (N, F): mean 0 and deviation 1 afterwards; a constant column is only centred.

        Pixels (uint8) are brought to 0..1 instead: their scale is known, and the constant ones at the border stay 0.
        """
        if x.dtype == np.uint8:
            return cls(np.zeros(x.shape[1]), np.full(x.shape[1], 255.0))
        mean, scale = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
        # the deviation of a constant column is a rounding error of its mean, not always exactly 0
        constant = scale <= 1e-12 * np.maximum(1.0, np.abs(mean))
        return cls(mean, np.where(constant, 1.0, scale))

    def apply(self, x: Array) -> NDArray[np.float32]:
        """Return x scaled, as float32."""
        if x.dtype == np.uint8:
            return np.divide(x, self.scale.astype(np.float32), dtype=np.float32)
        return ((x - self.mean) / self.scale).astype(np.float32)

    def undo(self, scaled: Array) -> NDArray[np.float64]:
        """Return what `apply` was given, as float64."""
        return scaled * self.scale + self.mean


def standardise(train: Dataset, *others: Dataset) -> tuple[Dataset, ...]:
    """Scale the columns of `train` (`Scaling.fit`), and those of the others by the same numbers: nothing leaks back.

    >>> from fastann.datasets import load, split
    >>> train, test = standardise(*split(load("iris"), seed=1))
    >>> bool(abs(train.x.mean()) < 1e-6)
    True
    """
    scaling = Scaling.fit(train.x)
    return tuple(replace(part, x=scaling.apply(part.x), test=None) for part in (train, *others))


def split(dataset: Dataset, test: float = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Return a part to train on and a part to test on, at random; each class is divided in the same proportion.

    A data set whose makers kept a test part apart is divided as they did, whatever `test` says. Every class keeps at
    least one row to train on.

    Raises:
        ValueError: `test` is not between 0 and 1, or one part would be empty.
    """
    if not 0.0 < test < 1.0:
        raise ValueError(f"the fraction to test on must be between 0 and 1, both excluded, got {test}.")
    if dataset.test is not None:
        return replace(dataset, test=None), dataset.test
    rng = np.random.default_rng(seed)
    rows = len(dataset.x)
    wanted = round(rows * test)
    if not 0 < wanted < rows:
        raise ValueError(f"{dataset.name}: {rows} rows cannot be divided so that {test:.0%} are left to test on.")
    order = rng.permutation(rows)
    if dataset.task != "classification":
        return dataset.take(order[wanted:]), dataset.take(order[:wanted])
    chosen = _stratified(dataset.y[order], wanted)
    return dataset.take(order[~chosen]), dataset.take(order[chosen])


def _stratified(y: NDArray[np.int64], wanted: int) -> NDArray[np.bool_]:
    """Mark about `wanted` rows of y, of each class its share (largest remainder), never the whole class."""
    counts = np.bincount(y)
    shares = counts * (wanted / len(y))
    takes = np.floor(shares).astype(np.int64)
    rest = wanted - int(takes.sum())
    takes[np.argsort(takes - shares, kind="stable")[:rest]] += 1
    takes = np.minimum(takes, np.maximum(counts - 1, 0))
    chosen = np.zeros(len(y), np.bool_)
    for label, take in enumerate(takes):
        chosen[np.flatnonzero(y == label)[:take]] = True
    return chosen
