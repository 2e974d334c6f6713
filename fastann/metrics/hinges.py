"""Hinge losses as metrics."""

from __future__ import annotations

from fastann import losses
from fastann.metrics.of_loss import LossMetric
from fastann.spec import register


@register("metrics")
class Hinge(LossMetric):
    """The mean of `fastann.losses.hinge`."""

    def __init__(self, name: str | None = "hinge", dtype: str | None = None) -> None:
        super().__init__(losses.Hinge(), name, dtype)


@register("metrics")
class SquaredHinge(LossMetric):
    """The mean of `fastann.losses.squared_hinge`."""

    def __init__(self, name: str | None = "squared_hinge", dtype: str | None = None) -> None:
        super().__init__(losses.SquaredHinge(), name, dtype)


@register("metrics")
class CategoricalHinge(LossMetric):
    """The mean of `fastann.losses.categorical_hinge`."""

    def __init__(self, name: str | None = "categorical_hinge", dtype: str | None = None) -> None:
        super().__init__(losses.CategoricalHinge(), name, dtype)
