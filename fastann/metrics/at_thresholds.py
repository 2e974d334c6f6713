"""The best of one rate over all thresholds at which another is good enough."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import Array, pair
from fastann.losses.settings import check_number, check_whole
from fastann.metrics.counts import CountingMetric, Shape, share, spread
from fastann.metrics.thresholds import COUNTS, Thresholds, check_class, even_thresholds, one_class
from fastann.spec import register


class RateAtRate(CountingMetric):
    """max over thresholds of one rate, where another is at least `value`; 0 where it never is.

    Args:
        value: in [0, 1].
        setting: the name of `value` in the configuration.
        num_thresholds: T, from 0 to 1 at equal distances.
        class_id: look at this column only.
        name, dtype: as in `Metric`.
    """

    counts = COUNTS

    _direction: ClassVar[str] = "up"

    #: Numerator and denominator of the rate to keep up, and of the one to return.
    kept: ClassVar[tuple[str, str]]
    best: ClassVar[tuple[str, str]]

    def __init__(
        self, value: float, setting: str, num_thresholds: int, class_id: int | None, name: str | None, dtype: str | None
    ) -> None:
        self.value = check_number(value, setting, 0.0, 1.0)
        self.num_thresholds = check_whole(num_thresholds, "num_thresholds")
        if self.num_thresholds < 1:
            raise ValueError(f"num_thresholds must be at least 1, got {num_thresholds}.")
        self.class_id = check_class(class_id)
        self.thresholds = even_thresholds(self.num_thresholds)
        self._cuts = Thresholds.of(self.thresholds)
        super().__init__(dtype, name)

    def count_shape(self) -> Shape:
        """Return (T,)."""
        return (self.num_thresholds,)

    def count(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, ...]:
        """Return the four counts."""
        y, p = pair(y_true, y_pred)
        weights = spread(sample_weight, p.shape)
        if self.class_id is not None:
            y, p, weights = one_class(y, p, weights, self.class_id)
        return self._cuts.count(y, p, weights)

    def result(self) -> float:
        """Return the best rate, 0 before there are any rows."""
        kept, best = (share(part, part + rest) for part, rest in map(self._counts_of, (self.kept, self.best)))
        return float(np.max(np.where(kept >= self.value, best, 0.0)))

    def _counts_of(self, names: tuple[str, str]) -> tuple[Array, Array]:
        return getattr(self, names[0]), getattr(self, names[1])


SENSITIVITY = RECALL = ("true_positives", "false_negatives")
SPECIFICITY = ("true_negatives", "false_positives")
PRECISION = ("true_positives", "false_positives")


@register("metrics")
class SensitivityAtSpecificity(RateAtRate):
    """The best TP / (TP + FN) with TN / (TN + FP) >= `specificity`.

    >>> SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    0.5
    """

    settings = ("specificity", "num_thresholds", "class_id")
    kept, best = SPECIFICITY, SENSITIVITY

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(specificity, "specificity", num_thresholds, class_id, name, dtype)
        self.specificity = self.value


@register("metrics")
class SpecificityAtSensitivity(RateAtRate):
    """The best TN / (TN + FP) with TP / (TP + FN) >= `sensitivity`.

    >>> SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]).__round__(4)
    0.6667
    """

    settings = ("sensitivity", "num_thresholds", "class_id")
    kept, best = SENSITIVITY, SPECIFICITY

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(sensitivity, "sensitivity", num_thresholds, class_id, name, dtype)
        self.sensitivity = self.value


@register("metrics")
class PrecisionAtRecall(RateAtRate):
    """The best TP / (TP + FP) with TP / (TP + FN) >= `recall`.

    >>> PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    0.5
    """

    settings = ("recall", "num_thresholds", "class_id")
    kept, best = RECALL, PRECISION

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(recall, "recall", num_thresholds, class_id, name, dtype)
        self.recall = self.value


@register("metrics")
class RecallAtPrecision(RateAtRate):
    """The best TP / (TP + FN) with TP / (TP + FP) >= `precision`.

    >>> RecallAtPrecision(0.8)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    0.5
    """

    settings = ("precision", "num_thresholds", "class_id")
    kept, best = PRECISION, RECALL

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(precision, "precision", num_thresholds, class_id, name, dtype)
        self.precision = self.value
