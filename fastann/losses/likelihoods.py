"""Losses that compare distributions and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import EPSILON, Array, last_mean, pair, silent
from fastann.losses.base import Loss
from fastann.spec import register


@silent
def kl_divergence(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return sum_k y_k log(y_k / p_k) over the last axis, both clipped to [1e-7, 1].

    Kullback & Leibler 1951.

    >>> kl_divergence([[0.5, 0.5]], [[0.25, 0.75]]).round(4)
    array([0.1438])
    """
    y, p = (np.clip(x, EPSILON, 1.0) for x in pair(y_true, y_pred))
    return np.asarray((y * np.log(y / p)).sum(axis=-1))


@silent
def poisson(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return mean p - y log(p + 1e-7) over the last axis: Poisson's negative log-likelihood less log y!.

    NaN where a prediction is below -1e-7.

    >>> poisson([[1.0, 1.0]], [[1.0, 1.0]]).round(4)
    array([1.])
    """
    y, p = pair(y_true, y_pred)
    return last_mean(p - y * np.log(p + EPSILON))


@register("losses")
@dataclass(frozen=True)
class KLDivergence(Loss):
    """Kullback-Leibler divergence of the prediction from the target; see `kl_divergence`."""

    op: ClassVar[str] = "kl_divergence"
    reduction: str | None = "sum_over_batch_size"
    name: str = "kl_divergence"
    dtype: str | None = None

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return kl_divergence(y_true, y_pred)


@register("losses")
@dataclass(frozen=True)
class Poisson(Loss):
    """Poisson loss of predicted rates; see `poisson`."""

    op: ClassVar[str] = "poisson"
    reduction: str | None = "sum_over_batch_size"
    name: str = "poisson"
    dtype: str | None = None

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return poisson(y_true, y_pred)
