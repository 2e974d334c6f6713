"""An activation as a layer of its own, and what all such layers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann import activations
from fastann.layers.base import Layer, Shape
from fastann.spec import register

if TYPE_CHECKING:
    from fastann.activations import ActivationLike
    from fastann.lowering import ProgramBuilder


@dataclass(frozen=True)
class ActivationLayer(Layer):
    """A layer that applies one activation and keeps the shape; a kind of it says which in `as_activation`."""

    def as_activation(self) -> activations.Activation:
        """Return the activation the layer applies."""
        raise TypeError(f"{type(self).__name__} does not say which activation it applies.")

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape."""
        return input_shapes[0]

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the activation; the identity appends nothing."""
        return builder.activation(inputs[0], self.as_activation())


@register("layers")
@dataclass(frozen=True)
class Activation(ActivationLayer):
    """Apply an activation given by name, function or object: y = f(x).

    Args:
        activation: f, such as "relu".
    """

    activation: ActivationLike

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        self._set(activation=activations.get(self.activation))

    def as_activation(self) -> activations.Activation:
        """Return f."""
        return activations.get(self.activation)
