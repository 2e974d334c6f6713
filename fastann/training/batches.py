"""`train_on_batch` and its kin: all rows given are one batch."""

from __future__ import annotations

from typing import Any

from fastann_kernels.backend import Array

from fastann.errors import NonFiniteLossError
from fastann.training.evaluation import results
from fastann.training.logs import Tally
from fastann.training.preparing import with_targets
from fastann.training.trainable import Trainable
from fastann.training.weights import with_class_weights


def train_on_batch(
    model: Trainable,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    return_dict: bool = False,
) -> float | list[float] | dict[str, float]:
    """Take one update and return loss and metrics of the batch, measured before it.

    Raises:
        NonFiniteLossError: the loss is NaN or infinite, and nothing was changed.
    """
    session, data = with_targets(model, x, y, sample_weight)
    assert data.y is not None
    weights = with_class_weights(data.weights, class_weight, data.y, session.program)
    tally = Tally(session)
    placed = session.put(data.matrix(session.dtype), data.y, weights)
    rate = session.learning_rate
    record = session.train(placed, None, data.rows, collect_outputs=tally.needs_outputs)
    if record.completed == 0:
        raise NonFiniteLossError(float(record.losses[0]), 0, None, session.iterations, rate)
    tally.add(record)
    if record.outputs is not None and tally.needs_outputs:
        tally.add_outputs(record.outputs, data.y, weights)
    return results(tally.logs(), return_dict)


def test_on_batch(
    model: Trainable,
    x: Any,
    y: Any = None,  # noqa: PT028 - no test
    sample_weight: Any = None,  # noqa: PT028
    return_dict: bool = False,  # noqa: PT028
) -> float | list[float] | dict[str, float]:
    """Return loss and metrics of the batch; nothing is trained."""
    session, data = with_targets(model, x, y, sample_weight)
    assert data.y is not None
    tally = Tally(session)
    placed = session.put(data.matrix(session.dtype), data.y, data.weights)
    record = session.evaluate(placed, data.rows, tally.needs_outputs)
    tally.add(record)
    if record.outputs is not None and tally.needs_outputs:
        tally.add_outputs(record.outputs, data.y, data.weights)
    return results(tally.logs(), return_dict)


def loss_and_gradients(
    model: Trainable, x: Any, y: Any, sample_weight: Any = None, training: bool = False
) -> tuple[float, list[Array]]:
    """Return the loss of all rows and its derivative with respect to each array of `get_weights`.

    The loss includes the penalties of regularizers; nothing is clipped or trained. With `training`, layers behave as in
    training.
    """
    session, data = with_targets(model, x, y, sample_weight)
    loss, gradient = session.gradients(session.put(data.matrix(session.dtype), data.y, data.weights), training)
    arrays = [
        gradient[parameter.offset : parameter.offset + parameter.size].reshape(parameter.shape).copy()
        for parameter in session.program.parameters
    ]
    return loss, arrays
