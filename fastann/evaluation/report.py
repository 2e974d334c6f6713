"""Which class is taken for which, and how well each is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.evaluation.labels import predicted_classes, same_length, true_classes
from fastann.optional import require


def confusion_matrix(
    y_true: Any, predictions: Any, classes: int | None = None, sample_weight: Any = None, threshold: float = 0.5
) -> NDArray[Any]:
    """Return how many rows of each class (row of the matrix) are taken for each class (column).

    Args:
        y_true: labels (N,) or (N, 1), or one-hot rows (N, K).
        predictions: what `predict` returns, or labels.
        classes: K; by default as many as appear or have a column.
        sample_weight: of the rows; then the matrix holds sums of weights.
        threshold: for predictions of a single column.

    Returns:
        int64[K, K], or float64 with weights. `fastann.plots.confusion_matrix` draws it.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: the numbers of rows differ, or a label is not below K.

    >>> confusion_matrix([0, 1, 1], [0.2, 0.9, 0.4])
    array([[1, 0],
           [1, 1]])
    """
    require("sklearn", "confusion_matrix needs")
    from sklearn import metrics

    labels, chosen = true_classes(y_true), predicted_classes(predictions, threshold)
    same_length(labels, chosen)
    count = _class_count(labels, chosen, y_true, predictions, classes)
    matrix: NDArray[Any] = metrics.confusion_matrix(
        labels, chosen, labels=np.arange(count), sample_weight=sample_weight
    )
    return matrix


@dataclass(frozen=True)
class ClassScores:
    """How well one class is found: TP / (TP + FP), TP / (TP + FN), their harmonic mean, and its number of rows."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Report:
    """Scores of each class and their means; `print` shows a table.

    Attributes:
        classes: one entry a class.
        accuracy: share of rows whose class is found.
        macro_average: means over classes.
        weighted_average: means over classes, weighted by their rows.
    """

    classes: tuple[ClassScores, ...]
    accuracy: float
    macro_average: ClassScores
    weighted_average: ClassScores

    def __str__(self) -> str:
        rows = [*self.classes, self.macro_average, self.weighted_average]
        width = max(len("weighted average"), *(len(row.name) for row in rows))
        lines = [f"{'':{width}}  precision  recall      f1    rows", ""]
        lines += [f"{r.name:{width}}  {r.precision:9.3f}  {r.recall:6.3f}  {r.f1:6.3f}  {r.support:6d}" for r in rows]
        lines.insert(2 + len(self.classes), "")
        return "\n".join([*lines, "", f"accuracy {self.accuracy:.3f} of {self.macro_average.support} rows"])


def classification_report(
    y_true: Any, predictions: Any, names: Sequence[str] | None = None, threshold: float = 0.5
) -> Report:
    """Return precision, recall and F1 of each class; a class that is never predicted has precision 0.

    Args:
        y_true, predictions, threshold: as for `confusion_matrix`.
        names: of the classes; by default their numbers.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: the numbers of rows differ, or there is not one name a class.

    >>> print(classification_report([0, 1, 1, 1], [0.2, 0.9, 0.4, 0.8], names=["benign", "malignant"]))
                      precision  recall      f1    rows
    <BLANKLINE>
    benign                0.500   1.000   0.667       1
    malignant             1.000   0.667   0.800       3
    <BLANKLINE>
    macro average         0.750   0.833   0.733       4
    weighted average      0.875   0.750   0.767       4
    <BLANKLINE>
    accuracy 0.750 of 4 rows
    """
    require("sklearn", "classification_report needs")
    from sklearn import metrics

    labels, chosen = true_classes(y_true), predicted_classes(predictions, threshold)
    same_length(labels, chosen)
    count = _class_count(labels, chosen, y_true, predictions, None if names is None else len(names))
    shown = [str(i) for i in range(count)] if names is None else [str(name) for name in names]

    def scores(average: str | None) -> Any:
        return metrics.precision_recall_fscore_support(
            labels, chosen, labels=np.arange(count), average=average, zero_division=0
        )

    columns = zip(*scores(None), strict=True)
    classes = tuple(
        ClassScores(name, float(p), float(r), float(f), int(n))
        for name, (p, r, f, n) in zip(shown, columns, strict=True)
    )
    means = []
    for average in ("macro", "weighted"):
        p, r, f, _ = scores(average)
        means.append(ClassScores(f"{average} average", float(p), float(r), float(f), len(labels)))
    return Report(classes, float(metrics.accuracy_score(labels, chosen)), means[0], means[1])


def _class_count(labels: Any, chosen: Any, y_true: Any, predictions: Any, wanted: int | None) -> int:
    """Return the number of classes; raises ValueError if labels do not fit into the number wanted."""
    widths = [int(np.shape(given)[1]) for given in (y_true, predictions) if np.ndim(given) == 2]
    found = max(int(labels.max()) + 1, int(chosen.max()) + 1, 2, *widths, 0)
    if wanted is None:
        return found
    highest = max(int(labels.max()), int(chosen.max()))
    if highest >= wanted:
        raise ValueError(f"labels must be below the number of classes, {wanted}, got {highest}.")
    return wanted
