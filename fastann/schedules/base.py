"""What every schedule is: a learning rate as a function of the number of updates made."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastann.spec import Spec, bounded

Rates: TypeAlias = float | NDArray[np.float64]


class LearningRateSchedule(Spec):
    """Base of schedules; a class of your own overrides `__call__(step) -> float`.

    To be written to a model file it must be a frozen dataclass registered with `fastann.spec.register("schedules")`.
    """

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of the update that follows `step` others."""
        raise TypeError(f"{type(self).__name__} must override __call__(self, step).")


def steps(value: Any, name: str) -> float:
    """Return a positive number of steps, as an int if it is whole."""
    number = bounded(value, name, above=True)
    return int(number) if number.is_integer() else number


class Formula(LearningRateSchedule):
    """Schedules that take any number of steps at once."""

    def __call__(self, step: ArrayLike) -> Rates:
        """Return the learning rates of the updates that follow `step` others, an array for an array of steps."""
        # Never as 0-d: NumPy's powers and cosines of scalars may differ in the last bit from those of arrays.
        at = np.atleast_1d(np.asarray(step, np.float64))
        rates = self.rates(at)
        return float(rates[0]) if np.ndim(step) == 0 else rates

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the learning rates at steps float64[n]."""
        raise TypeError(f"{type(self).__name__} must override rates.")
