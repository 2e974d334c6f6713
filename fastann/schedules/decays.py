"""Decays that go on for ever: exponential, inverse in time, in steps; and polynomial to an end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastann.schedules.base import Formula, steps
from fastann.spec import bounded, flag, label, register


@dataclass(frozen=True)
class _Decay(Formula):
    """The settings of decays that go on for ever."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        self._set(
            initial_learning_rate=bounded(self.initial_learning_rate, "initial_learning_rate"),
            decay_steps=steps(self.decay_steps, "decay_steps"),
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

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.initial_learning_rate * self.decay_rate ** self._periods(at))


@register("schedules")
@dataclass(frozen=True)
class InverseTimeDecay(_Decay):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps); `staircase` rounds the quotient down.

    >>> InverseTimeDecay(0.1, decay_steps=100, decay_rate=0.5)(200)
    0.05
    """

    name: str | None = "InverseTimeDecay"

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.initial_learning_rate / (1 + self.decay_rate * self._periods(at)))


@register("schedules")
@dataclass(frozen=True)
class PolynomialDecay(Formula):
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
            decay_steps=steps(self.decay_steps, "decay_steps"),
            end_learning_rate=bounded(self.end_learning_rate, "end_learning_rate"),
            power=bounded(self.power, "power"),
            cycle=flag(self.cycle, "cycle"),
            name=label(self.name, "name"),
        )

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        span = np.full_like(at, self.decay_steps)
        if self.cycle:
            span = span * np.where(at == 0, 1.0, np.ceil(at / self.decay_steps))
        p = np.minimum(at, span) / span
        height = self.initial_learning_rate - self.end_learning_rate
        return np.asarray(height * (1 - p) ** self.power + self.end_learning_rate)


@register("schedules")
@dataclass(frozen=True)
class StepDecay(Formula):
    """initial_learning_rate * factor^floor(step / drop_every): the same rate for some steps, then a lower one.

    >>> [StepDecay(0.1, drop_every=10, factor=0.5)(step) for step in (0, 9, 10, 25)]
    [0.1, 0.1, 0.05, 0.025]

    Args:
        initial_learning_rate: of the first steps.
        drop_every: steps between two drops; an epoch has ceil(rows / batch_size) of them.
        factor: new rate over old, in [0, 1].
    """

    initial_learning_rate: float
    drop_every: float
    factor: float = 0.5
    name: str | None = "StepDecay"

    def __post_init__(self) -> None:
        self._set(
            initial_learning_rate=bounded(self.initial_learning_rate, "initial_learning_rate"),
            drop_every=steps(self.drop_every, "drop_every"),
            factor=bounded(self.factor, "factor", 0.0, 1.0),
            name=label(self.name, "name"),
        )

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the learning rates at steps float64[n]."""
        return np.asarray(self.initial_learning_rate * self.factor ** np.floor(at / self.drop_every))
