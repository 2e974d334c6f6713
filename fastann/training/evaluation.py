"""`evaluate` and `predict`: rows forward through the network, nothing trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from fastann_kernels.backend import Array

from fastann.callbacks.base import Logs
from fastann.callbacks.callback_list import CallbackList
from fastann.training.arguments import batch_rows, optional_count, verbosity
from fastann.training.interrupt import Interrupt
from fastann.training.logs import Tally
from fastann.training.pace import COMPILED_CALL, step_seconds
from fastann.training.preparing import with_targets, without_targets
from fastann.training.progress import Progress, Silent, make_progress
from fastann.training.session import Session
from fastann.training.source import Source, make_source
from fastann.training.trainable import Trainable

#: Rows that go through the network together where nobody looks at single batches: results do not depend on it.
ROWS_TOGETHER = {"numba": 256, "jax": 1024}


def evaluate(
    model: Trainable,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    verbose: str | int = "auto",
    sample_weight: Any = None,
    steps: int | None = None,
    callbacks: Any = None,
    return_dict: bool = False,
) -> float | list[float] | dict[str, float]:
    """Return loss and metrics over all rows; see `Model.evaluate`."""
    rows, limit, shown = batch_rows(batch_size), optional_count(steps, "steps"), verbosity(verbose)
    listeners = CallbackList(callbacks)
    session, data = with_targets(model, x, y, sample_weight)
    if limit is not None:
        data = data.part(0, min(data.rows, limit * rows))
    source = make_source(session, data)
    count = -(-source.rows // rows)
    listeners.set_model(model)
    listeners.set_params({"verbose": verbose, "epochs": 1, "steps": count})
    progress = make_progress(shown)
    try:
        with Interrupt() as interrupt:
            progress.start("Evaluation", count)
            logs = Evaluation(model, session, source, rows, listeners, interrupt, progress).run()
            progress.finish(logs)
    finally:
        progress.close()
    return results(logs, return_dict)


def results(logs: Logs, return_dict: bool) -> float | list[float] | dict[str, float]:
    """Return logs as Keras does: the loss alone, [loss, metric, ...], or the dict."""
    if return_dict:
        return dict(logs)
    values = [float(value) for value in logs.values()]
    return values[0] if len(values) == 1 else values


class Evaluation:
    """Loss and metrics of a source of rows; may run many times, as validation does.

    Args:
        model: gets `stop_evaluating`, which a callback may set to True to end early.
        session, source: what to run, on what.
        batch_size: rows a batch.
        callbacks: told of the beginning, the end and, if they want to know, every batch.
        interrupt: looked at between two calls; KeyboardInterrupt is raised if it was requested.
        progress: told of the batches; None to show nothing.
    """

    def __init__(
        self,
        model: Any,
        session: Session,
        source: Source,
        batch_size: int,
        callbacks: CallbackList,
        interrupt: Interrupt | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._model = model
        self._session = session
        self._source = source
        self._batch_size = batch_size
        self._callbacks = callbacks
        self._interrupt = interrupt
        self._progress: Progress = Silent() if progress is None else progress
        self._tally = Tally(session)
        self._batch_by_batch = callbacks.wants_batches("test")

    def run(self) -> Logs:
        """Return the logs."""
        self._tally.reset()
        self._model.stop_evaluating = False
        self._callbacks.on_test_begin()
        together = self._batch_size if self._batch_by_batch else rows_together(self._session, self._batch_size)
        for first, last in pieces(self._session, self._source, together, self._batch_by_batch):
            batch = first // self._batch_size
            if self._batch_by_batch:
                self._callbacks.on_test_batch_begin(batch)
            self._piece(first, last, together)
            self._progress.update(-(-last // self._batch_size), self._tally.logs)
            if self._batch_by_batch:
                self._callbacks.on_test_batch_end(batch, self._tally.logs())
            if self._interrupt is not None and self._interrupt.requested:
                raise KeyboardInterrupt
            if self._model.stop_evaluating:
                break
        logs = self._tally.logs()
        self._callbacks.on_test_end(logs)
        return logs

    def _piece(self, first: int, last: int, batch_size: int) -> None:
        collect = self._tally.needs_outputs
        record = self._session.evaluate(self._source.part(first, last), min(batch_size, last - first), collect)
        self._tally.add(record)
        if record.outputs is not None and collect:
            self._tally.add_outputs(record.outputs, *self._source.targets(slice(first, last)))


def rows_together(session: Session, batch_size: int) -> int:
    """Return how many rows to compute with at a time when the user's batches do not matter."""
    return max(batch_size, ROWS_TOGETHER.get(session.backend, batch_size))


def pieces(session: Session, source: Source, batch_size: int, every_batch: bool) -> Iterator[tuple[int, int]]:
    """Return first and last row (excluded) of each call: whole batches, about a second of work, or one batch."""
    batches = 1
    if not every_batch:
        # forward is a third of a step
        batches = max(1, int(3 * COMPILED_CALL / step_seconds(session.program, batch_size)))
        batches = 1 << (batches.bit_length() - 1)
    if source.longest is not None:
        batches = max(1, min(batches, source.longest // batch_size))
    step = batches * batch_size
    return ((first, min(first + step, source.rows)) for first in range(0, source.rows, step))


def predict(
    model: Trainable,
    x: Any,
    batch_size: int | None = None,
    verbose: str | int = "auto",
    steps: int | None = None,
    callbacks: Any = None,
) -> Array:
    """Return what the network puts out for each row, (N, *output shape); see `Model.predict`."""
    rows, limit, shown = batch_rows(batch_size), optional_count(steps, "steps"), verbosity(verbose)
    listeners = CallbackList(callbacks)
    session, data = without_targets(model, x)
    if limit is not None:
        data = data.part(0, min(data.rows, limit * rows))
    source = make_source(session, data)
    count = -(-source.rows // rows)
    listeners.set_model(model)
    listeners.set_params({"verbose": verbose, "epochs": 1, "steps": count})
    progress = make_progress(shown, quiet_without_terminal=True)
    try:
        with Interrupt() as interrupt:
            progress.start("Prediction", count)
            listeners.on_predict_begin()
            outputs = _outputs(model, session, source, rows, listeners, interrupt, progress)
            listeners.on_predict_end()
            progress.finish({})
    finally:
        progress.close()
    return outputs


def _outputs(
    model: Any,
    session: Session,
    source: Source,
    batch_size: int,
    callbacks: CallbackList,
    interrupt: Interrupt,
    progress: Progress,
) -> Array:
    every_batch = callbacks.wants_batches("predict")
    together = batch_size if every_batch else rows_together(session, batch_size)
    model.stop_predicting = False
    parts: list[Array] = []
    for first, last in pieces(session, source, together, every_batch):
        batch = first // batch_size
        if every_batch:
            callbacks.on_predict_batch_begin(batch)
        packed = session.predict(source.inputs(first, last), min(together, last - first))
        parts.append(unpacked(session, packed))
        progress.update(-(-last // batch_size), dict)
        if every_batch:
            callbacks.on_predict_batch_end(batch, {"outputs": parts[-1]})
        if interrupt.requested:
            raise KeyboardInterrupt
        if model.stop_predicting:
            break
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def unpacked(session: Session, packed: Array) -> Array:
    """Return outputs (N, columns) in the shape of the network's only output; of several outputs, as they are."""
    program = session.program
    if len(program.outputs) != 1:
        return packed
    return packed.reshape(len(packed), *program.values[program.outputs[0]].shape)
