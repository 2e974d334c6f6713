"""What draws the first value of a weight: Keras' initializers, drawn with NumPy in float64.

A model draws every weight with a generator made from its seed and the weight's number (`fastann.random`), so that the backends, and
float32 and float64, start alike. An initializer with a seed of its own ignores that generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastann.spec import Spec, bounded, number, register, whole

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

# The standard deviation of a normal distribution cut at two standard deviations.
_CUT_NORMAL_STDDEV = 0.87962566103423978


def compute_fans(shape: Shape) -> tuple[int, int]:
    """Return (fan in, fan out) of a kernel: (in, out), or (*window, in, out) with the window counted in both."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


@dataclass(frozen=True)
class Initializer(Spec):
    """Base of initializers; subclasses override `_draw`."""

    def initialize(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return a float64 array drawn with `rng`, or with the initializer's own seed if it has one."""
        seed = getattr(self, "seed", None)
        return np.asarray(self._draw(tuple(shape), rng if seed is None else np.random.default_rng(seed)), np.float64)

    def __call__(self, shape: Shape, dtype: DTypeLike = None, seed: int | None = None) -> Array:
        """Return an array of `dtype` (float32 by default); `seed` makes it repeatable."""
        return self.initialize(shape, np.random.default_rng(seed)).astype(dtype or np.float32)

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        raise TypeError(f"{type(self).__name__} does not say how it draws.")

    def _set(self, **values: Any) -> None:
        for key, value in values.items():
            object.__setattr__(self, key, value)


@register("initializers")
@dataclass(frozen=True)
class Zeros(Initializer):
    """All 0."""

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        return np.zeros(shape)


@register("initializers")
@dataclass(frozen=True)
class Ones(Initializer):
    """All 1."""

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        return np.ones(shape)


@register("initializers")
@dataclass(frozen=True)
class Constant(Initializer):
    """All `value`."""

    value: float = 0.0

    def __post_init__(self) -> None:
        self._set(value=number(self.value, "value"))

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        return np.full(shape, self.value)


@dataclass(frozen=True)
class _Seeded(Initializer):
    """Initializers that draw random numbers."""

    def _check_seed(self) -> None:
        seed = self.seed  # type: ignore[attr-defined]
        if seed is not None:
            self._set(seed=whole(seed, "seed"))


@dataclass(frozen=True)
class _Normal(_Seeded):
    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def __post_init__(self) -> None:
        self._set(mean=number(self.mean, "mean"), stddev=bounded(self.stddev, "stddev"))
        self._check_seed()


@register("initializers")
@dataclass(frozen=True)
class RandomNormal(_Normal):
    """Normal with `mean` and `stddev`."""

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        return self.mean + self.stddev * rng.standard_normal(shape)


@register("initializers")
@dataclass(frozen=True)
class TruncatedNormal(_Normal):
    """Normal, drawn again where it falls beyond two standard deviations from the mean."""

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        return self.mean + self.stddev * _cut_normal(shape, rng)


@register("initializers")
@dataclass(frozen=True)
class RandomUniform(_Seeded):
    """Uniform in [minval, maxval)."""

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = None

    def __post_init__(self) -> None:
        self._set(minval=number(self.minval, "minval"), maxval=number(self.maxval, "maxval"))
        if self.maxval < self.minval:
            raise ValueError(f"maxval must not lie below minval, got {self.maxval:g} and {self.minval:g}.")
        self._check_seed()

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        return rng.uniform(self.minval, self.maxval, shape)


def _cut_normal(shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    values = rng.standard_normal(shape)
    outside = np.abs(values) > 2
    while outside.any():
        values[outside] = rng.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2
    return values


def _draw_scaled(
    shape: Shape, scale: float, mode: str, distribution: str, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw with variance scale / n, n the fan that `mode` names."""
    fan_in, fan_out = compute_fans(shape)
    n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    variance = scale / max(1.0, n)
    if distribution == "uniform":
        limit = math.sqrt(3 * variance)
        return rng.uniform(-limit, limit, shape)
    if distribution == "untruncated_normal":
        return math.sqrt(variance) * rng.standard_normal(shape)
    return math.sqrt(variance) / _CUT_NORMAL_STDDEV * _cut_normal(shape, rng)


@register("initializers")
@dataclass(frozen=True)
class VarianceScaling(_Seeded):
    """Variance scale / n, n being fan in, fan out or their mean.

    Args:
        scale: above 0.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "uniform", "truncated_normal" or "untruncated_normal".
        seed: a seed of its own.
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None

    def __post_init__(self) -> None:
        self._set(scale=bounded(self.scale, "scale", above=True))
        if self.mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"mode must be 'fan_in', 'fan_out' or 'fan_avg', got {self.mode!r}.")
        if self.distribution == "normal":
            self._set(distribution="truncated_normal")
        if self.distribution not in ("uniform", "truncated_normal", "untruncated_normal"):
            raise ValueError(
                "distribution must be 'uniform', 'truncated_normal' or 'untruncated_normal', "
                f"got {self.distribution!r}."
            )
        self._check_seed()

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        return _draw_scaled(shape, self.scale, self.mode, self.distribution, rng)


@dataclass(frozen=True)
class _Scaled(_Seeded):
    """A named case of `VarianceScaling`."""

    SCALE: ClassVar[float]
    MODE: ClassVar[str]
    DISTRIBUTION: ClassVar[str]

    seed: int | None = None

    def __post_init__(self) -> None:
        self._check_seed()

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
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


@register("initializers")
@dataclass(frozen=True)
class Orthogonal(_Seeded):
    """gain * Q, with orthonormal rows or columns once all axes but the last are merged. Saxe, McClelland & Ganguli 2014."""

    gain: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        self._set(gain=number(self.gain, "gain"))
        self._check_seed()

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs a shape with two axes or more, got {shape}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


@register("initializers")
@dataclass(frozen=True)
class Identity(Initializer):
    """gain on the diagonal of a matrix, 0 elsewhere."""

    gain: float = 1.0

    def __post_init__(self) -> None:
        self._set(gain=number(self.gain, "gain"))

    def _draw(self, shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
        if len(shape) != 2:
            raise ValueError(f"Identity needs a shape with two axes, got {shape}.")
        return self.gain * np.eye(*shape)


InitializerLike: TypeAlias = Any

_CLASSES: tuple[type[Initializer], ...] = (
    Zeros, Ones, Constant, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling, GlorotUniform, GlorotNormal,
    HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal, Identity,
)  # fmt: skip


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


_BY_NAME: dict[str, type[Initializer]] = {_snake(cls.__name__): cls for cls in _CLASSES}
_BY_NAME |= {cls.__name__: cls for cls in _CLASSES}
_BY_NAME |= {"normal": RandomNormal, "uniform": RandomUniform}


def get(identifier: Any) -> Initializer:
    """Return the initializer meant by an object, a class or a name such as "glorot_uniform" or "HeNormal".

    Raises:
        ValueError: unknown name. TypeError: none of the above.
    """
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if isinstance(identifier, str):
        if identifier not in _BY_NAME:
            names = ", ".join(sorted(_snake(cls.__name__) for cls in _CLASSES))
            raise ValueError(f"initializer must be one of {names}, got {identifier!r}.")
        return _BY_NAME[identifier]()
    raise TypeError(f"an initializer must be a name or an Initializer, got {identifier!r}.")
