"""Exponential linear units as a layer."""

from __future__ import annotations

from dataclasses import dataclass

from fastann.activations import Activation
from fastann.layers.activation import ActivationLayer
from fastann.spec import number, register


@register("layers")
@dataclass(frozen=True)
class ELU(ActivationLayer):
    """y = x for x > 0, alpha (exp(x) - 1) elsewhere.

    Clevert, Unterthiner & Hochreiter 2016, equation 15.
    """

    alpha: float = 1.0

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        self._set(alpha=number(self.alpha, "alpha"))

    def as_activation(self) -> Activation:
        """Return elu with this alpha."""
        return Activation("elu", self.alpha)
