"""The entry of a network: the shape of one row of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastann.layers.base import Layer, Shape, check_shape
from fastann.layers.symbolic import Call, SymbolicTensor
from fastann.spec import register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@register("layers")
@dataclass(frozen=True)
class InputLayer(Layer):
    """Say what one row of data looks like; computes nothing.

    Args:
        shape: shape of one row, the batch left out; `input_shape=` is another name for it.
    """

    input_count = 0

    shape: Shape | None = None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        if (self.shape is None) == (self.input_shape is None):
            raise ValueError("an InputLayer needs the shape of one row, once: InputLayer((30,)).")
        shape = self.input_shape if self.shape is None else check_shape(self.shape, "shape")
        self._set(shape=shape, input_shape=None)

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return `shape`."""
        return check_shape(self.shape, "shape")

    def __call__(self, inputs: Any) -> SymbolicTensor:
        """Refuse: an entry reads nothing."""
        raise TypeError("an InputLayer reads nothing and cannot be called; call other layers on what Input() returns.")

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Declare an input of the program."""
        return builder.input(self.output_shape())


def Input(shape: Shape | int, name: str | None = None, dtype: Any = None) -> SymbolicTensor:
    """Return the entry of a network whose rows have this shape, the batch left out.

    It is the first entry of a `Sequential`, or what the first layers of a `Model` are called on.

    Args:
        shape: shape of one row; a whole number stands for a vector.
        name: by which data are handed to a model with several inputs.
        dtype: for programs that give one; data may have any, and are computed with in the model's precision.

    >>> Input((30,)).shape
    (None, 30)
    """
    row = (shape,) if isinstance(shape, int) else shape
    return SymbolicTensor(Call(InputLayer(row, name=name)))
