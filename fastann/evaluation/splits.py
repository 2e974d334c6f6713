"""Rows to train on, to choose by and to judge by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.evaluation.labels import true_classes
from fastann.spec import bounded, whole


def train_validation_test_split(
    *arrays: Any,
    validation: float = 0.15,
    test: float = 0.15,
    stratify: Any = None,
    shuffle: bool = True,
    seed: int = 0,
) -> list[tuple[Any, ...]]:
    """Split arrays into rows to train on, rows to choose settings by, and rows for the last judgement.

    Args:
        arrays: with as many rows; NumPy arrays, or anything NumPy turns into one.
        validation, test: shares of the rows, in [0, 1); the rest, at least a row, is for training. A share of 0 leaves
            that part empty.
        stratify: classes of the rows, labels or one-hot, to have each class in each part in its share; needs `shuffle`.
        shuffle: False to take the first rows for training and the last ones for the test.
        seed: of the order; the same seed gives the same rows on every machine.

    Returns:
        For each array a tuple (training, validation, test).

    Raises:
        ValueError: the shares leave nothing to train on, or the numbers of rows differ.

    >>> (x_train, x_val, x_test), (y_train, y_val, y_test) = train_validation_test_split(
    ...     np.arange(20).reshape(10, 2), np.arange(10), validation=0.2, test=0.3
    ... )
    >>> len(y_train), len(y_val), len(y_test)
    (5, 2, 3)
    """
    given = [np.asarray(array) for array in arrays]
    if not given:
        raise ValueError("train_validation_test_split expects at least one array, got none.")
    rows = len(given[0]) if given[0].ndim else 0
    for number, array in enumerate(given):
        if array.ndim == 0 or len(array) != rows or rows == 0:
            raise ValueError(
                f"all arrays must have as many rows as the first one, {rows}, and at least one, got "
                f"{len(array) if array.ndim else 'a single number'} in array {number}."
            )
    shares = (bounded(validation, "validation", 0, 1, below=True), bounded(test, "test", 0, 1, below=True))
    if sum(shares) >= 1:
        raise ValueError(f"validation and test must leave rows to train on, got {shares[0]:g} and {shares[1]:g}.")
    generator = np.random.default_rng(whole(seed, "seed"))
    parts = _stratified(stratify, rows, shares, generator, shuffle) if stratify is not None else None
    if parts is None:
        order = generator.permutation(rows) if shuffle else np.arange(rows)
        parts = _cut(order, shares)
    if len(parts[0]) == 0:
        raise ValueError(f"validation and test must leave rows to train on, got {rows} rows in all.")
    return [tuple(array[part] for part in parts) for array in given]


Parts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _cut(order: NDArray[np.int64], shares: tuple[float, float]) -> Parts:
    """Cut an order of rows into three parts, shares rounded to the nearest number of rows."""
    held, last = (round(share * len(order)) for share in shares)
    first = len(order) - held - last
    return order[:first], order[first : first + held], order[first + held :]


def _stratified(
    classes: Any, rows: int, shares: tuple[float, float], generator: np.random.Generator, shuffle: bool
) -> Parts:
    """Cut the rows of each class; the parts are shuffled together afterwards."""
    if not shuffle:
        raise ValueError("stratify needs shuffle=True: rows as they lie cannot be chosen by class.")
    labels = true_classes(classes)
    if len(labels) != rows:
        raise ValueError(f"stratify must have as many rows as the arrays, {rows}, got {len(labels)}.")
    found: list[list[NDArray[np.int64]]] = [[], [], []]
    for label in np.unique(labels):
        for part, some in zip(found, _cut(generator.permutation(np.flatnonzero(labels == label)), shares), strict=True):
            part.append(some)
    first, held, last = (generator.permutation(np.concatenate(part)) for part in found)
    return first, held, last
