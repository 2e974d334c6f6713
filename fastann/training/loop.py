"""`fit`: epochs, validations and callbacks around calls of a backend that take many steps each."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from fastann.callbacks.base import Logs
from fastann.callbacks.callback_list import CallbackList
from fastann.callbacks.history import History
from fastann.errors import NonFiniteLossError
from fastann.training.arguments import FitArguments, fit_arguments, verbosity
from fastann.training.batches import loss_and_gradients, predict_on_batch, test_on_batch, train_on_batch
from fastann.training.data import Dataset
from fastann.training.evaluation import Evaluation, evaluate, predict
from fastann.training.interrupt import Interrupt
from fastann.training.logs import Tally
from fastann.training.pace import make_pace
from fastann.training.passes import Passes, Stretch
from fastann.training.preparing import with_targets
from fastann.training.progress import Progress, make_progress
from fastann.training.session import Session
from fastann.training.source import make_source
from fastann.training.splits import split_off
from fastann.training.trainable import Trainable
from fastann.training.weights import with_class_weights

__all__ = [
    "evaluate",
    "fit",
    "loss_and_gradients",
    "predict",
    "predict_on_batch",
    "test_on_batch",
    "train_on_batch",
]


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
    session, training = with_targets(model, x, y, sample_weight)
    validation: Dataset | None = None
    if validation_data is not None:
        validation = _validation_rows(model, session, validation_data)
    elif arguments.validation_split > 0:
        training, validation = split_off(training, arguments.validation_split, session.program)
    assert training.y is not None
    weights = with_class_weights(training.weights, class_weight, training.y, session.program)
    training = replace(training, weights=weights)
    run = Training(model, session, training, validation, arguments, listeners, make_progress(shown))
    listeners.set_model(model)
    listeners.set_params({"verbose": verbose, "epochs": arguments.epochs, "steps": run.steps})
    return run()


def _validation_rows(model: Trainable, session: Session, given: Any) -> Dataset:
    """Return the rows of `validation_data`."""
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        size = f" of {len(given)}" if isinstance(given, tuple | list) else ""
        raise ValueError(
            f"validation_data must be (x, y) or (x, y, sample_weight), got {type(given).__name__}{size}; "
            "put inputs and targets in a tuple."
        )
    x, y = given[:2]
    weights = given[2] if len(given) == 3 else None
    return with_targets(model, x, y, weights, session, prefix="validation ")[1]


class Training:
    """One run of `fit`.

    Args:
        model: gets `history`, and says `stop_training`.
        session: what trains.
        training, validation: the rows, validation maybe None.
        arguments: those of `fit`.
        callbacks: told of everything; with a `History` among them.
        progress: what is shown.
    """

    def __init__(
        self,
        model: Trainable,
        session: Session,
        training: Dataset,
        validation: Dataset | None,
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
        self._source = make_source(session, training)
        self._passes = Passes(session, training.rows, arguments.batch_size, arguments.shuffle)
        self.steps = arguments.steps_per_epoch or self._passes.steps
        self._every_batch = callbacks.wants_batches("train")
        self._handles_nonfinite = callbacks.overrides("on_nonfinite_loss")
        self._pace = make_pace(session.backend, session.program, arguments.batch_size, self.steps, self._every_batch)
        self._tally = Tally(session)
        self._last_rate = 0.0
        self._validation = None if validation is None else self._evaluation(validation)

    def __call__(self) -> History:
        """Train, and return the history."""
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
            self._progress.close()
        return history

    def _epochs(self, history: History) -> Logs:
        """Run the epochs and return the logs of the last one."""
        logs: Logs = {}
        for epoch in range(self._arguments.initial_epoch, self._arguments.epochs):
            self._callbacks.on_epoch_begin(epoch)
            self._progress.start(f"Epoch {epoch + 1}/{self._arguments.epochs}", self.steps)
            done = self._train(epoch)
            logs = self._tally.logs()
            if self._interrupt.requested and done < self.steps:
                if not self._tally.empty:
                    history.add_partial_epoch(epoch, self._with_rate(logs))
                break
            if self._validation is not None and self._arguments.validates_after(epoch):
                logs |= {f"val_{key}": value for key, value in self._validation.run().items()}
            self._callbacks.on_epoch_end(epoch, self._with_rate(logs))
            self._progress.finish(logs)
            self._pace.end_epoch()
            if self._model.stop_training or self._interrupt.requested:
                break
        return logs

    def _train(self, epoch: int) -> int:
        """Take the steps of an epoch, into the tally; return how many were taken."""
        self._tally.reset()
        done = 0
        while done < self.steps:
            if self._every_batch:
                self._callbacks.on_train_batch_begin(done)
            stretch = self._passes.take(self._affordable(self.steps - done))
            failed = self._call(stretch, epoch, done)
            if failed is not None:
                return failed
            done += stretch.steps
            self._progress.update(done, self._tally.logs)
            if self._every_batch:
                self._callbacks.on_train_batch_end(done - 1, self._tally.logs())
            if self._interrupt.requested or self._model.stop_training:
                break
        return done

    def _call(self, stretch: Stretch, epoch: int, done: int) -> int | None:
        """Take the steps of a stretch; return None, or the number of the step in the epoch whose loss is not finite."""
        session, tally = self._session, self._tally
        stop = session.on_nonfinite == "raise" or self._handles_nonfinite
        data, order = self._source.stretch(stretch)
        first = session.iterations
        began = time.perf_counter()
        with self._interrupt.shield():
            record = session.train(data, order, self._arguments.batch_size, tally.needs_outputs, stop)
        self._pace.report(stretch.steps, time.perf_counter() - began)
        taken = record.completed
        tally.add(record, taken)
        if record.outputs is not None and tally.needs_outputs:
            rows = int(record.rows[:taken].sum())
            y, weights = self._source.targets(stretch.rows)
            tally.add_outputs(record.outputs[:rows], y[:rows], None if weights is None else weights[:rows])
        if taken == stretch.steps:
            if session.scheduled:
                self._last_rate = session.rate_at(first + taken - 1)
            return None
        self._fail(float(record.losses[taken]), epoch, done + taken)
        return done + taken

    def _fail(self, loss: float, epoch: int, step: int) -> None:
        """Raise the error for a loss that is not finite, or leave it to the callback that asked for it."""
        self._last_rate = self._session.learning_rate
        if not self._handles_nonfinite:
            raise NonFiniteLossError(loss, step, epoch, self._session.iterations, self._last_rate)
        self._tally.spoil(loss)
        self._passes.abandon()
        self._callbacks.on_nonfinite_loss(step, self._tally.logs())

    def _affordable(self, remaining: int) -> int:
        steps = self._pace.steps(remaining)
        if self._source.longest is not None:
            steps = max(1, min(steps, self._source.longest // self._arguments.batch_size))
        return steps

    def _with_rate(self, logs: Logs) -> Logs:
        """Add the learning rate of the last step if it follows a schedule."""
        if self._session.scheduled:
            logs["learning_rate"] = self._last_rate
        return logs

    def _evaluation(self, validation: Dataset) -> Evaluation:
        size, steps = self._arguments.validation_batch_size, self._arguments.validation_steps
        rows = validation if steps is None else validation.part(0, min(validation.rows, steps * size))
        source = make_source(self._session, rows)
        return Evaluation(self._model, self._session, source, size, self._callbacks)
