"""Layers that join values."""

from __future__ import annotations

import pytest

from fastann.layers import (
    Activation,
    Add,
    Average,
    Concatenate,
    Dense,
    InputLayer,
    Layer,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)
from fastann.losses import get as loss_named
from fastann.lowering import LossTerm, lower
from fastann.models.graph import LayerGraph, Node
from tests.layers.graphs import alone, instruction_of, operations


@pytest.mark.parametrize(
    ("layer", "op"),
    [
        (Add(), "add"),
        (Subtract(), "subtract"),
        (Multiply(), "multiply"),
        (Average(), "average"),
        (Maximum(), "maximum"),
        (Minimum(), "minimum"),
    ],
)
def test_each_is_one_instruction(layer: Layer, op: str) -> None:
    found = instruction_of(layer, (2, 3), (2, 1))
    assert (found.op, found.inputs, found.params, found.attributes) == (op, (0, 1), (), ())
    assert layer.output_shape((2, 1), (1, 3)) == (2, 3)


def test_missing_axes_are_added_in_front() -> None:
    layer = Add()
    assert layer.output_shape((3,), (2, 4, 3)) == (2, 4, 3)
    assert operations(layer, (3,), (2, 4, 3)) == ["reshape", "add"]


@pytest.mark.parametrize(("axis", "place"), [(-1, 2), (-3, 0), (1, 0), (3, 2)])
def test_the_axis_of_concatenate_counts_without_the_batch(axis: int, place: int) -> None:
    shapes = tuple(tuple(n if k == place else 2 for k in range(3)) for n in (1, 4))
    found = instruction_of(Concatenate(axis), *shapes)
    assert (found.op, found.attributes) == ("concatenate", (("axis", place),))
    assert Concatenate(axis).output_shape(*shapes)[place] == 5


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (Add(), [(3,), (4,)], r"Add expects inputs of one shape, got \(3,\) and \(4,\)"),
        (Maximum(), [(2, 3), (3, 3)], "Maximum expects inputs of one shape"),
        (Concatenate(), [(2, 3), (3, 3)], r"differ in axis -1 alone, got \(2, 3\) and \(3, 3\)"),
        (Concatenate(), [(3,), (3, 3)], "differ in axis -1 alone"),
        (Concatenate(0), [(3,), (3,)], r"an axis behind the batch, got axis=0"),
        (Concatenate(3), [(3,), (3,)], r"an axis behind the batch, got axis=3"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(layer: Layer, shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer.output_shape(*shapes)


def test_the_number_of_inputs() -> None:
    with pytest.raises(ValueError, match="several inputs, got 1"):
        alone(Add(), (3,))
    with pytest.raises(ValueError, match=r"2 input\(s\), got 3"):
        alone(Subtract(), (3,), (3,), (3,))
    with pytest.raises(TypeError, match=r"axis must be a whole number, got 1\.5"):
        Concatenate(1.5)  # type: ignore[arg-type]


def joined(*nodes: Node, output: int | None = None) -> LayerGraph:
    return LayerGraph(nodes, (len(nodes) - 1 if output is None else output,))


def test_activations_of_values_that_others_read_stay_alone() -> None:
    """z is read by relu and by the sum: only the copy without other readers may carry its activation."""
    residual = joined(
        Node(InputLayer((3,)), "x"),
        Node(Dense(3), "z", (0,)),
        Node(Activation("relu"), "a", (1,)),
        Node(Add(), "sum", (1, 2)),
    )
    assert [(i.op, i.get("activation", "")) for i in lower(residual).instructions] == [
        ("dense", "linear"), ("activation", "relu"), ("add", ""),
    ]  # fmt: skip
    branches = joined(
        Node(InputLayer((3,)), "x"),
        Node(Dense(3), "z", (0,)),
        Node(Activation("relu"), "a", (1,)),
        Node(Dense(3), "v", (0,)),
        Node(Activation("tanh"), "b", (3,)),
        Node(Add(), "sum", (2, 4)),
        Node(Activation("elu"), "c", (5,)),
    )
    program = lower(branches)
    assert [(i.op, i.get("activation", ""), i.inputs) for i in program.instructions] == [
        ("dense", "relu", (0,)), ("dense", "tanh", (0,)), ("add", "", (1, 2)), ("activation", "elu", (3,)),
    ]  # fmt: skip


def test_a_value_added_to_itself() -> None:
    twice = joined(Node(InputLayer((3,)), "x"), Node(Dense(3, "relu"), "z", (0,)), Node(Add(), "sum", (1, 1)))
    assert [(i.op, i.inputs) for i in lower(twice).instructions] == [("dense", (0,)), ("add", (1, 1))]


@pytest.mark.parametrize(
    ("activation", "loss"), [("softmax", "categorical_crossentropy"), ("sigmoid", "binary_crossentropy")]
)
def test_a_loss_works_on_what_the_last_activation_reads(activation: str, loss: str) -> None:
    """The activation of a sum ends the network, and a dense layer whose activation the sum reads keeps its own."""
    graph = joined(
        Node(InputLayer((3,)), "x"),
        Node(Dense(3, activation), "z", (0,)),
        Node(Add(), "sum", (0, 1)),
        Node(Activation(activation), "y", (2,)),
    )
    program = lower(graph, [LossTerm(loss_named(loss))])
    producers = {i.output: i for i in program.instructions}
    (term,) = program.losses
    assert producers[term.logits].op == "add"
    assert producers[term.prediction].get("activation") == activation
    assert program.outputs == (term.prediction,)
    assert program.fused == {term.prediction}
