"""A schedule times a number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.schedules.base import Formula, Run, checked_rate, for_run, rates_at
from fastann.spec import bounded, label, register


@register("schedules")
@dataclass(frozen=True)
class Scaled(Formula):
    """factor * learning_rate(step): every rate of a schedule by the same factor.

    >>> from fastann.schedules import StepDecay
    >>> [Scaled(StepDecay(0.1, drop_every=10, factor=0.5), 4.0)(step) for step in (0, 10)]
    [0.4, 0.2]

    Args:
        learning_rate: a schedule, or a function from the step to a number.
        factor: not negative.

    Raises:
        ValueError, TypeError: a setting is out of bounds.
    """

    learning_rate: Any
    factor: float
    name: str | None = "Scaled"

    def __post_init__(self) -> None:
        self._set(
            learning_rate=checked_rate(self.learning_rate, "learning_rate"),
            factor=bounded(self.factor, "factor"),
            name=label(self.name, "name"),
        )

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the learning rates at steps float64[n]."""
        return self.factor * rates_at(self.learning_rate, at)

    def for_run(self, run: Run) -> Scaled:
        """Return the schedule with what it scales as it is in the run."""
        rate = for_run(self.learning_rate, run)
        return self if rate is self.learning_rate else replace(self, learning_rate=rate)
