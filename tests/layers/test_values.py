"""What layers compute, on both backends, against values that Keras 3 computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastann_kernels.backend import get_backend
from numpy.typing import NDArray

from fastann.losses import get as loss_named
from fastann.lowering import LossTerm, lower
from fastann.models.weights import draw, fill
from fastann.optimizers import SGD
from tests.layers.graphs import RECORD, alone, label, recorded_inputs, recorded_layer
from tests.programs import state_for, steps_for

CASES = RECORD["cases"]
TRAINED = [case for case in CASES if "trained" in case]

#: Keras on JAX takes means, tanh and the places that affine transformations read from in single precision.
SINGLE = {"BatchNormalization", "LayerNormalization", "GlobalAveragePooling2D", "Dense"}


def tolerance(case: dict[str, Any]) -> float:
    """Return the error that the recorded values may have."""
    if case["layer"].startswith("Random"):
        return 1e-5
    return 1e-6 if case["layer"] in SINGLE else 1e-10


def packed(case: dict[str, Any]) -> NDArray[np.float64]:
    """Return the inputs side by side."""
    return np.concatenate([x.reshape(len(x), -1) for x in recorded_inputs(case)], axis=1)


def vector(graph: Any, program: Any, case: dict[str, Any]) -> NDArray[np.float64]:
    """Return the recorded weights as a flat vector; without any, those that the layer draws."""
    flat = draw(graph, 1)
    if case["weights"]:
        fill(flat, program.parameters, [value for _, value in case["weights"]], "the test")
    return flat


@pytest.mark.parametrize("case", CASES, ids=label)
def test_predictions(backend: str, case: dict[str, Any]) -> None:
    graph = alone(recorded_layer(case), *(x.shape[1:] for x in recorded_inputs(case)))
    program = lower(graph)
    executor = get_backend(backend).executor(program, "float64")
    state = executor.put_state(state_for(program, vector(graph, program, case)))
    y = executor.predict(state, packed(case), 2)
    np.testing.assert_allclose(y.reshape(np.shape(case["y"])), case["y"], rtol=tolerance(case), atol=tolerance(case))


@pytest.mark.parametrize("case", TRAINED, ids=label)
def test_values_in_training(backend: str, case: dict[str, Any]) -> None:
    """A step of learning rate 0 leaves weights as they are but for moving statistics."""
    graph = alone(recorded_layer(case), *(x.shape[1:] for x in recorded_inputs(case)))
    program = lower(graph, [LossTerm(loss_named("mse"))], optimizer=SGD(0.0))
    executor = get_backend(backend).executor(program, "float64")
    state = executor.put_state(state_for(program, vector(graph, program, case)))
    expected, x = np.array(case["trained"]), packed(case)
    data = executor.put_data(x, np.zeros((len(x), expected[0].size)))
    order = np.arange(len(x))
    steps = steps_for(program, len(x), len(x), order=order, collect_outputs=True)
    state, record = executor.train(state, data, steps)
    assert record.outputs is not None
    np.testing.assert_allclose(
        record.outputs.reshape(expected.shape), expected, rtol=tolerance(case), atol=tolerance(case)
    )
    after = executor.get_state(state).params
    flat = vector(graph, program, case)
    if "weights_after" in case:
        fill(flat, program.parameters, case["weights_after"], "the test")
    np.testing.assert_allclose(after, flat, rtol=1e-6)
