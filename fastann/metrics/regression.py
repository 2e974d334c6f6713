"""Metrics of numbers: distances between prediction and target."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from fastann import losses
from fastann.losses.arrays import pair, silent
from fastann.metrics.of_loss import LossMetric
from fastann.metrics.reductions import MeanOfFunction
from fastann.spec import register


@register("metrics")
class MeanSquaredError(LossMetric):
    """The mean of `fastann.losses.mean_squared_error`."""

    def __init__(self, name: str | None = "mean_squared_error", dtype: str | None = None) -> None:
        super().__init__(losses.MeanSquaredError(), name, dtype)


@register("metrics")
class RootMeanSquaredError(MeanOfFunction):
    """The root of the mean squared error over all batches.

    >>> RootMeanSquaredError()([0.0, 0.0], [3.0, 3.0])
    3.0
    """

    op = "mean_squared_error"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    @silent
    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> ArrayLike:
        y, p = pair(y_true, y_pred)
        return np.asarray(np.square(p - y))

    def finalize(self, mean: float) -> float:
        """Return the root."""
        return math.sqrt(mean) if mean >= 0 else math.nan

    def result(self) -> float:
        """Return the root of the mean."""
        return self.finalize(super().result())


@register("metrics")
class MeanAbsoluteError(LossMetric):
    """The mean of `fastann.losses.mean_absolute_error`."""

    def __init__(self, name: str | None = "mean_absolute_error", dtype: str | None = None) -> None:
        super().__init__(losses.MeanAbsoluteError(), name, dtype)


@register("metrics")
class MeanAbsolutePercentageError(LossMetric):
    """The mean of `fastann.losses.mean_absolute_percentage_error`."""

    def __init__(self, name: str | None = "mean_absolute_percentage_error", dtype: str | None = None) -> None:
        super().__init__(losses.MeanAbsolutePercentageError(), name, dtype)


@register("metrics")
class MeanSquaredLogarithmicError(LossMetric):
    """The mean of `fastann.losses.mean_squared_logarithmic_error`."""

    def __init__(self, name: str | None = "mean_squared_logarithmic_error", dtype: str | None = None) -> None:
        super().__init__(losses.MeanSquaredLogarithmicError(), name, dtype)


@register("metrics")
class LogCoshError(LossMetric):
    """The mean of `fastann.losses.log_cosh`."""

    def __init__(self, name: str | None = "logcosh", dtype: str | None = None) -> None:
        super().__init__(losses.LogCosh(), name, dtype)


@register("metrics")
class CosineSimilarity(LossMetric):
    """The mean cosine of the angle between target and prediction: 1 is the best, where the loss has -1.

    >>> CosineSimilarity()([[0.0, 1.0]], [[0.0, 3.0]])
    1.0
    """

    settings = ("axis",)

    def __init__(self, name: str | None = "cosine_similarity", dtype: str | None = None, axis: int = -1) -> None:
        super().__init__(losses.CosineSimilarity(axis=axis), name, dtype)

    def finalize(self, mean: float) -> float:
        """Turn the sign of the loss."""
        return 0.0 - mean

    def result(self) -> float:
        """Return the mean cosine."""
        return self.finalize(super().result())
