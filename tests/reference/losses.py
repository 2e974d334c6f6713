"""Losses: the value at each position and its gradient with respect to what the loss works on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from fastann_kernels.program import Loss
from scipy.special import expit

from .types import Array

EPSILON = 1e-7  # the one constant of Keras (`keras.config.epsilon`) that its losses clip with


def _squared(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    return (p - y) ** 2, 2 * (p - y)


def _half_squared(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    return (p - y) ** 2 / 2, p - y


def _absolute(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    return np.abs(p - y), np.sign(p - y)


def _percentage(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    scale = np.maximum(np.abs(y), EPSILON)
    return 100 * np.abs(y - p) / scale, 100 * np.sign(p - y) / scale


def _squared_log(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    floor = np.maximum(p, EPSILON)
    error = np.log(floor + 1) - np.log(np.maximum(y, EPSILON) + 1)
    return error**2, 2 * error / (floor + 1) * (p > EPSILON)


def _huber(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    """Huber 1964: quadratic up to delta, linear beyond."""
    e, d = p - y, loss.delta
    return np.where(np.abs(e) <= d, e**2 / 2, d * np.abs(e) - d**2 / 2), np.clip(e, -d, d)


def _log_cosh(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    return np.logaddexp(p - y, y - p) - np.log(2), np.tanh(p - y)


def _signed(y: Array) -> Array:
    """Labels 0 and 1 become -1 and 1 for the hinge losses, if all of them are 0 or 1 (Keras)."""
    return 2 * y - 1 if np.isin(y, (0, 1)).all() else y


def _hinge(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    y = _signed(y)
    return np.maximum(1 - y * p, 0), np.where(1 - y * p > 0, -y, 0.0)


def _squared_hinge(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    y = _signed(y)
    return np.maximum(1 - y * p, 0) ** 2, -2 * y * np.maximum(1 - y * p, 0)


def _poisson(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    return p - y * np.log(p + EPSILON), 1 - y / (p + EPSILON)


def _binary(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    y = y * (1 - loss.smoothing) + loss.smoothing / 2
    if loss.logits >= 0:
        return np.logaddexp(0, p) - y * p, expit(p) - y
    c = np.clip(p, EPSILON, 1 - EPSILON)
    return -(y * np.log(c) + (1 - y) * np.log(1 - c)), ((1 - y) / (1 - c) - y / c) * (c == p)


def _categorical(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    """-sum_k y_k log q_k, q = softmax(logits) or the clipped share of each probability in the sum of its row."""
    y = y * (1 - loss.smoothing) + loss.smoothing / p.shape[-1]
    if loss.logits >= 0:
        log_q = p - np.logaddexp.reduce(p, axis=-1, keepdims=True)
        return -(y * log_q).sum(-1), np.exp(log_q) * y.sum(-1, keepdims=True) - y
    total = p.sum(-1, keepdims=True)
    share = p / total
    q = np.clip(share, EPSILON, 1 - EPSILON)
    by_share = -y / q * (q == share)
    return -(y * np.log(q)).sum(-1), (by_share - (by_share * share).sum(-1, keepdims=True)) / total


def _categorical_hinge(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    """max(0, 1 + max_k (1 - y_k) p_k - sum_k y_k p_k)."""
    others = (1 - y) * p
    margin = 1 + others.max(-1) - (y * p).sum(-1)
    largest = np.eye(p.shape[-1])[others.argmax(-1)]
    return np.maximum(margin, 0), np.where(margin > 0, 1.0, 0.0)[..., None] * ((1 - y) * largest - y)


def _divergence(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    y, c = np.clip(y, EPSILON, 1), np.clip(p, EPSILON, 1)
    return (y * np.log(y / c)).sum(-1), -y / c * (c == p)


def _cosine(y: Array, p: Array, loss: Loss) -> tuple[Array, Array]:
    """-cos of the angle between target and prediction; d cos / dp = (y' - cos p') / |p| for unit vectors y', p'."""
    length = np.linalg.norm(p, axis=-1, keepdims=True)
    y, p = y / np.linalg.norm(y, axis=-1, keepdims=True), p / length
    cosine = (y * p).sum(-1, keepdims=True)
    return -cosine[..., 0], (cosine * p - y) / length


#: (y, p, loss) -> (value, slope); those of MEAN_LOSSES work element by element.
LossFunction = Callable[[Array, Array, Loss], tuple[Array, Array]]

#: Means over the last axis of something element-wise. `keras.losses`; half_squared_error is half of the first.
MEAN_LOSSES: dict[str, LossFunction] = {
    "mean_squared_error": _squared,
    "half_squared_error": _half_squared,
    "mean_absolute_error": _absolute,
    "mean_absolute_percentage_error": _percentage,
    "mean_squared_logarithmic_error": _squared_log,
    "huber": _huber,
    "log_cosh": _log_cosh,
    "binary_crossentropy": _binary,
    "hinge": _hinge,
    "squared_hinge": _squared_hinge,
    "poisson": _poisson,
}

#: One value for the whole last axis.
ROW_LOSSES: dict[str, LossFunction] = {
    "categorical_crossentropy": _categorical,
    "sparse_categorical_crossentropy": _categorical,
    "categorical_hinge": _categorical_hinge,
    "kl_divergence": _divergence,
    "cosine_similarity": _cosine,
}


def loss_values(loss: Loss, y: Array, p: Array) -> tuple[Array, Array]:
    """Return l (B, positions...) and dl/dp (B, positions..., K); p is the value the loss works on."""
    if loss.sparse:
        y = np.eye(p.shape[-1])[y.astype(int)]
    if loss.op in MEAN_LOSSES:
        values, slopes = MEAN_LOSSES[loss.op](y, p, loss)
        return values.mean(-1), slopes / p.shape[-1]
    return ROW_LOSSES[loss.op](y, p, loss)
