"""Windows that move over images (H, W, C): their settings, the shapes that follow and the padding."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any

from fastann.layers.base import Shape
from fastann.spec import whole

Pair = tuple[int, int]
PairLike = int | tuple[int, int]

PADDINGS = ("valid", "same")


@dataclass(frozen=True)
class Window:
    """A window over height and width.

    Attributes:
        size: cells of the window.
        strides: cells it moves from one output to the next.
        dilation: cells from one cell of the window to the next.
        padding: "valid", where the window stays inside, or "same", where it sticks out so far that the output has
            ceil(length / stride) cells; the smaller half of what sticks out comes first.
    """

    size: Pair
    strides: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: str = "valid"

    @property
    def reach(self) -> Pair:
        """Cells from the first to the last of the window, both included: (size - 1) dilation + 1."""
        (h, w), (by_h, by_w) = self.size, self.dilation
        return (h - 1) * by_h + 1, (w - 1) * by_w + 1

    def output_lengths(self, shape: Shape, what: str) -> Pair:
        """Return height and width of the output for rows (H, W, C); raises ValueError where the window is larger."""
        if self.padding == "same":
            return -(-shape[0] // self.strides[0]), -(-shape[1] // self.strides[1])
        reach = self.reach
        if reach[0] > shape[0] or reach[1] > shape[1]:
            raise ValueError(
                f"{what} has a window of {reach[0]} x {reach[1]} cells, got rows of {shape[0]} x {shape[1]}; make the "
                "window smaller or set padding='same'."
            )
        return (shape[0] - reach[0]) // self.strides[0] + 1, (shape[1] - reach[1]) // self.strides[1] + 1

    def pads(self, shape: Shape) -> Pair:
        """Return the cells of padding above and to the left of rows (H, W, C)."""
        if self.padding == "valid":
            return 0, 0
        return tuple(  # type: ignore[return-value]
            max((-(-length // stride) - 1) * stride + reach - length, 0) // 2
            for length, stride, reach in zip(shape, self.strides, self.reach, strict=False)
        )

    def attributes(self, shape: Shape) -> dict[str, int]:
        """Return strides and padding as an instruction has them, for rows (H, W, C)."""
        pads = self.pads(shape)
        return {
            "stride_h": self.strides[0],
            "stride_w": self.strides[1],
            "pad_top": pads[0],
            "pad_left": pads[1],
        }

    def dilated_attributes(self, shape: Shape) -> dict[str, int]:
        """Return the same with the dilation."""
        return {**self.attributes(shape), "dilation_h": self.dilation[0], "dilation_w": self.dilation[1]}


def pair(value: Any, name: str, low: int = 1) -> Pair:
    """Return two whole numbers not below `low`, given as such or as one that stands for both."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"{name} must be a whole number or two of them, got {value!r}.")
        return whole(value[0], name, low), whole(value[1], name, low)
    number = whole(value, name, low)
    return number, number


def check_padding(padding: Any) -> str:
    """Return "valid" or "same"; raises for anything else."""
    if not isinstance(padding, str) or padding.lower() not in PADDINGS:
        raise ValueError(f"padding must be 'valid' or 'same', got {padding!r}.")
    return padding.lower()


def check_data_format(data_format: Any) -> None:
    """Raise ValueError unless the channels come last."""
    if data_format not in (None, "channels_last"):
        raise ValueError(
            f"data_format must be 'channels_last', rows (height, width, channels), got {data_format!r}; move the "
            "channels of the data with numpy.moveaxis(x, 1, -1)."
        )


def check_dilation(strides: Pair, dilation: Pair) -> None:
    """Raise ValueError for strides and dilation both above 1, which Keras refuses too."""
    if max(strides) > 1 and max(dilation) > 1:
        raise ValueError(f"strides above 1 need dilation_rate=1, got strides={strides}, dilation_rate={dilation}.")


def check_image(shape: Shape, what: str) -> None:
    """Raise ValueError unless rows are images (height, width, channels)."""
    if len(shape) != 3:
        raise ValueError(
            f"{what} expects rows of shape (height, width, channels), got {shape}; begin with {_reshape_for(shape)}."
        )


def _reshape_for(shape: Shape) -> str:
    """Return the `Reshape` that makes images of rows, if they look like square ones in grey or colour."""
    if len(shape) == 2:
        return f"Reshape(({shape[0]}, {shape[1]}, 1))"
    if len(shape) == 1:
        for channels in (1, 3):
            side = isqrt(shape[0] // channels)
            if side > 1 and side * side * channels == shape[0]:
                return f"Reshape(({side}, {side}, {channels}))"
    return "a Reshape to that form"
