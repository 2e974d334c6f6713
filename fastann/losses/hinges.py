"""Hinge losses: margins between classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import Array, last_mean, pair, silent
from fastann.losses.base import Loss
from fastann.spec import register


@silent
def hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return mean max(0, 1 - y p) over the last axis; labels -1 and 1, or 0 and 1, which then mean the same.

    >>> hinge([[0, 1]], [[-0.5, 0.5]])
    array([0.5])
    """
    return last_mean(_shortfall(y_true, y_pred))


@silent
def squared_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return mean max(0, 1 - y p)^2 over the last axis; labels as in `hinge`."""
    return last_mean(np.square(_shortfall(y_true, y_pred)))


@silent
def categorical_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return max(0, 1 + max_k (1 - y_k) p_k - sum_k y_k p_k) over the last axis, y one-hot."""
    y, p = pair(y_true, y_pred)
    return np.asarray(np.maximum(((1.0 - y) * p).max(axis=-1) - (y * p).sum(axis=-1) + 1.0, 0.0))


def _shortfall(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return max(0, 1 - y p), y moved from {0, 1} to {-1, 1} if no other value occurs."""
    y, p = pair(y_true, y_pred)
    if np.isin(y, (0, 1)).all():
        y = 2.0 * y - 1.0
    return np.asarray(np.maximum(1.0 - y * p, 0.0))


@register("losses")
@dataclass(frozen=True)
class Hinge(Loss):
    """Hinge loss; see `hinge`."""

    op: ClassVar[str] = "hinge"
    reduction: str | None = "sum_over_batch_size"
    name: str = "hinge"
    dtype: str | None = None

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return hinge(y_true, y_pred)


@register("losses")
@dataclass(frozen=True)
class SquaredHinge(Loss):
    """Squared hinge loss; see `squared_hinge`."""

    op: ClassVar[str] = "squared_hinge"
    reduction: str | None = "sum_over_batch_size"
    name: str = "squared_hinge"
    dtype: str | None = None

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return squared_hinge(y_true, y_pred)


@register("losses")
@dataclass(frozen=True)
class CategoricalHinge(Loss):
    """Hinge loss of K classes; see `categorical_hinge`."""

    op: ClassVar[str] = "categorical_hinge"
    reduction: str | None = "sum_over_batch_size"
    name: str = "categorical_hinge"
    dtype: str | None = None

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return categorical_hinge(y_true, y_pred)
