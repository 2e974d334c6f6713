"""From settings and data to trainings that are ready to begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastann.callbacks.monitor import direction
from fastann.many.entrant import Entrant
from fastann.many.runs import Run, row_numbers
from fastann.many.training import ROWS_AHEAD
from fastann.random import epoch_order
from fastann.spec import number
from fastann.training.arguments import FitArguments
from fastann.training.data import Dataset
from fastann.training.feeds import PassFeed
from fastann.training.passes import Passes
from fastann.training.pieces import RowPieces
from fastann.training.session import Session
from fastann.training.source import Source, make_source
from fastann.training.streams import is_stream

if TYPE_CHECKING:
    from fastann.models import Model


def check(
    model: Model, x: Any, runs: Sequence[Run], arguments: FitArguments, validation_data: Any, class_weight: Any
) -> None:
    """Raise ValueError or TypeError where arguments of `fit_many` cannot be together, or are none of rows."""
    if not model.compiled:
        raise ValueError("the model must be compiled first: call model.compile(optimizer, loss).")
    for name, given in (("x", x), ("validation_data", validation_data)):
        if is_stream(given):
            raise TypeError(
                f"{name} must be rows that all trainings read at the same time, got {type(given).__name__}, which "
                "brings batches; collect them first."
            )
    elsewhere = validation_data is not None or arguments.validation_split > 0
    if elsewhere and any(run.validation_rows is not None for run in runs):
        raise ValueError(
            "validation_rows of a run must not be given together with validation_data or validation_split; "
            "leave those out."
        )
    if any(run.rows is not None for run in runs):
        if arguments.validation_split > 0:
            raise ValueError(
                "rows of a run must not be given together with validation_split; give validation_rows with them."
            )
        if isinstance(class_weight, str):
            raise ValueError(
                f"class_weight must be a dict for runs that have rows of their own, got {class_weight!r}; "
                "the classes of all rows would be counted."
            )


def make_entrants(
    runs: Sequence[Run],
    models: Sequence[Model],
    sessions: Sequence[Session],
    data: Dataset,
    held: Dataset | None,
    unweighted: Dataset,
    arguments: FitArguments,
    until: Mapping[str, float],
) -> list[Entrant]:
    """Return the trainings of the runs.

    Args:
        runs, models, sessions: as many, each training's own.
        data: to train on, class weights included.
        held: to validate on, or None.
        unweighted: the rows that `validation_rows` are numbers of, without class weights.
        arguments: those of `fit`.
        until: as in `fit_many`.
    """
    # those of a call: many where they are short
    draw = lru_cache(maxsize=max(len(runs), min(256, ROWS_AHEAD // data.rows)))(epoch_order)
    shared = _Shared()
    made = []
    for run, model, session in zip(runs, models, sessions, strict=True):
        own = arguments if run.batch_size is None else replace(arguments, batch_size=run.batch_size)
        rows = None if run.rows is None else row_numbers(run.rows, data.rows, "rows")
        passes = _passes(session, data.rows, rows, own, draw)
        feed = PassFeed(shared.source(session, data), passes, own)
        validation = held if run.validation_rows is None else shared.part(unweighted, run.validation_rows)
        pieces = None
        if validation is not None:
            limit = own.validation_steps
            if limit is not None:
                validation = shared.beginning(validation, limit * own.validation_batch_size)
            pieces = RowPieces(session, shared.source(session, validation), own.validation_batch_size)
        _check_goals(until, model, session, pieces is not None)
        made.append(Entrant(run, model, session, feed, pieces, until))
        made[-1].history.set_params({"verbose": 0, "epochs": own.epochs, "steps": feed.steps})
    return made


def goals(until: Any) -> dict[str, float]:
    """Return the goals by key; raises TypeError or ValueError unless they are numbers in a dict."""
    if until is None:
        return {}
    if not isinstance(until, Mapping):
        raise TypeError(f"until must be a dict such as {{'val_loss': 0.1}}, got {until!r}.")
    return {str(key): number(goal, f"the goal of {key!r}") for key, goal in until.items()}


class _Shared:
    """What several trainings have in common: data sets, and what a backend made of them."""

    def __init__(self) -> None:
        self._sources: dict[tuple[int, int], tuple[Source, Dataset]] = {}
        self._parts: dict[tuple[int, Any], tuple[Dataset, Any]] = {}

    def source(self, session: Session, data: Dataset) -> Source:
        """Return the source of a data set for an executor."""
        key = (id(session.executor), id(data))
        if key not in self._sources:
            # the data set is kept with it, so that no other one can have its id
            self._sources[key] = make_source(session, data), data
        return self._sources[key][0]

    def part(self, data: Dataset, rows: Any) -> Dataset:
        """Return a data set of some rows, copied."""
        key = (id(data), id(rows))
        if key not in self._parts:
            chosen = row_numbers(rows, data.rows, "validation_rows")
            weights = None if data.weights is None else data.weights[chosen]
            y = None if data.y is None else data.y[chosen]
            self._parts[key] = replace(data, x=data.x[chosen], y=y, weights=weights), rows
        return self._parts[key][0]

    def beginning(self, data: Dataset, rows: int) -> Dataset:
        """Return the first rows of a data set."""
        key = (id(data), ("first", rows))
        if key not in self._parts:
            self._parts[key] = data.part(0, min(data.rows, rows)), data
        return self._parts[key][0]


def _passes(
    session: Session, rows: int, chosen: NDArray[np.int64] | None, arguments: FitArguments, draw: Any
) -> Passes:
    """Return the passes over all rows, or over those chosen."""
    size, shuffle = arguments.batch_size, arguments.shuffle
    if chosen is None:
        return Passes(session, rows, size, shuffle, draw)

    def among(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
        return chosen[draw(seed, epoch, count)] if shuffle else chosen

    return Passes(session, len(chosen), size, True, among)


def _check_goals(until: Mapping[str, float], model: Model, session: Session, validates: bool) -> None:
    """Raise ValueError for a goal that no epoch gives, or whose direction nothing tells."""
    keys = ["loss", *session.loss_keys, *(entry.key for entry in session.metrics)]
    keys += [f"val_{key}" for key in keys] if validates else []
    for key in until:
        if key not in keys:
            raise ValueError(f"until must have keys of the history, {', '.join(map(repr, keys))}, got {key!r}.")
        if direction(model, key) is None:
            raise ValueError(f"until cannot tell whether {key!r} should grow or shrink; use another key.")
