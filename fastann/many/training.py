"""Trainings in step with each other: epoch by epoch, each call of the backend takes all that are still at it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing

import numpy as np

from fastann.callbacks.base import Logs
from fastann.many.entrant import Entrant
from fastann.training.arguments import FitArguments
from fastann.training.interrupt import Interrupt
from fastann.training.pace import LONG, CompiledPace, GrowingPace, Pace, step_seconds
from fastann.training.progress import Progress
from fastann.training.together import evaluate_together, train_together

#: Steps enough for any epoch.
MANY = 1 << 40

#: Rows of which the orders are drawn for one call, where epochs are short.
ROWS_AHEAD = 1 << 16


class Trainings:
    """Several trainings at once.

    Args:
        entrants: the trainings, all on one backend.
        arguments: those of `fit`.
        progress: what is shown: one task with a step an epoch.
    """

    def __init__(self, entrants: Sequence[Entrant], arguments: FitArguments, progress: Progress) -> None:
        self._entrants = entrants
        self._arguments = arguments
        self._progress = progress
        self._interrupt = Interrupt()
        self._pace = _pace(entrants)
        self._epochs = GrowingPace(1)

    def run(self) -> bool:
        """Train; return whether Ctrl-C ended it."""
        first, last = self._arguments.initial_epoch, self._arguments.epochs
        try:
            with self._interrupt:
                self._progress.start(f"{len(self._entrants)} trainings", max(0, last - first))
                epoch = first
                while epoch < last and not self._interrupt.requested:
                    active = [entrant for entrant in self._entrants if entrant.active]
                    if not active:
                        break
                    epoch += self._train_epochs(epoch, last, active)
                    self._progress.update(epoch - first, self._logs)
                self._progress.finish(self._logs())
        finally:
            self._progress.close()
        return self._interrupt.requested

    def _train_epochs(self, epoch: int, last: int, active: Sequence[Entrant]) -> int:
        """Train an epoch, or several short ones in one call if nothing has to be done between them; return how many."""
        count = 1
        if active[0].session.backend == "numba" and all(entrant.undisturbed for entrant in active):
            affordable = ROWS_AHEAD // max(entrant.feed.pass_rows for entrant in active)
            count = min(self._epochs.steps(last - epoch), max(1, affordable))
        began = time.perf_counter()
        if count == 1:
            self._epoch(epoch, active)
        else:
            self._several_epochs(epoch, count, active)
        self._epochs.report(count, time.perf_counter() - began)
        return count

    def _several_epochs(self, epoch: int, count: int, active: Sequence[Entrant]) -> None:
        """Train whole epochs in one call."""
        with self._interrupt.shield():
            found = train_together([entrant.epochs_call(count) for entrant in active])
        for entrant, (record, seconds) in zip(active, found, strict=True):
            entrant.add_epochs(epoch, count, record, seconds)

    def _epoch(self, epoch: int, active: Sequence[Entrant]) -> None:
        """Train an epoch of those that are active, and validate."""
        for entrant in active:
            entrant.begin_epoch()
        while self._train(active) and not self._interrupt.requested:
            pass
        whole = [entrant for entrant in active if entrant.active and entrant.feed.finished]
        validates = self._arguments.validates_after(epoch)
        validated = [entrant for entrant in whole if validates and entrant.validation is not None]
        self._validate(validated)
        for entrant in active:
            if entrant in whole:
                entrant.end_epoch(epoch, entrant in validated)
            else:
                entrant.cut_short(epoch)
        self._pace.end_epoch()

    def _train(self, active: Sequence[Entrant]) -> bool:
        """Let each take some steps; return whether there were any left to take."""
        limit = self._pace.steps(MANY)
        taken = []
        for entrant in active:
            portion = entrant.feed.take(limit, lambda: False) if entrant.active else None
            if portion is not None:
                taken.append((entrant, portion))
        if not taken:
            return False
        with self._interrupt.shield():
            found = train_together([entrant.call(portion) for entrant, portion in taken])
        for (entrant, portion), (record, seconds) in zip(taken, found, strict=True):
            entrant.add(portion, record, seconds)
        self._pace.report(max(portion.steps for _, portion in taken), sum(seconds for _, seconds in found))
        return True

    def _validate(self, entrants: Sequence[Entrant]) -> None:
        """Evaluate piece by piece, that of each with those of the others."""
        with ExitStack() as stack:
            left = [(entrant, stack.enter_context(closing(entrant.pieces()))) for entrant in entrants]
            while left:
                pieces = [(entrant, cut, next(cut, None)) for entrant, cut in left]
                at = [(entrant, piece) for entrant, _, piece in pieces if piece is not None]
                left = [(entrant, cut) for entrant, cut, piece in pieces if piece is not None]
                if not at:
                    break
                with self._interrupt.shield():
                    found = evaluate_together([entrant.evaluation(piece) for entrant, piece in at])
                for (entrant, piece), (record, seconds) in zip(at, found, strict=True):
                    entrant.add_validation(piece, record, seconds)

    def _logs(self) -> Logs:
        """Return how many go on, and the best of their last losses."""
        logs: Logs = {"at work": float(sum(entrant.active for entrant in self._entrants))}
        losses = [entrant.history.history.get("loss", [np.nan])[-1] for entrant in self._entrants]
        finite = [loss for loss in losses if np.isfinite(loss)]
        return {**logs, "best loss": min(finite)} if finite else logs


def _pace(entrants: Sequence[Entrant]) -> Pace:
    """Return how many steps each takes in one call: as `fit` has it, for the work of all together."""
    session = entrants[0].session
    longest = max(entrant.feed.longest for entrant in entrants)
    together = sum(step_seconds(entrant.session.program, entrant.feed.batch_size) for entrant in entrants)
    if session.backend == "jax":
        return CompiledPace(longest, together)
    return GrowingPace(max(1, min(16, int(LONG / together))))
