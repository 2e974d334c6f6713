"""Images flipped at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.layers.base import Layer, Shape
from fastann.layers.windows import check_data_format, check_image
from fastann.random import check_seed
from fastann.spec import register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder

MODES = ("horizontal", "vertical", "horizontal_and_vertical")


@register("layers")
@dataclass(frozen=True)
class RandomFlip(Layer):
    """In training, flip each image with probability 1/2, in each direction for itself; else do nothing.

    Args:
        mode: "horizontal" (left and right change places), "vertical" or "horizontal_and_vertical".
        seed: a number in place of the layer's place in the model, so that layers of one seed draw the same.
        data_format: None or "channels_last".
    """

    mode: str = "horizontal_and_vertical"
    seed: int | None = None
    data_format: str | None = None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        check_data_format(self.data_format)
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(map(repr, MODES))}, got {self.mode!r}.")
        self._set(seed=None if self.seed is None else check_seed(self.seed))

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape; raises ValueError for rows that are no images."""
        check_image(input_shapes[0], "RandomFlip")
        return input_shapes[0]

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the flip with a random stream of its own."""
        return builder.emit(
            "random_flip",
            inputs,
            builder.shape(inputs[0]),
            horizontal="horizontal" in self.mode,
            vertical="vertical" in self.mode,
            stream=builder.next_stream(self.seed),
        )
