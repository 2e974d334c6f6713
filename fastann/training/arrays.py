"""Whatever a user hands over as data, as an array of real numbers with at least one row."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from fastann_kernels.backend import Array

from fastann.training.tables import is_table, read_table

#: Extension types of floats that NumPy does not bring but converts.
_EXTENSION_FLOATS = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


def read_array(given: Any, name: str) -> Array:
    """Return `given` as an array of bools, integers or floats with N >= 1 rows; an array is not copied.

    Args:
        given: NumPy array or memory map, anything NumPy turns into one, nested list, or a pandas, polars or pyarrow
            table or column.
        name: what messages call it.

    Raises:
        TypeError: it holds something else than real numbers, or is no array.
        ValueError: it is empty, ragged, a single number, or has missing values.
    """
    _refuse(given, name)
    array = read_table(given, name) if is_table(given) else _read(given, name)
    if not (array.dtype.kind in "biuf" or array.dtype.name in _EXTENSION_FLOATS):
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}; {_hint(array, name)}.")
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array with one row a sample, got the single number {given!r}.")
    if array.size == 0:
        raise ValueError(f"{name} must have at least one row and one column, got shape {array.shape}.")
    return array


def _refuse(given: Any, name: str) -> None:
    """Raise TypeError for what is no array at all, with the reason."""
    if given is None:
        raise TypeError(f"{name} must be an array, a list or a table, got None.")
    if isinstance(given, tuple):
        raise TypeError(
            f"{name} must be one array, list or table, got a tuple of {len(given)}; "
            "pass inputs and targets as two arguments: fit(x, y)."
        )
    if isinstance(given, Mapping | str | bytes | set | frozenset):
        raise TypeError(f"{name} must be one array, list or table, got {type(given).__name__}.")
    if isinstance(given, Iterator):
        raise TypeError(f"{name} must be an array, list or table, got an iterator; collect its rows in an array first.")
    if hasattr(given, "toarray") and hasattr(given, "nnz"):
        raise TypeError(f"{name} must be dense, got a sparse matrix; use its toarray().")


def _read(given: Any, name: str) -> Array:
    # numpy.ma is not imported for the question: that takes longer than all other checks
    if "numpy.ma" in sys.modules and isinstance(given, np.ma.MaskedArray):
        if np.ma.is_masked(given):
            raise ValueError(f"{name} must have no missing values, got a masked array; fill or drop them.")
        return np.asarray(given.data)
    if isinstance(given, np.matrix):
        return np.asarray(given)
    if isinstance(given, np.ndarray):
        return given
    try:
        return np.asarray(given)
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name} must be an array of numbers, got {type(given).__name__}: {first}") from error


def _hint(array: Array, name: str) -> str:
    if array.dtype.kind == "c":
        return "split it into real and imaginary columns"
    if array.dtype.kind in "mM":
        return "turn times into numbers first"
    if array.dtype.kind in "USTO" and name.endswith("y"):
        return "encode labels as integers, for example numpy.unique(y, return_inverse=True)[1]"
    return "encode categories as numbers and drop or fill what is missing"
