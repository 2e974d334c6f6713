"""From outcomes, as they come from the device, to records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from fastann_kernels.backend import Record
from fastann_kernels.jax_backend.interpreter import Outcome, Packed, unpack
from fastann_kernels.program import Program


def batch_sizes(rows: int, batch_size: int, passes: int = 1) -> NDArray[np.int64]:
    """Return int64[steps], the rows of each step of passes over `rows` rows; the last step of a pass may be short."""
    a_pass = np.full(-(-rows // batch_size), batch_size, np.int64)
    a_pass[-1] = rows - (len(a_pass) - 1) * batch_size
    return np.tile(a_pass, passes)


def record_of(outcome: Outcome, sizes: NDArray[np.int64]) -> Record:
    """Turn the outcome of steps, each of so many rows, into float64 arrays of the caller's own."""
    return Record(
        losses=np.array(outcome.loss, np.float64),
        rows=sizes,
        metric_sums=np.array(outcome.metric_sums, np.float64),
        metric_weights=np.array(outcome.metric_weights, np.float64),
        parts=np.array(outcome.parts, np.float64),
        outputs=None if outcome.outputs is None else np.array(outcome.outputs),
        completed=len(sizes),
        gradient_squares=None if outcome.squares is None else np.array(outcome.squares, np.float64),
    )


def stopped_record(outcome: Outcome, sizes: NDArray[np.int64]) -> Record:
    """Return the record of steps that end with the first whose loss is not finite."""
    finite = np.isfinite(outcome.loss)
    if finite.all():
        return record_of(outcome, sizes)
    good = int(np.argmin(finite))
    made = sizes[: good + 1]
    return replace(record_of(_first(outcome, made), made), completed=good)


def empty_record(program: Program, dtype: np.dtype[Any], collect: bool) -> Record:
    """Return the record of no steps."""
    parts, sums, weights = (np.zeros((0, len(of))) for of in (program.losses, program.metrics, program.metrics))
    outputs = np.zeros((0, program.output_columns), dtype) if collect else None
    return Record(np.zeros(0), np.zeros(0, np.int64), sums, weights, parts, outputs)


def one_after_another(program: Program, stretches: Sequence[Packed]) -> Outcome:
    """Return the outcome of several stretches of steps."""
    fetched = jax.device_get(list(stretches))
    joined = fetched[0] if len(fetched) == 1 else jax.tree.map(lambda *parts: np.concatenate(parts), *fetched)
    return unpack(program, joined)


def side_by_side(program: Program, packed: Packed, count: int) -> list[Outcome]:
    """Return the outcomes of the first `count` of several states."""
    fetched = jax.device_get(packed)
    return [unpack(program, jax.tree.map(lambda array, i=i: array[i], fetched)) for i in range(count)]


def _first(outcome: Outcome, sizes: NDArray[np.int64]) -> Outcome:
    """Cut the outcome down to its first steps, and the outputs collected to their rows."""
    loss, parts, sums, weights, outputs, squares = outcome
    steps, rows = len(sizes), int(sizes.sum())
    collected = None if outputs is None else outputs[:rows]
    measured = None if squares is None else squares[:steps]
    return Outcome(loss[:steps], parts[:steps], sums[:steps], weights[:steps], collected, measured)
