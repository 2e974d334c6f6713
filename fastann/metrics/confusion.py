"""Right and wrong decisions of two classes: their numbers, precision and recall."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from fastann.losses.arrays import Array, pair
from fastann.losses.settings import check_whole
from fastann.metrics.counts import CountingMetric, Shape, number_or_row, share, spread
from fastann.metrics.thresholds import (
    COUNTS,
    Thresholds,
    as_setting,
    check_class,
    check_thresholds,
    keep_best,
    one_class,
)
from fastann.spec import register


class DecisionMetric(CountingMetric):
    """What right and wrong decisions have in common: predictions count as positive above each threshold.

    Args:
        thresholds: a number in [0, 1] or a sequence of them, with a result for each; None means 0.5.
        name, dtype: as in `Metric`.
        top_k: only the k largest predictions of a row can be positive; without thresholds they all are.
        class_id: look at this column only.
    """

    def __init__(
        self,
        thresholds: Any = None,
        name: str | None = None,
        dtype: str | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
    ) -> None:
        self.top_k = None if top_k is None else check_whole(top_k, "top_k")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}.")
        self.class_id = check_class(class_id)
        self.thresholds = check_thresholds(thresholds, 0.5 if top_k is None else -math.inf)
        self.init_thresholds = as_setting(thresholds)
        self._cuts = Thresholds.of(self.thresholds)
        super().__init__(dtype, name)

    def count_shape(self) -> Shape:
        """Return (T,)."""
        return (len(self.thresholds),)

    def count(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, ...]:
        """Return those of the four counts that `counts` names."""
        y, p = pair(y_true, y_pred)
        weights = spread(sample_weight, p.shape)
        if self.top_k is not None:
            p = keep_best(p, self.top_k)
        if self.class_id is not None:
            y, p, weights = one_class(y, p, weights, self.class_id)
        found = dict(zip(COUNTS, self._cuts.count(y, p, weights), strict=True))
        return tuple(found[name] for name in self.counts)

    def get_config(self) -> dict[str, Any]:
        """Return the settings as JSON-able data."""
        return super().get_config() | {"thresholds": self.init_thresholds}


class DecisionCount(DecisionMetric):
    """How many decisions are of one kind; subclasses say of which."""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(thresholds, name, dtype)

    def result(self) -> float | Array:
        """Return the weighted number; an array for several thresholds."""
        return number_or_row(getattr(self, self.counts[0]))


@register("metrics")
class TruePositives(DecisionCount):
    """How many positive targets are predicted as positive.

    >>> TruePositives()([0, 1, 1, 1], [1, 0, 1, 1])
    2.0
    """

    counts = ("true_positives",)


@register("metrics")
class TrueNegatives(DecisionCount):
    """How many other targets are predicted as such.

    >>> TrueNegatives()([0, 1, 0, 0], [1, 1, 0, 0])
    2.0
    """

    counts = ("true_negatives",)


@register("metrics")
class FalsePositives(DecisionCount):
    """How many other targets are predicted as positive.

    >>> FalsePositives(thresholds=[0.1, 0.5])([0, 1, 0, 0], [0.2, 0.8, 0.9, 0.3])
    array([3., 1.])
    """

    counts = ("false_positives",)


@register("metrics")
class FalseNegatives(DecisionCount):
    """How many positive targets are not predicted as such.

    >>> FalseNegatives()([0, 1, 1, 1], [0, 1, 0, 0], sample_weight=[0, 0, 1, 0])
    1.0
    """

    counts = ("false_negatives",)


class DecisionShare(DecisionMetric):
    """The share of true positives in some of the rows; subclasses say in which."""

    settings = ("thresholds", "top_k", "class_id")

    _direction: ClassVar[str] = "up"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(thresholds, name, dtype, top_k, class_id)

    def result(self) -> float | Array:
        """Return the share, 0 of no rows; an array for several thresholds."""
        right, wrong = (getattr(self, name) for name in self.counts)
        return number_or_row(share(right, right + wrong))


@register("metrics")
class Precision(DecisionShare):
    """The share of what is predicted as positive that is: TP / (TP + FP).

    >>> Precision()([0, 1, 1, 1], [0.9, 0.2, 0.8, 0.7]).__round__(4)
    0.6667

    Args:
        thresholds: a number in [0, 1] or a sequence of them, with a result for each; None means 0.5.
        top_k: only the k largest predictions of a row can be positive; without thresholds they all are.
        class_id: look at this column only.
        name, dtype: as in `Metric`.
    """

    counts = ("true_positives", "false_positives")


@register("metrics")
class Recall(DecisionShare):
    """The share of what is positive that is predicted as such: TP / (TP + FN); arguments as of `Precision`.

    >>> Recall(top_k=1)([[0, 1, 1], [1, 0, 0]], [[0.1, 0.5, 0.4], [0.2, 0.3, 0.5]]).__round__(4)
    0.3333
    """

    counts = ("true_positives", "false_negatives")
