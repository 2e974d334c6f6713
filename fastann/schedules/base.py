"""What every schedule is: a learning rate as a function of the number of updates made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastann.spec import Spec, bounded, whole

Rates: TypeAlias = float | NDArray[np.float64]


@dataclass(frozen=True)
class Run(Spec):
    """What `fit` tells a schedule: how large its batches are, and where in the training, in epochs, each step lies.

    Attributes:
        batch_size: rows of a batch; of all of them but a shorter last one.
        steps_per_epoch: batches of an epoch of this `fit`; None if the data do not say how many they bring, and then
            no epochs are counted.
        first_step: updates made since the model was compiled, before the first such `fit` in a row.
        first_epoch: epochs trained in them.
    """

    batch_size: int
    steps_per_epoch: int | None
    first_step: int = 0
    first_epoch: float = 0.0

    def __post_init__(self) -> None:
        steps = self.steps_per_epoch
        self._set(
            batch_size=whole(self.batch_size, "batch_size", 1),
            steps_per_epoch=None if steps is None else whole(steps, "steps_per_epoch", 1),
            first_step=whole(self.first_step, "first_step"),
            first_epoch=bounded(self.first_epoch, "first_epoch"),
        )

    def epochs(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the epochs, with fractions, that are over at steps float64[n].

        Raises:
            ValueError: nobody knows how many steps an epoch has.
        """
        if self.steps_per_epoch is None:
            raise ValueError(
                "a learning rate that follows epochs must know how many batches an epoch has, which these data do not "
                "say: give fit steps_per_epoch."
            )
        return np.asarray(self.first_epoch + (at - self.first_step) / self.steps_per_epoch)

    def followed_by(self, batch_size: int, steps_per_epoch: int | None, step: int) -> Run:
        """Return the run of another `fit` that begins after `step` updates: the epochs go on from where they are."""
        if (batch_size, steps_per_epoch) == (self.batch_size, self.steps_per_epoch):
            return self
        over = self.first_epoch if self.steps_per_epoch is None else float(self.epochs(np.array([float(step)]))[0])
        return Run(batch_size, steps_per_epoch, step, over)


class LearningRateSchedule(Spec):
    """Base of schedules; a class of your own overrides `__call__(step) -> float`.

    To be written to a model file it must be a frozen dataclass registered with `fastann.spec.register("schedules")`.

    Attributes:
        momentum_correction: whether `SGD` corrects its momentum for changes of the rate, unless it is told.
    """

    momentum_correction: ClassVar[bool] = False

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of the update that follows `step` others."""
        raise TypeError(f"{type(self).__name__} must override __call__(self, step).")

    def for_run(self, run: Run) -> LearningRateSchedule:
        """Return the schedule to follow in a `fit`, which asks when it begins; by default the schedule itself.

        Override it where rates depend on the batch size or on epochs.
        """
        return self


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


def checked_rate(rate: Any, name: str) -> Any:
    """Return a number not below 0, or the schedule or function itself.

    Raises:
        ValueError, TypeError: it is neither; a class is not.
    """
    if isinstance(rate, type):
        raise TypeError(f"{name} must be a number or a schedule, got the class {rate.__name__}; make an object of it.")
    return rate if callable(rate) else bounded(rate, name)


def rates_at(rate: Any, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values at float64[n] of a number, a schedule or a function; a user's function takes one at a time."""
    if not callable(rate):
        return np.full_like(at, rate)
    if isinstance(rate, Formula):
        return rate.rates(at)
    return np.array([float(rate(int(step) if step.is_integer() else float(step))) for step in at])


def for_run(rate: Any, run: Run) -> Any:
    """Return what a number, a schedule or a function is in a run."""
    return rate.for_run(run) if isinstance(rate, LearningRateSchedule) else rate
