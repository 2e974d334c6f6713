"""From an object that brings batches to a session and a reader of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastann.training.data import Dataset
from fastann.training.preparing import with_targets, without_targets
from fastann.training.reader import BatchReader
from fastann.training.session import Session
from fastann.training.streams import Stream, make_stream, unpack, unpack_inputs
from fastann.training.trainable import Trainable
from fastann.training.weights import with_class_weights


def open_with_targets(
    model: Trainable,
    given: Any,
    steps: int | None,
    session: Session | None = None,
    class_weight: Any = None,
    prefix: str = "",
) -> tuple[Session, BatchReader]:
    """Return the session of a compiled model and a reader of batches with targets.

    Args:
        model: is built here, for the first batch, if it waited for the shape of its input.
        given: as `is_stream` knows it.
        steps: batches asked for, or None.
        session: the one to use, if it is there already.
        class_weight: a dict from label to weight, or None.
        prefix: "validation " for `validation_data`.

    Raises:
        ValueError, TypeError: the model is not compiled, or the first batch and the model do not fit.
    """
    if isinstance(class_weight, str):
        raise ValueError(
            f"class_weight must be a dict from label to weight for data that comes in batches, got {class_weight!r}."
        )
    name = f"{prefix}data" if prefix else "x"
    stream = _open(given, name, steps, "validation_steps" if prefix else "steps_per_epoch or steps")

    def prepare(batch: Any, number: int) -> Dataset:
        nonlocal session
        x, y, weights = unpack(batch, name)
        session, data = with_targets(model, x, y, weights, session, f"{prefix}batch {number}'s ")
        if class_weight is not None:
            assert data.y is not None
            data = replace(data, weights=with_class_weights(data.weights, class_weight, data.y, session.program))
        return _converted(data, session)

    first = prepare(stream.first(), 1)
    assert session is not None
    return session, _reader(stream, prepare, first, session)


def open_without_targets(model: Trainable, given: Any, steps: int | None) -> tuple[Session, BatchReader]:
    """Return the session of a model, compiled or not, and a reader of batches to predict."""
    stream = _open(given, "x", steps, "steps")

    def prepare(batch: Any, number: int) -> Dataset:
        session, data = without_targets(model, unpack_inputs(batch))
        return _converted(data, session)

    first = stream.first()
    session = without_targets(model, unpack_inputs(first))[0]
    return session, _reader(stream, prepare, prepare(first, 1), session)


def refuse_beside(given: Any, **arguments: Any) -> None:
    """Raise ValueError if an argument is given that cannot be together with batches."""
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"{name} must not be given when x brings batches, as {type(given).__name__} does; "
                + _INSTEAD.get(name, "leave it out.")
            )


def warn_of_batch_size(given: Any, batch_size: int | None) -> None:
    """Warn if a batch size is given for data that comes in batches."""
    if batch_size is not None:
        warnings.warn(
            f"batch_size has no effect when x brings batches, as {type(given).__name__} does; leave it out.",
            UserWarning,
            stacklevel=4,
        )


_INSTEAD = {
    "y": "let each batch be (x, y).",
    "sample_weight": "let each batch be (x, y, sample_weight).",
    "validation_split": "use validation_data.",
}


def _open(given: Any, name: str, steps: int | None, argument: str) -> Stream:
    stream = make_stream(given, name)
    if steps is None and stream.endless:
        raise ValueError(f"{name} has no end, so the number of batches must be given: use {argument}.")
    return stream


def _reader(stream: Stream, prepare: Callable[[Any, int], Dataset], first: Dataset, session: Session) -> BatchReader:
    return BatchReader(stream, prepare, first, patient=session.backend == "jax")


def _converted(data: Dataset, session: Session) -> Dataset:
    return replace(data, x=data.matrix(session.dtype), deferred=False)
