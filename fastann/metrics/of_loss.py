"""Any loss as a metric."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastann import losses
from fastann.losses.arrays import Array, as_float, match_ranks
from fastann.metrics.reductions import MeanOfFunction
from fastann.spec import register, serialize


@register("metrics")
class LossMetric(MeanOfFunction):
    """The mean of a loss over all samples; what the loss says of reduction is left aside.

    >>> LossMetric("huber")([[0.0], [0.0]], [[1.0], [2.0]])
    1.0

    Args:
        loss: a loss, by name, object or function.
        name: by default that of the loss.
        dtype: as in `Metric`.
    """

    def __init__(self, loss: losses.LossLike, name: str | None = None, dtype: str | None = None) -> None:
        self.loss = losses.get(loss)
        super().__init__(name=name or self.loss.name, dtype=dtype)
        self.from_logits: bool = self.loss.from_logits
        self.label_smoothing: float = getattr(self.loss, "label_smoothing", 0.0)
        self.delta: float = getattr(self.loss, "delta", 1.0)
        self.axis: int = getattr(self.loss, "axis", -1)
        self.ignore_class: int | None = getattr(self.loss, "ignore_class", None)
        if self.loss.op != "callable" and self.axis == -1 and self.ignore_class is None:
            self.op = self.loss.op

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> ArrayLike:
        return self.loss.call(*_beside(y_true, y_pred))

    def mask(self, y_true: ArrayLike, y_pred: ArrayLike) -> Array | None:
        return self.loss.mask(*_beside(y_true, y_pred))

    def get_config(self) -> dict[str, Any]:
        """Return the settings as JSON-able data."""
        config = super().get_config()
        return config | {"loss": serialize(self.loss)} if type(self) is LossMetric else config


def _beside(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Array, Array]:
    """Return targets and predictions as losses take them."""
    p = as_float(y_pred, "y_pred")
    return match_ranks(as_float(y_true, "y_true", str(p.dtype)), p)
