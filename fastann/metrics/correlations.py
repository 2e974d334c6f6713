"""Correlations between targets and predictions along an axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import EPSILON, Array, pair, silent, whole_axis
from fastann.losses.settings import check_whole
from fastann.metrics.reductions import MeanOfFunction
from fastann.spec import register


@silent
def pearson_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """Return cov(y, p) / (std(y) std(p)) over `axis`; NaN where one of them is constant.

    >>> pearson_correlation([[0.0, 1.0, 0.5]], [[0.1, 0.9, 1.0]]).round(4)
    array([0.8109])
    """
    y, p = pair(y_true, y_pred)
    axis = whole_axis(axis, p.ndim)
    y = y - y.mean(axis=axis, keepdims=True)
    p = p - p.mean(axis=axis, keepdims=True)
    return np.asarray((y * p).mean(axis=axis) / (y.std(axis=axis) * p.std(axis=axis)))


def concordance_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """Return 2 cov(y, p) / (var(y) + var(p) + (mean(y) - mean(p))^2 + 1e-7) over `axis` (Lin 1989).

    >>> concordance_correlation([[0.0, 1.0, 0.5]], [[0.1, 0.9, 1.0]]).round(4)
    array([0.7477])
    """
    y, p = pair(y_true, y_pred)
    axis = whole_axis(axis, p.ndim)
    distance = y.mean(axis=axis) - p.mean(axis=axis)
    covariance = ((y - y.mean(axis=axis, keepdims=True)) * (p - p.mean(axis=axis, keepdims=True))).mean(axis=axis)
    return np.asarray(2 * covariance / (y.var(axis=axis) + p.var(axis=axis) + distance**2 + EPSILON))


class Correlation(MeanOfFunction):
    """The mean of a correlation over rows.

    Args:
        name, dtype: as in `Metric`.
        axis: the axis along which targets and predictions are compared; the default is the columns of a row.
    """

    settings = ("axis",)

    _direction = "up"

    def __init__(self, name: str | None = None, dtype: str | None = None, axis: int = -1) -> None:
        super().__init__(name, dtype)
        self.axis = check_whole(axis, "axis")


@register("metrics")
class PearsonCorrelation(Correlation):
    """The mean of `pearson_correlation` over rows."""

    def __init__(self, name: str | None = "pearson_correlation", dtype: str | None = None, axis: int = -1) -> None:
        super().__init__(name, dtype, axis)

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> ArrayLike:
        return pearson_correlation(y_true, y_pred, self.axis)


@register("metrics")
class ConcordanceCorrelation(Correlation):
    """The mean of `concordance_correlation` over rows."""

    def __init__(self, name: str | None = "concordance_correlation", dtype: str | None = None, axis: int = -1) -> None:
        super().__init__(name, dtype, axis)

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> ArrayLike:
        return concordance_correlation(y_true, y_pred, self.axis)
