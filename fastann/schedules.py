"""Learning rates as functions of the number of updates made, with Keras' names, arguments and values.

A schedule takes a step or an integer array of steps and returns a float or a float64 array. Steps count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastann.spec import Spec, bounded, flag, label, number, register, whole

Rates: TypeAlias = float | NDArray[np.float64]


class LearningRateSchedule(Spec):
    """Base of schedules; a class of your own overrides `__call__(step) -> float`.

    To be written to a model file it must be a frozen dataclass registered with `fastann.spec.register("schedules")`.
    """

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of the update that follows `step` others."""
        raise TypeError(f"{type(self).__name__} must override __call__(self, step).")


def _steps(value: Any, name: str) -> float:
    """Return a positive number of steps, as an int if it is whole."""
    steps = bounded(value, name, above=True)
    return int(steps) if steps.is_integer() else steps


class _Formula(LearningRateSchedule):
    """Schedules that take any number of steps at once."""

    def __call__(self, step: ArrayLike) -> Rates:
        """Return the learning rates of the updates that follow `step` others, an array for an array of steps."""
        # Never as 0-d: NumPy's powers and cosines of scalars may differ in the last bit from those of arrays.
        at = np.atleast_1d(np.asarray(step, np.float64))
        rates = self._rates(at)
        return float(rates[0]) if np.ndim(step) == 0 else rates

    def _rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        raise TypeError(f"{type(self).__name__} must override _rates.")


@dataclass(frozen=True)
class _Decay(_Formula):
    """The settings of decays that go on for ever."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        self._set(
            initial_learning_rate=bounded(self.initial_learning_rate, "initial_learning_rate"),
            decay_steps=_steps(self.decay_steps, "decay_steps"),
            decay_rate=bounded(self.decay_rate, "decay_rate"),
            staircase=flag(self.staircase, "staircase"),
            name=label(self.name, "name"),  # type: ignore[attr-defined]
        )

    def _periods(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        periods = at / self.decay_steps
        return np.floor(periods) if self.staircase else periods


@register("schedules")
@dataclass(frozen=True)
class ExponentialDecay(_Decay):
    """initial_learning_rate * decay_rate^(step / decay_steps); `staircase` rounds the exponent down.

    >>> ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)(200)
    0.025
    """

    name: str | None = "ExponentialDecay"

    def _rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.initial_learning_rate * self.decay_rate ** self._periods(at))


@register("schedules")
@dataclass(frozen=True)
class InverseTimeDecay(_Decay):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps); `staircase` rounds the quotient down.

    >>> InverseTimeDecay(0.1, decay_steps=100, decay_rate=0.5)(200)
    0.05
    """

    name: str | None = "InverseTimeDecay"

    def _rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.initial_learning_rate / (1 + self.decay_rate * self._periods(at)))


@register("schedules")
@dataclass(frozen=True)
class PiecewiseConstantDecay(_Formula):
    """values[0] up to and including step boundaries[0], values[1] up to boundaries[1], ..., values[-1] after the last.

    Args:
        boundaries: increasing steps.
        values: one number more than boundaries.

    >>> [PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1])(step) for step in (0, 10, 11, 21)]
    [1.0, 1.0, 0.5, 0.1]
    """

    boundaries: Sequence[float]
    values: Sequence[float]
    name: str | None = "PiecewiseConstant"

    def __post_init__(self) -> None:
        for name in ("boundaries", "values"):
            if not isinstance(getattr(self, name), tuple | list):
                raise TypeError(f"{name} must be a list of numbers, got {getattr(self, name)!r}.")
        boundaries = tuple(number(b, "a boundary") for b in self.boundaries)
        boundaries = tuple(int(b) if b.is_integer() else b for b in boundaries)
        values = tuple(bounded(v, "a learning rate in values") for v in self.values)
        if len(values) != len(boundaries) + 1 or not boundaries:
            raise ValueError(
                "values must hold one number more than boundaries, "
                f"got {len(values)} values for {len(boundaries)} boundaries."
            )
        if any(b <= a for a, b in pairwise(boundaries)):
            raise ValueError(f"boundaries must increase, got {boundaries}.")
        self._set(boundaries=boundaries, values=values, name=label(self.name, "name"))

    def _rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        place = np.searchsorted(np.array(self.boundaries), at, side="left")
        return np.asarray(np.array(self.values)[place])


@register("schedules")
@dataclass(frozen=True)
class PolynomialDecay(_Formula):
    """(a0 - a1) * (1 - min(step, n) / n)^power + a1.

    a0 and a1 are the initial and the end learning rate and n is decay_steps; with `cycle`, n grows to the next multiple
    of decay_steps instead of stopping there.

    >>> PolynomialDecay(0.1, decay_steps=100, end_learning_rate=0.0)(50)
    0.05
    """

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str | None = "PolynomialDecay"

    def __post_init__(self) -> None:
        self._set(
            initial_learning_rate=bounded(self.initial_learning_rate, "initial_learning_rate"),
            decay_steps=_steps(self.decay_steps, "decay_steps"),
            end_learning_rate=bounded(self.end_learning_rate, "end_learning_rate"),
            power=bounded(self.power, "power"),
            cycle=flag(self.cycle, "cycle"),
            name=label(self.name, "name"),
        )

    def _rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        span = np.full_like(at, self.decay_steps)
        if self.cycle:
            span = span * np.where(at == 0, 1.0, np.ceil(at / self.decay_steps))
        p = np.minimum(at, span) / span
        height = self.initial_learning_rate - self.end_learning_rate
        return np.asarray(height * (1 - p) ** self.power + self.end_learning_rate)


@register("schedules")
@dataclass(frozen=True)
class CosineDecay(_Formula):
    """a0 * ((1 - alpha) * (1 + cos(pi step / decay_steps)) / 2 + alpha), after a linear warm-up if wanted.

    a0 is the initial learning rate. With `warmup_target`, the rate first climbs from a0 to that in `warmup_steps`, then
    decays from there for `decay_steps` more. Loshchilov & Hutter 2017; the warm-up: Goyal et al. 2017.

    >>> CosineDecay(0.0, decay_steps=100, warmup_target=0.2, warmup_steps=10)(5)
    0.1
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    name: str | None = "CosineDecay"
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        self._set(
            initial_learning_rate=bounded(self.initial_learning_rate, "initial_learning_rate"),
            decay_steps=_steps(self.decay_steps, "decay_steps"),
            alpha=bounded(self.alpha, "alpha"),
            name=label(self.name, "name"),
            warmup_steps=whole(self.warmup_steps, "warmup_steps"),
        )
        if self.warmup_target is not None:
            self._set(warmup_target=bounded(self.warmup_target, "warmup_target"))

    def _rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.warmup_target is None:
            return np.asarray(self._decay(at, self.initial_learning_rate))
        climbed = at / self.warmup_steps if self.warmup_steps else np.ones_like(at)
        climb = self.initial_learning_rate + (self.warmup_target - self.initial_learning_rate) * climbed
        fall = self._decay(np.maximum(at - self.warmup_steps, 0), self.warmup_target)
        return np.asarray(np.where(at < self.warmup_steps, climb, fall))

    def _decay(self, at: NDArray[np.float64], start: float) -> NDArray[np.float64]:
        cosine = 0.5 * (1 + np.cos(math.pi * np.minimum(at, self.decay_steps) / self.decay_steps))
        return np.asarray(start * ((1 - self.alpha) * cosine + self.alpha))


@register("schedules")
@dataclass(frozen=True)
class CosineDecayRestarts(_Formula):
    """Cosine decay that starts again: period k lasts first_decay_steps * t_mul^k and begins at a0 * m_mul^k.

    a0 is the initial learning rate, and alpha * a0 where every period ends. Loshchilov & Hutter 2017, "SGDR".

    >>> [CosineDecayRestarts(0.1, first_decay_steps=10)(step) for step in (0, 5, 10, 20)]
    [0.1, 0.05, 0.1, 0.05]
    """

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str | None = "SGDRDecay"

    def __post_init__(self) -> None:
        self._set(
            initial_learning_rate=bounded(self.initial_learning_rate, "initial_learning_rate"),
            first_decay_steps=_steps(self.first_decay_steps, "first_decay_steps"),
            t_mul=bounded(self.t_mul, "t_mul", 1.0),
            m_mul=bounded(self.m_mul, "m_mul"),
            alpha=bounded(self.alpha, "alpha"),
            name=label(self.name, "name"),
        )

    def _rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        done = at / self.first_decay_steps
        if self.t_mul == 1:
            period = np.floor(done)
            share = done - period
        else:
            # the guard keeps a step that begins a period from falling into the one before by rounding
            period = np.floor(np.log1p(done * (self.t_mul - 1)) / math.log(self.t_mul) + 1e-12)
            length = self.t_mul**period
            share = (done - (length - 1) / (self.t_mul - 1)) / length
        cosine = 0.5 * self.m_mul**period * (1 + np.cos(math.pi * share))
        return np.asarray(self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha))
