"""Normal and uniform initializers, and orthogonal matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fastann.initializers.base import Floats, Initializer, Shape, checked_seed
from fastann.spec import bounded, number, register


def cut_normal(shape: Shape, rng: np.random.Generator) -> Floats:
    """Return standard normal values, those beyond 2 drawn again."""
    values = rng.standard_normal(shape)
    outside = np.abs(values) > 2
    while outside.any():
        values[outside] = rng.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2
    return values


@dataclass(frozen=True)
class _Normal(Initializer):
    """The settings of the normal distributions."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def __post_init__(self) -> None:
        self._set(mean=number(self.mean, "mean"), stddev=bounded(self.stddev, "stddev"), seed=checked_seed(self.seed))


@register("initializers")
@dataclass(frozen=True)
class RandomNormal(_Normal):
    """Normal with `mean` and `stddev`."""

    def draw(self, shape: Shape, rng: np.random.Generator) -> Floats:
        return self.mean + self.stddev * rng.standard_normal(shape)


@register("initializers")
@dataclass(frozen=True)
class TruncatedNormal(_Normal):
    """Normal, drawn again where it falls beyond two standard deviations from the mean."""

    def draw(self, shape: Shape, rng: np.random.Generator) -> Floats:
        return self.mean + self.stddev * cut_normal(shape, rng)


@register("initializers")
@dataclass(frozen=True)
class RandomUniform(Initializer):
    """Uniform in [minval, maxval)."""

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = None

    def __post_init__(self) -> None:
        self._set(
            minval=number(self.minval, "minval"), maxval=number(self.maxval, "maxval"), seed=checked_seed(self.seed)
        )
        if self.maxval < self.minval:
            raise ValueError(f"maxval must not lie below minval, got maxval={self.maxval:g}, minval={self.minval:g}.")

    def draw(self, shape: Shape, rng: np.random.Generator) -> Floats:
        return rng.uniform(self.minval, self.maxval, shape)


@register("initializers")
@dataclass(frozen=True)
class Orthogonal(Initializer):
    """gain * Q, Q with orthonormal rows or columns (of which it has fewer) once all axes but the last are merged.

    Saxe, McClelland & Ganguli 2014.
    """

    gain: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        self._set(gain=number(self.gain, "gain"), seed=checked_seed(self.seed))

    def draw(self, shape: Shape, rng: np.random.Generator) -> Floats:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs a shape with two axes or more, got {shape}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)
