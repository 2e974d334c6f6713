"""Initializers that draw nothing: constants and the identity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastann.initializers.base import Floats, Initializer, Shape
from fastann.spec import number, register


@register("initializers")
@dataclass(frozen=True)
class Zeros(Initializer):
    """All 0."""

    def draw(self, shape: Shape, rng: np.random.Generator) -> Floats:
        return np.zeros(shape)


@register("initializers")
@dataclass(frozen=True)
class Ones(Initializer):
    """All 1."""

    def draw(self, shape: Shape, rng: np.random.Generator) -> Floats:
        return np.ones(shape)


@register("initializers")
@dataclass(frozen=True)
class Constant(Initializer):
    """All `value`."""

    value: float = 0.0

    def __post_init__(self) -> None:
        self._set(value=number(self.value, "value"))

    def draw(self, shape: Shape, rng: np.random.Generator) -> Floats:
        return np.full(shape, self.value)


@register("initializers")
@dataclass(frozen=True)
class Identity(Initializer):
    """gain on the diagonal of a matrix, 0 elsewhere."""

    gain: float = 1.0

    def __post_init__(self) -> None:
        self._set(gain=number(self.gain, "gain"))

    def draw(self, shape: Shape, rng: np.random.Generator) -> Floats:
        if len(shape) != 2:
            raise ValueError(f"Identity needs a shape with two axes, got {shape}.")
        return self.gain * np.eye(*shape)
