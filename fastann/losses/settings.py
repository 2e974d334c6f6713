"""Checks of the settings that losses and metrics share."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

DTYPES = ("float32", "float64")

#: What a loss may do with its values. "mean" is another name of "sum_over_batch_size", None of "none".
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


def check_reduction(reduction: Any) -> str | None:
    """Return `reduction`; raises ValueError unless it is one of `REDUCTIONS`."""
    if reduction is not None and not (isinstance(reduction, str) and reduction in REDUCTIONS):
        known = ", ".join(map(repr, REDUCTIONS))
        raise ValueError(f"reduction must be one of {known}, got {reduction!r}.")
    return reduction


def check_dtype(dtype: Any) -> str | None:
    """Return "float32", "float64" or None; raises ValueError for anything else."""
    name = dtype if dtype is None or isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    if name is not None and name not in DTYPES:
        raise ValueError(f"dtype must be 'float32', 'float64' or None, got {dtype!r}.")
    return name


def check_flag(value: Any, what: str) -> bool:
    """Return True or False; raises TypeError for anything else."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{what} must be True or False, got {value!r}.")
    return bool(value)


def check_whole(value: Any, what: str) -> int:
    """Return `value` as an int; raises TypeError unless it is a whole number (True is not)."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{what} must be a whole number, got {value!r}.")
    return number


def check_number(value: Any, what: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Return `value` as a float; raises unless it is a finite number in [low, high]."""
    if isinstance(value, bool | str | bytes) or np.ndim(value) != 0:
        raise TypeError(f"{what} must be a number, got {value!r}.")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{what} must be a number, got {value!r}.") from None
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError(f"{what} must be a finite number in [{low:g}, {high:g}], got {number:g}.")
    return number
