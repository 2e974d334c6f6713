"""From what a user hands over to a session and the rows it runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastann_kernels.backend import Array

from fastann.training import weights
from fastann.training.arrays import read_array
from fastann.training.data import Dataset, check_shape, inputs, same_rows
from fastann.training.session import Session
from fastann.training.structures import labels, one_each
from fastann.training.targets import Target, targets
from fastann.training.trainable import Trainable


def with_targets(
    model: Trainable,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    session: Session | None = None,
    prefix: str = "",
) -> tuple[Session, Dataset]:
    """Return the session of a compiled model and rows with targets for it.

    Args:
        model: is built here if it waited for the shape of its input.
        x, y, sample_weight: what the user gave; lists or dicts for several inputs or outputs.
        session: the one to use, if it is there already.
        prefix: put before the names in messages, such as "validation ".

    Raises:
        ValueError, TypeError: the model is not compiled, or data and model do not fit.
    """
    sessions, data = all_with_targets([model], x, y, sample_weight, None if session is None else [session], prefix)
    return sessions[0], data


def all_with_targets(
    models: Sequence[Trainable],
    x: Any,
    y: Any,
    sample_weight: Any = None,
    sessions: Sequence[Session] | None = None,
    prefix: str = "",
) -> tuple[Sequence[Session], Dataset]:
    """Return the sessions of several compiled models of one architecture, and rows with targets for all of them.

    Arguments and errors are those of `with_targets`; the rows are read and checked once.
    """
    model = models[0]
    if not model.compiled:
        raise ValueError("the model must be compiled first: call model.compile(optimizer, loss).")
    rows = _read_inputs(model, x, prefix)
    outputs = _output_names(model)
    names = labels(outputs, f"{prefix}y")
    given = [
        None if part is None and len(outputs) > 1 else read_array(part, name)
        for part, name in zip(one_each(y, outputs, f"{prefix}y", partial=True), names, strict=True)
    ]
    for array, name in zip(given, names, strict=True):
        if array is not None:
            same_rows(array, len(rows[0]), name, f"{prefix}x")
    if sessions is None:
        known = [_target(array) for array in given]
        sessions = [each.prepare(_shape(each, rows, prefix), known) for each in models]
    program, dtype = sessions[0].program, sessions[0].dtype
    matrix, deferred = inputs(rows, program, dtype, _input_labels(model, prefix))
    return sessions, Dataset(
        x=matrix,
        y=targets(given, program, dtype, names),
        weights=_weights(sample_weight, outputs, len(rows[0]), dtype, f"{prefix}sample_weight"),
        deferred=deferred,
    )


def without_targets(model: Trainable, x: Any) -> tuple[Session, Dataset]:
    """Return the session of a model, compiled or not, and rows to predict."""
    rows = _read_inputs(model, x, "")
    session = model.prepare(_shape(model, rows, ""))
    matrix, deferred = inputs(rows, session.program, session.dtype, _input_labels(model, ""))
    return session, Dataset(matrix, deferred=deferred)


def _input_labels(model: Trainable, prefix: str) -> list[str]:
    return labels(model.input_names, f"{prefix}x") if model.built else [f"{prefix}x"]


def _output_names(model: Trainable) -> Sequence[str]:
    return model.output_names if model.built else ("output",)


def _read_inputs(model: Trainable, x: Any, prefix: str) -> list[Array]:
    """Return an array for each input, all with as many rows."""
    parts = one_each(x, model.input_names, f"{prefix}x") if model.built else [x]
    names = _input_labels(model, prefix)
    arrays = [read_array(part, name) for part, name in zip(parts, names, strict=True)]
    for array, name in zip(arrays, names, strict=True):
        same_rows(array, len(arrays[0]), name, names[0])
    return arrays


def _target(array: Array | None) -> Target:
    return Target() if array is None else Target(tuple(array.shape[1:]), array.dtype.kind in "biu")


def _weights(given: Any, outputs: Sequence[str], rows: int, dtype: np.dtype[Any], name: str) -> Array | None:
    """Return weights (N, outputs) or None; one array counts for every output."""
    several = len(outputs) > 1 and isinstance(given, list | tuple | Mapping) and not _is_column(given)
    parts = one_each(given, outputs, name, partial=True) if several else [given] * len(outputs)
    return weights.sample_weights(parts, rows, dtype, labels(outputs, name) if several else [name] * len(outputs))


def _is_column(given: Any) -> bool:
    """Return whether a list holds numbers, one a row."""
    return not isinstance(given, Mapping) and len(given) > 0 and all(np.ndim(entry) == 0 for entry in given[:2])


def _shape(model: Trainable, rows: Sequence[Array], prefix: str) -> tuple[int, ...]:
    """Return the shape of the data as the model knows it; raises ValueError if it has another."""
    x = rows[0]
    if not model.built or not isinstance(model.input_shape, tuple):
        return x.shape if x.ndim > 1 else (len(x), 1)
    expected = tuple(model.input_shape[1:])
    check_shape(x.shape, expected, f"{prefix}x")
    return (len(x), *expected)
