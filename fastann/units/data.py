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
    _check_column(array, rows)
    made = matrix(array, np.dtype(np.float64))
    check_finite(made, array, "y")
    return made[:, 0]


def labels(y: Any, rows: int) -> NDArray[Any]:
    """Return the class of each row, (rows,), of strings or numbers (rows,) or (rows, 1); whole numbers as integers.

    Raises:
        ValueError, TypeError: they are of another shape, or neither all strings nor all numbers.
    """
    names = _strings(y)
    if names is not None:
        _check_column(names, rows)
        return names.reshape(-1)
    numbers = column(y, rows)
    return numbers.astype(np.int64) if np.array_equal(numbers, np.floor(numbers)) else numbers


def two_classes(y: Any, rows: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the two classes in ascending order, and for each row whether it is of the second one.

    Raises:
        ValueError, TypeError: `labels` refuses them, or there are not just two classes.
    """
    given = labels(y, rows)
    classes = np.unique(given)
    if len(classes) != 2:
        raise ValueError(f"y must hold two classes, got {len(classes)}: {classes[:5].tolist()}.")
    return classes, given == classes[1]


def _strings(y: Any) -> NDArray[np.str_] | None:
    """Return an array of strings as such, None for everything else."""
    try:
        given = np.asarray(y)
    except ValueError:  # ragged: `column` says so
        return None
    if given.ndim == 0 or not (given.dtype.kind == "U" or all(isinstance(value, str) for value in given.flat)):
        return None
    # NumPy turns numbers among strings into strings
    if isinstance(y, list) and given.ndim == 1 and not all(isinstance(value, str) for value in y):
        raise TypeError("y must hold either strings or numbers, got a list of both; give every class a string.")
    return given.astype(np.str_)


def _check_column(array: NDArray[Any], rows: int) -> None:
    """Raise ValueError unless an array has one value for each of `rows` rows."""
    if array.ndim > 2 or array.size != len(array):
        raise ValueError(f"y must have shape (rows,), one target a row, got {array.shape}.")
    same_rows(array, rows, "y", "x")
