"""Softmax as a layer."""

from __future__ import annotations

from dataclasses import dataclass

from fastann.activations import Activation
from fastann.layers.activation import ActivationLayer
from fastann.layers.base import Shape, check_last_axis
from fastann.spec import register


@register("layers")
@dataclass(frozen=True)
class Softmax(ActivationLayer):
    """y_k = exp(x_k) / sum_j exp(x_j) over the last axis.

    Args:
        axis: the last axis, as -1 or by its number (the batch is axis 0).
    """

    axis: int = -1

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape; raises ValueError if `axis` is not its last."""
        check_last_axis(self.axis, input_shapes[0], "Softmax")
        return input_shapes[0]

    def as_activation(self) -> Activation:
        """Return softmax."""
        return Activation("softmax")
