"""Fixed scale and offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.layers.base import Layer, Shape
from fastann.spec import number, register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@register("layers")
@dataclass(frozen=True)
class Rescaling(Layer):
    """y = scale x + offset, in training and afterwards; `Rescaling(1 / 255)` maps bytes to [0, 1].

    Args:
        scale, offset: numbers; `Normalization` has one for each channel.
    """

    scale: float
    offset: float = 0.0

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        self._set(scale=number(self.scale, "scale"), offset=number(self.offset, "offset"))

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape."""
        return input_shapes[0]

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the scaling."""
        return builder.emit("scale", inputs, builder.shape(inputs[0]), scale=self.scale, offset=self.offset)
