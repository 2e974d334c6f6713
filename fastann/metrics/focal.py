"""Cross-entropies that count well-classified entries less (Lin et al. 2017), as functions on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import EPSILON, Array, pair, silent, whole_axis


@silent
def binary_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Return the mean over `axis` of (1 - q)^gamma times the binary cross-entropy, q = y p + (1 - y) (1 - p).

    Args:
        y_true: targets in [0, 1].
        y_pred: probabilities p, or logits.
        apply_class_balancing: also multiply by alpha where y is 1 and by 1 - alpha where it is 0.
        alpha, gamma: as above.
        from_logits: whether predictions are logits.
        label_smoothing: s; y becomes y (1 - s) + s / 2.
        axis: the axis to average over.

    >>> binary_focal_crossentropy([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]).round(3)
    array([0.33 , 0.206])
    """
    y, p = pair(y_true, y_pred)
    axis = whole_axis(axis, p.ndim)
    y = y * (1.0 - label_smoothing) + label_smoothing / 2
    if from_logits:
        p = 0.5 + 0.5 * np.tanh(0.5 * p)
    clipped = np.clip(p, EPSILON, 1.0 - EPSILON)
    crossentropy = -(y * np.log(clipped) + (1.0 - y) * np.log(1.0 - clipped))
    values = (1.0 - (y * p + (1.0 - y) * (1.0 - p))) ** gamma * crossentropy
    if apply_class_balancing:
        values = values * (y * alpha + (1.0 - y) * (1.0 - alpha))
    return np.asarray(values.mean(axis=axis))


@silent
def categorical_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Return the sum over `axis` of -alpha (1 - p_k)^gamma y_k log p_k; p are shares of the sum, clipped at 1e-7.

    Args:
        y_true: a distribution over K classes, such as one-hot rows.
        y_pred: probabilities, which need not sum to one, or logits.
        alpha: a number, or one for each class.
        gamma: as above.
        from_logits: whether predictions are logits.
        label_smoothing: s; y becomes y (1 - s) + s / K.
        axis: where the classes are.

    >>> categorical_focal_crossentropy([[0, 1, 0]], [[0.05, 0.9, 0.05]]).round(5)
    array([0.00026])
    """
    y, p = pair(y_true, y_pred)
    axis = whole_axis(axis, p.ndim)
    y = y * (1.0 - label_smoothing) + label_smoothing / y.shape[axis]
    if from_logits:
        p = np.exp(p - p.max(axis=axis, keepdims=True))
    p = np.clip(p / p.sum(axis=axis, keepdims=True), EPSILON, 1.0 - EPSILON)
    return np.asarray((alpha * (1.0 - p) ** gamma * -y * np.log(p)).sum(axis=axis))
