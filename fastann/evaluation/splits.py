"""Rows to train on, to choose by and to judge by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        validation, test: shares of the rows, in [0, 1), rounded to whole rows; the rest is for training. A share of 0
            leaves that part empty.
        stratify: classes of the rows, labels of any kind or one-hot, to have each class in each part in its share, to
            a row or two; needs `shuffle`. The sizes of the parts are the same as without.
        shuffle: False to take the first rows for training and the last ones for the test.
        seed: of the order; the same seed gives the same rows on every machine.

    Returns:
        For each array a tuple (training, validation, test).

    Raises:
        ValueError: the shares leave nothing to train on, a share is less than a row, a class is missing from a part, or
            the numbers of rows differ.

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
    sizes = _sizes(rows, *shares)
    if stratify is None:
        parts = _cut(generator.permutation(rows) if shuffle else np.arange(rows), sizes)
    elif shuffle:
        parts = _stratified(_classes(stratify, rows), sizes, generator)
    else:
        raise ValueError("stratify needs shuffle=True: rows as they lie cannot be chosen by class.")
    return [tuple(array[part] for part in parts) for array in given]


Parts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
Sizes = tuple[int, int]


def _sizes(rows: int, validation: float, test: float) -> Sizes:
    """Return the numbers of rows for validation and for the test; raises ValueError if a part asked for is empty."""
    held, last = round(validation * rows), round(test * rows)
    for name, share, size in (("validation", validation, held), ("test", test, last)):
        if share > 0 and size == 0:
            raise ValueError(f"{name} must be 0 or come to at least a row, got {share:g} of {rows} rows.")
    if held + last >= rows:
        raise ValueError(f"validation and test must leave rows to train on, got {rows} rows in all.")
    return held, last


def _cut(order: NDArray[np.int64], sizes: Sizes) -> Parts:
    """Cut an order of rows into three parts, the last two of the sizes given."""
    first = len(order) - sum(sizes)
    return order[:first], order[first : first + sizes[0]], order[first + sizes[0] :]


def _classes(stratify: Any, rows: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the classes there are, in order, and for each row the place of its class among them."""
    array = np.asarray(stratify)
    if array.dtype.kind == "O" and all(isinstance(label, str) for label in array.flat):
        array = array.astype(str)
    if array.dtype.kind not in "biufU" or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        raise ValueError(f"stratify must hold a label for every row, numbers or text, got gaps or dtype {array.dtype}.")
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind != "U":
        array = array.argmax(axis=1)
    if array.size != rows:
        raise ValueError(f"stratify must have as many rows as the arrays, {rows}, got {array.size}.")
    return np.unique(array.reshape(-1), return_inverse=True)


def _stratified(classes: tuple[NDArray[Any], NDArray[np.int64]], sizes: Sizes, generator: np.random.Generator) -> Parts:
    """Cut the rows of each class; the parts are shuffled together afterwards."""
    names, which = classes
    counts = np.bincount(which)
    tests = _shared_out(sizes[1], counts)
    validations = _shared_out(sizes[0], counts - tests)
    found: list[list[NDArray[np.int64]]] = [[], [], []]
    for label, name in enumerate(names):
        rows = _cut(generator.permutation(np.flatnonzero(which == label)), (int(validations[label]), int(tests[label])))
        for part, some, wanted, what in zip(found, rows, (1, *sizes), ("training", "validation", "test"), strict=True):
            if wanted and len(some) == 0:
                raise ValueError(
                    f"stratify needs rows of each class in each part, but the {what} gets none of the {counts[label]} "
                    f"of class {name}; ask for larger shares, or leave stratify out."
                )
            part.append(some)
    first, held, last = (generator.permutation(np.concatenate(part)) for part in found)
    return first, held, last


def _shared_out(total: int, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return whole numbers in proportion to counts that sum to a total: rounded down, then the largest remainders up.

    >>> _shared_out(3, np.array([10, 20, 30])).tolist()
    [1, 1, 1]
    """
    quotas, remainders = np.divmod(counts * total, counts.sum())
    largest = np.argsort(-remainders, kind="stable")[: total - quotas.sum()]
    quotas[largest] += 1
    return np.asarray(quotas, np.int64)
