"""`evaluate` and `predict`: rows forward through the network, nothing trained."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
from fastann_kernels.backend import Array

from fastann.callbacks.base import Logs
from fastann.callbacks.callback_list import CallbackList
from fastann.training.arguments import batch_rows, optional_count, verbosity
from fastann.training.data import Dataset
from fastann.training.interrupt import Interrupt
from fastann.training.logs import Tally
from fastann.training.opening import open_with_targets, open_without_targets, refuse_beside
from fastann.training.pieces import Piece, Pieces, RowPieces, StreamPieces
from fastann.training.preparing import with_targets, without_targets
from fastann.training.progress import Progress, Silent, make_progress
from fastann.training.quick import remember
from fastann.training.session import Session
from fastann.training.source import make_source
from fastann.training.streams import is_stream
from fastann.training.trainable import Trainable


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
    size, limit, shown = batch_rows(batch_size), optional_count(steps, "steps"), verbosity(verbose)
    listeners = CallbackList(callbacks)
    made: Pieces
    if is_stream(x):
        refuse_beside(x, y=y, sample_weight=sample_weight)
        session, reader = open_with_targets(model, x, limit)
        made = StreamPieces(session, reader, limit)
    else:
        session, data = with_targets(model, x, y, sample_weight)
        made = row_pieces(session, data, size, limit)
    listeners.set_model(model)
    listeners.set_params({"verbose": verbose, "epochs": 1, "steps": made.batches})
    progress = make_progress(shown)
    try:
        with Interrupt() as interrupt:
            progress.start("Evaluation", made.batches)
            logs = Evaluation(model, session, made, listeners, interrupt, progress).run()
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


def row_pieces(session: Session, data: Dataset, batch_size: int, limit: int | None) -> RowPieces:
    """Return the pieces of some rows, of the first `limit` batches only if that is given."""
    rows = data if limit is None else data.part(0, min(data.rows, limit * batch_size))
    return RowPieces(session, make_source(session, rows), batch_size)


class Evaluation:
    """Loss and metrics of rows with targets; may run many times, as validation does.

    Args:
        model: gets `stop_evaluating`, which a callback may set to True to end early.
        session, pieces: what to run, on what.
        callbacks: told of the beginning, the end and, if they want to know, every batch.
        interrupt: looked at between two calls; KeyboardInterrupt is raised if it was requested.
        progress: told of the batches; None to show nothing.
    """

    def __init__(
        self,
        model: Any,
        session: Session,
        pieces: Pieces,
        callbacks: CallbackList,
        interrupt: Interrupt | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._model = model
        self._session = session
        self._pieces = pieces
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
        every_batch = self._batch_by_batch or self._tally.by_batch
        with closing(self._pieces.cut(every_batch, self._interrupted)) as pieces:
            for piece in pieces:
                if self._batch_by_batch:
                    self._callbacks.on_test_batch_begin(piece.done - 1)
                self._evaluate(piece)
                self._progress.update(piece.done, self._tally.logs)
                if self._batch_by_batch:
                    self._callbacks.on_test_batch_end(piece.done - 1, self._tally.logs())
                if self._interrupted() or self._model.stop_evaluating:
                    break
        if self._interrupted():
            raise KeyboardInterrupt
        logs = self._tally.logs()
        self._callbacks.on_test_end(logs)
        return logs

    def _evaluate(self, piece: Piece) -> None:
        collect = self._tally.needs_outputs
        record = self._session.evaluate(piece.place(), piece.together, collect)
        self._tally.add(record)
        if record.outputs is not None and collect:
            self._tally.add_outputs(record.outputs, *piece.targets())

    def _interrupted(self) -> bool:
        return self._interrupt is not None and self._interrupt.requested


def predict(
    model: Trainable,
    x: Any,
    batch_size: int | None = None,
    verbose: str | int = "auto",
    steps: int | None = None,
    callbacks: Any = None,
) -> Any:
    """Return what the network puts out for each row, (N, *output shape); see `Model.predict`."""
    size, limit, shown = batch_rows(batch_size), optional_count(steps, "steps"), verbosity(verbose)
    unwatched = shown == 0 and callbacks is None and limit is None
    if unwatched and isinstance(x, np.ndarray) and len(x.shape) > 1 and 0 < len(x) <= max(size, 64):
        # nobody looks on, and there is one batch: all around the call of the backend would take longer than the call
        outputs = predict_on_batch(model, x)
        if isinstance(outputs, np.ndarray):
            remember(model.session)
        return outputs
    listeners = CallbackList(callbacks)
    made: Pieces
    if is_stream(x):
        session, reader = open_without_targets(model, x, limit)
        made = StreamPieces(session, reader, limit)
    else:
        session, data = without_targets(model, x)
        made = row_pieces(session, data, size, limit)
    listeners.set_model(model)
    listeners.set_params({"verbose": verbose, "epochs": 1, "steps": made.batches})
    progress = make_progress(shown, quiet_without_terminal=True)
    try:
        with Interrupt() as interrupt:
            progress.start("Prediction", made.batches)
            listeners.on_predict_begin()
            outputs = _outputs(model, session, made, listeners, interrupt, progress)
            listeners.on_predict_end()
            progress.finish({})
    finally:
        progress.close()
    return outputs


def _outputs(
    model: Any,
    session: Session,
    rows: Pieces,
    callbacks: CallbackList,
    interrupt: Interrupt,
    progress: Progress,
) -> Any:
    every_batch = callbacks.wants_batches("predict")
    model.stop_predicting = False
    parts: list[Array] = []
    with closing(rows.cut(every_batch, lambda: interrupt.requested)) as pieces:
        for piece in pieces:
            if every_batch:
                callbacks.on_predict_batch_begin(piece.done - 1)
            packed = session.predict(piece.inputs(), piece.together)
            parts.append(packed)
            progress.update(piece.done, dict)
            if every_batch:
                callbacks.on_predict_batch_end(piece.done - 1, {"outputs": unpacked(model, session, packed)})
            if interrupt.requested or model.stop_predicting:
                break
    if interrupt.requested:
        raise KeyboardInterrupt
    return unpacked(model, session, parts[0] if len(parts) == 1 else np.concatenate(parts))


def predict_on_batch(model: Trainable, x: Any) -> Any:
    """Return what the network puts out for each row, all rows as one batch."""
    session, data = without_targets(model, x)
    return unpacked(model, session, session.predict(data.matrix(session.dtype), data.rows))


def unpacked(model: Trainable, session: Session, packed: Array) -> Any:
    """Return outputs (N, columns) in the shapes of the network's outputs, as users see them."""
    program = session.program
    shapes = [program.values[value].shape for value in program.outputs]
    if len(shapes) == 1:
        return model.arranged([packed.reshape(len(packed), *shapes[0])])
    ends = np.cumsum([program.values[value].size for value in program.outputs])
    parts = np.split(packed, ends[:-1], axis=1)
    return model.arranged([part.reshape(len(part), *shape) for part, shape in zip(parts, shapes, strict=True)])
