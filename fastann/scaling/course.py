"""Short trainings beside a model: its program, weights and seed, on some rows, with others held out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from fastann_kernels.backend import HostState
from fastann_kernels.calibration import threads_of
from fastann_kernels.per_example import separable
from numpy.typing import NDArray

from fastann.random import epoch_order
from fastann.scaling.noise import UNKNOWN, Interval, NoiseEstimate, estimate_noise
from fastann.training.gradient_squares import PER_EXAMPLE, PIECES, TWO_BATCH, GradientSquares
from fastann.training.passes import Passes, Stretch
from fastann.training.session import PlacedData, Session
from fastann.training.source import make_source
from fastann.training.together import TrainCall, train_together

if TYPE_CHECKING:
    from fastann.training.data import Dataset

Order = NDArray[np.int64]

#: Part of the rows that is held out where no others are given, and most rows that are looked at.
_HELD_PART, _MOST_HELD = 0.2, 1024

#: Least rows to probe with.
_LEAST_ROWS = 20

#: Rows of a pass where each length of a call is compiled, so that all calls have one; each pass draws others.
_COMPILED_ROWS = 4096

#: Batches, and rows of each, that the noise of gradients is measured with.
_NOISE_BATCHES, _NOISE_ROWS = 16, 64

#: Windows that the losses of a training are looked at in.
_WINDOWS = 8

#: What a training after a short probe is guessed by: exponent p of loss = a steps^-p, how much longer it is than the
#: probe, a factor that the truth is within on either side, and the largest gain in log loss that is guessed at. On the
#: development data of benchmarks/advice.py the losses fell with p from 0.04 to 0.17, for 4 to 12 times the steps; with
#: these numbers the guess is neither too long nor too short on the whole.
_EXPONENT, _LONGER, _UNSURE, _MOST_GAIN = 0.15, 16.0, 3.0, 1.0


class Course:
    """Rows to train on, rows to look at, and a session that trainings start as copies of.

    Args:
        session: with the weights to start from; its program is run, and it is not changed.
        data: rows to train on.
        held: rows to look at; without them some of the data are held out at random.

    Attributes:
        rows: of a pass.
        rows_of_pass: of a pass in `fit`, over all rows to train on.
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
        self._look_at = (data if held is None else held, np.sort(part))
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

    @cached_property
    def held(self) -> PlacedData:
        """The rows to look at, given to the backend."""
        data, part = self._look_at
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

    In the first pass no row was seen before, so the loss of a batch before its update is an unbiased estimate of the
    loss on new rows: it costs nothing, and trainings at one batch size are compared on the same rows.

    Attributes:
        batch_size, rate: as asked for.
        losses: of each batch.
        seconds: of a step, the least of all calls.
        lost: whether a loss was not finite, which ends it.
    """

    def __init__(self, course: Course, session: Session, passes: Passes, batch_size: int, rate: float) -> None:
        self.batch_size = batch_size
        self.rate = rate
        self.losses: list[float] = []
        self.seconds = math.inf
        self.lost = False
        self.course = course
        self._session = session
        self._passes = passes

    @property
    def steps(self) -> int:
        """Updates made."""
        return len(self.losses)

    @property
    def loss(self) -> float:
        """The median over batches in the last half of the steps, so that no single batch decides; infinite if lost."""
        return math.inf if self.lost or not self.losses else float(np.median(self.losses[self.steps // 2 :]))

    def windows(self) -> list[tuple[float, float]]:
        """Return (steps, median loss) of consecutive stretches of the training."""
        parts = np.array_split(np.arange(self.steps), min(_WINDOWS, self.steps))
        return [(float(part.mean()) + 1, float(np.median(np.array(self.losses)[part]))) for part in parts]

    def steps_to(self, goal: float) -> float:
        """Return the steps after which the loss was at the goal, between windows on a straight line; infinite if never.

        The straight line is one of the loss over the logarithm of steps.
        """
        before: tuple[float, float] | None = None
        for steps, loss in self.windows():
            if loss <= goal:
                if before is None or before[1] == loss:
                    return steps
                part = (before[1] - goal) / (before[1] - loss)
                return float(before[0] * (steps / before[0]) ** part)
            before = (steps, loss)
        return math.inf

    def steps_expected(self, goal: float) -> Interval:
        """Return a guess of the steps to a goal that was not seen; NaN for a goal out of reach.

        It is the geometric mean of two: a power law of the loss with the exponent `_EXPONENT` from the last half of the
        steps on, and `_LONGER` times the steps up to there. The slope of so short a training told less.
        """
        gain = math.log(self.loss / goal) if goal > 0 and 0 < self.loss < math.inf else math.inf
        if gain > _MOST_GAIN:
            return UNKNOWN
        # the median of the last half of the steps stands at their geometric middle
        guess = self.steps / math.sqrt(2) * math.sqrt(_LONGER * math.exp(max(0.0, gain) / _EXPONENT))
        return Interval(guess, guess / _UNSURE, guess * _UNSURE)

    def call(self, until: int) -> TrainCall:
        """Return the call that takes the next steps, at most to the end of a pass."""
        stretch = self._passes.take(until - self.steps)
        placed, order = self.course.source.stretch(stretch)
        return TrainCall(self._session, placed, order, self.batch_size, False, True)

    def took(self, losses: Sequence[float], completed: int, seconds: float) -> None:
        """Take down steps; those that met a loss that is not finite end the training."""
        self.losses += losses
        self.seconds = min(self.seconds, seconds / max(1, len(losses)))
        self.course.samples += min(len(losses) * self.batch_size, self.course.rows)
        self.lost = self.lost or completed < len(losses)

    def look(self) -> float:
        """Return the loss on the rows held out."""
        held = self.course.held
        record = self._session.evaluate(held, held.rows, False)
        return float(np.average(record.losses, weights=record.rows))

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


def ride(riders: Sequence[Rider], until: int, check: Callable[[], None]) -> None:
    """Let trainings go on at the same time, each up to so many steps.

    There are as many at a time as there are threads, those behind first, so that no thread waits for long.
    """
    course = riders[0].course
    # compiled backends would compile one more program for each set of trainings
    most = 1 if course.compiled else threads_of(course.start.backend, os.environ)
    while at := [rider for rider in riders if rider.steps < until and not rider.lost]:
        check()
        now = sorted(at, key=lambda rider: rider.steps)[:most]
        found = train_together([rider.call(until) for rider in now])
        for rider, (record, seconds) in zip(now, found, strict=True):
            rider.took(np.asarray(record.losses, np.float64).tolist(), record.completed, seconds)
