"""One of several trainings: its session, its batches, its history, and whether it goes on."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fastann_kernels.backend import Record

from fastann.callbacks.base import Logs
from fastann.callbacks.history import History
from fastann.callbacks.monitor import direction
from fastann.many.results import TrainedRun
from fastann.training.ahead import records_of_epochs
from fastann.training.feeds import PassFeed, Portion
from fastann.training.logs import Tally
from fastann.training.pieces import Piece, Pieces
from fastann.training.together import EvaluateCall, TrainCall

if TYPE_CHECKING:
    from fastann.many.runs import Run
    from fastann.models import Model
    from fastann.training.session import Session


class Entrant:
    """One training, driven from outside: portions of an epoch, pieces of a validation, ends of epochs.

    Args:
        run: its settings.
        model: trained.
        session: of the model.
        feed: the batches to train on.
        validation: what to validate on, or None.
        until: goals by the keys of the history.

    Attributes:
        active: whether it goes on: it has not diverged and not reached its goals.
        history: of its epochs.
    """

    def __init__(
        self,
        run: Run,
        model: Model,
        session: Session,
        feed: PassFeed,
        validation: Pieces | None,
        until: Mapping[str, float],
    ) -> None:
        self.feed = feed
        self.session = session
        self.history = History()
        self.history.set_model(model)
        self.validation = validation
        self.active = True
        self._run = run
        self._model = model
        self._until = until
        self._tally, self._validation_tally = Tally(session), Tally(session)
        self._seconds = 0.0
        self._rate = 0.0
        self._bad: float | None = None
        self._diverged: int | None = None
        self._reached = False

    # ---- an epoch

    def begin_epoch(self) -> None:
        """Begin an epoch."""
        self._tally.reset()
        self.feed.begin_epoch()

    def call(self, portion: Portion) -> TrainCall:
        """Return the call that trains on a portion."""
        stop = self.session.on_nonfinite == "raise"
        return TrainCall(self.session, portion.data, portion.order, portion.batch_size, self._tally.needs_outputs, stop)

    def add(self, portion: Portion, record: Record, seconds: float) -> None:
        """Count what a portion came to."""
        self._seconds += seconds
        tally, taken = self._tally, record.completed
        tally.add(record, taken)
        if record.outputs is not None and tally.needs_outputs:
            batches = record.rows[:taken]
            rows = int(batches.sum())
            y, weights = portion.targets()
            tally.add_outputs(record.outputs[:rows], y[:rows], None if weights is None else weights[:rows], batches)
        if taken < portion.steps:
            self._fail(float(record.losses[taken]))
        if self.session.scheduled:
            self._rate = self.session.rate_at(self.session.iterations - (1 if taken == portion.steps else 0))

    # ---- several epochs

    @property
    def undisturbed(self) -> bool:
        """Whether nothing has to be done between two epochs."""
        watched = self.validation is not None or self._until or self._tally.needs_outputs
        return self.feed.by_passes and not watched

    def epochs_call(self, count: int) -> TrainCall:
        """Return the call that trains whole epochs."""
        call = self.call(self.feed.take_passes(count))
        return replace(call, pass_rows=self.feed.pass_rows)

    def add_epochs(self, first: int, count: int, record: Record, seconds: float) -> None:
        """Record the epochs first, first + 1, ..., that one call has trained."""
        self._seconds += seconds
        parts = records_of_epochs(record, self.feed.steps)
        self.session.epochs_trained -= count - len(parts)
        updates = self.session.iterations - record.completed
        for epoch, part in enumerate(parts, first):
            self._tally.reset()
            self._tally.add(part, part.completed)
            updates += part.completed
            failed = part.completed < len(part.losses)
            if self.session.scheduled:
                self._rate = self.session.rate_at(updates - (0 if failed else 1))
            if failed:
                self._fail(float(part.losses[part.completed]))
                self.cut_short(epoch)
            else:
                self.end_epoch(epoch, validated=False)

    # ---- a validation

    def pieces(self) -> Generator[Piece, None, None]:
        """Return the pieces of a validation, and begin it."""
        assert self.validation is not None
        self._validation_tally.reset()
        return self.validation.cut(self._validation_tally.by_batch, lambda: False)

    def evaluation(self, piece: Piece) -> EvaluateCall:
        """Return the call that evaluates a piece."""
        return EvaluateCall(self.session, piece.place(), piece.together, self._validation_tally.needs_outputs)

    def add_validation(self, piece: Piece, record: Record, seconds: float) -> None:
        """Count what a piece came to."""
        self._seconds += seconds
        self._validation_tally.add(record)
        if record.outputs is not None:
            self._validation_tally.add_outputs(record.outputs, *piece.targets())

    # ---- the end of an epoch

    def end_epoch(self, epoch: int, validated: bool) -> None:
        """Record an epoch, and see whether the goals are reached."""
        logs = self._tally.logs()
        if validated:
            logs |= {f"val_{key}": value for key, value in self._validation_tally.logs().items()}
        self.history.on_epoch_end(epoch, self._with_rate(logs))
        self.feed.end_epoch()
        if self._until and all(self._reaches(logs, key, goal) for key, goal in self._until.items()):
            self._reached, self.active = True, False

    def cut_short(self, epoch: int) -> None:
        """Record an epoch that ended early, if anything of it was trained."""
        if self._bad is not None:
            self._tally.spoil(self._bad)
        if not self._tally.empty:
            self.history.add_partial_epoch(epoch, self._with_rate(self._tally.logs()))
        self.feed.end_epoch()

    def result(self) -> TrainedRun:
        """End the training and return what came of it."""
        self.feed.close()
        self.session.overwrite_with_average()
        return TrainedRun(self._run, self._model, self.history, self._seconds, self._diverged, self._reached)

    def _fail(self, loss: float) -> None:
        """End the training at a loss that is not finite."""
        self._bad, self._diverged, self.active = loss, self.session.iterations, False
        self.feed.abandon()

    def _with_rate(self, logs: Logs) -> Logs:
        return {**logs, "learning_rate": self._rate} if self.session.scheduled else logs

    def _reaches(self, logs: Logs, key: str, goal: float) -> bool:
        value = float(logs.get(key, float("nan")))
        return value >= goal if direction(self._model, key) else value <= goal
