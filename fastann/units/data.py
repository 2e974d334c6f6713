"""What single units are given: a matrix and a column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.training.arrays import read_array
from fastann.training.data import check_finite, matrix, same_rows

Array = NDArray[np.float64]


def features(x: Any, columns: int | None = None) -> Array:
    """Return float64[N, columns] of an array, list or table; raises ValueError or TypeError for what is no matrix."""
    array = read_array(x, "x")
    if array.ndim != 2:
        raise ValueError(f"x must have shape (rows, columns), got {array.shape}.")
    if columns is not None and array.shape[1] != columns:
        raise ValueError(f"x must have the {columns} columns the unit was fitted on, got {array.shape[1]}.")
    made = matrix(array, np.dtype(np.float64))
    check_finite(made, array, "x")
    return made


def column(y: Any, rows: int) -> Array:
    """Return float64[rows] of targets (rows,) or (rows, 1)."""
    array = read_array(y, "y")
    if array.ndim > 2 or array.size != len(array):
        raise ValueError(f"y must have shape (rows,), one target a row, got {array.shape}.")
    same_rows(array, rows, "y", "x")
    made = matrix(array, np.dtype(np.float64))
    check_finite(made, array, "y")
    return made[:, 0]


def two_classes(y: Any, rows: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the two classes in ascending order, and for each row whether it is of the second one.

    Raises:
        ValueError: there are not just two classes.
    """
    given = np.asarray(y)
    if given.dtype.kind in "biuf":
        given = column(y, rows)
        given = given.astype(np.int64) if np.array_equal(given, np.floor(given)) else given
    elif given.ndim != 1 or len(given) != rows:
        raise ValueError(f"y must have shape ({rows},), one class a row, got {given.shape}.")
    classes = np.unique(given)
    if len(classes) != 2:
        raise ValueError(f"y must hold two classes, got {len(classes)}: {classes[:5].tolist()}.")
    return classes, given == classes[1]
