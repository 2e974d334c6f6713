"""How decisions change with the threshold: ROC and precision against recall, from all rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.evaluation.labels import binary_scores
from fastann.optional import require

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Rates at each threshold, from the highest threshold, where nothing is positive, down.

    Attributes:
        false_positive_rate: share of class 0 that is taken for class 1.
        true_positive_rate: share of class 1 that is found.
        thresholds: rows with at least that score count as class 1.
        area: under the curve: the probability that a row of class 1 scores above one of class 0.
    """

    false_positive_rate: Array
    true_positive_rate: Array
    thresholds: Array
    area: float


@dataclass(frozen=True, eq=False)
class PrecisionRecallCurve:
    """Precision and recall at each threshold, from the lowest one up; the last point is precision 1 at recall 0.

    Attributes:
        precision: share of what is taken for class 1 that is.
        recall: share of class 1 that is found.
        thresholds: one fewer than points: rows with at least that score count as class 1.
        average_precision: sum of precision times gain in recall.
    """

    precision: Array
    recall: Array
    thresholds: Array
    average_precision: float


def roc_curve(y_true: Any, scores: Any, sample_weight: Any = None) -> RocCurve:
    """Return the receiver operating characteristic of a classifier of two classes; scikit-learn computes it.

    Args:
        y_true: labels 0 and 1, (N,) or (N, 1), or one-hot rows.
        scores: of class 1, probabilities or any other, (N,), (N, 1) or the second column of (N, 2).
        sample_weight: of the rows.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: a class is missing, or the numbers of rows differ.

    >>> roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).area
    0.75
    """
    require("sklearn", "roc_curve needs")
    from sklearn import metrics

    labels, score = binary_scores(y_true, scores)
    false, true, thresholds = metrics.roc_curve(labels, score, sample_weight=sample_weight)
    return RocCurve(false, true, thresholds, float(metrics.auc(false, true)))


def precision_recall_curve(y_true: Any, scores: Any, sample_weight: Any = None) -> PrecisionRecallCurve:
    """Return precision and recall of a classifier of two classes; scikit-learn computes them. As `roc_curve`.

    >>> round(precision_recall_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).average_precision, 4)
    0.8333
    """
    require("sklearn", "precision_recall_curve needs")
    from sklearn import metrics

    labels, score = binary_scores(y_true, scores)
    precision, recall, thresholds = metrics.precision_recall_curve(labels, score, sample_weight=sample_weight)
    average = float(metrics.average_precision_score(labels, score, sample_weight=sample_weight))
    return PrecisionRecallCurve(precision, recall, thresholds, average)
