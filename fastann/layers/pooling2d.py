"""The largest or the mean of a window that moves over images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastann.layers.base import Layer, Shape
from fastann.layers.windows import PairLike, Window, check_data_format, check_image, check_padding, pair
from fastann.spec import register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@dataclass(frozen=True)
class Pooling2D(Layer):
    """What both kinds share: a window over (B, H, W, C) that gives one number a channel; y is (B, H', W', C).

    With padding="valid" H' = floor((H - h) / s) + 1, with "same" H' = ceil(H / s).

    Args:
        pool_size: height h and width of the window, or one number for both.
        strides: s, likewise; by default the size of the window.
        padding: "valid", or "same" with windows that stick out of the image.
        data_format: None or "channels_last".
    """

    #: The instruction.
    OPERATION: ClassVar[str]

    pool_size: PairLike
    strides: PairLike | None = None
    padding: str = "valid"
    data_format: str | None = None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        check_data_format(self.data_format)
        size = pair(self.pool_size, "pool_size")
        self._set(
            pool_size=size,
            strides=size if self.strides is None else pair(self.strides, "strides"),
            padding=check_padding(self.padding),
        )

    @property
    def window(self) -> Window:
        """Size, strides and padding."""
        return Window(pair(self.pool_size, "pool_size"), pair(self.strides, "strides"), padding=self.padding)

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return (H', W', C); raises ValueError for rows that are no images or smaller than the window."""
        name = type(self).__name__
        check_image(input_shapes[0], name)
        return (*self.window.output_lengths(input_shapes[0], name), input_shapes[0][-1])

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the pooling."""
        shape = builder.shape(inputs[0])
        pool_h, pool_w = self.window.size
        settings = self.window.attributes(shape)
        return builder.emit(
            self.OPERATION, inputs, self.output_shape(shape), params, pool_h=pool_h, pool_w=pool_w, **settings
        )


@register("layers")
@dataclass(frozen=True)
class MaxPooling2D(Pooling2D):
    """Take the largest number of each window, for each channel.

    Args:
        pool_size, strides, padding, data_format: as `Pooling2D`; a window of 2 x 2 by default.

    >>> MaxPooling2D().output_shape((26, 26, 32))
    (13, 13, 32)
    """

    OPERATION = "max_pool2d"

    pool_size: PairLike = (2, 2)


@register("layers")
@dataclass(frozen=True)
class AveragePooling2D(Pooling2D):
    """Take the mean of each window, for each channel; cells outside the image do not count.

    Args:
        pool_size, strides, padding, data_format: as `Pooling2D`.

    >>> AveragePooling2D(2, padding="same").output_shape((5, 5, 8))
    (3, 3, 8)
    """

    OPERATION = "average_pool2d"


MaxPool2D, AvgPool2D = MaxPooling2D, AveragePooling2D
