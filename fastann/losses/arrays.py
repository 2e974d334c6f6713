"""Arrays as losses and metrics see them: numbers of one float type, ranks and shapes that fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

#: What probabilities are clipped with, and what divisors are kept away from zero with (Keras' `epsilon`).
EPSILON = 1e-7

#: Overflow and undefined values show in the result as inf and NaN, as in Keras, and not also as warnings.
silent = np.errstate(over="ignore", divide="ignore", invalid="ignore")


def as_numbers(values: ArrayLike, what: str) -> Array:
    """Return `values` as an array of real numbers of whatever type they have.

    Raises:
        ValueError: rows of different lengths.
        TypeError: strings, objects, complex numbers.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{what} must be an array of numbers, got rows of different lengths.") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} must hold real numbers, got dtype {array.dtype}; convert it to numbers first.")
    return array


def as_float(values: ArrayLike, what: str, dtype: str | None = None) -> Array:
    """Return `values` as floats: of type `dtype`, or else float32 if they are float32 or float16, or else float64."""
    array = as_numbers(values, what)
    if dtype is None:
        dtype = "float32" if array.dtype in (np.float32, np.float16) else "float64"
    return array.astype(dtype, copy=False)


def match_ranks(a: Array, b: Array) -> tuple[Array, Array]:
    """Return both arrays with the same rank, where one has a last axis of length 1 more than the other.

    (N,) beside (N, 1) becomes (N, 1); otherwise the extra axis goes: (N, T, 1) beside (N, T) becomes (N, T). All other
    pairs come back as they are. The rule is that of Keras 3.
    """
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b[:, None]) if b.ndim == 1 else (a[..., 0], b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a[:, None], b) if a.ndim == 1 else (a, b[..., 0])
    return a, b


def pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Array, Array]:
    """Return targets and predictions as arrays of one shape and of the float type of `y_pred`.

    Raises:
        ValueError: the shapes differ by more than a last axis of length 1, or there is no axis at all.
    """
    p = as_float(y_pred, "y_pred")
    y, p = match_ranks(as_float(y_true, "y_true", str(p.dtype)), p)
    if y.shape != p.shape:
        raise ValueError(
            f"y_true and y_pred must have the same shape, got {y.shape} and {p.shape}; reshape one of them."
        )
    if p.ndim == 0:
        raise ValueError("y_true and y_pred must have at least one axis, got two numbers; put them into lists.")
    return y, p


def last_mean(x: Array) -> Array:
    """Return the mean over the last axis."""
    return np.asarray(x.mean(axis=-1))


def whole_axis(axis: Any, ndim: int, what: str = "y_pred") -> int:
    """Return `axis` counted from the front; raises unless an array of rank `ndim` has it."""
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"axis must be a whole number, got {axis!r}.")
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis must be one of the {ndim} axes of {what}, got {axis}; use axis=-1 for the last.")
    return int(axis) % ndim


def labels_beside(y_true: ArrayLike, y_pred: Array, axis: int = -1) -> Array:
    """Return class labels without an axis for the classes: the shape is that of `y_pred` less `axis`.

    Raises:
        ValueError: the shapes do not fit.
    """
    y = as_numbers(y_true, "y_true")
    axis = whole_axis(axis, y_pred.ndim)
    if y.ndim == y_pred.ndim and y.shape[axis] == 1:
        y = y.squeeze(axis)
    expected = y_pred.shape[:axis] + y_pred.shape[axis + 1 :]
    if y.shape != expected:
        hint = "; for one column a class use the categorical form" if y.shape == y_pred.shape else ""
        raise ValueError(
            f"y_true must hold one class label for each prediction, shape {expected} beside y_pred {y_pred.shape}, "
            f"got {y.shape}{hint}."
        )
    return y
