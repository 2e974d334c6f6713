"""Tables and columns of pandas, polars, pyarrow and their like, as arrays, through narwhals."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from fastann_kernels.backend import Array

if TYPE_CHECKING:
    import narwhals as nw

_LIBRARIES = ("pandas", "polars", "pyarrow", "modin", "cudf", "dask", "duckdb", "ibis", "pyspark", "sqlframe")


def is_table(given: Any) -> bool:
    """Return whether an object comes from a library of tables; imports none."""
    return type(given).__module__.partition(".")[0] in _LIBRARIES


def read_table(given: Any, name: str) -> Array:
    """Return a table as an array (N, columns), a column as (N,); bools, integers and floats keep their type.

    Raises:
        TypeError: a column holds something else than numbers; the message names it.
        ValueError: a column has missing values.
    """
    import narwhals as nw

    given = _column_of(given)
    try:
        table: Any = nw.from_native(given, allow_series=True, eager_only=True)
    except TypeError:
        raise TypeError(
            f"{name} must be a table or column in memory, got {type(given).__name__}; collect or compute it first."
        ) from None
    except nw.exceptions.DuplicateError:
        raise ValueError(f"{name} must have a different name for each column; rename those that are equal.") from None
    if isinstance(table, nw.Series):
        label = f"column {table.name!r} of {name}" if table.name else name
        return _read_column(table, label)
    return _read_frame(table, name)


def _column_of(given: Any) -> Any:
    """Return the one-column objects that narwhals does not know as those it does."""
    module, kind = type(given).__module__.partition(".")[0], type(given).__name__
    if module == "pyarrow" and kind.endswith("Array") and kind != "ChunkedArray":
        return importlib.import_module("pyarrow").chunked_array([given])
    if module == "pandas" and kind.endswith("Index"):
        return given.to_series()
    return given


def _read_frame(frame: nw.DataFrame[Any], name: str) -> Array:
    columns = [frame[:, i] for i in range(frame.shape[1])]
    for column in columns:
        _check_column(column, f"column {column.name!r} of {name}")
    if len({column.dtype for column in columns}) == 1:
        array = frame.to_numpy()
        if array.dtype.kind in "biuf":
            return array
    arrays = [_values(column) for column in columns]
    if not arrays:
        return np.empty(frame.shape)
    matrix = np.empty(frame.shape, np.result_type(*arrays))
    for i, array in enumerate(arrays):
        matrix[:, i] = array
    return matrix


def _read_column(column: nw.Series[Any], label: str) -> Array:
    _check_column(column, label)
    return _values(column)


def _check_column(column: nw.Series[Any], label: str) -> None:
    import narwhals as nw

    dtype = column.dtype
    if isinstance(dtype, nw.Categorical | nw.Enum):
        raise TypeError(f"{label} must hold numbers, but is categorical; use its codes or one column a category.")
    if not (dtype.is_numeric() or isinstance(dtype, nw.Boolean)):
        raise TypeError(f"{label} must hold numbers, but has type {dtype}; encode it as numbers or leave it out.")
    missing = column.null_count()
    if missing:
        raise ValueError(f"{label} must have no missing values, but has {missing}; fill or drop them.")


def _values(column: nw.Series[Any]) -> Array:
    import narwhals as nw

    if isinstance(column.dtype, nw.Decimal):
        column = column.cast(nw.Float64)
    return column.to_numpy()
