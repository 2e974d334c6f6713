"""Noise on activations."""

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
class GaussianNoise(Layer):
    """In training, add normal noise of mean 0: y = x + stddev n; else do nothing.

    The noise is a function of the model's seed, the number of the update and the place of the layer: the same on every
    backend.

    Args:
        stddev: the standard deviation, not negative.
        seed: a number in place of the layer's place, so that layers of one seed draw the same.
    """

    stddev: float
    seed: int | None = None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        self._set(stddev=bounded(self.stddev, "stddev"), seed=None if self.seed is None else check_seed(self.seed))

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape."""
        return input_shapes[0]

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the noise with a random stream of its own; a deviation of 0 appends nothing."""
        if self.stddev == 0:
            return inputs[0]
        stream = builder.next_stream(self.seed)
        return builder.emit("gaussian_noise", inputs, builder.shape(inputs[0]), stddev=self.stddev, stream=stream)
