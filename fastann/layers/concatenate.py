"""Several values side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastann.layers.base import Layer, Shape
from fastann.layers.symbolic import SymbolicTensor
from fastann.spec import register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@register("layers")
@dataclass(frozen=True)
class Concatenate(Layer):
    """Put inputs behind one another along an axis; their other axes are alike.

    Args:
        axis: negative, or counted with the batch as axis 0, which itself cannot be chosen.

    >>> Concatenate().output_shape((4,), (2,))
    (6,)
    """

    input_count: ClassVar[int | None] = None

    axis: int = -1

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        if isinstance(self.axis, bool) or not isinstance(self.axis, int):
            raise TypeError(f"axis must be a whole number, got {self.axis!r}.")

    def _axis(self, shape: Shape) -> int:
        """Return the number of the axis in a row; raises ValueError if rows have no such axis."""
        axis = self.axis + len(shape) if self.axis < 0 else self.axis - 1
        if not 0 <= axis < len(shape):
            raise ValueError(
                f"Concatenate expects an axis behind the batch, got axis={self.axis} on rows of shape {shape}; use -1."
            )
        return axis

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the inputs' shape with the lengths of the axis added; raises ValueError if others differ."""
        first = input_shapes[0]
        axis = self._axis(first)
        rest = {shape[:axis] + shape[axis + 1 :] for shape in input_shapes}
        if len(rest) > 1 or len({len(shape) for shape in input_shapes}) > 1:
            shapes = " and ".join(map(str, input_shapes))
            raise ValueError(f"Concatenate expects inputs that differ in axis {self.axis} alone, got {shapes}.")
        return (*first[:axis], sum(shape[axis] for shape in input_shapes), *first[axis + 1 :])

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the operation."""
        shapes = tuple(builder.shape(x) for x in inputs)
        return builder.emit("concatenate", inputs, self.output_shape(*shapes), axis=self._axis(shapes[0]))


def concatenate(inputs: Sequence[SymbolicTensor], axis: int = -1) -> SymbolicTensor:
    """Return the values behind one another along an axis: `Concatenate(axis)(inputs)`."""
    return Concatenate(axis)(inputs)
