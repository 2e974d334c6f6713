"""Intersection over union: how well the places of a class, such as the pixels of an image, are met."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import EPSILON, Array, as_numbers, match_ranks, whole_axis
from fastann.losses.settings import check_flag, check_number, check_whole
from fastann.metrics.counts import CountingMetric, Shape, spread
from fastann.spec import register


@register("metrics")
class IoU(CountingMetric):
    """The mean over some classes of TP / (TP + FP + FN), those that neither targets nor predictions have left out.

    Labels that are no class count for nothing. Weights are used as they are, where Keras cuts them to whole numbers.

    >>> IoU(num_classes=2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1]).__round__(4)
    0.3333

    Args:
        num_classes: K.
        target_class_ids: the classes to average over.
        name, dtype: as in `Metric`.
        ignore_class: targets of this class count for nothing.
        sparse_y_true, sparse_y_pred: whether targets and predictions are labels; if not, they have a score for each
            class, of which the largest counts.
        axis: where the scores are.
    """

    counts = ("total_cm",)
    settings: ClassVar[tuple[str, ...]] = (
        "num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis",
    )  # fmt: skip

    _direction: ClassVar[str] = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        self.num_classes = check_whole(num_classes, "num_classes")
        if self.num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}.")
        self.target_class_ids = [check_whole(i, "every one of target_class_ids") for i in target_class_ids]
        if not self.target_class_ids or not all(0 <= i < self.num_classes for i in self.target_class_ids):
            raise ValueError(
                f"target_class_ids must be some of the classes 0 to {self.num_classes - 1}, got {target_class_ids!r}."
            )
        self.ignore_class = None if ignore_class is None else check_whole(ignore_class, "ignore_class")
        self.sparse_y_true = check_flag(sparse_y_true, "sparse_y_true")
        self.sparse_y_pred = check_flag(sparse_y_pred, "sparse_y_pred")
        self.axis = check_whole(axis, "axis")
        super().__init__(dtype, name)

    def count_shape(self) -> Shape:
        """Return (K, K)."""
        return (self.num_classes, self.num_classes)

    def count(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, ...]:
        """Return the confusion matrix, float64[true class, predicted class]."""
        y = self._labels(y_true, self.sparse_y_true, "y_true")
        p = self._labels(y_pred, self.sparse_y_pred, "y_pred")
        y, p = match_ranks(y, p)
        if y.shape != p.shape:
            raise ValueError(
                f"{self.name} expects a label for each prediction, got shapes {y.shape} and {p.shape}; say with "
                "sparse_y_true and sparse_y_pred what holds labels and what scores."
            )
        weights, known = spread(sample_weight, p.shape), np.ones(p.shape, bool)
        for labels in (y, p):
            known &= (labels >= 0) & (labels < self.num_classes)
        if self.ignore_class is not None:
            known &= y != self.ignore_class
        cells = y[known] * self.num_classes + p[known]
        return (np.bincount(cells, weights[known], self.num_classes**2).reshape(self.count_shape()),)

    def _labels(self, values: ArrayLike, sparse: bool, what: str) -> Array:
        """Return labels as whole numbers, NaN as -1."""
        array = as_numbers(values, what)
        if not sparse:
            return np.asarray(array.argmax(axis=whole_axis(self.axis, array.ndim, what)))
        if array.dtype.kind == "f":
            array = np.clip(np.where(np.isfinite(array), array, -1.0), -1.0, float(self.num_classes))
        return array.astype(np.int64)

    def result(self) -> float:
        """Return the mean, 0 before there are any rows."""
        matrix: Array = getattr(self, self.counts[0])
        right = np.diag(matrix)[self.target_class_ids]
        union = (matrix.sum(axis=0) + matrix.sum(axis=1) - np.diag(matrix))[self.target_class_ids]
        there = union > 1e-9
        return float((right[there] / (union[there] + EPSILON)).sum() / (there.sum() + EPSILON))


@register("metrics")
class BinaryIoU(IoU):
    """The intersection over union of two classes; predictions from the threshold on are class 1.

    >>> BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7]).__round__(4)
    0.3333

    Args:
        target_class_ids: the classes to average over, of 0 and 1.
        threshold: for predictions.
        name, dtype: as in `Metric`.
    """

    settings = ("target_class_ids", "threshold")

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = check_number(threshold, "threshold")

    def count(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, ...]:
        """Return the confusion matrix, float64[true class, predicted class]."""
        return super().count(y_true, as_numbers(y_pred, "y_pred") >= self.threshold, sample_weight)


@register("metrics")
class MeanIoU(IoU):
    """The mean intersection over union of all classes; arguments as of `IoU`.

    >>> MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1], sample_weight=[0.3, 0.3, 0.3, 0.1]).__round__(4)
    0.2381
    """

    settings: ClassVar[tuple[str, ...]] = ("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        every = range(check_whole(num_classes, "num_classes"))
        super().__init__(num_classes, every, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


@register("metrics")
class OneHotIoU(IoU):
    """`IoU` of one-hot targets, and of scores unless `sparse_y_pred`; the other arguments as of `IoU`.

    >>> OneHotIoU(2, [0])([[0, 1], [1, 0], [1, 0]], [[0.2, 0.8], [0.6, 0.4], [0.3, 0.7]]).__round__(4)
    0.5
    """

    settings = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


@register("metrics")
class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot targets, and of scores unless `sparse_y_pred`; the other arguments as of `IoU`.

    >>> OneHotMeanIoU(2)([[0, 1], [1, 0], [1, 0]], [[0.2, 0.8], [0.6, 0.4], [0.3, 0.7]]).__round__(4)
    0.5
    """

    settings = ("num_classes", "ignore_class", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
