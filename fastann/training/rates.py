"""The learning rate of each update: a number that may be set, or a function of the number of updates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastann.schedules.base import Formula, Run, for_run

if TYPE_CHECKING:
    from fastann.optimizers import Optimizer


class LearningRate:
    """What an optimizer was given as `learning_rate`, and its values over stretches of updates.

    Args:
        given: a number, a `LearningRateSchedule` or a function step -> float; steps count from 0.
        current: a number to use in place of the given one.
        run: the last `fit`, if the schedule asked to know it.

    Attributes:
        run: as above.
        changes: how often it was set.
    """

    def __init__(
        self, given: float | Callable[[int], float], current: float | None = None, run: Run | None = None
    ) -> None:
        self.run = run
        self.changes = 0
        self._given = given
        self._function = _in_run(given, run) if callable(given) else None
        self._value = 0.0 if callable(given) else float(given)
        if current is not None and self._function is None:
            self.set(current)

    @property
    def scheduled(self) -> bool:
        """Whether it is a function of the step."""
        return self._function is not None

    def begin_run(self, batch_size: int, steps_per_epoch: int | None, step: int) -> None:
        """Follow the schedule as it is for a `fit` that begins after `step` updates.

        Raises:
            ValueError: the schedule must know how many steps an epoch has.
        """
        before = Run(batch_size, steps_per_epoch, step) if self.run is None else self.run
        run = before.followed_by(batch_size, steps_per_epoch, step)
        function = _in_run(self._given, run)
        if function is not self._given:
            self.run, self._function = run, function

    def set(self, value: Any) -> None:
        """Replace the number.

        Raises:
            TypeError: the optimizer follows a schedule, or `value` is not a number.
            ValueError: `value` is negative, NaN or infinite.
        """
        if self._function is not None:
            raise TypeError(
                "learning_rate cannot be set while the optimizer follows a schedule; "
                "compile the model with a number instead."
            )
        if isinstance(value, bool | str | bytes) or np.ndim(value) != 0:
            raise TypeError(f"learning_rate must be a number, got {value!r}.")
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"learning_rate must be a number, got {value!r}.") from None
        if not (math.isfinite(number) and number >= 0):
            raise ValueError(f"learning_rate must be finite and not negative, got {number}.")
        self._value = number
        self.changes += 1

    def at(self, step: int) -> float:
        """Return the rate of the update that follows `step` others."""
        return self._value if self._function is None else float(self.over(step, 1)[0])

    def over(self, first: int, steps: int) -> NDArray[np.float64]:
        """Return float64[steps], the rates of the updates first, first + 1, ...

        fastann's own schedules take all steps at once; a user's function is called once a step with a Python int.
        """
        if self._function is None:
            return np.full(steps, self._value)
        if isinstance(self._function, Formula):
            rates = np.asarray(self._function(np.arange(first, first + steps)), dtype=np.float64)
        else:
            rates = np.array([float(self._function(step)) for step in range(first, first + steps)], dtype=np.float64)
        if not np.isfinite(rates).all():
            step = first + int(np.flatnonzero(~np.isfinite(rates))[0])
            raise ValueError(
                f"the learning-rate schedule must return finite numbers, got {rates[step - first]} at step {step}."
            )
        return rates


def _in_run(given: Any, run: Run | None) -> Any:
    """Return what was given as it is in a run; a schedule that does not care is returned itself."""
    return given if run is None else for_run(given, run)


class CoefficientTable:
    """The coefficients of an optimizer, made for many updates at once where its learning rate stays what it is.

    A short epoch would otherwise spend as much time on them as on its updates.

    Args:
        optimizer: asked for them.
        rate: the learning rate.
    """

    #: Updates to look ahead.
    AHEAD = 1024

    def __init__(self, optimizer: Optimizer, rate: LearningRate) -> None:
        self._optimizer = optimizer
        self._rate = rate
        self._first = 0
        self._changes = -1
        self._table = np.zeros((0, 0))

    def over(self, first: int, steps: int, previous_rate: float | None = None) -> NDArray[np.float64]:
        """Return float64[steps, K] of the updates first, first + 1, ..., not to be written to.

        `previous_rate` is that of the update before, for an optimizer that corrects its momentum.
        """
        if self._rate.scheduled or self._optimizer.corrects_momentum:
            return self._optimizer.coefficients(first, self._rate.over(first, steps), previous_rate)
        begin = first - self._first
        if self._changes != self._rate.changes or begin < 0 or begin + steps > len(self._table):
            rates = self._rate.over(first, max(steps, self.AHEAD))
            self._table, self._first, begin = self._optimizer.coefficients(first, rates), first, 0
            self._changes = self._rate.changes
        return self._table[begin : begin + steps]
