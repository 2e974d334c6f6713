"""Initializers whose variance follows the size of the kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastann.initializers.base import Floats, Initializer, Shape, checked_seed
from fastann.initializers.random import cut_normal
from fastann.spec import bounded, register

MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("uniform", "truncated_normal", "untruncated_normal")

# The standard deviation of a normal distribution cut at two standard deviations.
_CUT_NORMAL_STDDEV = 0.87962566103423978


def compute_fans(shape: Shape) -> tuple[int, int]:
    """Return (fan in, fan out) of a kernel: (in, out), or (*window, in, out) with the window counted in both."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def _draw_scaled(shape: Shape, scale: float, mode: str, distribution: str, rng: np.random.Generator) -> Floats:
    """Draw with variance scale / n, n the fan that `mode` names."""
    fan_in, fan_out = compute_fans(shape)
    n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    variance = scale / max(1.0, n)
    if distribution == "uniform":
        limit = math.sqrt(3 * variance)
        return rng.uniform(-limit, limit, shape)
    if distribution == "untruncated_normal":
        return math.sqrt(variance) * rng.standard_normal(shape)
    return math.sqrt(variance) / _CUT_NORMAL_STDDEV * cut_normal(shape, rng)


@register("initializers")
@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Mean 0 and variance scale / n, n being fan in, fan out or their mean.

    Args:
        scale: above 0.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "uniform", "truncated_normal" (or "normal") or "untruncated_normal".
        seed: a seed of its own.
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None

    def __post_init__(self) -> None:
        self._set(scale=bounded(self.scale, "scale", above=True), seed=checked_seed(self.seed))
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(map(repr, MODES))}, got {self.mode!r}.")
        if self.distribution == "normal":
            self._set(distribution="truncated_normal")
        if self.distribution not in DISTRIBUTIONS:
            raise ValueError(
                f"distribution must be one of {', '.join(map(repr, DISTRIBUTIONS))}, got {self.distribution!r}."
            )

    def draw(self, shape: Shape, rng: np.random.Generator) -> Floats:
        return _draw_scaled(shape, self.scale, self.mode, self.distribution, rng)


@dataclass(frozen=True)
class _Scaled(Initializer):
    """A named case of `VarianceScaling`."""

    SCALE: ClassVar[float]
    MODE: ClassVar[str]
    DISTRIBUTION: ClassVar[str]

    seed: int | None = None

    def __post_init__(self) -> None:
        self._set(seed=checked_seed(self.seed))

    def draw(self, shape: Shape, rng: np.random.Generator) -> Floats:
        return _draw_scaled(shape, self.SCALE, self.MODE, self.DISTRIBUTION, rng)


@register("initializers")
@dataclass(frozen=True)
class GlorotUniform(_Scaled):
    """Uniform with variance 2 / (fan in + fan out). Glorot & Bengio 2010, equation 16."""

    SCALE, MODE, DISTRIBUTION = 1.0, "fan_avg", "uniform"


@register("initializers")
@dataclass(frozen=True)
class GlorotNormal(_Scaled):
    """Truncated normal with variance 2 / (fan in + fan out). Glorot & Bengio 2010."""

    SCALE, MODE, DISTRIBUTION = 1.0, "fan_avg", "truncated_normal"


@register("initializers")
@dataclass(frozen=True)
class HeUniform(_Scaled):
    """Uniform with variance 2 / fan in. He et al. 2015, equation 10."""

    SCALE, MODE, DISTRIBUTION = 2.0, "fan_in", "uniform"


@register("initializers")
@dataclass(frozen=True)
class HeNormal(_Scaled):
    """Truncated normal with variance 2 / fan in. He et al. 2015."""

    SCALE, MODE, DISTRIBUTION = 2.0, "fan_in", "truncated_normal"


@register("initializers")
@dataclass(frozen=True)
class LecunUniform(_Scaled):
    """Uniform with variance 1 / fan in. LeCun et al. 1998, section 4.6."""

    SCALE, MODE, DISTRIBUTION = 1.0, "fan_in", "uniform"


@register("initializers")
@dataclass(frozen=True)
class LecunNormal(_Scaled):
    """Truncated normal with variance 1 / fan in. LeCun et al. 1998."""

    SCALE, MODE, DISTRIBUTION = 1.0, "fan_in", "truncated_normal"
