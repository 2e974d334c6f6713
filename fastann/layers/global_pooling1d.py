"""The largest or the mean of each channel of a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastann.layers.base import Layer, Shape
from fastann.layers.windows import Window, check_data_format
from fastann.spec import flag, register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@dataclass(frozen=True)
class GlobalPooling1D(Layer):
    """What both kinds share: (B, T, C) becomes (B, C).

    Args:
        data_format: None or "channels_last".
        keepdims: make it (B, 1, C).
    """

    #: The instruction: a sequence is an image one cell wide.
    OPERATION: ClassVar[str]

    data_format: str | None = None
    keepdims: bool = False

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        check_data_format(self.data_format)
        self._set(keepdims=flag(self.keepdims, "keepdims"))

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return (C,) or (1, C); raises ValueError for rows that are no sequences."""
        shape = input_shapes[0]
        if len(shape) != 2:
            raise ValueError(
                f"{type(self).__name__} expects sequences, rows of shape (steps, channels), got {shape}; begin with a "
                "Reshape to that form."
            )
        return (1, shape[1]) if self.keepdims else (shape[1],)

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append a pooling whose window is the sequence, between two reshapes."""
        steps, channels = builder.shape(inputs[0])
        image = builder.emit("reshape", inputs, (steps, 1, channels))
        settings = Window((steps, 1)).attributes((steps, 1, channels))
        y = builder.emit(self.OPERATION, (image,), (1, 1, channels), params, pool_h=steps, pool_w=1, **settings)
        return builder.emit("reshape", (y,), self.output_shape((steps, channels)))


@register("layers")
@dataclass(frozen=True)
class GlobalMaxPooling1D(GlobalPooling1D):
    """Take the largest number of each channel; arguments as `GlobalPooling1D`."""

    OPERATION = "max_pool2d"


@register("layers")
@dataclass(frozen=True)
class GlobalAveragePooling1D(GlobalPooling1D):
    """Take the mean of each channel, such as that of the vectors of a text; arguments as `GlobalPooling1D`."""

    OPERATION = "average_pool2d"


GlobalMaxPool1D, GlobalAvgPool1D = GlobalMaxPooling1D, GlobalAveragePooling1D
