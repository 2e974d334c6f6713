"""Leaky rectified linear units as a layer."""

from __future__ import annotations

from dataclasses import dataclass

from fastann.activations import Activation
from fastann.layers.activation import ActivationLayer
from fastann.spec import bounded, register


@register("layers")
@dataclass(frozen=True)
class LeakyReLU(ActivationLayer):
    """y = x for x > 0, negative_slope x elsewhere.

    Args:
        negative_slope: 0.3, as Keras's layer has it; its function of that name has 0.2.

    Raises:
        ValueError: a negative slope.

    Maas, Hannun & Ng 2013.
    """

    negative_slope: float = 0.3

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        self._set(negative_slope=bounded(self.negative_slope, "negative_slope"))

    def as_activation(self) -> Activation:
        """Return leaky_relu with this slope."""
        return Activation("leaky_relu", self.negative_slope)
