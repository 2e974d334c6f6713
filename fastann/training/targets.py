"""Targets: their shape, their range, and the classes they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastann_kernels.backend import Array
from fastann_kernels.program import Loss, Program
from numpy.typing import NDArray

from fastann.training.data import check_finite, matrix

#: Losses whose targets are classes, or degrees of belonging to them.
PROBABILITIES = frozenset({"binary_crossentropy", "categorical_crossentropy"})


@dataclass(frozen=True)
class Target:
    """What is known of the targets of one output: the shape of a row and whether they are whole numbers."""

    shape: tuple[int, ...] = ()
    is_integer: bool = False


def targets(
    given: Sequence[Array | None], program: Program, dtype: np.dtype[Any], names: Sequence[str] = ("y",)
) -> Array:
    """Return the matrix of targets (N, target columns), each loss's beside the other's, checked against the losses.

    Args:
        given: for each output an array as `read_array` returns it, where (N,) is taken for (N, 1), or None.
        program: with a loss for each output that has targets.
        dtype: of the program.
        names: what messages call the array of each output.

    Raises:
        ValueError: shape, labels or range do not fit a loss, a value is not finite, or targets are missing.
    """
    parts = []
    for loss in program.losses:
        array, name = given[loss.weight_column], names[loss.weight_column]
        if array is None:
            raise ValueError(f"{name} must be given, since its output has a loss.")
        parts.append(_checked(array, loss, program, dtype, name))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _checked(given: Array, loss: Loss, program: Program, dtype: np.dtype[Any], name: str) -> Array:
    """Return the targets of one loss as a matrix."""
    _check_shape(given.shape, loss, program.values[loss.prediction].shape, name)
    made = matrix(given, dtype)
    check_finite(made, given, name)
    if loss.sparse:
        _check_labels(made, program.values[loss.prediction].shape[-1], name)
    elif loss.op in PROBABILITIES:
        _check_probabilities(made, loss.op, name)
    return made


def class_labels(made: Array, program: Program) -> NDArray[np.int64] | None:
    """Return int64[N], the class of each row of targets; None if the values are none, or there are several losses.

    One column holds labels; of several, each for a class, the largest counts.
    """
    if len(program.losses) != 1:
        return None
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
