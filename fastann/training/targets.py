"""Targets: their shape, their range, and the classes they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastann_kernels.backend import Array
from fastann_kernels.program import Loss, Program
from numpy.typing import NDArray

from fastann.training.data import check_finite, matrix

#: Losses whose targets are classes, or degrees of belonging to them.
PROBABILITIES = frozenset({"binary_crossentropy", "categorical_crossentropy"})


def targets(given: Array, program: Program, dtype: np.dtype[Any], name: str = "y") -> Array:
    """Return the matrix of targets (N, target columns), checked against the loss.

    Args:
        given: as `read_array` returns it. (N,) is taken for (N, 1).
        program: with one loss.
        dtype: of the program.
        name: what messages call the array.

    Raises:
        ValueError: shape, labels or range do not fit the loss, or a value is not finite.
    """
    if len(program.losses) != 1:
        raise ValueError(f"{name} must be given for a model with one loss, but this one has {len(program.losses)}.")
    loss = program.losses[0]
    _check_shape(given.shape, loss, program.values[loss.prediction].shape, name)
    made = matrix(given, dtype)
    check_finite(made, given, name)
    if loss.sparse:
        _check_labels(made, program.values[loss.prediction].shape[-1], name)
    elif loss.op in PROBABILITIES:
        _check_probabilities(made, loss.op, name)
    return made


def class_labels(made: Array, program: Program) -> NDArray[np.int64] | None:
    """Return int64[N], the class of each row of targets; None if the loss knows no classes or the values are none.

    One column holds labels; of several, each for a class, the largest counts.
    """
    loss = program.losses[0]
    if made.shape[1] > 1:
        return None if loss.sparse or len(loss.target_shape) != 1 else made.argmax(axis=1).astype(np.int64)
    labels = made[:, 0]
    return labels.astype(np.int64) if np.array_equal(labels, np.floor(labels)) else None


def class_count(program: Program) -> int:
    """Return how many classes the output of a network tells apart: one a column, two with a single column."""
    return max(2, program.values[program.losses[0].prediction].shape[-1])


def _check_shape(given: tuple[int, ...], loss: Loss, output: tuple[int, ...], name: str) -> None:
    row, wanted = given[1:], loss.target_shape
    if row == wanted or (*row, 1) == wanted or row == (*wanted, 1):
        return
    hint = "change the last layer or the targets"
    if loss.sparse and row == output:
        hint = "for one column a class use loss='categorical_crossentropy'"
    elif not loss.sparse and output[-1:] > (1,) and row in (output[:-1], (*output[:-1], 1)):
        hint = "for integer labels use loss='sparse_categorical_crossentropy' or fastann.utils.to_categorical"
    expected = f"({', '.join(['rows', *map(str, wanted)])})"
    raise ValueError(f"{name} must have shape {expected} for loss {loss.op!r}, got {given}; {hint}.")


def _check_labels(made: Array, classes: int, name: str) -> None:
    low, high = made.min(), made.max()
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise ValueError(
            f"{name} must hold labels from 0 to {classes - 1}, got {wrong:g}; shift the labels or give the last layer "
            "one unit a class."
        )
    fractional = made != np.floor(made)
    if fractional.any():
        raise ValueError(
            f"{name} must hold whole numbers as labels, got {made[fractional][0]:g}; round or encode them."
        )


def _check_probabilities(made: Array, op: str, name: str) -> None:
    low, high = made.min(), made.max()
    if low < 0 or high > 1:
        wrong = low if low < 0 else high
        raise ValueError(
            f"{name} must lie between 0 and 1 for loss {op!r}, got {wrong:g}; "
            "recode the classes or choose another loss."
        )
