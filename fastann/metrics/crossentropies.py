"""Cross-entropies as metrics."""

from __future__ import annotations

from fastann import losses
from fastann.metrics.of_loss import LossMetric
from fastann.spec import register


@register("metrics")
class BinaryCrossentropy(LossMetric):
    """The mean of `fastann.losses.binary_crossentropy`.

    Args:
        name, dtype: as in `Metric`.
        from_logits, label_smoothing: as in the loss.
    """

    settings = ("from_logits", "label_smoothing")

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        loss = losses.BinaryCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing)
        super().__init__(loss, name, dtype)


@register("metrics")
class CategoricalCrossentropy(LossMetric):
    """The mean of `fastann.losses.categorical_crossentropy`.

    Args:
        name, dtype: as in `Metric`.
        from_logits, label_smoothing, axis: as in the loss.
    """

    settings = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        loss = losses.CategoricalCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)
        super().__init__(loss, name, dtype)


@register("metrics")
class SparseCategoricalCrossentropy(LossMetric):
    """The mean of `fastann.losses.sparse_categorical_crossentropy`; samples of `ignore_class` count for nothing.

    Args:
        name, dtype: as in `Metric`.
        from_logits, ignore_class, axis: as in the loss. With `ignore_class` it is computed in Python.
    """

    settings = ("from_logits", "ignore_class", "axis")

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        loss = losses.SparseCategoricalCrossentropy(from_logits=from_logits, ignore_class=ignore_class, axis=axis)
        super().__init__(loss, name, dtype)
