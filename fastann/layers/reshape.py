"""Rows in another shape."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from fastann.layers.base import Layer, Shape
from fastann.spec import register, whole

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@register("layers")
@dataclass(frozen=True)
class Reshape(Layer):
    """Give rows another shape; their numbers stay in order, last axis fastest.

    Args:
        target_shape: the new shape of a row, the batch left out; one length may be -1, which is what is left over.

    >>> Reshape((28, 28, -1)).output_shape((784,))
    (28, 28, 1)
    """

    target_shape: Shape

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        given = self.target_shape
        if not isinstance(given, tuple | list) or len(given) == 0:
            raise TypeError(f"target_shape must be a tuple such as (28, 28, 1), got {given!r}.")
        lengths = tuple(whole(length, "a length in target_shape", -1) for length in given)
        if 0 in lengths or lengths.count(-1) > 1:
            raise ValueError(f"target_shape must have positive lengths and at most one -1, got {lengths}.")
        self._set(target_shape=lengths)

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the target with its -1 replaced; raises ValueError if rows have another number of elements."""
        size = prod(input_shapes[0])
        known = prod(length for length in self.target_shape if length != -1)
        if size % known or (-1 not in self.target_shape and size != known):
            raise ValueError(
                f"Reshape to {self.target_shape} does not fit rows of shape {input_shapes[0]}, which have {size} "
                "elements; change target_shape."
            )
        return tuple(size // known if length == -1 else length for length in self.target_shape)

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append a reshape; rows of that shape already append nothing."""
        shape = builder.shape(inputs[0])
        output = self.output_shape(shape)
        return inputs[0] if output == shape else builder.emit("reshape", inputs, output)
