"""Dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.layers.base import Layer, Shape
from fastann.random import check_seed
from fastann.spec import bounded, register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@register("layers")
@dataclass(frozen=True)
class Dropout(Layer):
    """In training, set each element to 0 with probability `rate` and divide the others by 1 - rate; else do nothing.

    The masks are a function of the model's seed, the number of the update and the place of the layer: the same on
    every backend.

    Args:
        rate: the fraction dropped, in [0, 1).
        seed: a number in place of the layer's place, so that layers of one seed draw the same.

    Srivastava et al. 2014, in the inverted form.
    """

    rate: float
    seed: int | None = None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        self._set(
            rate=bounded(self.rate, "rate", 0, 1, below=True), seed=None if self.seed is None else check_seed(self.seed)
        )

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape."""
        return input_shapes[0]

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the dropout with a random stream of its own; rate 0 appends nothing."""
        if self.rate == 0:
            return inputs[0]
        stream = builder.next_stream(self.seed)
        return builder.emit("dropout", inputs, builder.shape(inputs[0]), rate=self.rate, stream=stream)
