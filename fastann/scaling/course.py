"""Short trainings beside a model: its program, weights and seed, on some rows, with others held out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from fastann_kernels.backend import HostState
from fastann_kernels.per_example import separable
from numpy.typing import NDArray

from fastann.random import epoch_order
from fastann.scaling.noise import NoiseEstimate, estimate_noise
from fastann.training.gradient_squares import PER_EXAMPLE, PIECES, TWO_BATCH, GradientSquares
from fastann.training.passes import Passes, Stretch
from fastann.training.session import PlacedData, Session
from fastann.training.source import make_source
from fastann.training.together import EvaluateCall, TrainCall, evaluate_together, train_together

if TYPE_CHECKING:
    from fastann.training.data import Dataset

Order = NDArray[np.int64]

#: Part of the rows that is held out where no others are given, and most rows that are looked at.
_HELD_PART, _MOST_HELD = 0.2, 4096

#: Least rows to probe with.
_LEAST_ROWS = 20

#: Rows of a pass where each length of a call is compiled, so that all calls have one; each pass draws others.
_COMPILED_ROWS = 4096

#: Batches, and rows of each, that the noise of gradients is measured with.
_NOISE_BATCHES, _NOISE_ROWS = 16, 256


class Course:
    """Rows to train on, rows to look at, and a session that trainings start as copies of.

    Args:
        session: with the weights to start from; its program is run, and it is not changed.
        data: rows to train on.
        held: rows to look at; without them some of the data are held out at random.

    Attributes:
        rows: of a pass.
        rows_of_pass: of a pass in `fit`, over all rows to train on.
        held: the rows looked at.
        samples: trained on so far, by all riders.
        compiled: whether the backend compiles each length of a call.
    """

    def __init__(self, session: Session, data: Dataset, held: Dataset | None = None) -> None:
        if data.rows < _LEAST_ROWS:
            raise ValueError(
                f"expected at least {_LEAST_ROWS} rows to probe with, got {data.rows}; choose the batch size by hand."
            )
        self._start = session
        self._host = session.state
        order = np.random.default_rng(0).permutation(data.rows)
        count = 0 if held is not None else min(_MOST_HELD, max(1, int(_HELD_PART * data.rows)))
        self._chosen = np.sort(order[count:])
        self.compiled = session.backend == "jax"
        self.rows = min(len(self._chosen), _COMPILED_ROWS) if self.compiled else len(self._chosen)
        self.rows_of_pass = len(self._chosen)
        self.source = make_source(session, data)
        part = order[:count] if held is None else np.random.default_rng(0).permutation(held.rows)[:_MOST_HELD]
        self.held = self._place(data if held is None else held, np.sort(part))
        self.samples = 0
        self._draw = lru_cache(maxsize=8)(self._among)

    @property
    def largest(self) -> int:
        """The largest batch size that there are rows for, a power of two if it is not all rows."""
        return self.rows if self.rows < 16 else 2 ** int(math.log2(self.rows))

    @property
    def start(self) -> Session:
        """The session with the weights to start from."""
        return self._start

    def _place(self, data: Dataset, part: Order) -> PlacedData:
        """Give some of the rows to the backend, to look at."""
        assert data.y is not None
        weights = None if data.weights is None else np.ascontiguousarray(data.weights[part])
        x = replace(data, x=data.x[part]).matrix(self._start.dtype)
        return self._start.put(x, np.ascontiguousarray(data.y[part]), weights)

    def rider(self, batch_size: int, rate: float) -> Rider:
        """Return a training that is about to begin, with the optimizer anew."""
        start = self._start
        assert start.optimizer is not None
        first = () if start.program.update is None else start.program.update.slots
        slots = np.repeat(np.array(first, start.dtype).reshape(-1, 1), len(self._host.params), axis=1)
        session = Session(
            start.program, start.backend, start.precision, HostState(self._host.params, slots), start.seed,
            replace(start.optimizer, learning_rate=rate), start.penalties, start.metrics,
            executor=start.executor, loss_keys=start.loss_keys,
        )  # fmt: skip
        return Rider(self, session, Passes(session, self.rows, batch_size, True, self._draw), batch_size, rate)

    def whole_steps(self, batch_size: int, wanted: float) -> int:
        """Return how many steps to take: those wanted, or whole passes where calls are compiled."""
        if not self.compiled:
            return max(1, round(wanted))
        steps = -(-self.rows // batch_size)
        return steps * max(1, round(wanted / steps))

    def _among(self, seed: int, epoch: int, rows: int) -> Order:
        """Return the rows of a pass, at random among those to train on."""
        return self._chosen[epoch_order(seed, epoch, len(self._chosen))][:rows]


class Rider:
    """One training: a batch size, a learning rate, and what was seen of it.

    Attributes:
        batch_size, rate: as asked for.
        steps: taken so far.
        looks: (steps, loss on the rows held out).
        lost: whether a loss was not finite, which ends it.
    """

    def __init__(self, course: Course, session: Session, passes: Passes, batch_size: int, rate: float) -> None:
        self.batch_size = batch_size
        self.rate = rate
        self.steps = 0
        self.looks: list[tuple[int, float]] = []
        self.lost = False
        self.course = course
        self._session = session
        self._passes = passes

    @property
    def loss(self) -> float:
        """The lowest seen, as a target is met once; infinite before the first look and where the run is lost."""
        return min(loss for _, loss in self.looks) if self.looks and not self.lost else math.inf

    def steps_to(self, goal: float) -> float:
        """Return the steps after which the loss was at the goal, between looks on a straight line; infinite if never.

        The straight line is one of the loss over the logarithm of steps.
        """
        before: tuple[int, float] | None = None
        for steps, loss in self.looks:
            if loss <= goal:
                if before is None or before[1] == loss:
                    return float(steps)
                part = (before[1] - goal) / (before[1] - loss)
                return float(before[0] * (steps / before[0]) ** part)
            before = (steps, loss)
        return math.inf

    def steps_expected(self, goal: float) -> float:
        """Return `steps_to`, or where the goal was not seen, what a straight line of log loss over log steps expects.

        The line goes through the medians of the last three looks and of those about the middle of the steps. Infinite
        where the loss does not fall, or is not positive.
        """
        seen = self.steps_to(goal)
        if math.isfinite(seen) or self.lost or len(self.looks) < 4 or goal <= 0:
            return seen
        late = self.looks[-3:]
        early = sorted(self.looks[:-3], key=lambda look: abs(look[0] - self.steps / 2))[:3]
        (first, high), (last, low) = (np.median(np.array(part), axis=0).tolist() for part in (early, late))
        if not 0 < low < high or first >= last:
            return math.inf
        exponent = math.log(low / goal) / math.log(high / low)
        return float(last * (last / first) ** exponent) if exponent < 10 else math.inf

    def call(self, until: int) -> TrainCall:
        """Return the call that takes the next steps, at most to the end of a pass."""
        stretch = self._passes.take(until - self.steps)
        placed, order = self.course.source.stretch(stretch)
        return TrainCall(self._session, placed, order, self.batch_size, False, True)

    def took(self, steps: int, completed: int) -> None:
        """Count steps; those that met a loss that is not finite end the training."""
        self.steps += completed
        self.course.samples += min(steps * self.batch_size, self.course.rows)
        self.lost = self.lost or completed < steps

    def time_call(self, steps: int) -> float:
        """Return the seconds a step of one call alone, of so many steps or to the end of the pass."""
        call = self.call(self.steps + steps)
        began = time.perf_counter()
        ((record, _),) = train_together([call])
        took = time.perf_counter() - began
        self.took(len(record.losses), record.completed)
        return took / len(record.losses)

    def noise(self) -> NoiseEstimate:
        """Estimate the noise of gradients at the weights as they are."""
        course, session = self.course, self._session
        size = max(1, min(_NOISE_ROWS, course.rows // _NOISE_BATCHES))
        count = min(_NOISE_BATCHES, course.rows // size)
        drawn = course._draw(session.seed, 0, course.rows)[: count * size]
        placed, order = course.source.stretch(Stretch(drawn, 0, len(drawn), count))
        rows = np.arange(placed.rows) if order is None else np.ascontiguousarray(order)
        course.samples += len(rows)
        squares = session.gradient_squares(placed, rows, size, training=True)
        method, small, small_rows = PER_EXAMPLE, squares[:, 0], 1
        if not separable(session.program):
            method, small_rows = TWO_BATCH, max(1, size // PIECES)
            parts = rows.reshape(count, size)[:, : size // small_rows * small_rows].reshape(-1)
            pieces = session.gradient_squares(placed, np.ascontiguousarray(parts), small_rows, training=True)[:, 1]
            small = pieces.reshape(count, -1).mean(axis=1)
        return estimate_noise(GradientSquares(small, squares[:, 1], small_rows, size, course.rows, method))

    def look_call(self) -> EvaluateCall:
        """Return the call that evaluates on the rows held out."""
        held = self.course.held
        return EvaluateCall(self._session, held, held.rows, False)


def ride(riders: Sequence[Rider], until: Sequence[int], check: Callable[[], None]) -> None:
    """Let trainings go on at the same time, each up to a step of its own, and look at those that moved."""
    while True:
        check()
        at = [(rider, end) for rider, end in zip(riders, until, strict=True) if rider.steps < end and not rider.lost]
        if not at:
            break
        calls = [rider.call(end) for rider, end in at]
        # compiled backends would compile one more program for each set of trainings
        groups = [[call] for call in calls] if at[0][0].course.compiled else [calls]
        found = [entry for group in groups for entry in train_together(group)]
        for (rider, _), (record, _seconds) in zip(at, found, strict=True):
            rider.took(len(record.losses), record.completed)
    alive = [rider for rider in riders if not rider.lost and (not rider.looks or rider.looks[-1][0] < rider.steps)]
    if alive:
        looks = [rider.look_call() for rider in alive]
        sets = [[look] for look in looks] if alive[0].course.compiled else [looks]
        records = [entry[0] for group in sets for entry in evaluate_together(group)]
        for rider, record in zip(alive, records, strict=True):
            loss = float(np.average(record.losses, weights=record.rows))
            rider.lost = not math.isfinite(loss)
            rider.looks.append((rider.steps, loss))
