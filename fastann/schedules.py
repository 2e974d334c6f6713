"""Learning rates as functions of the number of updates made, with Keras' names, arguments and values.

A schedule takes a step or an integer array of steps and returns a float or a float64 array. Steps count from 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastann.spec import Spec, bounded, number, register, whole

Rates: TypeAlias = float | NDArray[np.float64]


class LearningRateSchedule(Spec):
    """Base of schedules; a class of your own overrides `__call__(step) -> float`.

    To be written to a model file it must be a frozen dataclass registered with `fastann.spec.register("schedules")`.
    """

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of the update that follows `step` others."""
        raise TypeError(f"{type(self).__name__} must override __call__(self, step).")

    def _set(self, **values: Any) -> None:
        for key, value in values.items():
            object.__setattr__(self, key, value)


def _result(step: ArrayLike, rates: NDArray[np.float64]) -> Rates:
    return float(rates) if np.ndim(step) == 0 else rates


@register("schedules")
@dataclass(frozen=True)
class ExponentialDecay(LearningRateSchedule):
    """a0 * decay_rate^(step / decay_steps); `staircase` rounds the exponent down."""

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False
    name: str = "ExponentialDecay"

    def __post_init__(self) -> None:
        self._set(
            initial_learning_rate=bounded(self.initial_learning_rate, "initial_learning_rate"),
            decay_steps=whole(self.decay_steps, "decay_steps", 1),
            decay_rate=bounded(self.decay_rate, "decay_rate"),
        )

    def __call__(self, step: ArrayLike) -> Rates:
        p = np.asarray(step, np.float64) / self.decay_steps
        return _result(step, self.initial_learning_rate * self.decay_rate ** (np.floor(p) if self.staircase else p))


@register("schedules")
@dataclass(frozen=True)
class InverseTimeDecay(LearningRateSchedule):
    """a0 / (1 + decay_rate * step / decay_steps); `staircase` rounds the quotient down."""

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False
    name: str = "InverseTimeDecay"

    def __post_init__(self) -> None:
        self._set(
            initial_learning_rate=bounded(self.initial_learning_rate, "initial_learning_rate"),
            decay_steps=whole(self.decay_steps, "decay_steps", 1),
            decay_rate=bounded(self.decay_rate, "decay_rate"),
        )

    def __call__(self, step: ArrayLike) -> Rates:
        p = np.asarray(step, np.float64) / self.decay_steps
        p = np.floor(p) if self.staircase else p
        return _result(step, self.initial_learning_rate / (1 + self.decay_rate * p))


@register("schedules")
@dataclass(frozen=True)
class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to and including step boundaries[0], values[1] up to boundaries[1], ..., values[-1] after the last.

    Args:
        boundaries: increasing steps.
        values: one number more than boundaries.
    """

    boundaries: tuple[int, ...]
    values: tuple[float, ...]
    name: str = "PiecewiseConstant"

    def __post_init__(self) -> None:
        boundaries = tuple(number(b, "boundaries") for b in self.boundaries)
        values = tuple(bounded(v, "values") for v in self.values)
        if len(values) != len(boundaries) + 1 or not boundaries:
            raise ValueError(
                "values must hold one number more than boundaries, "
                f"got {len(values)} values for {len(boundaries)} boundaries."
            )
        if any(b <= a for a, b in zip(boundaries, boundaries[1:], strict=False)):
            raise ValueError(f"boundaries must increase, got {boundaries}.")
        self._set(boundaries=boundaries, values=values)

    def __call__(self, step: ArrayLike) -> Rates:
        place = np.searchsorted(np.array(self.boundaries), np.asarray(step), side="left")
        return _result(step, np.array(self.values)[place])


@register("schedules")
@dataclass(frozen=True)
class PolynomialDecay(LearningRateSchedule):
    """(a0 - a1) * (1 - min(step, n) / n)^power + a1; with `cycle`, n grows to the next multiple of decay_steps instead."""

    initial_learning_rate: float
    decay_steps: int
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str = "PolynomialDecay"

    def __post_init__(self) -> None:
        self._set(
            initial_learning_rate=bounded(self.initial_learning_rate, "initial_learning_rate"),
            decay_steps=whole(self.decay_steps, "decay_steps", 1),
            end_learning_rate=bounded(self.end_learning_rate, "end_learning_rate"),
            power=bounded(self.power, "power"),
        )

    def __call__(self, step: ArrayLike) -> Rates:
        at = np.asarray(step, np.float64)
        span = np.full_like(at, self.decay_steps)
        if self.cycle:
            span = span * np.where(at == 0, 1.0, np.ceil(at / self.decay_steps))
        p = np.minimum(at, span) / span
        height = self.initial_learning_rate - self.end_learning_rate
        return _result(step, height * (1 - p) ** self.power + self.end_learning_rate)


@register("schedules")
@dataclass(frozen=True)
class CosineDecay(LearningRateSchedule):
    """a0 * ((1 - alpha) * (1 + cos(pi step / decay_steps)) / 2 + alpha), after a linear warm-up if wanted.

    With `warmup_target`, the rate first climbs from `initial_learning_rate` to it in `warmup_steps`, then decays from there
    for `decay_steps` more. Loshchilov & Hutter 2017.
    """

    initial_learning_rate: float
    decay_steps: int
    alpha: float = 0.0
    name: str = "CosineDecay"
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        self._set(
            initial_learning_rate=bounded(self.initial_learning_rate, "initial_learning_rate"),
            decay_steps=whole(self.decay_steps, "decay_steps", 1),
            alpha=bounded(self.alpha, "alpha"),
            warmup_steps=whole(self.warmup_steps, "warmup_steps"),
        )
        if self.warmup_target is not None:
            self._set(warmup_target=bounded(self.warmup_target, "warmup_target"))

    def __call__(self, step: ArrayLike) -> Rates:
        at = np.asarray(step, np.float64)
        if self.warmup_target is None:
            return _result(step, self._decay(at, self.initial_learning_rate))
        climbed = at / self.warmup_steps if self.warmup_steps else np.ones_like(at)
        climb = self.initial_learning_rate + (self.warmup_target - self.initial_learning_rate) * climbed
        fall = self._decay(np.maximum(at - self.warmup_steps, 0), self.warmup_target)
        return _result(step, np.where(at < self.warmup_steps, climb, fall))

    def _decay(self, at: NDArray[np.float64], start: float) -> NDArray[np.float64]:
        cosine = 0.5 * (1 + np.cos(math.pi * np.minimum(at, self.decay_steps) / self.decay_steps))
        return np.asarray(start * ((1 - self.alpha) * cosine + self.alpha))


@register("schedules")
@dataclass(frozen=True)
class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay that starts again: period k lasts first_decay_steps * t_mul^k and begins at a0 * m_mul^k.

    Loshchilov & Hutter 2017, "SGDR".
    """

    initial_learning_rate: float
    first_decay_steps: int
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str = "SGDRDecay"

    def __post_init__(self) -> None:
        self._set(
            initial_learning_rate=bounded(self.initial_learning_rate, "initial_learning_rate"),
            first_decay_steps=whole(self.first_decay_steps, "first_decay_steps", 1),
            t_mul=bounded(self.t_mul, "t_mul", 1.0),
            m_mul=bounded(self.m_mul, "m_mul"),
            alpha=bounded(self.alpha, "alpha"),
        )

    def __call__(self, step: ArrayLike) -> Rates:
        done = np.asarray(step, np.float64) / self.first_decay_steps
        if self.t_mul == 1:
            period = np.floor(done)
            share = done - period
        else:
            # the guard keeps a step that begins a period from falling into the one before by rounding
            period = np.floor(np.log1p(done * (self.t_mul - 1)) / math.log(self.t_mul) + 1e-12)
            length = self.t_mul**period
            share = (done - (length - 1) / (self.t_mul - 1)) / length
        cosine = 0.5 * self.m_mul**period * (1 + np.cos(math.pi * share))
        return _result(step, self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha))
