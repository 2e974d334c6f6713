"""Lowering: which instructions layers become, what is merged, and what losses and metrics refer to."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from fastann_kernels.program import Instruction, Program
from hypothesis import given, settings
from hypothesis import strategies as st

from fastann import losses, metrics, optimizers
from fastann.layers import Activation, Dense, Dropout, Flatten, InputLayer, Layer, LeakyReLU, ReLU, Softmax
from fastann.layers.base import Shape, WeightSpec
from fastann.lowering import LossTerm, MetricTerm, ProgramBuilder, lower
from fastann.models.graph import LayerGraph, Node, row_of_nodes
from fastann.models.weights import draw, split
from tests.reference import forward


def row(*layers: Layer, shape: Shape = (6,)) -> LayerGraph:
    nodes = row_of_nodes([InputLayer(shape), *layers])
    return LayerGraph(nodes, (len(nodes) - 1,))


def outline(program: Program) -> list[tuple[str, str]]:
    """Return each instruction with its activation."""
    return [(i.op, str(i.get("activation", ""))) for i in program.instructions]


def producer(program: Program, value: int) -> Instruction:
    (found,) = (i for i in program.instructions if i.output == value)
    return found


@dataclass(frozen=True)
class Both(Layer):
    """A layer of two inputs, for graphs with branches: two dropouts of rate 0.5, the second of which is the output."""

    input_count = 2

    def output_shape(self, *input_shapes: Shape) -> Shape:
        first, second = input_shapes
        if first != second:
            raise ValueError(f"both inputs need one shape, got {first} and {second}.")
        return first

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        return builder.emit("both", inputs, builder.shape(inputs[0]))


# ---- instructions


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([Dense(4)], [("dense", "linear")]),
        ([Dense(4, "relu")], [("dense", "relu")]),
        ([Dense(4), Activation("relu")], [("dense", "relu")]),
        ([Dense(4), ReLU(negative_slope=0.1)], [("dense", "leaky_relu")]),
        ([Dense(4), Activation("linear")], [("dense", "linear")]),
        ([Dense(4, "relu"), Activation("tanh")], [("dense", "relu"), ("activation", "tanh")]),
        ([Dense(4), Activation("relu"), Activation("tanh")], [("dense", "relu"), ("activation", "tanh")]),
        ([Dense(4), Dropout(0.5), Activation("relu")], [("dense", "linear"), ("dropout", ""), ("activation", "relu")]),
        ([Dense(4), Dropout(0), Activation("relu")], [("dense", "relu")]),
        ([Dense(4, "softmax")], [("dense", "linear"), ("activation", "softmax")]),
        ([Dense(4), Softmax()], [("dense", "linear"), ("activation", "softmax")]),
        ([Dense(4, "log_softmax")], [("dense", "linear"), ("activation", "log_softmax")]),
        ([Activation("relu"), Dense(4)], [("activation", "relu"), ("dense", "linear")]),
        ([Flatten(), Dense(4)], [("dense", "linear")]),
        ([Dense(4), Flatten(), Dense(2, "tanh")], [("dense", "linear"), ("dense", "tanh")]),
    ],
)
def test_instructions(layers: list[Layer], expected: list[tuple[str, str]]) -> None:
    assert outline(lower(row(*layers))) == expected


def test_attributes_of_dense() -> None:
    program = lower(row(Dense(4, LeakyReLU(0.05), use_bias=False), Dense(3, "elu")))
    first, second = program.instructions
    assert first.attributes == (("activation", "leaky_relu"), ("alpha", 0.05), ("use_bias", False))
    assert second.attributes == (("activation", "elu"), ("alpha", 1.0), ("use_bias", True))
    assert (first.params, second.params) == ((0,), (1, 2))


def test_an_image_is_flattened_once() -> None:
    program = lower(row(Dense(4, "relu"), Flatten(), Dense(2), shape=(3, 5)))
    assert outline(program) == [("dense", "relu"), ("reshape", ""), ("dense", "linear")]
    assert [v.shape for v in program.values] == [(3, 5), (3, 4), (12,), (2,)]
    assert [p.shape for p in program.parameters] == [(5, 4), (4,), (12, 2), (2,)]


def test_each_dropout_has_a_stream_of_its_own() -> None:
    program = lower(row(Dropout(0.1), Dense(4), Dropout(0), Dense(4), Dropout(0.2), Dropout(0.3)))
    streams = [(i.get("rate"), i.get("stream")) for i in program.instructions if i.op == "dropout"]
    assert streams == [(0.1, 0), (0.2, 1), (0.3, 2)]


def test_parameters_lie_behind_one_another() -> None:
    graph = row(
        Dense(4, name="one", kernel_regularizer="l2"), Dense(3, trainable=False, bias_regularizer="l1"), Dense(2)
    )
    parameters = lower(graph, optimizer=optimizers.AdamW(exclude_from_weight_decay=("bias", "one"))).parameters
    assert [p.name for p in parameters] == [
        "one/kernel", "one/bias", "dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias",
    ]  # fmt: skip
    assert [p.offset for p in parameters] == [0, 24, 28, 40, 43, 49]
    assert [p.trainable for p in parameters] == [True, True, False, False, True, True]
    assert [p.decay for p in parameters] == [False, False, True, False, True, False]
    assert [p.penalized for p in parameters] == [True, False, False, False, False, False]
    assert all(p.decay for p in lower(graph).parameters)


def test_penalties_are_those_of_what_is_trained() -> None:
    from fastann.regularizers import L1L2

    graph = row(Dense(4, kernel_regularizer=L1L2(0.1, 0.2)), Dense(3, "relu", bias_regularizer="l1"), Dense(2))
    np.testing.assert_array_equal(graph.penalties(), [[0.1, 0.2], [0, 0], [0, 0], [0.01, 0], [0, 0], [0, 0]])
    assert row(Dense(3, trainable=False, kernel_regularizer="l2")).penalties().tolist() == [[0, 0], [0, 0]]
    assert row(Flatten()).penalties().shape == (0, 2)


def test_the_update_rule_is_the_optimizer_s() -> None:
    assert lower(row(Dense(1))).update is None
    rule = lower(row(Dense(1)), optimizer=optimizers.SGD(0.1)).update
    assert rule is not None
    assert (rule.op, rule.slots, rule.flags) == ("sgd", (), ())


def test_a_program_is_plain_hashable_data() -> None:
    def make() -> Program:
        return lower(
            row(Dense(4, "relu"), Dropout(0.2), Dense(3, "softmax")),
            [LossTerm(losses.get("categorical_crossentropy"))],
            [MetricTerm(metrics.get("categorical_accuracy"))],
            optimizers.Adam(),
        )

    assert make() == make()
    assert hash(make()) == hash(make())


# ---- graphs with branches


def test_a_value_that_two_layers_read_is_not_merged_away() -> None:
    nodes = (
        Node(InputLayer((3,)), "input_layer"),
        Node(Dense(3), "dense", (0,)),
        Node(Activation("relu"), "relu", (1,)),
        Node(Both(), "both", (1, 2)),
    )
    program = lower(LayerGraph(nodes, (3,)))
    assert outline(program) == [("dense", "linear"), ("activation", "relu"), ("both", "")]
    assert program.instructions[2].inputs == (1, 2)


def test_an_output_in_the_middle_is_not_merged_away() -> None:
    nodes = row_of_nodes([InputLayer((3,)), Dense(3), Activation("relu")])
    program = lower(LayerGraph(nodes, (1, 2)))
    assert outline(program) == [("dense", "linear"), ("activation", "relu")]
    assert program.outputs == (1, 2)


def test_several_inputs_come_first() -> None:
    nodes = (
        Node(InputLayer((3,)), "a"),
        Node(Dense(2, "tanh"), "dense", (0,)),
        Node(InputLayer((2,)), "b"),
        Node(Both(), "both", (1, 2)),
    )
    program = lower(LayerGraph(nodes, (3,)))
    assert program.inputs == (0, 1)
    assert [v.shape for v in program.values] == [(3,), (2,), (2,), (2,)]
    assert program.instructions[1].inputs == (2, 1)
    assert program.input_columns == 5


def test_two_uses_of_one_layer_share_its_weights() -> None:
    shared = Dense(3, "tanh")
    nodes = (
        Node(InputLayer((3,)), "a"),
        Node(shared, "dense", (0,)),
        Node(shared, "dense", (1,)),
    )
    program = lower(LayerGraph(nodes, (2,)))
    assert [i.params for i in program.instructions] == [(0, 1), (0, 1)]
    assert program.parameter_count == 12


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((Node(Dense(3), "dense", (0,)),), "'dense' reads a layer that does not come before it"),
        ((Node(InputLayer((3,)), "a"), Node(Dense(3), "dense")), "'dense' reads 1 input"),
        ((Node(InputLayer((3,)), "a"), Node(Both(), "both", (0,))), "'both' reads 2 input"),
        ((Node(InputLayer((3,)), "a"), Node(Dense(3), "a", (0,))), "unique in a model, got 'a' twice"),
    ],
)
def test_a_graph_that_makes_no_sense_is_refused(nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LayerGraph(nodes, (0,))


def test_shapes_that_do_not_fit_name_the_layer() -> None:
    nodes = (Node(InputLayer((3,)), "a"), Node(InputLayer((2,)), "b"), Node(Both(), "meet", (0, 1)))
    with pytest.raises(ValueError, match="layer 'meet': both inputs need one shape"):
        lower(LayerGraph(nodes, (2,)))


def test_a_graph_survives_its_configuration() -> None:
    graph = row(Dense(4, LeakyReLU(0.1), kernel_regularizer="l2"), Dropout(0.5), Dense(2))
    assert LayerGraph.from_config(graph.get_config()) == graph


# ---- losses


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        ([Dense(1, "sigmoid")], "binary_crossentropy"),
        ([Dense(1), Activation("sigmoid")], "binary_crossentropy"),
        ([Dense(3, "softmax")], "categorical_crossentropy"),
        ([Dense(3), Softmax()], "categorical_crossentropy"),
        ([Dense(3), Softmax(), Dropout(0.0)], "sparse_categorical_crossentropy"),
    ],
)
def test_a_crossentropy_works_on_the_logits_of_its_activation(last: list[Layer], loss: str) -> None:
    program = lower(row(Dense(4, "relu"), *last), [LossTerm(losses.get(loss))])
    (term,) = program.losses
    assert program.outputs == (term.prediction,)
    activation = producer(program, term.prediction)
    assert (activation.op, activation.inputs) == ("activation", (term.logits,))
    dense = producer(program, term.logits)
    assert (dense.op, dense.get("activation")) == ("dense", "linear")
    assert program.fused == {term.prediction}


@pytest.mark.parametrize("loss", [losses.BinaryCrossentropy, losses.CategoricalCrossentropy])
def test_from_logits_takes_the_last_value_as_it_is(loss: type[losses.Loss]) -> None:
    program = lower(row(Dense(3)), [LossTerm(loss(from_logits=True))])
    (term,) = program.losses
    assert term.logits == term.prediction == program.outputs[0] == 1
    assert program.fused == frozenset()


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        (Dense(3, "sigmoid"), "mse"),
        (Dense(3, "softmax"), "mse"),
        (Dense(3, "softmax"), "binary_crossentropy"),
        (Dense(3, "sigmoid"), "categorical_crossentropy"),
        (Dense(3, "softmax"), "kl_divergence"),
        (Dense(3, "softplus"), "categorical_crossentropy"),
    ],
)
def test_other_pairs_work_on_the_prediction(last: Layer, loss: str) -> None:
    program = lower(row(last), [LossTerm(losses.get(loss))])
    assert program.losses[0].logits == -1
    assert program.losses[0].prediction == program.outputs[0]
    name = last.activation.name  # type: ignore[attr-defined]
    assert program.instructions[0].get("activation") == ("linear" if name == "softmax" else name)


def test_settings_of_a_loss_are_carried_over() -> None:
    huber = lower(row(Dense(3)), [LossTerm(losses.Huber(delta=0.5), weight=2.0)]).losses[0]
    assert (huber.op, huber.delta, huber.weight, huber.target_shape) == ("huber", 0.5, 2.0, (3,))
    smooth = lower(row(Dense(3, "softmax")), [LossTerm(losses.CategoricalCrossentropy(label_smoothing=0.1))]).losses[0]
    assert smooth.smoothing == 0.1


def test_sparse_targets_have_one_axis_less() -> None:
    flat = lower(row(Dense(3, "softmax")), [LossTerm(losses.get("sparse_categorical_crossentropy"))])
    assert (flat.losses[0].target_shape, flat.target_columns) == ((), 1)
    steps = lower(row(Dense(3, "softmax"), shape=(7, 6)), [LossTerm(losses.get("sparse_categorical_crossentropy"))])
    assert (steps.losses[0].target_shape, steps.target_columns) == ((7,), 7)


def test_targets_of_several_outputs_lie_side_by_side() -> None:
    nodes = (
        Node(InputLayer((3,)), "a"),
        Node(Dense(4), "left", (0,)),
        Node(Dense(5, "softmax"), "right", (0,)),
    )
    program = lower(
        LayerGraph(nodes, (1, 2)),
        [LossTerm(losses.get("mse"), 0), LossTerm(losses.get("sparse_categorical_crossentropy"), 1)],
        [MetricTerm(metrics.get("sparse_categorical_accuracy"), 1, weighted=True)],
    )
    assert [(x.column, x.weight_column) for x in program.losses] == [(0, 0), (4, 1)]
    assert program.target_columns == 5
    (metric,) = program.metrics
    assert (metric.column, metric.weight_column, metric.weighted) == (4, 1, True)


def test_a_prediction_that_others_read_gets_an_activation_of_its_own() -> None:
    """The loss differentiates the softmax it is merged with, so the branch behind needs one with a backward pass."""
    nodes = (
        Node(InputLayer((3,)), "a"),
        Node(Dense(4, "softmax"), "classes", (0,)),
        Node(Dense(2), "more", (1,)),
    )
    terms = [LossTerm(losses.get("categorical_crossentropy"), 0), LossTerm(losses.get("mse"), 1)]
    program = lower(LayerGraph(nodes, (1, 2)), terms)
    (fused,) = program.fused
    assert fused not in program.outputs
    assert not any(fused in i.inputs for i in program.instructions)
    assert outline(program).count(("activation", "softmax")) == 2


def test_a_function_as_loss() -> None:
    def distance(y_true: object, y_pred: object) -> object:
        return y_true

    (term,) = lower(row(Dense(3)), [LossTerm(losses.get(distance), target_shape=(5,))]).losses
    assert (term.op, term.target_shape) == ("callable", (5,))
    assert term.function is distance


@pytest.mark.parametrize(
    ("last", "loss", "message"),
    [
        (Dense(1, "sigmoid"), "categorical_crossentropy", "one column for each class"),
        (Dense(1, "softmax"), "sparse_categorical_crossentropy", "use binary_crossentropy"),
        (Dense(3), losses.MeanSquaredError(reduction="sum"), "reduction='sum_over_batch_size', got 'sum'"),
        (Dense(3), losses.MeanSquaredError(reduction="none"), "reduction='sum_over_batch_size'"),
        (Dense(3), losses.SparseCategoricalCrossentropy(ignore_class=1), "ignore_class=None"),
        (Dense(3), losses.CosineSimilarity(axis=-2), "last axis only, got axis=-2"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(last: Layer, loss: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lower(row(last), [LossTerm(losses.get(loss))])


@pytest.mark.parametrize(
    ("layers", "loss", "message"),
    [
        ([Dense(3)], "categorical_crossentropy", "values after linear.*use softmax as the last activation"),
        ([Dense(3, "relu")], "binary_crossentropy", "values after relu.*use sigmoid as the last activation"),
        ([Dense(3, "softmax")], losses.CategoricalCrossentropy(from_logits=True), "use from_logits=False"),
        ([Dense(1, "softmax")], "mse", "always 1"),
    ],
)
def test_a_loss_on_values_that_it_does_not_expect_warns(layers: list[Layer], loss: object, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        lower(row(*layers), [LossTerm(losses.get(loss))])  # type: ignore[arg-type]


def test_probabilities_may_be_flattened() -> None:
    lower(row(Dense(3, "sigmoid"), Flatten(), shape=(2, 6)), [LossTerm(losses.get("binary_crossentropy"))])


# ---- metrics


def test_a_crossentropy_metric_uses_the_logits_too() -> None:
    program = lower(
        row(Dense(1, "sigmoid")),
        [LossTerm(losses.get("binary_crossentropy"))],
        [MetricTerm(metrics.get("binary_crossentropy")), MetricTerm(metrics.get("binary_accuracy"))],
    )
    entropy, accuracy = program.metrics
    assert entropy.logits == program.losses[0].logits != entropy.prediction
    assert (accuracy.logits, accuracy.prediction) == (-1, program.outputs[0])


def test_settings_of_a_metric_are_carried_over() -> None:
    program = lower(
        row(Dense(3, "softmax")),
        [LossTerm(losses.get("categorical_crossentropy"))],
        [
            MetricTerm(metrics.TopKCategoricalAccuracy(k=2)),
            MetricTerm(metrics.BinaryAccuracy(threshold=0.3), weighted=True),
        ],
    )
    top, binary = program.metrics
    assert (top.op, top.k, top.weighted) == ("top_k_categorical_accuracy", 2, False)
    assert (binary.threshold, binary.weighted) == (0.3, True)


@pytest.mark.parametrize(
    ("loss", "metric", "message"),
    [
        ("categorical_crossentropy", "sparse_categorical_accuracy", "expects integer class labels, but loss"),
        ("sparse_categorical_crossentropy", "categorical_accuracy", "one column of targets for each column of outputs"),
    ],
)
def test_a_metric_that_wants_other_targets_than_the_loss_is_refused(loss: str, metric: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lower(row(Dense(3, "softmax")), [LossTerm(losses.get(loss))], [MetricTerm(metrics.get(metric))])


def test_a_metric_needs_a_loss() -> None:
    with pytest.raises(ValueError, match="needs a loss on the same output"):
        lower(row(Dense(3)), [], [MetricTerm(metrics.get("mse"))])


# ---- values, against NumPy

ELEMENT_WISE = ["linear", "relu", "tanh", "sigmoid", "gelu", "elu", "softplus", "hard_sigmoid"]
LAYERS = st.one_of(
    st.builds(Dense, st.integers(1, 5), st.sampled_from([*ELEMENT_WISE, "softmax", "log_softmax"]), st.booleans()),
    st.builds(Activation, st.sampled_from([*ELEMENT_WISE, "softmax"])),
    st.builds(LeakyReLU, st.floats(0, 1)),
    st.builds(Dropout, st.sampled_from([0.0, 0.5])),
    st.just(Flatten()),
)


def by_hand(layers: list[Layer], weights: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Run layers in inference one by one, on arrays."""
    weights = list(weights)
    for layer in layers:
        if isinstance(layer, Dense):
            x = np.tensordot(x, weights.pop(0), 1)
            x = layer.activation(x + weights.pop(0) if layer.use_bias else x)
        elif isinstance(layer, Flatten):
            x = x.reshape(len(x), -1)
        elif not isinstance(layer, Dropout):
            x = layer.as_activation()(x)  # type: ignore[attr-defined]
    return x


@settings(max_examples=150, deadline=None)
@given(
    layers=st.lists(LAYERS, min_size=1, max_size=7),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    loss=st.sampled_from([None, "mse", "binary_crossentropy", "categorical_crossentropy"]),
)
def test_a_program_computes_what_its_layers_say(layers: list[Layer], shape: Shape, loss: str | None) -> None:
    graph = row(*layers, shape=shape)
    out = graph.shapes[-1]
    terms = [] if loss is None or (loss.startswith("cat") and out[-1] == 1) else [LossTerm(losses.get(loss))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of losses on values that are no probabilities
        program = lower(graph, terms)
    vector = draw(graph, 5)
    vector += 0.1
    x = np.random.default_rng(2).normal(size=(4, *shape))
    values = forward(program, vector, x.reshape(4, -1))
    expected = by_hand(layers, split(vector, program.parameters), x)
    np.testing.assert_allclose(values[program.outputs[0]], expected, rtol=1e-10, atol=1e-12)
    used = {v for i in program.instructions for v in (*i.inputs, i.output)} | set(program.inputs)
    assert used == set(range(len(program.values)))
    assert all(max(i.inputs) < i.output for i in program.instructions)
    for i in program.instructions:
        assert i.op != "dense" or i.get("activation") not in ("softmax", "log_softmax")


def test_weights_are_drawn_one_stream_each() -> None:
    """A layer more or less at the end leaves the first weights of the others as they are."""
    short, long = row(Dense(4), Dense(3)), row(Dense(4), Dense(3), Dense(2))
    vector = draw(short, 9)
    np.testing.assert_array_equal(draw(long, 9)[: len(vector)], vector)
    assert not np.array_equal(draw(short, 8), vector)
    assert isinstance(short.weights[0].spec, WeightSpec)
