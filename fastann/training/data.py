"""From arrays to the matrices that backends read: one row a sample, C-contiguous, in the precision of the program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from fastann_kernels.at_once import both
from fastann_kernels.backend import Array
from fastann_kernels.owners import Known, is_mapped, said_to_stay
from fastann_kernels.program import Program

Shape = tuple[int, ...]

#: Bytes looked at together when values are checked.
CHECK_BYTES = 1 << 22

#: Large read-only arrays in which no value is NaN or infinite, by the type that they were read as.
_finite = Known[np.dtype[Any]](most=8)


def copy_limit() -> int:
    """Return the bytes above which a memory map of another type is converted in pieces: a quarter of the memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    except (AttributeError, OSError, ValueError):
        return 1 << 31


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows ready for a backend.

    Attributes:
        x: (N, input columns), of the program's type or uint8; or, if `deferred`, an array (N, ...) to be converted in
            pieces.
        y: (N, target columns), or None.
        weights: (N, outputs), or None.
        deferred: whether `x` is still to be converted.
    """

    x: Array
    y: Array | None = None
    weights: Array | None = None
    deferred: bool = False

    @property
    def rows(self) -> int:
        """N."""
        return len(self.x)

    def matrix(self, dtype: np.dtype[Any]) -> Array:
        """Return all of `x` as a matrix, of `dtype` unless it is uint8."""
        return matrix(self.x, self.x.dtype if self.x.dtype == np.uint8 else dtype) if self.deferred else self.x

    def part(self, first: int, last: int) -> Dataset:
        """Return rows first to last - 1, without a copy."""
        y = None if self.y is None else self.y[first:last]
        weights = None if self.weights is None else self.weights[first:last]
        return replace(self, x=self.x[first:last], y=y, weights=weights)


def inputs(
    given: Sequence[Array], program: Program, dtype: np.dtype[Any], names: Sequence[str] = ("x",)
) -> tuple[Array, bool]:
    """Return the matrix of the network's inputs, and whether it is still to be converted piece by piece.

    Several inputs lie side by side. Of a single one, a memory map of the right type and layout stays one, and a large
    one of another type is returned as it is. uint8 stays uint8.

    Args:
        given: for each input an array as `read_array` returns it.
        program: says how many columns there are, and in which shape.
        dtype: of the program.
        names: what messages call the arrays.

    Raises:
        ValueError: a shape does not fit, or a value is NaN, infinite or too large for `dtype`.
    """
    if len(given) == 1:
        made, deferred = _input(given[0], program.values[program.inputs[0]].shape, dtype, names[0])
        _check_numbers(made, program, 0, names[0])
        return made, deferred
    wanted = np.dtype(np.uint8) if all(array.dtype == np.uint8 for array in given) else dtype
    parts = []
    for array, value, name in zip(given, program.inputs, names, strict=True):
        check_shape(array.shape, program.values[value].shape, name)
        parts.append(matrix(array, wanted))
        check_finite(parts[-1], array, name)
        _check_numbers(parts[-1], program, len(parts) - 1, name)
    return np.concatenate(parts, axis=1), False


def _check_numbers(made: Array, program: Program, place: int, name: str) -> None:
    """Raise ValueError if an embedding reads an input in which there are numbers that it has no vector for."""
    for instruction in program.instructions:
        if instruction.op == "embedding" and instruction.inputs[0] == program.inputs[place]:
            count = program.parameters[instruction.params[0]].shape[0]
            low, high = made.min(), made.max()
            if low < 0 or high >= count:
                raise ValueError(
                    f"{name} must hold whole numbers from 0 to {count - 1} for its Embedding, got "
                    f"{low if low < 0 else high:g}; raise input_dim or number the words anew."
                )


def _input(given: Array, shape: Shape, dtype: np.dtype[Any], name: str) -> tuple[Array, bool]:
    """Return the matrix of a single input, and whether it is still to be converted."""
    check_shape(given.shape, shape, name)
    wanted = given.dtype if given.dtype == np.uint8 else dtype
    if is_mapped(given) and not _fits(given, wanted) and len(given) * prod(shape) * wanted.itemsize > copy_limit():
        for first in range(0, len(given), _rows_at_once(given)):
            piece = given[first : first + _rows_at_once(given)]
            check_finite(matrix(piece, wanted), piece, name, first)
        return given, True
    made = matrix(given, wanted)
    check_finite(made, given, name)
    return made, False


def matrix(given: Array, dtype: np.dtype[Any]) -> Array:
    """Return `given` (N, ...) as a C-contiguous, aligned matrix (N, columns) of `dtype`; no copy if it is one."""
    flat = given.reshape(len(given), -1)
    if _fits(flat, dtype):
        return flat
    with np.errstate(over="ignore", invalid="ignore"):
        # a contiguous array of the right type can still lie at an odd address
        return np.require(flat, dtype, ["C", "A"])


def check_finite(made: Array, given: Array, name: str, first_row: int = 0) -> None:
    """Raise ValueError, with the place, if a value of a matrix is NaN or infinite.

    A large read-only array is looked through once.

    Args:
        made: the matrix.
        given: what it was made of, to tell a missing value from one that is too large.
        name: what messages call the array.
        first_row: row number of the first row.
    """
    if given.dtype.kind in "biu":
        return
    stays = made.nbytes >= CHECK_BYTES and said_to_stay(made)
    if stays and _finite.get(made) == made.dtype:
        return
    step = _rows_at_once(made)
    starts = range(0, len(made), step)
    middle = len(starts) // 2
    low, high = both(
        lambda: _first_bad(made, starts[:middle]),
        lambda: _first_bad(made, starts[middle:]),
        threads=made.nbytes >= 2 * CHECK_BYTES,
    )
    first = high if low is None else low
    if first is None:
        if stays:
            _finite.keep(made, made.dtype)
        return
    row, column = (int(i) for i in np.argwhere(~np.isfinite(made[first : first + step]))[0])
    value = given[first + row].reshape(-1)[column]
    where = f"row {first_row + first + row}" + (f", column {column}" if made.shape[1] > 1 else "")
    if np.isfinite(value):
        raise ValueError(
            f"{name} must fit into {made.dtype}, got {value} in {where}; scale the data or use precision='float64'."
        )
    raise ValueError(f"{name} must be finite, got {value} in {where}; fill or drop missing values.")


def _first_bad(matrix: Array, starts: range) -> int | None:
    """Return where the first of some chunks begins in which a value is NaN or infinite; None if there is none."""
    with np.errstate(all="ignore"):
        for first in starts:
            chunk = matrix[first : first + starts.step]
            # one pass over memory; an infinite sum may still come from finite values
            if not (np.isfinite(chunk.sum()) or np.isfinite(chunk).all()):
                return first
    return None


def same_rows(given: Array, rows: int, name: str, other: str) -> None:
    """Raise ValueError unless an array has `rows` rows."""
    if len(given) != rows:
        raise ValueError(f"{name} must have as many rows as {other}, {rows}, got {len(given)}.")


def check_shape(given: Shape, shape: Shape, name: str) -> None:
    """Raise ValueError unless rows of `given` are rows of `shape`, give or take a last axis of length 1."""
    row = given[1:]
    if row == shape or (*row, 1) == shape or row == (*shape, 1):
        return
    if prod(row) == prod(shape):
        hint = f"reshape it: {name}.reshape({', '.join(map(str, (-1, *shape)))})"
        hint += ", or begin the model with Flatten" if len(shape) == 1 < len(row) else ""
    elif len(row) == 0 and prod(shape) == given[0]:
        hint = f"for a single row use {name}.reshape({', '.join(map(str, (1, *shape)))})"
    else:
        hint = "give the first layer the shape of the data, or select the columns it was made for"
    wanted = f"({', '.join(['rows', *map(str, shape)])})"
    raise ValueError(f"{name} must have shape {wanted}, got {given}; {hint}.")


def _fits(given: Array, dtype: np.dtype[Any]) -> bool:
    return bool(given.dtype == dtype and given.flags.c_contiguous and given.flags.aligned)


def _rows_at_once(array: Array) -> int:
    return max(1, int(CHECK_BYTES // max(1, array[:1].nbytes)))
