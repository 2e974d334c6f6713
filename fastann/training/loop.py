"""`fit`: epochs, validations and callbacks around calls of a backend that take many steps each."""

from __future__ import annotations

import time
from typing import Any

from fastann_kernels.backend import Record

from fastann.callbacks.base import Logs
from fastann.callbacks.callback_list import CallbackList
from fastann.callbacks.history import History
from fastann.errors import NonFiniteLossError
from fastann.training.ahead import epochs_ahead
from fastann.training.arguments import FitArguments, fit_arguments, verbosity
from fastann.training.batches import loss_and_gradients, test_on_batch, train_on_batch
from fastann.training.data import Dataset
from fastann.training.evaluation import Evaluation, evaluate, predict, predict_on_batch, row_pieces
from fastann.training.feeds import Feed, Portion, row_feed, stream_feed
from fastann.training.gradient_squares import make_meter
from fastann.training.interrupt import Interrupt
from fastann.training.logs import Tally
from fastann.training.opening import open_with_targets, refuse_beside, warn_of_batch_size
from fastann.training.pace import make_pace
from fastann.training.pieces import Pieces, StreamPieces
from fastann.training.preparing import with_targets
from fastann.training.progress import Progress, make_progress
from fastann.training.session import Session
from fastann.training.splits import split_off
from fastann.training.streams import is_stream
from fastann.training.timing import StepTimes
from fastann.training.trainable import Trainable

__all__ = [
    "evaluate",
    "fit",
    "loss_and_gradients",
    "predict",
    "predict_on_batch",
    "test_on_batch",
    "train_on_batch",
]

#: Steps enough for any epoch.
MANY = 1 << 40


def fit(
    model: Trainable,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: str | int = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: Any = 1,
) -> History:
    """Train a model and return the `History`; see `Model.fit`.

    With `use_ema=True` in the optimizer, the trainable weights are those averages when `fit` returns (as in Keras).

    Ctrl-C ends training after the call under way: the epoch it interrupts is recorded in `History`, callbacks hear
    `on_train_end`, and KeyboardInterrupt is raised; a second Ctrl-C raises it at once.

    Raises:
        ValueError, TypeError: the model is not compiled, or data and model do not fit.
        NonFiniteLossError: the loss became NaN or infinite; the weights are those before that step.
    """
    arguments = fit_arguments(
        batch_size, epochs, validation_split, shuffle, initial_epoch, steps_per_epoch, validation_steps,
        validation_batch_size, validation_freq,
    )  # fmt: skip
    shown = verbosity(verbose)
    listeners = CallbackList(callbacks, add_history=True)
    feed: Feed
    validation: Pieces | None = None
    if is_stream(x):
        split = arguments.validation_split if validation_data is None else 0
        refuse_beside(x, y=y, sample_weight=sample_weight, validation_split=split or None)
        warn_of_batch_size(x, None if validation_data is not None else batch_size)
        session, feed = stream_feed(model, x, class_weight, arguments)
        session.begin_run(feed.batch_size, feed.steps)
    else:
        session, training = with_targets(model, x, y, sample_weight)
        if validation_data is None and arguments.validation_split > 0:
            training, held = split_off(training, arguments.validation_split, session.program)
            validation = _validation_of_rows(session, held, arguments)
        feed = row_feed(session, training, class_weight, arguments)
        session.begin_run(min(feed.batch_size, training.rows), feed.steps)
    if validation_data is not None:
        validation = _validation(model, session, validation_data, arguments)
    run = Training(model, session, feed, validation, arguments, listeners, make_progress(shown))
    return run(verbose)


def _validation(model: Trainable, session: Session, given: Any, arguments: FitArguments) -> Pieces:
    """Return the pieces of `validation_data`."""
    steps = arguments.validation_steps
    if is_stream(given):
        reader = open_with_targets(model, given, steps, session, prefix="validation ")[1]
        return StreamPieces(session, reader, steps, keep=True)
    return _validation_of_rows(session, rows_to_validate(model, session, given), arguments)


def rows_to_validate(model: Trainable, session: Session, given: Any) -> Dataset:
    """Return the rows of `validation_data` that is (x, y) or (x, y, sample_weight)."""
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        size = f" of {len(given)}" if isinstance(given, tuple | list) else ""
        raise ValueError(
            f"validation_data must be (x, y) or (x, y, sample_weight), got {type(given).__name__}{size}; "
            "put inputs and targets in a tuple."
        )
    x, y = given[:2]
    weights = given[2] if len(given) == 3 else None
    return with_targets(model, x, y, weights, session, prefix="validation ")[1]


def _validation_of_rows(session: Session, data: Dataset, arguments: FitArguments) -> Pieces:
    return row_pieces(session, data, arguments.validation_batch_size, arguments.validation_steps)


class Training:
    """One run of `fit`.

    Args:
        model: gets `history`, and says `stop_training`.
        session: what trains.
        feed: the batches to train on.
        validation: what to validate on, or None.
        arguments: those of `fit`.
        callbacks: told of everything; with a `History` among them.
        progress: what is shown.
    """

    def __init__(
        self,
        model: Trainable,
        session: Session,
        feed: Feed,
        validation: Pieces | None,
        arguments: FitArguments,
        callbacks: CallbackList,
        progress: Progress,
    ) -> None:
        self._model = model
        self._session = session
        self._arguments = arguments
        self._callbacks = callbacks
        self._progress = progress
        self._interrupt = Interrupt()
        self._feed = feed
        self._every_batch = callbacks.wants_batches("train")
        self._handles_nonfinite = callbacks.overrides("on_nonfinite_loss")
        self._pace = make_pace(
            session.backend, session.program, feed.batch_size, feed.longest, self._every_batch,
            session.step_seconds.get(feed.batch_size),
        )  # fmt: skip
        self._times = session.times = StepTimes(feed.batch_size, session.backend == "jax", session.times)
        self._tally = Tally(session)
        self._meter = make_meter(session, feed, callbacks)
        self._last_rate = 0.0
        self._ahead = epochs_ahead(session, feed, self._tally, callbacks, progress, validation is not None)
        self._validation = validation
        self._evaluation = None if validation is None else Evaluation(model, session, validation, callbacks)

    def __call__(self, verbose: Any) -> History:
        """Train, and return the history; callbacks hear what `verbose` was."""
        self._callbacks.set_model(self._model)
        self._callbacks.set_params({"verbose": verbose, "epochs": self._arguments.epochs, "steps": self._feed.steps})
        self._model.stop_training = False
        history = self._callbacks.history
        assert history is not None
        try:
            with self._interrupt:
                self._callbacks.on_train_begin()
                logs = self._epochs(history)
                self._session.overwrite_with_average()
                self._callbacks.on_train_end(logs)
                if self._interrupt.requested:
                    raise KeyboardInterrupt
        finally:
            if self._pace.measured is not None:
                self._session.step_seconds[self._feed.batch_size] = self._pace.measured
            self._feed.close()
            self._progress.close()
        return history

    def _interrupted(self) -> bool:
        return self._interrupt.requested

    def _epochs(self, history: History) -> Logs:
        """Run the epochs and return the logs of the last one."""
        logs: Logs = {}
        for epoch in range(self._arguments.initial_epoch, self._arguments.epochs):
            if not self._feed.ready():
                break
            self._callbacks.on_epoch_begin(epoch)
            self._progress.start(f"Epoch {epoch + 1}/{self._arguments.epochs}", self._feed.steps)
            complete = self._train(epoch)
            logs = self._tally.logs()
            if self._interrupt.requested and not complete:
                if not self._tally.empty:
                    history.add_partial_epoch(epoch, self._with_rate(logs))
                break
            if self._evaluation is not None and self._arguments.validates_after(epoch):
                logs |= {f"val_{key}": value for key, value in self._evaluate().items()}
            if self._meter is not None:
                self._callbacks.on_gradient_squares(epoch, self._meter.take())
            self._callbacks.on_epoch_end(epoch, self._with_rate(logs))
            self._progress.finish(logs)
            self._pace.end_epoch()
            waiting = self._ahead is not None and self._ahead.waiting
            if (self._model.stop_training or self._interrupt.requested) and not waiting:
                break
        return logs

    def _evaluate(self) -> Logs:
        """Return the results of a validation; none if its data has run out."""
        assert self._validation is not None
        assert self._evaluation is not None
        return self._evaluation.run() if self._validation.ready() else {}

    def _train(self, epoch: int) -> bool:
        """Take the steps of an epoch, into the tally; return whether none is left."""
        self._tally.reset()
        ahead = self._ahead
        if ahead is None:
            return self._train_alone(epoch)
        count = ahead.count(self._arguments.epochs - epoch)
        if not ahead.waiting and count == 1:
            began = time.perf_counter()
            complete = self._train_alone(epoch)
            ahead.report(1, time.perf_counter() - began)
            return complete
        if not ahead.waiting:
            with self._interrupt.shield():
                record, seconds = ahead.train(count, self._stops)
            rows = self._feed.rows
            self._times.add((rows, rows, False, 0), record.completed, seconds)
        record, iterations = ahead.take()
        self._count(record, iterations - record.completed, len(record.losses))
        if record.completed < len(record.losses):
            self._fail(float(record.losses[record.completed]), epoch, record.completed)
        return True

    def _train_alone(self, epoch: int) -> bool:
        """Take the steps of one epoch in calls of their own."""
        feed, done = self._feed, 0
        feed.begin_epoch()
        while (portion := feed.take(self._pace.steps(MANY), self._interrupted)) is not None:
            if self._every_batch:
                self._callbacks.on_train_batch_begin(done)
            if not self._call(portion, epoch, done):
                feed.end_epoch()
                return False
            done += portion.steps
            self._progress.update(done, self._tally.logs)
            if self._every_batch:
                self._callbacks.on_train_batch_end(done - 1, self._tally.logs())
            if self._interrupt.requested or self._model.stop_training:
                break
        feed.end_epoch()
        return feed.finished

    def _call(self, portion: Portion, epoch: int, done: int) -> bool:
        """Take the steps of a portion; return whether all losses are finite."""
        session, tally, meter = self._session, self._tally, self._meter
        first = session.iterations
        if meter is not None:
            with self._interrupt.shield():
                meter.look(portion)
        every = 0 if meter is None else meter.every_step
        began = time.perf_counter()
        with self._interrupt.shield():
            record = session.train(
                portion.data, portion.order, portion.batch_size, tally.needs_outputs, self._stops, squares_every=every
            )
        seconds, taken = time.perf_counter() - began, record.completed
        self._pace.report(portion.steps, seconds)
        self._times.add((portion.data.rows, int(record.rows.sum()), tally.needs_outputs, every), taken, seconds)
        self._count(record, first, portion.steps)
        if meter is not None:
            meter.add(record)
        if record.outputs is not None and tally.needs_outputs:
            batches = record.rows[:taken]
            rows = int(batches.sum())
            y, weights = portion.targets()
            tally.add_outputs(record.outputs[:rows], y[:rows], None if weights is None else weights[:rows], batches)
        if taken < portion.steps:
            self._fail(float(record.losses[taken]), epoch, done + taken)
        return taken == portion.steps

    @property
    def _stops(self) -> bool:
        """Whether a call ends at a loss that is not finite."""
        return self._session.on_nonfinite == "raise" or self._handles_nonfinite

    def _count(self, record: Record, first: int, steps: int) -> None:
        """Count what became of `steps` steps, `first` updates after the first of all."""
        self._tally.add(record, record.completed)
        if self._session.scheduled and record.completed == steps:
            self._last_rate = self._session.rate_at(first + steps - 1)

    def _fail(self, loss: float, epoch: int, step: int) -> None:
        """Raise the error for a loss that is not finite, or leave it to the callback that asked for it."""
        self._last_rate = self._session.learning_rate
        if not self._handles_nonfinite:
            raise NonFiniteLossError(loss, step, epoch, self._session.iterations, self._last_rate)
        self._tally.spoil(loss)
        self._feed.abandon()
        self._callbacks.on_nonfinite_loss(step, self._tally.logs())

    def _with_rate(self, logs: Logs) -> Logs:
        """Add the learning rate of the last step if it follows a schedule."""
        if self._session.scheduled:
            logs["learning_rate"] = self._last_rate
        return logs
