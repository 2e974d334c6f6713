"""The harmonic mean of precision and recall, class by class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import EPSILON, Array, pair
from fastann.losses.settings import check_number
from fastann.metrics.counts import CountingMetric, spread
from fastann.spec import register

AVERAGES = (None, "micro", "macro", "weighted")

#: A largest score of a row that is no larger than this is no prediction.
_NOTHING = 1e-9


@register("metrics")
class FBetaScore(CountingMetric):
    """The F score (1 + b^2) P R / (b^2 P + R) of precision P and recall R, for rows of classes or of labels.

    Targets and predictions are (N, classes). Without a threshold the largest prediction of a row counts, which for a
    single column is every row: give a threshold there. Divisors are kept from 0 by 1e-7, as in Keras.

    >>> y = [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    >>> p = [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]
    >>> FBetaScore(beta=2.0, threshold=0.5)(y, p).round(4)
    array([0.3846, 0.9091, 0.8333])

    Args:
        average: None for a score a class, "micro" for that of all counts together, "macro" for the mean of the scores,
            "weighted" for their mean weighted by how often each class is the target.
        beta: b > 0, how many times as much recall counts as precision.
        threshold: in (0, 1]; predictions above it count, however many a row. None for the largest of each row.
        name, dtype: as in `Metric`.
    """

    counts = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
    settings: ClassVar[tuple[str, ...]] = ("average", "beta", "threshold")

    _direction: ClassVar[str] = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: str | None = None,
    ) -> None:
        if average not in AVERAGES:
            raise ValueError(f"average must be one of {', '.join(map(repr, AVERAGES))}, got {average!r}.")
        self.average = average
        self.beta = check_number(beta, "beta", 0.0)
        self.threshold = None if threshold is None else check_number(threshold, "threshold", 0.0, 1.0)
        if self.beta == 0 or self.threshold == 0:
            raise ValueError(f"beta and threshold must be larger than 0, got {beta!r} and {threshold!r}.")
        super().__init__(dtype, name)

    def count(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, ...]:
        """Return true and false positives, false negatives and targets of each class."""
        y, p = pair(y_true, y_pred)
        if p.ndim != 2:
            raise ValueError(f"an F score expects targets and predictions of shape (N, classes), got {p.shape}.")
        if self.threshold is None:
            chosen = (p >= p.max(axis=-1, keepdims=True)) & (np.abs(p) > _NOTHING)
        else:
            chosen = p > self.threshold
        target, weights = y.astype(np.float64), spread(sample_weight, p.shape)
        parts = chosen * target, chosen * (1 - target), ~chosen * target, target
        return tuple((part * weights).sum(axis=0) for part in parts)

    def result(self) -> float | Array:
        """Return the score, or one a class if there is no average; 0 before there are any rows."""
        tp, fp, fn, targets = (getattr(self, name) for name in self.counts)
        if tp.ndim == 0:
            return 0.0
        if self.average == "micro":
            tp, fp, fn = tp.sum(), fp.sum(), fn.sum()
        precision, recall = tp / (tp + fp + EPSILON), tp / (tp + fn + EPSILON)
        b = self.beta**2
        scores = (1 + b) * precision * recall / (b * precision + recall + EPSILON)
        if self.average == "weighted":
            return float((scores * targets).sum() / (targets.sum() + EPSILON))
        return np.asarray(scores) if self.average is None else float(np.mean(scores))


@register("metrics")
class F1Score(FBetaScore):
    """The F score 2 P R / (P + R), in which precision and recall count the same; arguments as of `FBetaScore`.

    >>> F1Score(average="macro")([[1, 0], [0, 1], [0, 1]], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]).__round__(4)
    0.6667
    """

    settings = ("average", "threshold")

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)
