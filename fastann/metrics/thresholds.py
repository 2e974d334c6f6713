"""Counts of right and wrong decisions, with predictions taken as positive above each of many thresholds.

A prediction is put into the bin between two thresholds, and the counts are sums over bins: the work grows with
predictions plus thresholds, not with their product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.losses.arrays import EPSILON, Array
from fastann.losses.settings import check_number, check_whole

#: Counts of a batch, one a threshold, in the order in which all metrics keep them.
COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


def check_thresholds(thresholds: Any, default: float = 0.5) -> list[float]:
    """Return thresholds as a list; None stands for one, the default.

    Raises:
        ValueError: there is none, or one outside [0, 1].
        TypeError: one is no number.
    """
    if thresholds is None:
        return [default]
    if np.ndim(thresholds) == 0:
        return [check_number(thresholds, "thresholds", 0.0, 1.0)]
    found = [check_number(threshold, "every one of thresholds", 0.0, 1.0) for threshold in thresholds]
    if not found:
        raise ValueError("thresholds must hold at least one number in [0, 1], got none; leave them out for 0.5.")
    return found


def as_setting(thresholds: Any) -> Any:
    """Return thresholds as JSON-able data: None, a number or a list of numbers."""
    if thresholds is None or np.ndim(thresholds) == 0:
        return thresholds if thresholds is None else float(thresholds)
    return [float(threshold) for threshold in thresholds]


def even_thresholds(count: int) -> list[float]:
    """Return `count` thresholds from 0 to 1 at equal distances; a single one is 0.5."""
    return [0.5] if count == 1 else [i / (count - 1) for i in range(count)]


@dataclass(frozen=True)
class Thresholds:
    """Where predictions are cut.

    Attributes:
        values: the thresholds, in any order.
        order: int[T], sorts them.
        even: whether they run from 0 to 1 at equal distances; then bins are found by multiplying. As in Keras,
            predictions are cut to [0, 1] then, and those at a threshold are decided by the rounded product.
        wide: whether the outer ones lie a little outside [0, 1], so that no prediction is below the first.
    """

    values: tuple[float, ...]
    order: NDArray[np.intp]
    even: bool
    wide: bool

    @classmethod
    def of(cls, values: Sequence[float]) -> Thresholds:
        """Look at thresholds."""
        array = np.asarray(values, np.float64)
        grid = np.arange(len(array)) / max(len(array) - 1, 1)
        even = len(array) > 2 and np.allclose(np.clip(array, 0, 1), grid, atol=EPSILON)
        return cls(tuple(values), np.argsort(array, kind="stable"), even, bool(array[0] < 0 or array[-1] > 1))

    def exceeded(self, p: Array) -> NDArray[np.intp]:
        """Return how many thresholds each prediction exceeds; NaN exceeds none."""
        known = p == p
        if not self.even:
            ascending = np.asarray(self.values, np.float64)[self.order].astype(p.dtype)
            found: NDArray[np.intp] = np.where(known, np.searchsorted(ascending, p, side="left"), 0)
            return found
        cut = np.clip(np.where(known, p, 0), 0, 1)
        bins: NDArray[np.intp] = np.ceil(cut * p.dtype.type(len(self.values) - 1)).astype(np.intp)
        if self.wide:
            bins[known] = np.maximum(bins[known], 1)
        return bins

    def count(self, y: Array, p: Array, weights: Array, labels: int = 0) -> tuple[Array, Array, Array, Array]:
        """Return true and false positives, true and false negatives.

        Args:
            y: targets; all but 0 are positive.
            p: predictions, of the same shape.
            weights: of the same shape.
            labels: L, to count the columns of y (N, L) apart; 0 to count all entries together.

        Returns:
            float64[T] in the order of `values`, or float64[T, L].
        """
        rows, columns = len(self.values) + 1, max(labels, 1)
        bins = self.exceeded(p)
        if labels:
            bins = bins * labels + np.arange(labels)
        sides: list[Array] = []
        for chosen in (y != 0, y == 0):
            held = np.bincount(bins[chosen], weights[chosen], rows * columns).reshape(rows, columns)
            above, below = np.empty((rows - 1, columns)), np.empty((rows - 1, columns))
            above[self.order] = np.cumsum(held[:0:-1], axis=0)[::-1]
            below[self.order] = np.cumsum(held[:-1], axis=0)
            sides += [above, below] if labels else [above[:, 0], below[:, 0]]
        true_positives, false_negatives, false_positives, true_negatives = sides
        return true_positives, false_positives, true_negatives, false_negatives


def keep_best(p: Array, k: int) -> Array:
    """Return predictions with all but the k largest of the last axis at -inf; of equal ones the first count.

    Raises:
        ValueError: there are fewer than k.
    """
    if p.shape[-1] < k:
        raise ValueError(f"top_k must be at most the number of classes, {p.shape[-1]}, got {k}.")
    best = np.argsort(-p, axis=-1, kind="stable")[..., :k]
    kept = np.full_like(p, -np.inf)
    np.put_along_axis(kept, best, np.take_along_axis(p, best, axis=-1), axis=-1)
    return kept


def one_class(y: Array, p: Array, weights: Array, class_id: int) -> tuple[Array, Array, Array]:
    """Return the column of one class, with the axis for classes kept; raises ValueError if there is none."""
    if p.ndim < 2 or class_id >= p.shape[-1]:
        raise ValueError(f"class_id={class_id} needs predictions with a column for that class, got shape {p.shape}.")
    return y[..., class_id, None], p[..., class_id, None], weights[..., class_id, None]


def check_class(class_id: Any) -> int | None:
    """Return the number of a class, or None; raises unless it is one."""
    if class_id is None:
        return None
    number = check_whole(class_id, "class_id")
    if number < 0:
        raise ValueError(f"class_id must be at least 0, got {number}.")
    return number
