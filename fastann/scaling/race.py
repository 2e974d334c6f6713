"""A probe of learning rates and batch sizes that costs a part of the training it advises on.

1. At one batch size, the anchor, learning rates a factor of sqrt(10) apart train side by side on the same rows, for
   half a pass in the bounds of `LEAST_STEPS` and `MOST_STEPS`; half as long if then all others are clearly behind one
   between them. A parabola of the loss over the log rate through the
   best and its neighbours gives the rate; where its least lies outside what was tried, one more rate is tried.
2. The noise scale at these weights stands in for the critical batch size B_crit, and with step times t(B) = t0 + c B of
   the cost model, scaled to what the anchor's steps took, the theory proposes B* = sqrt(B_crit t0 / c). Up to a factor
   of 2 from the anchor at most an eighth of the time is lost, and the anchor, for which there is evidence, is advised.
3. Beyond it, the rate is carried over by the rule and the proposal trains as many seconds as the anchor's best, or as
   long as `LEAST_STEPS` of its own take. The lower loss at equal seconds, on rows held out, wins. A proposal that would
   take more than twice as long, as where time grows with the rows, is not tried, and the anchor is advised.

Where even the first stage would take more than `MOST_PASSES` passes, a probe would cost as much as a training. Then
stage 2 alone, at the first weights, gives the batch size, and the rule the rate.

Nothing runs to measure time: steps of the probe are timed as they go.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from fastann_kernels.backend import predict_step

from fastann.scaling.course import Course, Rider, ride
from fastann.scaling.line import Line, fit_line
from fastann.scaling.noise import NoiseEstimate

#: Batch size at which learning rates are compared, and least rows of a batch.
ANCHOR, LEAST = 64, 8

#: Steps of a comparison: fewer show the first descent only, in which the largest rate is ahead; more tell nothing new.
LEAST_STEPS, MOST_STEPS = 64, 512

#: Passes beyond which a comparison costs as much as a training.
MOST_PASSES = 2.0

#: Ratio of neighbouring rates, and how many are enough.
RATIO, _MOST = math.sqrt(10), 6

#: Most seconds of the check of a batch size, in those of the anchor's best.
_DEAREST = 2.0

#: Part of the loss by which others are clearly behind.
_CLEAR = 0.1

#: Part of the loss that a rate next to the one expected must be better by: as much as one comparison is uncertain.
_RESERVE = 0.04

#: Most that is made of a noise scale, and what is made of one that is refused: there the signal is not told from 0.
_MOST_NOISE = 1024.0


@dataclass(eq=False)
class Race:
    """See the module.

    Args:
        course: what is raced on.
        centre: the learning rate expected to be good at the anchor.
        rates: the only learning rates allowed, or None for any.
        power: that learning rates are scaled by, see `scaled`.
        seconds: after them nothing further begins.
        check: called between calls of the backend; raises to stop.

    Attributes:
        riders: all trainings.
        best: the one that the advice rests on; None if nothing was trained.
        noise: of gradients at the weights of the best so far, or at the first ones.
        proposed: B* of the theory.
        line: seconds of a step t0 + c B.
        batch_size, rate: what is advised.
    """

    course: Course
    centre: float
    rates: Sequence[float] | None
    power: float
    seconds: float
    check: Callable[[], None]
    riders: list[Rider] = field(default_factory=list)
    best: Rider | None = None
    noise: NoiseEstimate | None = None
    proposed: float = math.nan
    line: Line = field(default_factory=lambda: Line(math.nan, math.nan))
    batch_size: int = 0
    rate: float = math.nan

    def run(self) -> None:
        """Race, and settle on a batch size and a rate."""
        began = time.perf_counter()
        self.batch_size, self.rate = anchor, _ = self.size(ANCHOR), self.centre
        steps = int(min(max(LEAST_STEPS, self.course.rows_of_pass / anchor / 2), MOST_STEPS))
        short = steps * anchor > MOST_PASSES * self.course.rows_of_pass
        if short and (self.rates is None or len(self.rates) == 1):
            self.rate = self.centre if self.rates is None else self.rates[0]
            measured = self.course.rider(anchor, self.rate)
        else:
            measured = self._compare(anchor, steps, began)
        self.noise = measured.noise()
        factor = measured.seconds / self.predicted(anchor) if self.riders else 1.0
        sizes = [2**k for k in range(4, 11)]
        self.line = fit_line(sizes, [factor * self.predicted(size) for size in sizes])
        self.proposed = self._proposal()
        size = self.size(2 ** round(math.log2(self.proposed)))
        if self.best is None:
            self.batch_size, self.rate = size, self.scaled(self.rate, anchor, size)
        elif not anchor / 2 <= size <= 2 * anchor:
            self._settle(size, began)

    def size(self, wanted: int) -> int:
        """Return the batch size nearest to the wanted one that there are rows for."""
        return max(min(LEAST, self.course.rows), min(wanted, self.course.largest))

    def scaled(self, rate: float, before: int, size: int) -> float:
        """Return a learning rate at another batch size; where rates are given it stays.

        rate(B) = most / (1 + B_crit / B)^power, which is B^power far below B_crit and where B_crit is unknown
        (McCandlish et al. 2018, arXiv:1812.06162, section 2.2).
        """
        known = self.noise.scale.value if self.noise is not None else math.nan
        ratio = (1 + known / before) / (1 + known / size) if math.isfinite(known) else size / before
        return rate if self.rates is not None else rate * ratio**self.power

    def predicted(self, size: int) -> float:
        """Return the seconds of a step that the cost model predicts."""
        start = self.course.start
        return predict_step(start.backend, start.program, size, start.precision).seconds

    def step_seconds(self, size: int) -> float:
        """Return the seconds of a step: of a run of this size, or by the line."""
        return min((r.seconds for r in self.riders if r.batch_size == size), default=self.line.a + self.line.b * size)

    def _compare(self, anchor: int, steps: int, began: float) -> Rider:
        """Stage 1: set the rate, and return the best of those tried."""
        given = sorted(set(self.rates)) if self.rates is not None else None
        wanted = given or [self.centre / RATIO, self.centre, self.centre * RATIO]
        # the first call of a run also makes room for the numbers in between, and so is not a time to go by
        legs = [self.course.whole_steps(anchor, part) for part in (steps / 2, steps)]
        while True:
            new = [self.course.rider(anchor, rate) for rate in wanted]
            self.riders = sorted([*self.riders, *new], key=lambda rider: rider.rate)
            for leg in legs:
                ride(new, leg, self.check)
                found = [self._penalised(rider) for rider in self.riders]
                best = self.riders[number := int(np.argmin(found))]
                others = found[:number] + found[number + 1 :]
                inside = given is not None or 0 < number < len(found) - 1
                if inside and all(loss > best.loss + _CLEAR * abs(best.loss) for loss in others):
                    break
            shift = least_of_parabola(found, number)
            if given or abs(shift) <= 0.5 or len(self.riders) > _MOST or time.perf_counter() - began > self.seconds:
                break
            wanted, legs = [best.rate * RATIO ** math.copysign(1, shift)], legs[-1:]
        if best.lost:
            raise ValueError("the loss was not finite from the beginning; scale the data, or look for NaN in them.")
        self.best, self.rate = best, best.rate if given else best.rate * RATIO ** min(0.5, max(-0.5, shift))
        return best

    def _penalised(self, rider: Rider) -> float:
        """Return the loss and what it takes to go for it, the farther the more, from the rate that was expected."""
        away = 0.0 if self.rates is not None else math.log(rider.rate / self.centre) / math.log(RATIO)
        return rider.loss if rider.lost else rider.loss + _RESERVE * away**2 * abs(rider.loss)

    def _proposal(self) -> float:
        """Return B* = sqrt(B_crit t0 / c)."""
        assert self.noise is not None
        scale = self.noise.scale.value
        critical = min(max(scale, float(LEAST)), _MOST_NOISE) if math.isfinite(scale) else _MOST_NOISE
        best = math.sqrt(critical * self.line.a / self.line.b) if self.line.b > 0 else critical
        return min(max(best, 16.0), 4096.0, float(self.course.largest))

    def _settle(self, size: int, began: float) -> None:
        """Stage 3: check a proposal far from the anchor against it."""
        assert self.best is not None
        seconds = self.best.steps * self.best.seconds
        needed = max(seconds, LEAST_STEPS * self.step_seconds(size))
        if needed > _DEAREST * seconds or time.perf_counter() - began > self.seconds:
            return
        rider = self.course.rider(size, self.scaled(self.rate, self.batch_size, size))
        for each in (rider, self.best):
            steps = needed / self.step_seconds(each.batch_size)
            ride([each], self.course.whole_steps(each.batch_size, steps), self.check)
        self.riders.append(rider)
        if not rider.lost and rider.look() <= self.best.look():
            self.best, self.batch_size, self.rate = rider, size, rider.rate


def least_of_parabola(losses: Sequence[float], best: int) -> float:
    """Return where the parabola through the best of equally spaced losses and its neighbours is least, from the best.

    At an end the next two on the other side count; 1 or -1 where there is no least. Next to a loss that is infinite the
    answer is a quarter of a space away from it, at an end a whole one.

    >>> least_of_parabola([2.0, 1.0, 2.0], 1), least_of_parabola([4.0, 2.0, 1.0], 2)
    (0.0, 0.5)
    """
    if len(losses) < 3:
        return 0.0
    middle = min(max(best, 1), len(losses) - 2)
    before, at, after = losses[middle - 1 : middle + 2]
    outward = float(best - middle)
    if not all(math.isfinite(each) for each in (before, at, after)):
        return outward or 0.25 * (math.isinf(before) - math.isinf(after))
    bend = before - 2 * at + after
    if bend <= 0:
        return outward
    return float(np.clip((before - after) / (2 * bend) - outward, -1.0, 1.0))
