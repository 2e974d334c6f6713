"""Rectified linear units as a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.activations import Activation
from fastann.layers.activation import ActivationLayer
from fastann.spec import bounded, number, register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@register("layers")
@dataclass(frozen=True)
class ReLU(ActivationLayer):
    """y = max_value for x >= max_value, x for 0 < x < max_value, negative_slope x elsewhere.

    Args:
        max_value: m > 0, or None for no ceiling.
        negative_slope: s >= 0.
        threshold: 0; an edge elsewhere is not supported.

    Raises:
        ValueError: a ceiling of 0 or below, a negative slope, or another threshold.
    """

    max_value: float | None = None
    negative_slope: float = 0.0
    threshold: float = 0.0

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        limit = None if self.max_value is None else bounded(self.max_value, "max_value", above=True)
        slope = bounded(self.negative_slope, "negative_slope")
        threshold = number(self.threshold, "threshold")
        if threshold != 0:
            raise ValueError(f"threshold must be 0, got {threshold:g}; an edge elsewhere is not supported.")
        self._set(max_value=limit, negative_slope=slope, threshold=threshold)

    def as_activation(self) -> Activation:
        """Return relu, relu6 or leaky_relu; raises ValueError for a ceiling that none of them has."""
        if self.max_value is None:
            return Activation("leaky_relu", self.negative_slope) if self.negative_slope else Activation("relu")
        if self.max_value == 6 and not self.negative_slope:
            return Activation("relu6")
        raise ValueError(
            f"an activation must be a ReLU with max_value None, or 6 without a slope, got {self!r}; use it as a layer."
        )

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the activation, or what it is made of: y = m/6 relu6(6 x / m) - s max(-x, 0)."""
        x, limit, slope = inputs[0], self.max_value, self.negative_slope
        if limit is None or (limit == 6 and not slope):
            return super().emit(builder, inputs, params)
        capped = _scaled(builder, builder.activation(_scaled(builder, x, 6 / limit), Activation("relu6")), limit / 6)
        if not slope:
            return capped
        below = _scaled(builder, builder.activation(_scaled(builder, x, -1.0), Activation("relu")), slope)
        return builder.emit("subtract", (capped, below), builder.shape(x))


def _scaled(builder: ProgramBuilder, x: int, scale: float) -> int:
    return x if scale == 1 else builder.emit("scale", (x,), builder.shape(x), scale=scale, offset=0.0)
