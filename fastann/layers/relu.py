"""Rectified linear units as a layer."""

from __future__ import annotations

from dataclasses import dataclass

from fastann.activations import Activation
from fastann.layers.activation import ActivationLayer
from fastann.spec import bounded, number, register


@register("layers")
@dataclass(frozen=True)
class ReLU(ActivationLayer):
    """y = max(x, 0); with a slope s, y = x for x > 0 and s x elsewhere; with max_value=6, y = min(max(x, 0), 6).

    Args:
        max_value: None or 6, the forms the kernels know.
        negative_slope: s >= 0.

    Raises:
        ValueError: another `max_value`, both at once, or a negative slope.
    """

    max_value: float | None = None
    negative_slope: float = 0.0

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        slope = bounded(self.negative_slope, "negative_slope")
        limit = None if self.max_value is None else number(self.max_value, "max_value")
        if limit is not None and (limit != 6 or slope):
            raise ValueError(
                f"max_value must be None, or 6 without a slope, got max_value={limit} and negative_slope={slope}."
            )
        self._set(negative_slope=slope, max_value=limit)

    def as_activation(self) -> Activation:
        """Return relu, relu6 or leaky_relu."""
        if self.max_value is not None:
            return Activation("relu6")
        return Activation("leaky_relu", self.negative_slope) if self.negative_slope else Activation("relu")
