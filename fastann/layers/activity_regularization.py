"""A penalty on activations as a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.layers.base import Layer, Shape
from fastann.regularizers import L1L2
from fastann.spec import bounded, register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@register("layers")
@dataclass(frozen=True)
class ActivityRegularization(Layer):
    """y = x, and (l1 sum |x| + l2 sum x^2) / B is added to the loss of a batch of B rows.

    Args:
        l1, l2: factors, not negative.
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        self._set(l1=bounded(self.l1, "l1"), l2=bounded(self.l2, "l2"))

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape."""
        return input_shapes[0]

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the penalty; factors of 0 append nothing."""
        return builder.activity_penalty(inputs[0], L1L2(self.l1, self.l2))
