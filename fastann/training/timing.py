"""How long the steps of a `fit` took, as the calls of the backend show it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True)
class StepTime:
    """The mean time of a training step.

    Attributes:
        batch_size: rows of a step.
        steps: how many were timed.
        seconds: of one of them, the share of what a call costs included.
        compiled: whether a compilation is in it, because no call of the same length was made twice.
    """

    batch_size: int
    steps: int
    seconds: float
    compiled: bool = False


class StepTimes:
    """The calls of the last `fit`, summed; those that compile apart.

    Args:
        batch_size: rows of a step.
        compiles: whether the first call of each length compiles, as JAX does.
        before: the times of the `fit` before, which compiled some lengths already.
    """

    def __init__(self, batch_size: int, compiles: bool, before: StepTimes | None = None) -> None:
        self.batch_size = batch_size
        self._compiles = compiles
        self._known: set[Hashable] = set()
        if before is not None and before.batch_size == batch_size:
            self._known = before._known
        self._first = (0, 0.0)
        self._later = (0, 0.0)

    def add(self, length: Hashable, steps: int, seconds: float) -> None:
        """Count a call; `length` is all that a backend may have compiled it for."""
        if self._compiles and length not in self._known:
            self._first = (self._first[0] + steps, self._first[1] + seconds)
        else:
            self._later = (self._later[0] + steps, self._later[1] + seconds)
        self._known.add(length)

    @property
    def mean(self) -> StepTime | None:
        """The mean over the calls that did not compile, over all if there are none; None before the first step."""
        for (steps, seconds), compiled in ((self._later, False), (self._first, True)):
            if steps:
                return StepTime(self.batch_size, steps, seconds / steps, compiled)
        return None
