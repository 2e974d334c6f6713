"""Penalties on activations."""

from __future__ import annotations

import numpy as np
import pytest
from fastann_kernels.program import Program

from fastann import Sequential
from fastann.layers import (
    Activation,
    ActivityRegularization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    InputLayer,
    Layer,
    SeparableConv2D,
)
from fastann.losses import get as loss_named
from fastann.lowering import LossTerm, lower
from fastann.models.graph import LayerGraph, row_of_nodes
from fastann.regularizers import L1L2
from tests.layers.graphs import RECORD, instruction_of, operations


def lowered(loss: str, *layers: Layer) -> Program:
    nodes = row_of_nodes([InputLayer((4,)), *layers])
    return lower(LayerGraph(nodes, (len(nodes) - 1,)), [LossTerm(loss_named(loss))])


def test_the_instruction() -> None:
    found = instruction_of(ActivityRegularization(0.1, 0.2), (3,))
    assert (found.op, found.attributes) == ("activity_penalty", (("l1", 0.1), ("l2", 0.2)))
    assert operations(ActivityRegularization(), (3,)) == []


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Dense(2, "relu", activity_regularizer="l1"), (3,), ["dense", "activity_penalty"]),
        (Dense(2, activity_regularizer=L1L2()), (3,), ["dense"]),
        (Conv2D(2, 2, activity_regularizer="l2"), (3, 3, 1), ["conv2d", "activity_penalty"]),
        (
            Conv2D(2, 2, activation="relu", activity_regularizer="l2"),
            (3, 3, 1),
            ["conv2d", "activation", "activity_penalty"],
        ),
        (DepthwiseConv2D(2, activity_regularizer="l2"), (3, 3, 1), ["depthwise_conv2d", "activity_penalty"]),
        (
            SeparableConv2D(2, 2, activity_regularizer="l2"),
            (3, 3, 1),
            ["depthwise_conv2d", "conv2d", "activity_penalty"],
        ),
    ],
)
def test_a_layer_penalizes_what_it_puts_out(layer: Layer, shape: tuple[int, ...], expected: list[str]) -> None:
    assert operations(layer, shape) == expected


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("softmax", "categorical_crossentropy"),
        ("softmax", "sparse_categorical_crossentropy"),
        ("sigmoid", "binary_crossentropy"),
    ],
)
def test_a_crossentropy_works_on_logits_below_a_penalty(activation: str, loss: str) -> None:
    """The activation that the penalty differentiates is not the one that is differentiated inside the loss."""
    program = lowered(loss, Dense(3, activation, activity_regularizer="l2"))
    producers = {i.output: i for i in program.instructions}
    (term,) = program.losses
    assert [i.op for i in program.instructions] == ["dense", "activation", "activity_penalty", "activation"]
    assert producers[term.logits].op == "dense"
    assert producers[term.prediction].get("activation") == activation
    assert producers[program.outputs[0]].op == "activity_penalty"
    assert term.prediction not in producers[program.outputs[0]].inputs


def test_a_penalty_hides_no_activation_from_the_check_of_the_loss() -> None:
    with pytest.warns(UserWarning, match="values after relu"):
        lowered("binary_crossentropy", Dense(3), Activation("relu"), ActivityRegularization(0.1))


@pytest.mark.parametrize(("l1", "l2", "x", "expected"), RECORD["activity_losses"])
def test_the_loss_is_that_of_keras(backend: str, l1: float, l2: float, x: list[list[float]], expected: float) -> None:
    model = Sequential([ActivityRegularization(l1, l2, input_shape=(2,))], seed=1)
    model.compile("sgd", "mse", backend=backend, precision="float64")
    assert model.evaluate(np.array(x), np.array(x), batch_size=3, verbose=0) == pytest.approx(expected, rel=1e-12)
