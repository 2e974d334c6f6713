"""How much each row counts: sample weights times class weights."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastann_kernels.backend import Array
from fastann_kernels.program import Program
from numpy.typing import NDArray

from fastann.training.arrays import read_array
from fastann.training.data import check_finite, matrix, same_rows
from fastann.training.targets import class_count, class_labels


def sample_weights(
    given: Sequence[Any], rows: int, dtype: np.dtype[Any], names: Sequence[str] = ("sample_weight",)
) -> Array | None:
    """Return weights (N, outputs); None if no output has any.

    Args:
        given: for each output N finite numbers, none below 0, or None for ones.
        rows: N.
        dtype: of the program.
        names: what messages call them.
    """
    if all(weights is None for weights in given):
        return None
    columns = [
        np.ones((rows, 1), dtype) if weights is None else _column(weights, rows, dtype, name)
        for weights, name in zip(given, names, strict=True)
    ]
    return np.ascontiguousarray(np.concatenate(columns, axis=1))


def _column(given: Any, rows: int, dtype: np.dtype[Any], name: str) -> Array:
    array = read_array(given, name)
    if array.ndim > 2 or (array.ndim == 2 and array.shape[1] != 1):
        raise ValueError(f"{name} must have shape (rows,), one number a row, got {array.shape}.")
    same_rows(array, rows, name, "x")
    column = matrix(array, dtype)
    check_finite(column, array, name)
    if column.min() < 0:
        raise ValueError(f"{name} must not be negative, got {column.min():g}.")
    return column


def with_class_weights(weights: Array | None, class_weight: Any, y: Array, program: Program) -> Array | None:
    """Multiply weights (N, outputs) by the weight of each row's class.

    Args:
        weights: None for ones.
        class_weight: a dict from label to weight, where a missing class counts 1; "balanced" for
            n / (classes * rows of the class); or None.
        y: targets (N, target columns).
        program: with one loss.

    Raises:
        TypeError, ValueError: labels or weights are none, the targets have no classes, or there are several losses.
    """
    if class_weight is None:
        return weights
    if len(program.outputs) > 1:
        raise ValueError(
            f"class_weight expects a model with one output, got one with {len(program.outputs)}; give each output its "
            "sample_weight instead."
        )
    if not isinstance(class_weight, Mapping) and not (isinstance(class_weight, str) and class_weight == "balanced"):
        raise TypeError(f"class_weight must be a dict from label to weight or 'balanced', got {class_weight!r}.")
    labels = class_labels(y, program)
    if labels is None:
        raise ValueError("class_weight needs one class a row, but y has other values; use sample_weight instead.")
    factors = _balanced(labels) if isinstance(class_weight, str) else _given(class_weight, labels, program)
    factors = factors.astype(y.dtype)[:, None]
    made = np.repeat(factors, len(program.outputs), axis=1) if weights is None else weights * factors
    return np.ascontiguousarray(made)


def _balanced(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    classes, positions, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = len(labels) / (len(classes) * counts.astype(np.float64))
    return weights[positions]


def _given(class_weight: Mapping[Any, Any], labels: NDArray[np.int64], program: Program) -> NDArray[np.float64]:
    factors = np.ones(len(labels))
    classes = class_count(program)
    for label, weight in class_weight.items():
        number = _label(label)
        if not 0 <= number < classes and number not in labels:
            raise ValueError(f"class_weight must have labels from 0 to {classes - 1}, got {number}.")
        factors[labels == number] = _weight(weight, number)
    return factors


def _label(label: Any) -> int:
    try:
        return operator.index(label)
    except TypeError:
        raise TypeError(f"class_weight must have whole numbers as labels, got {label!r}.") from None


def _weight(weight: Any, label: int) -> float:
    try:
        number = math.nan if isinstance(weight, str | bytes) else float(weight)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(
            f"class_weight must have finite weights that are not negative, got {weight!r} for label {label}."
        )
    return number
