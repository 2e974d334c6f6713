"""Set the learning rate at the beginning of every epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from numbers import Real
from typing import Any

from fastann.callbacks.base import Callback, Logs


class LearningRateScheduler(Callback):
    """Set the learning rate of each epoch to `schedule(epoch, learning_rate)`.

    `History` gets the entry "learning_rate". For a rate that changes with every update give the optimizer a schedule.

    Args:
        schedule: a function of the epoch (from 0) and, if it takes two arguments, the present learning rate.
        verbose: 1 to print each rate.

    Raises:
        TypeError: `schedule` is not a function, does not return a number, or the optimizer has a schedule of its own.

    >>> halving = LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler expects a function of epoch and learning rate, got {schedule!r}.")
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_two(schedule)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        arguments = (epoch, float(optimizer.learning_rate)) if self._takes_rate else (epoch,)
        rate = self.schedule(*arguments)
        if not isinstance(rate, Real) or isinstance(rate, bool):
            raise TypeError(f"the schedule of LearningRateScheduler must return a number, got {rate!r}.")
        optimizer.learning_rate = float(rate)
        if self.verbose > 0:
            print(f"Epoch {epoch + 1}: LearningRateScheduler sets the learning rate to {float(rate):g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two(function: Callable[..., Any]) -> bool:
    """Return whether a function can be called with two arguments; True if nobody knows."""
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:
        return True
    return True
