"""How far images may be changed, and the drawing of a change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastann.preprocessing.image.transforms import Transform


@dataclass(frozen=True)
class Ranges:
    """The ranges of `ImageDataGenerator`, which says what they mean.

    Raises:
        ValueError: one is negative, not finite, or no range.
    """

    rotation: float = 0.0
    width_shift: Any = 0.0
    height_shift: Any = 0.0
    brightness: Any = None
    shear: float = 0.0
    zoom: Any = 0.0
    channel_shift: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False

    def __post_init__(self) -> None:
        for name in ("rotation", "shear", "channel_shift"):
            object.__setattr__(self, name, _size(getattr(self, name), f"{name}_range"))
        for name in ("width_shift", "height_shift"):
            object.__setattr__(self, name, _shift(getattr(self, name), f"{name}_range"))
        zoom = self.zoom
        if np.ndim(zoom) == 0:
            zoom = (1 - _size(zoom, "zoom_range"), 1 + zoom)
        object.__setattr__(self, "zoom", _pair(zoom, "zoom_range"))
        if min(self.zoom) <= 0:
            raise ValueError(f"zoom_range must lie above 0, got {self.zoom}.")
        if self.brightness is not None:
            object.__setattr__(self, "brightness", _pair(self.brightness, "brightness_range"))

    def draw(self, rows: int, columns: int, rng: np.random.Generator) -> Transform:
        """Draw the change of one image of this size; what has no range is not drawn."""
        equal = self.zoom == (1, 1)
        return {
            "theta": _either_way(self.rotation, rng),
            "tx": _draw_shift(self.height_shift, rows, rng),
            "ty": _draw_shift(self.width_shift, columns, rng),
            "shear": _either_way(self.shear, rng),
            "zx": 1.0 if equal else rng.uniform(*self.zoom),
            "zy": 1.0 if equal else rng.uniform(*self.zoom),
            "flip_horizontal": bool(self.horizontal_flip and rng.random() < 0.5),
            "flip_vertical": bool(self.vertical_flip and rng.random() < 0.5),
            "channel_shift_intensity": _either_way(self.channel_shift, rng) if self.channel_shift else None,
            "brightness": None if self.brightness is None else rng.uniform(*self.brightness),
        }


def _either_way(size: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(-size, size)) if size else 0.0


def _draw_shift(given: Any, size: int, rng: np.random.Generator) -> float:
    """Return a shift in pixels along an axis of this size."""
    if isinstance(given, tuple):
        value = float(rng.choice(given) * rng.choice((-1, 1)))
        return value * size if max(given) < 1 else value
    if isinstance(given, int):
        return float(rng.integers(1 - given, given)) if given else 0.0
    return _either_way(given * size if given < 1 else given, rng)


def _size(given: Any, name: str) -> float:
    number = _number(given)
    if not number >= 0:
        raise ValueError(f"{name} must be a number of at least 0, got {given!r}.")
    return number


def _shift(given: Any, name: str) -> float | int | tuple[float, ...]:
    if np.ndim(given) == 1 and len(given) > 0:
        return tuple(_size(value, f"each value of {name}") for value in given)
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        return int(_size(given, name))
    return _size(given, name)


def _pair(given: Any, name: str) -> tuple[float, float]:
    numbers = [_number(value) for value in given] if np.ndim(given) == 1 else []
    if len(numbers) != 2 or not 0 <= numbers[0] <= numbers[1]:
        raise ValueError(f"{name} must be two numbers of at least 0, the smaller one first, got {given!r}.")
    return numbers[0], numbers[1]


def _number(given: Any) -> float:
    """Return a finite number, NaN for anything else."""
    try:
        number = math.nan if isinstance(given, bool | str | bytes) else float(given)
    except (TypeError, ValueError):
        number = math.nan
    return number if math.isfinite(number) else math.nan
