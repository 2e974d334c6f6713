"""What a data set is, and how raw columns become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Whole numbers of at most so many different values are taken for classes when nobody says what they are.
MAX_CLASSES_GUESSED = 20


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of numbers with something to predict from each.

    Attributes:
        name: what to call it in tables and plots.
        x: float[N, F], or uint8[N, F] for images.
        y: int64[N], numbers of classes from 0 on; or float64[N] or [N, T], numbers to predict.
        task: "classification" or "regression".
        feature_names: F names.
        class_names: a name for each class; empty for regression.
        description: one sentence.
        test: the part its makers kept apart for testing, or None.
    """

    name: str
    x: Array
    y: Array
    task: str
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...] = ()
    description: str = ""
    test: Dataset | None = None

    @property
    def classes(self) -> int:
        """How many classes there are; 0 for regression."""
        return len(self.class_names)

    def take(self, rows: NDArray[np.int64]) -> Dataset:
        """Return the data set of these rows, without a test part."""
        return replace(self, x=self.x[rows], y=self.y[rows], test=None)


def make_dataset(
    name: str,
    x: Array,
    y: Array,
    task: str = "auto",
    *,
    feature_names: Sequence[str] = (),
    class_names: Sequence[str] = (),
    description: str = "",
    test: tuple[Array, Array] | None = None,
) -> Dataset:
    """Check raw arrays and make a `Dataset` of them: rows flattened, classes numbered.

    Args:
        x: (N, ...) of any numbers; y: (N,), (N, 1) or (N, T) of numbers, or labels of any kind.
        class_names: names for the sorted distinct values of y; their text if left out.
        test: x and y of a part kept apart.

    Raises:
        ValueError: no rows, lengths that differ, NaN or infinity, a label in the test part only, or a `task` that y
            cannot be.
    """
    x, y = _features(name, x), _targets(name, x, y)
    names = tuple(feature_names) or tuple(f"x{i}" for i in range(x.shape[1]))
    task = _guess_task(y) if task == "auto" else task
    labels: Array | None = None
    shown: tuple[str, ...] = ()
    if task == "classification":
        labels = _labels(name, y)
        shown = tuple(class_names) if len(class_names) == len(labels) else tuple(str(label) for label in labels)
    whole = Dataset(name, x, _encode(name, y, labels), task, names, shown, description)
    if test is None:
        return whole
    other_x = _features(name, test[0])
    if other_x.shape[1] != x.shape[1]:
        raise ValueError(
            f"{name}: both parts must have the same columns, got {x.shape[1]} to train and {other_x.shape[1]} to test."
        )
    other_y = _targets(name, other_x, test[1])
    return replace(whole, test=replace(whole, x=other_x, y=_encode(name, other_y, labels)))


def _features(name: str, x: Array) -> Array:
    x = np.asarray(x)
    if x.ndim < 1 or x.shape[0] == 0 or x.size == 0:
        raise ValueError(f"{name}: expected at least one row and one column, got x of shape {x.shape}.")
    if x.dtype.kind not in "buif":
        raise ValueError(f"{name}: x must hold numbers, got an array of type {x.dtype}.")
    x = x.reshape(x.shape[0], -1)
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind != "f":
        return x.astype(np.float64)
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f"{name}: x must hold finite numbers, got {x[row, column]} in row {row}, column {column} "
            f"({len(bad):,} such values); fill or drop them."
        )
    return x


def _targets(name: str, x: Array, y: Array) -> Array:
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2):
        raise ValueError(f"{name}: y must have shape (rows,) or (rows, targets), got {y.shape}.")
    if len(y) != len(x):
        raise ValueError(f"{name}: x and y must have as many rows, got {len(x):,} and {len(y):,}.")
    if y.dtype.kind not in "buifUS":
        raise ValueError(f"{name}: y must hold numbers or labels, got an array of type {y.dtype}.")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        row = int(np.argwhere(~np.isfinite(y))[0, 0])
        raise ValueError(f"{name}: y must hold finite numbers, got {y[row]} in row {row}; fill or drop it.")
    return y


def _guess_task(y: Array) -> str:
    if y.ndim == 1 and y.dtype.kind in "bUS":
        return "classification"
    if y.ndim != 1 or not np.array_equal(y, np.round(y)):
        return "regression"
    return "classification" if len(np.unique(y)) <= MAX_CLASSES_GUESSED else "regression"


def _labels(name: str, y: Array) -> Array:
    if y.ndim != 1:
        raise ValueError(f"{name}: classification needs one label a row, got y of shape {y.shape}; take its argmax.")
    labels = np.unique(y)
    if len(labels) < 2:
        raise ValueError(f"{name}: classification needs at least two classes, got only {str(labels[0])!r}.")
    if labels.dtype.kind == "f":
        odd = labels[(labels != np.round(labels)) | (np.abs(labels) > 2.0**53)]
        if len(odd):
            raise ValueError(f"{name}: labels must be whole numbers or text, got {odd[0]}.")
        return labels.astype(np.int64)
    return labels


def _encode(name: str, y: Array, labels: Array | None) -> Array:
    """Return y as int64 numbers of classes, positions in `labels`; as float64 if there are none."""
    if labels is None:
        if y.dtype.kind in "US":
            raise ValueError(f"{name}: regression needs numbers to predict, got the label {str(y.flat[0])!r}.")
        return y.astype(np.float64)
    places = np.minimum(np.searchsorted(labels, y), len(labels) - 1)
    strange = np.flatnonzero(labels[places] != y)
    if len(strange):
        raise ValueError(f"{name}: the label {str(y[strange[0]])!r} stands in the test part but not in the other.")
    return places.astype(np.int64)
