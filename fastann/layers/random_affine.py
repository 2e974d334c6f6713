"""Images rotated, shifted and zoomed at random."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fastann.layers.base import Layer, Shape
from fastann.layers.windows import check_data_format, check_image
from fastann.random import check_seed
from fastann.spec import bounded, number, register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder

FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("nearest", "bilinear")

Range = tuple[float, float]
Factor = float | tuple[float, float]

#: What `random_affine` draws, each between "<name>_low" and "<name>_high", and the range that changes nothing.
_UNCHANGED: Mapping[str, Range] = {
    "angle": (0.0, 0.0), "shift_h": (0.0, 0.0), "shift_w": (0.0, 0.0), "zoom_h": (1.0, 1.0), "zoom_w": (1.0, 1.0),
}  # fmt: skip


class RandomAffine(Layer):
    """Base of layers that map each image by an affine transformation of its own, in training only.

    Each lists these settings in Keras's order. A factor is a number f, for the range from -f to f, or a pair of
    numbers, the ends of the range.
    """

    #: The settings that are factors, in [-1, 1], and whether -1 itself is left out.
    FACTORS: ClassVar[tuple[str, ...]]
    ABOVE: ClassVar[bool] = False

    fill_mode: str
    interpolation: str
    seed: int | None
    fill_value: float
    data_format: str | None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        check_data_format(self.data_format)
        for name in self.FACTORS:
            if getattr(self, name) is not None or name not in self.optional:
                self._set(**{name: _factor(getattr(self, name), name, self.ABOVE)})
        if self.fill_mode not in FILL_MODES:
            raise ValueError(f"fill_mode must be one of {', '.join(map(repr, FILL_MODES))}, got {self.fill_mode!r}.")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"interpolation must be 'nearest' or 'bilinear', got {self.interpolation!r}.")
        self._set(
            seed=None if self.seed is None else check_seed(self.seed),
            fill_value=number(self.fill_value, "fill_value"),
        )

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the factors that may be None."""
        return ()

    @property
    def square(self) -> bool:
        """Whether the width is zoomed as the height is."""
        return False

    def ranges(self, shape: Shape) -> dict[str, Range]:
        """Return the ranges that images of that shape are drawn from, by the names of the instruction."""
        raise TypeError(f"{type(self).__name__} does not say what it draws.")

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape; raises ValueError for rows that are no images."""
        check_image(input_shapes[0], type(self).__name__)
        return input_shapes[0]

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the transformation with a random stream of its own; ranges that change nothing append nothing."""
        shape = builder.shape(inputs[0])
        ranges = {**_UNCHANGED, **self.ranges(shape)}
        if ranges == _UNCHANGED:
            return inputs[0]
        ends = {f"{name}_{end}": r[k] for name, r in ranges.items() for k, end in enumerate(("low", "high"))}
        return builder.emit(
            "random_affine",
            inputs,
            shape,
            (),
            zoom_square=self.square,
            interpolation=self.interpolation,
            fill=self.fill_mode,
            fill_value=self.fill_value,
            stream=builder.next_stream(self.seed),
            **ends,
        )


@register("layers")
@dataclass(frozen=True)
class RandomRotation(RandomAffine):
    """In training, rotate each image about its centre by an angle of its own; else do nothing.

    Args:
        factor: fractions of a full turn, positive ones counter-clockwise: 0.1 for -36 to 36 degrees, or a pair.
        fill_mode: what lies outside the image: "reflect" (d c b a | a b c d | d c b a), "wrap" (a b c d | a b c d),
            "nearest" (a a a a | a b c d | d d d d) or "constant".
        interpolation: "bilinear" or "nearest".
        seed: a number in place of the layer's place in the model, so that layers of one seed draw the same.
        fill_value: for "constant".
        data_format: None or "channels_last".
    """

    FACTORS = ("factor",)

    factor: Factor
    fill_mode: str = "reflect"
    interpolation: str = "bilinear"
    seed: int | None = None
    fill_value: float = 0.0
    data_format: str | None = None

    def ranges(self, shape: Shape) -> dict[str, Range]:
        """Return the range of the angle in radians."""
        low, high = _range(self.factor)
        return {"angle": (2 * math.pi * low, 2 * math.pi * high)}


@register("layers")
@dataclass(frozen=True)
class RandomTranslation(RandomAffine):
    """In training, shift each image by a way of its own; else do nothing.

    Args:
        height_factor: fractions of the height, positive ones downwards: 0.2 for a fifth up to a fifth down, or a pair.
        width_factor: fractions of the width, positive ones to the right.
        fill_mode, interpolation, seed, fill_value, data_format: as `RandomRotation`.
    """

    FACTORS = ("height_factor", "width_factor")

    height_factor: Factor
    width_factor: Factor
    fill_mode: str = "reflect"
    interpolation: str = "bilinear"
    seed: int | None = None
    fill_value: float = 0.0
    data_format: str | None = None

    def ranges(self, shape: Shape) -> dict[str, Range]:
        """Return the ranges of the shifts in cells."""
        (low_h, high_h), (low_w, high_w) = _range(self.height_factor), _range(self.width_factor)
        return {"shift_h": (low_h * shape[0], high_h * shape[0]), "shift_w": (low_w * shape[1], high_w * shape[1])}


@register("layers")
@dataclass(frozen=True)
class RandomZoom(RandomAffine):
    """In training, zoom each image about its centre by a factor of its own; else do nothing.

    Args:
        height_factor: how much more of the height is seen, positive to zoom out: 0.2 for -20 % to 20 %, or a pair in
            (-1, 1].
        width_factor: likewise; by default the image keeps its proportions.
        fill_mode, interpolation, seed, fill_value, data_format: as `RandomRotation`.
    """

    FACTORS = ("height_factor", "width_factor")
    ABOVE = True

    height_factor: Factor
    width_factor: Factor | None = None
    fill_mode: str = "reflect"
    interpolation: str = "bilinear"
    seed: int | None = None
    fill_value: float = 0.0
    data_format: str | None = None

    @property
    def optional(self) -> tuple[str, ...]:
        """The width may follow the height."""
        return ("width_factor",)

    @property
    def square(self) -> bool:
        """Whether there is no `width_factor`."""
        return self.width_factor is None

    def ranges(self, shape: Shape) -> dict[str, Range]:
        """Return the ranges of the zooms, 1 being none."""
        low, high = _range(self.height_factor)
        wide = (low, high) if self.width_factor is None else _range(self.width_factor)
        return {"zoom_h": (1 + low, 1 + high), "zoom_w": (1 + wide[0], 1 + wide[1])}


def _factor(value: Any, name: str, above: bool) -> Factor:
    """Return a factor as a float or as a pair of them in order."""
    if not isinstance(value, tuple | list):
        return bounded(value, name, -1, 1, above=above)
    if len(value) != 2:
        raise ValueError(f"{name} must be a number or a pair of numbers, got {value!r}.")
    low, high = sorted(bounded(end, name, -1, 1, above=above) for end in value)
    return low, high


def _range(factor: Factor) -> Range:
    """Return the ends of the range that a factor stands for."""
    return factor if isinstance(factor, tuple) else (-abs(factor), abs(factor))
