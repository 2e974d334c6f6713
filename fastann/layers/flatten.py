"""Rows of any rank as vectors."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from fastann.layers.base import Layer, Shape
from fastann.spec import register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@register("layers")
@dataclass(frozen=True)
class Flatten(Layer):
    """Lay every row out as one vector, last axis fastest; (B, 28, 28) becomes (B, 784)."""

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return (elements of a row,)."""
        return (prod(input_shapes[0]),)

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append a reshape; rows that are vectors already append nothing."""
        shape = builder.shape(inputs[0])
        return inputs[0] if len(shape) == 1 else builder.emit("reshape", inputs, self.output_shape(shape))
