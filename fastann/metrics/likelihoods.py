"""Comparisons of distributions and counts as metrics."""

from __future__ import annotations

from fastann import losses
from fastann.metrics.of_loss import LossMetric
from fastann.spec import register


@register("metrics")
class KLDivergence(LossMetric):
    """The mean of `fastann.losses.kl_divergence`."""

    def __init__(self, name: str | None = "kl_divergence", dtype: str | None = None) -> None:
        super().__init__(losses.KLDivergence(), name, dtype)


@register("metrics")
class Poisson(LossMetric):
    """The mean of `fastann.losses.poisson`."""

    def __init__(self, name: str | None = "poisson", dtype: str | None = None) -> None:
        super().__init__(losses.Poisson(), name, dtype)
