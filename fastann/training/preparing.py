"""From what a user hands over to a session and the rows it runs on."""

from __future__ import annotations

from typing import Any

from fastann_kernels.backend import Array

from fastann.training import weights
from fastann.training.arrays import read_array
from fastann.training.data import Dataset, check_shape, inputs, same_rows
from fastann.training.session import Session
from fastann.training.targets import targets
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
        x, y, sample_weight: what the user gave.
        session: the one to use, if it is there already.
        prefix: put before the names in messages, such as "validation ".

    Raises:
        ValueError, TypeError: the model is not compiled, or data and model do not fit.
    """
    if not model.compiled:
        raise ValueError("the model must be compiled first: call model.compile(optimizer, loss).")
    rows, labels = read_array(x, f"{prefix}x"), read_array(y, f"{prefix}y")
    same_rows(labels, len(rows), f"{prefix}y", f"{prefix}x")
    if session is None:
        session = model.prepare(_shape(model, rows, f"{prefix}x"), labels.shape, labels.dtype.kind in "biu")
    program, dtype = session.program, session.dtype
    matrix, deferred = inputs(rows, program, dtype, f"{prefix}x")
    return session, Dataset(
        x=matrix,
        y=targets(labels, program, dtype, f"{prefix}y"),
        weights=weights.sample_weights(sample_weight, len(rows), program, dtype, f"{prefix}sample_weight"),
        deferred=deferred,
    )


def without_targets(model: Trainable, x: Any) -> tuple[Session, Dataset]:
    """Return the session of a model, compiled or not, and rows to predict."""
    rows = read_array(x, "x")
    session = model.prepare(_shape(model, rows, "x"))
    matrix, deferred = inputs(rows, session.program, session.dtype)
    return session, Dataset(matrix, deferred=deferred)


def _shape(model: Trainable, x: Array, name: str) -> tuple[int, ...]:
    """Return the shape of the data as the model knows it; raises ValueError if it has another."""
    if not model.built or not isinstance(model.input_shape, tuple):
        return x.shape if x.ndim > 1 else (len(x), 1)
    expected = tuple(model.input_shape[1:])
    check_shape(x.shape, expected, name)
    return (len(x), *expected)
