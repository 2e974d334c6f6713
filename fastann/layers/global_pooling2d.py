"""The largest or the mean of each channel of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastann.layers.base import Layer, Shape
from fastann.layers.windows import Window, check_data_format, check_image
from fastann.spec import flag, register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@dataclass(frozen=True)
class GlobalPooling2D(Layer):
    """What both kinds share: (B, H, W, C) becomes (B, C).

    Args:
        data_format: None or "channels_last".
        keepdims: make it (B, 1, 1, C).
    """

    #: The instruction.
    OPERATION: ClassVar[str]

    data_format: str | None = None
    keepdims: bool = False

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        check_data_format(self.data_format)
        self._set(keepdims=flag(self.keepdims, "keepdims"))

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return (C,) or (1, 1, C); raises ValueError for rows that are no images."""
        check_image(input_shapes[0], type(self).__name__)
        channels = input_shapes[0][-1]
        return (1, 1, channels) if self.keepdims else (channels,)

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append a pooling whose window is the image, and drop the axes of length 1."""
        shape = builder.shape(inputs[0])
        output = self.output_shape(shape)
        h, w, channels = shape
        settings = Window((h, w)).attributes(shape)
        y = builder.emit(self.OPERATION, inputs, (1, 1, channels), params, pool_h=h, pool_w=w, **settings)
        return y if self.keepdims else builder.emit("reshape", (y,), output)


@register("layers")
@dataclass(frozen=True)
class GlobalMaxPooling2D(GlobalPooling2D):
    """Take the largest number of each channel.

    Args:
        data_format, keepdims: as `GlobalPooling2D`.
    """

    OPERATION = "max_pool2d"


@register("layers")
@dataclass(frozen=True)
class GlobalAveragePooling2D(GlobalPooling2D):
    """Take the mean of each channel.

    Args:
        data_format, keepdims: as `GlobalPooling2D`.

    Lin, Chen & Yan 2014, section 3.2.
    """

    OPERATION = "average_pool2d"


GlobalMaxPool2D, GlobalAvgPool2D = GlobalMaxPooling2D, GlobalAveragePooling2D
