"""The area under a curve of decisions at many thresholds: receiver operating characteristic or precision and recall."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import EPSILON, Array, as_float, pair
from fastann.losses.settings import check_flag, check_number, check_whole
from fastann.metrics.counts import CountingMetric, Shape, share, spread
from fastann.metrics.thresholds import COUNTS, Thresholds, as_setting, check_thresholds, even_thresholds
from fastann.spec import register

CURVES = ("ROC", "PR", "PRGAIN")
SUMMATIONS = ("interpolation", "minoring", "majoring")


@register("metrics")
class AUC(CountingMetric):
    """The area under a curve, from counts at `num_thresholds` thresholds: exact up to 1 / num_thresholds or so.

    ROC: true positive rate over false positive rate. PR: precision over recall. PRGAIN: the gains of both (Flach & Kull
    2015). A prediction is positive where it exceeds the threshold. `fastann.evaluation.roc_curve` gives the exact area,
    from all rows at once.

    >>> AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    0.75

    Args:
        num_thresholds: T, the outer ones, just below 0 and just above 1, included.
        curve: "ROC", "PR" or "PRGAIN".
        summation_method: the height between two thresholds: "interpolation" (the mean; for "PR" counts are
            interpolated, not their ratio, Davis & Goadrich 2006), "minoring" (the lower) or "majoring" (the higher).
        name, dtype: as in `Metric`.
        thresholds: numbers in [0, 1] in place of `num_thresholds`; the outer two are added.
        multi_label: the area of each column of (N, L), and the mean of these; else all entries are counted together.
        num_labels: L, if `multi_label`; by default that of the first batch.
        label_weights: weights of the columns: of the areas if `multi_label`, else of the counts.
        from_logits: predictions go through the sigmoid first.
    """

    counts = COUNTS
    settings = ("curve", "summation_method", "multi_label", "num_labels", "label_weights", "from_logits")

    _direction: ClassVar[str] = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | None = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        self.init_thresholds = as_setting(thresholds)
        if thresholds is None:
            self.num_thresholds = check_whole(num_thresholds, "num_thresholds")
            if self.num_thresholds < 2:
                raise ValueError(f"num_thresholds must be at least 2, got {num_thresholds}.")
            inner = even_thresholds(self.num_thresholds)[1:-1]
        else:
            inner = sorted(check_thresholds(thresholds))
            self.num_thresholds = len(inner) + 2
        self.thresholds = [-EPSILON, *inner, 1.0 + EPSILON]
        self._cuts = Thresholds.of(self.thresholds)
        self.curve = _one_of(curve, CURVES, "curve", (str.upper, str.lower))
        self.summation_method = _one_of(summation_method, SUMMATIONS, "summation_method", (str.lower, str.capitalize))
        self.multi_label = check_flag(multi_label, "multi_label")
        self.num_labels = None if num_labels is None else check_whole(num_labels, "num_labels")
        if self.num_labels is not None and not self.multi_label:
            raise ValueError("num_labels must be None unless multi_label is True; leave it out.")
        self.label_weights = _check_weights(label_weights)
        self.from_logits = check_flag(from_logits, "from_logits")
        super().__init__(dtype, name)

    def count_shape(self) -> Shape:
        """Return (T,), or (T, L) where labels are counted apart."""
        if self.multi_label:
            return (self.num_thresholds, self.num_labels) if self.num_labels else ()
        return (self.num_thresholds,)

    def count(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, ...]:
        """Return the four counts."""
        y, p = pair(y_true, y_pred)
        if self.multi_label and p.ndim != 2:
            raise ValueError(f"multi_label expects predictions of shape (N, labels), got {p.shape}.")
        if self.num_labels not in (None, p.shape[-1]):
            raise ValueError(f"num_labels={self.num_labels} needs a column for each label, got shape {p.shape}.")
        weights = spread(sample_weight, p.shape)
        if self.label_weights is not None:
            if p.ndim < 2 or len(self.label_weights) != p.shape[-1]:
                raise ValueError(
                    f"label_weights must have one number for each label, got {len(self.label_weights)} for predictions "
                    f"of shape {p.shape}."
                )
            if not self.multi_label:
                weights = weights * np.asarray(self.label_weights)
        if self.from_logits:
            p = 0.5 + 0.5 * np.tanh(0.5 * p)
        return self._cuts.count(y, p, weights, p.shape[-1] if self.multi_label else 0)

    def result(self) -> float:
        """Return the area; 0 before there are any rows."""
        counts = [getattr(self, name) for name in self.counts]
        if counts[0].ndim == 0:
            return 0.0
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = _interpolated(counts[0], counts[1], counts[3])
        else:
            x, y = _CURVES[self.curve](*counts)
            areas = ((x[:-1] - x[1:]) * _HEIGHTS[self.summation_method](y[:-1], y[1:])).sum(axis=0)
        if not self.multi_label:
            return float(areas)
        weights = np.ones(len(areas)) if self.label_weights is None else np.asarray(self.label_weights)
        return float(share((areas * weights).sum(), weights.sum()))

    def get_config(self) -> dict[str, Any]:
        """Return the settings as JSON-able data."""
        return super().get_config() | {"num_thresholds": self.num_thresholds, "thresholds": self.init_thresholds}


def _mean(a: Array, b: Array) -> Array:
    return (a + b) / 2


def _roc(tp: Array, fp: Array, tn: Array, fn: Array) -> tuple[Array, Array]:
    return share(fp, fp + tn), share(tp, tp + fn)


def _precision_recall(tp: Array, fp: Array, tn: Array, fn: Array) -> tuple[Array, Array]:
    return share(tp, tp + fn), share(tp, tp + fp)


def _gains(tp: Array, fp: Array, tn: Array, fn: Array) -> tuple[Array, Array]:
    """Return recall gain, not below 0, and precision gain: 1 - pi / (1 - pi) FN / TP and 1 - pi / (1 - pi) FP / TP."""
    odds = share(tp + fn, tn + fp)
    recall = np.where(tp == 0, 0.0, 1.0 - odds * share(fn, tp))
    return np.maximum(recall, 0.0), np.where(tp == 0, 1.0, 1.0 - odds * share(fp, tp))


_HEIGHTS: dict[str, Callable[..., Array]] = {"interpolation": _mean, "minoring": np.minimum, "majoring": np.maximum}
_CURVES = {"ROC": _roc, "PR": _precision_recall, "PRGAIN": _gains}


def _interpolated(tp: Array, fp: Array, fn: Array) -> Array:
    """Return the area under precision and recall with true positives linear in all positives between two thresholds.

    With P = TP + FP, slope s = dTP / dP and intercept b = TP_1 - s P_1:  int TP / P dTP = s (dTP + b log(P_0 / P_1)).
    """
    positive = tp + fp
    d_tp, d_positive = tp[:-1] - tp[1:], positive[:-1] - positive[1:]
    slope = share(d_tp, np.maximum(d_positive, 0.0))
    intercept = tp[1:] - slope * positive[1:]
    both = (positive[:-1] > 0) & (positive[1:] > 0)
    ratio = np.where(both, share(positive[:-1], positive[1:]), 1.0)
    areas = share(slope * (d_tp + intercept * np.log(ratio)), np.maximum(tp[1:] + fn[1:], 0.0))
    return np.asarray(areas.sum(axis=0))


def _one_of(value: Any, known: tuple[str, ...], what: str, spellings: tuple[Any, ...]) -> str:
    """Return the known name that `value` is one of the spellings of."""
    for name in known:
        if value in [spell(name) for spell in spellings]:
            return name
    raise ValueError(f"{what} must be one of {', '.join(map(repr, known))}, got {value!r}.")


def _check_weights(weights: Any) -> list[float] | None:
    if weights is None:
        return None
    return [check_number(w, "every one of label_weights", 0.0) for w in as_float(weights, "label_weights").ravel()]
