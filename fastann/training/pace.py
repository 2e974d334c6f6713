"""How many steps one call of a backend takes: few enough that Ctrl-C and the progress bar are served, no fewer."""

from __future__ import annotations

from typing import Protocol

from fastann_kernels.program import Program

#: Seconds a call should take at least, where calls are cheap, and about at most.
SHORT, LONG = 0.1, 0.4

#: Seconds a compiled epoch may take before it is cut (a call moves the whole state), and the arithmetic of a slow
#: machine, FLOP/s, to guess that.
COMPILED_CALL, SLOWEST = 4.0, 3e10


class Pace(Protocol):
    """Decides the length of calls from the length of those before.

    Attributes:
        measured: seconds of a step, if the next run of `fit` should know them.
    """

    @property
    def measured(self) -> float | None: ...

    def steps(self, remaining: int) -> int:
        """Return the steps of the next call, of `remaining` in the epoch."""

    def report(self, steps: int, seconds: float) -> None:
        """Learn how long a call took."""

    def end_epoch(self) -> None:
        """Learn that an epoch is over."""


def make_pace(
    backend: str,
    program: Program,
    batch_size: int,
    epoch_steps: int,
    every_batch: bool,
    measured: float | None = None,
) -> Pace:
    """Return the pace for a backend; `every_batch` asks for calls of one step, `measured` is of an earlier run."""
    if every_batch:
        return SingleSteps()
    if backend == "jax":
        return CompiledPace(epoch_steps, step_seconds(program, batch_size) if measured is None else measured)
    return GrowingPace(max(1, min(16, int(LONG / step_seconds(program, batch_size)))))


def step_seconds(program: Program, batch_size: int) -> float:
    """Guess the seconds of a step from its arithmetic: 6 FLOP for each row and multiplication on the way forward."""
    return 6.0 * batch_size * max(1, program.multiplications) / SLOWEST


class SingleSteps:
    """One step a call."""

    measured = None

    def steps(self, remaining: int) -> int:
        return 1

    def report(self, steps: int, seconds: float) -> None:
        """Take no notice."""

    def end_epoch(self) -> None:
        """Take no notice."""


class GrowingPace:
    """For calls that cost nothing: few steps at first, twice as many until a call takes long enough to be worth it.

    Args:
        first: steps of the first call.
    """

    measured = None

    def __init__(self, first: int = 16) -> None:
        self._steps = first

    def steps(self, remaining: int) -> int:
        return min(self._steps, remaining)

    def report(self, steps: int, seconds: float) -> None:
        if seconds > LONG:
            self._steps = max(1, steps // 2)
        elif seconds < SHORT and steps >= self._steps:
            self._steps *= 2

    def end_epoch(self) -> None:
        """Go on as before."""


class CompiledPace:
    """For a backend that compiles anew for each number of steps: a whole epoch a call, or a fixed power of two.

    Args:
        epoch_steps: steps of an epoch.
        step_seconds: a guess.
    """

    def __init__(self, epoch_steps: int, step_seconds: float) -> None:
        self._epoch_steps = epoch_steps
        self._steps = self._wanted(step_seconds)
        self._known: set[int] = set()
        self.measured: float | None = None

    def steps(self, remaining: int) -> int:
        return min(self._steps, remaining)

    def report(self, steps: int, seconds: float) -> None:
        if steps in self._known:  # the first call of a length compiles
            seconds /= steps
            self.measured = seconds if self.measured is None else min(seconds, self.measured)
        self._known.add(steps)

    def end_epoch(self) -> None:
        """Change the number of steps only if it is far off: every change costs a compile."""
        if self.measured is None:
            return
        wanted = self._wanted(self.measured)
        if wanted >= 4 * self._steps or 4 * wanted <= self._steps:
            self._steps = wanted

    def _wanted(self, step_seconds: float) -> int:
        if self._epoch_steps * step_seconds <= COMPILED_CALL:
            return self._epoch_steps
        affordable = max(1, int(COMPILED_CALL / step_seconds))
        return min(self._epoch_steps, 1 << (affordable.bit_length() - 1))
