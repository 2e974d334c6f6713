"""Classes, from the forms in which targets and predictions come."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


def true_classes(y: Any) -> Labels:
    """Return the class of each row: of labels (N,) or (N, 1) themselves, of one-hot rows (N, K) the largest.

    Raises:
        ValueError: there are no rows, labels are no whole numbers from 0 on, or there are other axes.
    """
    array = _numbers(y, "y_true")
    if array.ndim == 2 and array.shape[1] > 1:
        return np.asarray(array.argmax(axis=1), np.int64)
    labels = array.reshape(len(array), -1)[:, 0]
    if labels.min() < 0 or not np.array_equal(labels, np.floor(labels)):
        raise ValueError("y_true must hold class labels 0, 1, 2, ... or one-hot rows; encode the classes first.")
    return labels.astype(np.int64)


def predicted_classes(predictions: Any, threshold: float = 0.5) -> Labels:
    """Return the class a model chooses for each row.

    Args:
        predictions: what `predict` returns: (N, K) scores, of which the largest counts, or (N,) or (N, 1) probabilities
            of class 1; or whole numbers, which are taken for classes.
        threshold: a probability above it means class 1.
    """
    array = _numbers(predictions, "predictions")
    if array.ndim == 2 and array.shape[1] > 1:
        return np.asarray(array.argmax(axis=1), np.int64)
    column = array.reshape(len(array), -1)[:, 0]
    if array.dtype.kind in "iub":
        return column.astype(np.int64)
    return (column > threshold).astype(np.int64)


def same_length(y_true: Labels, y_pred: Any) -> None:
    """Raise ValueError unless there are as many predictions as targets."""
    if len(y_true) != len(y_pred):
        raise ValueError(f"predictions must have as many rows as y_true, {len(y_true)}, got {len(y_pred)}.")


def binary_scores(y_true: Any, scores: Any) -> tuple[Labels, NDArray[np.float64]]:
    """Return labels 0 and 1 with a score for each row; raises ValueError unless both classes are there."""
    labels = true_classes(y_true)
    array = _numbers(scores, "scores").astype(np.float64)
    same_length(labels, array)
    if array.ndim == 2 and array.shape[1] == 2:
        array = array[:, 1]
    if array.size != len(array):
        raise ValueError(f"scores must have one number a row, that of class 1, got shape {array.shape}.")
    if set(np.unique(labels)) != {0, 1}:
        raise ValueError(f"y_true must hold both classes 0 and 1, got {np.unique(labels)[:5].tolist()}.")
    return labels, array.reshape(-1)


def _numbers(given: Any, name: str) -> NDArray[Any]:
    array = np.asarray(given)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}.")
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"{name} must have shape (rows,) or (rows, classes) with at least one row, got {array.shape}.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite.")
    return array
