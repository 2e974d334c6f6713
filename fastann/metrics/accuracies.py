"""Accuracies: how often predictions are right."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import Array, as_float, labels_beside, pair
from fastann.losses.settings import check_flag, check_number, check_whole
from fastann.metrics.reductions import MeanOfFunction
from fastann.spec import register


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return 1 where a prediction equals its target and 0 elsewhere.

    >>> accuracy([1, 2], [1, 0])
    array([1., 0.])
    """
    y, p = pair(y_true, y_pred)
    return np.asarray(y == p, np.float64)


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> Array:
    """Return 1 where the prediction, taken as 1 above the threshold and as 0 else, equals its target.

    >>> binary_accuracy([1, 0], [0.7, 0.6])
    array([1., 0.])
    """
    y, p = pair(y_true, y_pred)
    return np.asarray((p > threshold) == y, np.float64)


def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return 1 where the largest entry of the last axis stands at the same place in both, the first of equal ones.

    >>> categorical_accuracy([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]])
    array([1., 0.])
    """
    y, p = pair(y_true, y_pred)
    return np.asarray(y.argmax(axis=-1) == p.argmax(axis=-1), np.float64)


def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return 1 where the largest entry of the last axis stands at the place that the label says.

    >>> sparse_categorical_accuracy([1, 0], [[0.2, 0.8], [0.4, 0.6]])
    array([1., 0.])
    """
    p = as_float(y_pred, "y_pred")
    return np.asarray(labels_beside(y_true, p) == p.argmax(axis=-1), np.float64)


def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """Return 1 where the class of the largest target is among the k best predictions; see the sparse form.

    >>> top_k_categorical_accuracy([[0, 0, 1]], [[0.1, 0.5, 0.4]], k=2)
    array([1.])
    """
    y, p = pair(y_true, y_pred)
    return sparse_top_k_categorical_accuracy(y.argmax(axis=-1), p, k)


def sparse_top_k_categorical_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, k: int = 5, from_sorted_ids: bool = False
) -> Array:
    """Return 1 where fewer than k predictions are larger than that of the label's class: ties count in its favour.

    Args:
        y_true: class labels.
        y_pred: a score for each class on the last axis.
        k: how many count as best.
        from_sorted_ids: `y_pred` holds labels on the last axis, the best first, in place of scores.

    >>> sparse_top_k_categorical_accuracy([2], [[0.1, 0.5, 0.4]], k=2)
    array([1.])
    """
    p = as_float(y_pred, "y_pred")
    y = labels_beside(y_true, p)[..., None]
    if from_sorted_ids:
        return np.asarray((p[..., :k] == y).any(axis=-1), np.float64)
    known = (y >= 0) & (y < p.shape[-1])
    score = np.take_along_axis(p, np.where(known, y, 0).astype(np.intp), axis=-1)
    hit = known & (score == score) & ((p > score).sum(axis=-1, keepdims=True) < k)
    return np.asarray(hit[..., 0], np.float64)


@register("metrics")
class Accuracy(MeanOfFunction):
    """How often predictions equal targets; see `accuracy`."""

    op = "accuracy"

    def __init__(self, name: str | None = "accuracy", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> ArrayLike:
        return accuracy(y_true, y_pred)


@register("metrics")
class BinaryAccuracy(MeanOfFunction):
    """How often predictions fall on the right side of a threshold; see `binary_accuracy`.

    >>> BinaryAccuracy()([1, 0, 0], [0.7, 0.6, 0.2], sample_weight=[1, 0, 1])
    1.0
    """

    op = "binary_accuracy"
    settings = ("threshold",)

    def __init__(self, name: str | None = "binary_accuracy", dtype: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name, dtype)
        self.threshold = check_number(threshold, "threshold")

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> ArrayLike:
        return binary_accuracy(y_true, y_pred, self.threshold)


@register("metrics")
class CategoricalAccuracy(MeanOfFunction):
    """How often the largest prediction is that of the target's class; see `categorical_accuracy`."""

    op = "categorical_accuracy"

    def __init__(self, name: str | None = "categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> ArrayLike:
        return categorical_accuracy(y_true, y_pred)


@register("metrics")
class SparseCategoricalAccuracy(MeanOfFunction):
    """How often the largest prediction is that of the label's class; see `sparse_categorical_accuracy`."""

    op = "sparse_categorical_accuracy"

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> ArrayLike:
        return sparse_categorical_accuracy(y_true, y_pred)


@register("metrics")
class TopKCategoricalAccuracy(MeanOfFunction):
    """How often the target's class is among the k best predictions; see `top_k_categorical_accuracy`."""

    op = "top_k_categorical_accuracy"
    settings = ("k",)

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(name, dtype)
        self.k = _positive(k)

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> ArrayLike:
        return top_k_categorical_accuracy(y_true, y_pred, self.k)


@register("metrics")
class SparseTopKCategoricalAccuracy(MeanOfFunction):
    """How often the label's class is among the k best predictions; see `sparse_top_k_categorical_accuracy`.

    A program computes it from scores only, not with `from_sorted_ids`.
    """

    settings = ("k", "from_sorted_ids")

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: str | None = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        self.k = _positive(k)
        self.from_sorted_ids = check_flag(from_sorted_ids, "from_sorted_ids")
        self.op = None if self.from_sorted_ids else "sparse_top_k_categorical_accuracy"

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> ArrayLike:
        return sparse_top_k_categorical_accuracy(y_true, y_pred, self.k, self.from_sorted_ids)


def _positive(k: int) -> int:
    k = check_whole(k, "k")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    return k
