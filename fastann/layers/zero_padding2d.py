"""A frame of zeros around images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastann.layers.base import Layer, Shape
from fastann.layers.windows import Pair, check_data_format, check_image, pair
from fastann.spec import register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@register("layers")
@dataclass(frozen=True)
class ZeroPadding2D(Layer):
    """Put zeros around images: (B, H, W, C) becomes (B, top + H + bottom, left + W + right, C).

    Args:
        padding: one number for all sides, two for (top and bottom, left and right), or
            ((top, bottom), (left, right)); kept in the last form.
        data_format: None or "channels_last".

    >>> ZeroPadding2D((1, 2)).padding
    ((1, 1), (2, 2))
    """

    padding: int | tuple[int, int] | tuple[Pair, Pair] = (1, 1)
    data_format: str | None = None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        check_data_format(self.data_format)
        self._set(padding=_sides(self.padding))

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return (top + H + bottom, left + W + right, C); raises ValueError for rows that are no images."""
        check_image(input_shapes[0], "ZeroPadding2D")
        h, w, channels = input_shapes[0]
        rows, columns = _sides(self.padding)
        return (h + sum(rows), w + sum(columns), channels)

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the padding; none appends nothing."""
        shape = builder.shape(inputs[0])
        output = self.output_shape(shape)
        (top, _), (left, _) = _sides(self.padding)
        return inputs[0] if output == shape else builder.emit("pad2d", inputs, output, pad_top=top, pad_left=left)


def _sides(padding: Any) -> tuple[Pair, Pair]:
    if not isinstance(padding, tuple | list):
        padding = pair(padding, "padding", 0)
    if len(padding) != 2:
        raise ValueError(
            f"padding must be a whole number, two of them, or ((top, bottom), (left, right)), got {padding!r}."
        )
    rows, columns = padding
    return pair(rows, "padding", 0), pair(columns, "padding", 0)
