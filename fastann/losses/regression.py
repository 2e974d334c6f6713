"""Losses of numbers: distances between prediction and target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import EPSILON, Array, last_mean, pair, silent, whole_axis
from fastann.losses.base import Loss
from fastann.losses.settings import check_number, check_whole
from fastann.spec import register


@silent
def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return mean (y_pred - y_true)^2 over the last axis.

    >>> mean_squared_error([[0.0, 1.0]], [[1.0, 3.0]])
    array([2.5])
    """
    y, p = pair(y_true, y_pred)
    return last_mean(np.square(p - y))


@silent
def half_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return mean 1/2 (y_pred - y_true)^2 over the last axis; its slope is the plain error. Not in Keras.

    >>> half_squared_error([[0.0, 1.0]], [[1.0, 3.0]])
    array([1.25])
    """
    return mean_squared_error(y_true, y_pred) / 2


@silent
def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return mean |y_pred - y_true| over the last axis."""
    y, p = pair(y_true, y_pred)
    return last_mean(np.abs(p - y))


@silent
def mean_absolute_percentage_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return 100 mean |y_pred - y_true| / max(|y_true|, 1e-7) over the last axis."""
    y, p = pair(y_true, y_pred)
    return 100.0 * last_mean(np.abs((p - y) / np.maximum(np.abs(y), EPSILON)))


@silent
def mean_squared_logarithmic_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return mean (log(1 + y_pred) - log(1 + y_true))^2 over the last axis; both are raised to 1e-7 at least."""
    y, p = pair(y_true, y_pred)
    return last_mean(np.square(np.log(np.maximum(p, EPSILON) + 1.0) - np.log(np.maximum(y, EPSILON) + 1.0)))


@silent
def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: float = 1.0) -> Array:
    """Return the mean over the last axis of e^2 / 2 where |e| <= delta and delta |e| - delta^2 / 2 beyond.

    e = y_pred - y_true. Huber 1964.
    """
    y, p = pair(y_true, y_pred)
    e = np.abs(p - y)
    return last_mean(np.where(e <= delta, np.square(e) / 2, delta * e - delta * delta / 2))


@silent
def log_cosh(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return mean log(cosh(y_pred - y_true)) over the last axis.

    log cosh x = |x| + log(1 + e^(-2|x|)) - log 2, and near zero log(1 + 2 sinh(x / 2)^2), which keeps its digits there.
    """
    y, p = pair(y_true, y_pred)
    x = np.abs(p - y)
    near = np.log1p(2.0 * np.square(np.sinh(np.minimum(x, 1.0) / 2)))
    far = x + np.log1p(np.exp(-2.0 * x)) - np.log(2.0).astype(x.dtype)
    return last_mean(np.where(x < 1.0, near, far))


@silent
def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """Return minus the cosine of the angle between target and prediction: -1 is the best; 0 if one of them is zero."""
    y, p = pair(y_true, y_pred)
    axis = whole_axis(axis, p.ndim)
    return np.asarray(-(_unit(y, axis) * _unit(p, axis)).sum(axis=axis))


def _unit(x: Array, axis: int) -> Array:
    """Return x divided by its length; lengths below 1e-7 count as that."""
    length = np.sqrt(np.square(x).sum(axis=axis, keepdims=True))
    return np.asarray(x / np.maximum(length, EPSILON))


@register("losses")
@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Mean squared error; see `mean_squared_error`.

    >>> float(MeanSquaredError()([[0.0, 1.0]], [[1.0, 3.0]]))
    2.5
    """

    op: ClassVar[str] = "mean_squared_error"
    reduction: str | None = "sum_over_batch_size"
    name: str = "mean_squared_error"
    dtype: str | None = None

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return mean_squared_error(y_true, y_pred)


@register("losses")
@dataclass(frozen=True)
class HalfSquaredError(Loss):
    """Half the mean squared error; see `half_squared_error`. Not in Keras."""

    op: ClassVar[str] = "half_squared_error"
    reduction: str | None = "sum_over_batch_size"
    name: str = "half_squared_error"
    dtype: str | None = None

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return half_squared_error(y_true, y_pred)


@register("losses")
@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """Mean absolute error; see `mean_absolute_error`."""

    op: ClassVar[str] = "mean_absolute_error"
    reduction: str | None = "sum_over_batch_size"
    name: str = "mean_absolute_error"
    dtype: str | None = None

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return mean_absolute_error(y_true, y_pred)


@register("losses")
@dataclass(frozen=True)
class MeanAbsolutePercentageError(Loss):
    """Mean absolute error in percent of the target; see `mean_absolute_percentage_error`."""

    op: ClassVar[str] = "mean_absolute_percentage_error"
    reduction: str | None = "sum_over_batch_size"
    name: str = "mean_absolute_percentage_error"
    dtype: str | None = None

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return mean_absolute_percentage_error(y_true, y_pred)


@register("losses")
@dataclass(frozen=True)
class MeanSquaredLogarithmicError(Loss):
    """Mean squared difference of logarithms; see `mean_squared_logarithmic_error`."""

    op: ClassVar[str] = "mean_squared_logarithmic_error"
    reduction: str | None = "sum_over_batch_size"
    name: str = "mean_squared_logarithmic_error"
    dtype: str | None = None

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return mean_squared_logarithmic_error(y_true, y_pred)


@register("losses")
@dataclass(frozen=True)
class Huber(Loss):
    """Quadratic for small errors, linear for large ones; see `huber`.

    Args:
        delta: the error at which one becomes the other, not negative.
        reduction, name, dtype: as in `Loss`.
    """

    op: ClassVar[str] = "huber"
    delta: float = 1.0
    reduction: str | None = "sum_over_batch_size"
    name: str = "huber_loss"
    dtype: str | None = None

    def __post_init__(self) -> None:
        self._set(delta=check_number(self.delta, "delta", low=0.0))
        super().__post_init__()

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return huber(y_true, y_pred, self.delta)


@register("losses")
@dataclass(frozen=True)
class LogCosh(Loss):
    """Logarithm of the hyperbolic cosine of the error; see `log_cosh`."""

    op: ClassVar[str] = "log_cosh"
    reduction: str | None = "sum_over_batch_size"
    name: str = "log_cosh"
    dtype: str | None = None

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return log_cosh(y_true, y_pred)


@register("losses")
@dataclass(frozen=True)
class CosineSimilarity(Loss):
    """Minus the cosine of the angle between target and prediction; see `cosine_similarity`.

    Args:
        axis: the axis along which vectors lie; training takes the last one only.
        reduction, name, dtype: as in `Loss`.
    """

    op: ClassVar[str] = "cosine_similarity"
    axis: int = -1
    reduction: str | None = "sum_over_batch_size"
    name: str = "cosine_similarity"
    dtype: str | None = None

    def __post_init__(self) -> None:
        self._set(axis=check_whole(self.axis, "axis"))
        super().__post_init__()

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return cosine_similarity(y_true, y_pred, self.axis)
