"""A race of batch sizes and learning rates: many for a short time, few for long, by the loss at equal seconds.

1. At one batch size, the anchor, learning rates a factor of sqrt(10) apart are compared after equal steps.
2. At the weights of the best, the noise scale stands in for the critical batch size B_crit, and with predicted step
   times t(B) = t0 + c B the theory proposes B* = sqrt(B_crit t0 / c), with the learning rate that the rule gives there.
3. The proposal races twice and half the batch, with the rate scaled, for equal seconds. The leader is checked against
   its neighbours (half and twice the rate, half and twice the batch), and so on as far as the number of runs allows.
4. The best two go on until one of them is at the target, or for as long as three passes in batches of 32 take
   (successive halving; Jamieson & Talwalkar 2016, arXiv:1502.07943): a probe is to cost less than a training.

A step time is that of calls made alone, which are part of the training of the size's first run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from fastann_kernels.backend import predict_step

from fastann.scaling.course import Course, Rider, ride
from fastann.scaling.line import fit_line
from fastann.scaling.noise import NoiseEstimate

#: Batch size at which learning rates are searched first, and least rows of a batch.
ANCHOR, LEAST = 64, 8

#: Steps at the anchor: a pass, in these bounds.
_ANCHOR_STEPS = (40, 200)

#: Seconds of the first leg in passes at batch size 32; of later ones, and for how many runs; the longest with a target.
_FIRST, _LEGS, _LONGEST = 1.0, ((2.5, 2),), 3.0

#: Most runs that the climb makes, and how much longer a run is when it is looked at again.
_MOST_RUNS, _LOOK = 7, 1.25

#: Most that is made of a noise scale: beyond it the signal is hardly told from 0.
_MOST_NOISE = 1024.0

#: Calls of a size that are timed alone, and the least seconds of one.
_TIMED, _TIMED_SECONDS = 3, 5e-4


@dataclass(eq=False)
class Race:
    """See the module.

    Args:
        course: what is raced on.
        base_rate: to begin with.
        rates: the only learning rates allowed, or None for any.
        power: learning rates are scaled by the batch size to this power.
        target: loss on the rows looked at, or None.
        seconds: after them no further leg begins; None for no limit but the length of the legs.
        check: called between calls of the backend; raises to stop.

    Attributes:
        riders: all runs of stages 3 and 4.
        tried: those of stage 1.
        clock: measured seconds of a step, by batch size.
        noise: of gradients at the anchor's best.
        proposed: B* of the theory, before the race.
    """

    course: Course
    base_rate: float
    rates: Sequence[float] | None
    power: float
    target: float | None
    seconds: float | None
    check: Callable[[], None]
    riders: list[Rider] = field(default_factory=list)
    tried: list[Rider] = field(default_factory=list)
    clock: dict[int, float] = field(default_factory=dict)
    noise: NoiseEstimate | None = None
    proposed: float = math.nan

    def run(self) -> Rider:
        """Race, and return the winner."""
        began = time.perf_counter()
        anchor = self.size(ANCHOR)
        best = self._anchored(anchor)
        self.noise = best.noise()
        self.proposed = self._proposal(anchor)
        size = self.size(2 ** round(math.log2(self.proposed)))
        limit = math.inf if self.seconds is None else self.seconds
        # measured seconds of a pass at batch size 32
        unit = self._predicted(32) * self._factor(anchor) * self.course.rows_of_pass / 32
        rate = self.scaled(best.rate, anchor, size)
        rates = [rate] if self.rates is None else self.rates
        sizes = [pair for pair in self._neighbours(size, rate) if pair[0] != size]
        self._climb([*((size, each) for each in rates), *sizes], _FIRST * unit)
        self._legs(unit, lambda: time.perf_counter() - began > limit)
        return self.standings()[0]

    def size(self, wanted: int) -> int:
        """Return the batch size nearest to the wanted one that there are rows for."""
        return max(min(LEAST, self.course.rows), min(wanted, self.course.largest))

    def scaled(self, rate: float, before: int, size: int) -> float:
        """Return a learning rate at another batch size; where rates are given it stays."""
        return rate if self.rates is not None else rate * (size / before) ** self.power

    def seconds_to_target(self, rider: Rider) -> float:
        """Return the seconds of training after which a run was at the target; infinite if it was not."""
        return math.inf if self.target is None else rider.steps_to(self.target) * self.clock[rider.batch_size]

    def standings(self) -> list[Rider]:
        """Return all runs, the best first: those soonest at the target, then those that came farthest, by loss."""
        legs = {rider: rider.steps * self.clock[rider.batch_size] for rider in self.riders}
        longest = max(legs.values())
        return sorted(
            self.riders,
            key=lambda r: (self.seconds_to_target(r), legs[r] < 0.5 * longest and not r.lost, r.loss),
        )

    def _anchored(self, anchor: int) -> Rider:
        """Compare learning rates at the anchor; return the best run."""
        steps = min(max(_ANCHOR_STEPS[0], self.course.rows_of_pass // anchor), _ANCHOR_STEPS[1])
        steps = self.course.whole_steps(anchor, steps)
        wanted = list(self.rates) if self.rates is not None else [self.base_rate * 10 ** (k / 2) for k in range(3)]
        for _ in range(6):
            new = [self.course.rider(anchor, rate) for rate in wanted]
            for part in (0.7, 0.85, 1.0):
                ride(new, [self.course.whole_steps(anchor, part * steps)] * len(new), self.check)
            self.tried = sorted([*self.tried, *new], key=lambda rider: rider.rate)
            best = min(self.tried, key=lambda rider: rider.loss)
            if self.rates is not None or best not in (self.tried[0], self.tried[-1]):
                break
            wanted = [best.rate * math.sqrt(10) ** (1 if best is self.tried[-1] and not best.lost else -1)]
        if best.lost:
            raise ValueError("the loss was not finite from the beginning; scale the data, or look for NaN in them.")
        self._time(best, alone=True)
        return best

    def _predicted(self, size: int) -> float:
        """Return the seconds of a step that the cost model predicts."""
        start = self.course.start
        return predict_step(start.backend, start.program, size, start.precision).seconds

    def _factor(self, anchor: int) -> float:
        """Return measured over predicted seconds, at the anchor."""
        return self.clock[anchor] / self._predicted(anchor)

    def _proposal(self, anchor: int) -> float:
        """Return B* = sqrt(B_crit t0 / c), from the noise scale and the predicted step times."""
        sizes = [2**k for k in range(4, 11)]
        line = fit_line(sizes, [self._predicted(size) for size in sizes])
        assert self.noise is not None
        scale = self.noise.scale.value
        critical = min(max(scale, float(anchor)), _MOST_NOISE) if math.isfinite(scale) else _MOST_NOISE / 2
        best = math.sqrt(critical * line.a / line.b) if line.b > 0 else critical
        return min(max(best, 16.0), 4096.0, float(self.course.largest))

    def _time(self, rider: Rider, alone: bool = False) -> None:
        """Measure the step time of a run's batch size with its next steps."""
        size, course = rider.batch_size, self.course
        guess = self._predicted(size)
        steps = course.whole_steps(size, _TIMED_SECONDS / guess)
        found = []
        for _ in range(_TIMED + alone):
            self.check()
            if rider.lost:
                break
            found.append(rider.time_call(steps))
        if found:
            self.clock[size] = min(
                [*found[1:], found[0] if len(found) == 1 else math.inf, self.clock.get(size, math.inf)]
            )

    def _go(self, riders: Sequence[Rider], seconds: float) -> None:
        """Let runs train until each has had so many seconds of steps, looking at them on the way.

        Nobody trains longer than the soonest at the target so far took: whoever is not there by then is slower.
        """
        for rider in riders:
            if rider.batch_size not in self.clock:
                self._time(rider)
        seconds = min([seconds, *(self.seconds_to_target(rider) for rider in self.riders)])
        ends = [self.course.whole_steps(r.batch_size, seconds / self.clock[r.batch_size]) for r in riders]
        pairs = list(zip(riders, ends, strict=True))
        share = max(0.4, min(rider.steps / end for rider, end in pairs))
        while share < 1 or any(not rider.looks and not rider.lost for rider in riders):
            share = min(1.0, share * _LOOK)
            ride(riders, [self.course.whole_steps(r.batch_size, share * end) for r, end in pairs], self.check)

    def _climb(self, wanted: Sequence[tuple[int, float]], seconds: float) -> None:
        """Race some, and neighbours of the best, until it is surrounded."""
        while True:
            raced = {(rider.batch_size, _digits(rider.rate)) for rider in self.riders}
            fresh = [(size, rate) for size, rate in wanted if (size, _digits(rate)) not in raced]
            new = [self.course.rider(*pair) for pair in fresh[: _MOST_RUNS - len(self.riders)]]
            if not new:
                return
            self._go(new, seconds)
            self.riders += new
            best = self.standings()[0]
            wanted = self._neighbours(best.batch_size, best.rate)

    def _neighbours(self, size: int, rate: float) -> list[tuple[int, float]]:
        """Return the batch sizes and learning rates next to one."""
        sizes = [other for other in (2 * size, size // 2) if LEAST <= other <= self.course.largest]
        found = [(other, self.scaled(rate, size, other)) for other in sizes]
        return found if self.rates is not None else [(size, 2 * rate), (size, rate / 2), *found]

    def _legs(self, unit: float, over: Callable[[], bool]) -> None:
        """Let the best go on, fewer and longer."""
        times = 1.0
        for times, count in _LEGS:
            best = self.standings()[:count]
            if over() or self.seconds_to_target(best[0]) < math.inf:
                return
            self._go(best, times * unit)
        while self.target is not None and times < _LONGEST and not over():
            best = [rider for rider in self.standings()[:2] if not rider.lost]
            if not best or self.seconds_to_target(best[0]) < math.inf:
                return
            times *= _LOOK
            self._go(best, times * unit)


def _digits(rate: float) -> float:
    """Return a rate to four digits, so that equal ones are found equal."""
    return float(np.format_float_scientific(rate, 3))
