"""A gentle beginning for any learning rate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.schedules.base import Formula, Run, checked_rate, for_run, rates_at
from fastann.spec import bounded, label, register, whole


@register("schedules")
@dataclass(frozen=True)
class LinearWarmup(Formula):
    """A straight line from a small rate to the one that training is to have, which then takes over.

    Goyal et al. 2017 ("Accurate, Large Minibatch SGD", arXiv:1706.02677) reach the scaled rate of a large batch, base
    rate * batch size / base batch size, after five epochs (as `LinearScaling` does without being told the steps):

    >>> steps_per_epoch = 100
    >>> warmup = LinearWarmup(0.1 * 1024 / 256, warmup_steps=5 * steps_per_epoch, initial_learning_rate=0.1)
    >>> [round(warmup(step), 6) for step in (0, 250, 500, 10_000)]
    [0.1, 0.25, 0.4, 0.4]

    Args:
        learning_rate: a number, or a schedule, whose step 0 is the end of the warm-up.
        warmup_steps: updates of the warm-up; 0 for none.
        initial_learning_rate: the rate of step 0.

    Raises:
        ValueError, TypeError: a setting is out of bounds.
    """

    learning_rate: Any
    warmup_steps: int
    initial_learning_rate: float = 0.0
    name: str | None = "LinearWarmup"

    def __post_init__(self) -> None:
        self._set(
            learning_rate=checked_rate(self.learning_rate, "learning_rate"),
            warmup_steps=whole(self.warmup_steps, "warmup_steps"),
            initial_learning_rate=bounded(self.initial_learning_rate, "initial_learning_rate"),
            name=label(self.name, "name"),
        )

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the learning rates at steps float64[n]."""
        target = rates_at(self.learning_rate, np.zeros(1))[0]
        climb = self.initial_learning_rate + (target - self.initial_learning_rate) * at / max(self.warmup_steps, 1)
        after = rates_at(self.learning_rate, np.maximum(at - self.warmup_steps, 0))
        return np.where(at < self.warmup_steps, climb, after)

    def for_run(self, run: Run) -> LinearWarmup:
        """Return the schedule with what follows the warm-up as it is in the run."""
        rate = for_run(self.learning_rate, run)
        return self if rate is self.learning_rate else replace(self, learning_rate=rate)
