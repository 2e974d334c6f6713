"""Half a cosine from the first learning rate to the last, once or again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastann.schedules.base import Formula, steps
from fastann.spec import bounded, label, register, whole


@register("schedules")
@dataclass(frozen=True)
class CosineDecay(Formula):
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
            decay_steps=steps(self.decay_steps, "decay_steps"),
            alpha=bounded(self.alpha, "alpha"),
            name=label(self.name, "name"),
            warmup_steps=whole(self.warmup_steps, "warmup_steps"),
        )
        if self.warmup_target is not None:
            self._set(warmup_target=bounded(self.warmup_target, "warmup_target"))

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
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
class CosineDecayRestarts(Formula):
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
            first_decay_steps=steps(self.first_decay_steps, "first_decay_steps"),
            t_mul=bounded(self.t_mul, "t_mul", 1.0),
            m_mul=bounded(self.m_mul, "m_mul"),
            alpha=bounded(self.alpha, "alpha"),
            name=label(self.name, "name"),
        )

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
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
