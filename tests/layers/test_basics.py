"""Layers as data: settings, shapes, weights, configurations, errors."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from fastann import activations
from fastann.initializers import Constant, HeNormal
from fastann.layers import (
    ELU,
    Activation,
    Dense,
    Dropout,
    Flatten,
    Input,
    InputLayer,
    Layer,
    LeakyReLU,
    ReLU,
    Softmax,
)
from fastann.regularizers import L1, L1L2, L2
from fastann.spec import deserialize, lookup, serialize

LAYERS = [
    InputLayer((28, 28)),
    InputLayer((3,), name="entry"),
    Dense(4),
    Dense(4, "relu", name="hidden", trainable=False, input_shape=(7,)),
    Dense(2, activation=LeakyReLU(0.05), use_bias=False, kernel_initializer=HeNormal(seed=3), input_dim=9),
    Dense(2, kernel_regularizer=L1L2(0.1, 0.2), bias_regularizer="l2", bias_initializer=Constant(0.1)),
    Activation("gelu"),
    Activation(activations.Activation("elu", 0.5)),
    ReLU(),
    ReLU(max_value=6),
    ReLU(negative_slope=0.1),
    LeakyReLU(),
    ELU(alpha=0.5),
    Softmax(),
    Dropout(0.25),
    Flatten(input_shape=(28, 28)),
]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_a_layer_survives_json(layer: Layer) -> None:
    text = json.dumps(serialize(layer))
    again = deserialize(json.loads(text), lookup("layers"))
    assert again == layer
    assert type(again) is type(layer)
    assert hash(again) == hash(layer)
    assert type(layer).from_config(layer.get_config()) == layer


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_a_layer_is_frozen(layer: Layer) -> None:
    with pytest.raises(FrozenInstanceError):
        layer.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Dense(4), (7,), (4,)),
        (Dense(4), (5, 6, 7), (5, 6, 4)),
        (Activation("relu"), (5, 6), (5, 6)),
        (ReLU(), (5,), (5,)),
        (LeakyReLU(), (5,), (5,)),
        (ELU(), (5,), (5,)),
        (Softmax(), (4, 5), (4, 5)),
        (Softmax(axis=2), (4, 5), (4, 5)),
        (Dropout(0.5), (2, 3, 4), (2, 3, 4)),
        (Flatten(), (28, 28, 3), (2352,)),
        (Flatten(), (5,), (5,)),
    ],
)
def test_output_shape(layer: Layer, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert layer.output_shape(shape) == expected


def test_weights_of_dense() -> None:
    layer = Dense(3, kernel_regularizer=L1(0.1), bias_regularizer=L2(0.2))
    kernel, bias = layer.weights((4, 5))
    assert (kernel.name, kernel.shape, kernel.regularizer) == ("kernel", (5, 3), L1(0.1))
    assert (bias.name, bias.shape, bias.regularizer) == ("bias", (3,), L2(0.2))
    limit = np.sqrt(6 / (5 + 3))
    drawn = kernel.initializer.initialize(kernel.shape, np.random.default_rng(1))
    assert np.abs(drawn).max() <= limit
    assert drawn.std() == pytest.approx(limit / np.sqrt(3), rel=0.4)
    np.testing.assert_array_equal(bias.initializer.initialize(bias.shape, np.random.default_rng(1)), np.zeros(3))
    assert [weight.name for weight in Dense(3, use_bias=False).weights((5,))] == ["kernel"]


@pytest.mark.parametrize("layer", [Activation("relu"), ReLU(), Softmax(), Dropout(0.1), Flatten()], ids=repr)
def test_other_layers_have_no_weights(layer: Layer) -> None:
    assert layer.weights((4, 5)) == ()


@pytest.mark.parametrize(
    ("layer", "x", "expected"),
    [
        (ReLU(), [-2.0, 3.0], [0.0, 3.0]),
        (ReLU(max_value=6), [-2.0, 7.0], [0.0, 6.0]),
        (ReLU(negative_slope=0.5), [-2.0, 3.0], [-1.0, 3.0]),
        (LeakyReLU(), [-2.0, 3.0], [-0.6, 3.0]),
        (LeakyReLU(0.01), [-2.0, 3.0], [-0.02, 3.0]),
        (ELU(), [-2.0, 3.0], [np.exp(-2) - 1, 3.0]),
        (ELU(alpha=2), [-2.0, 3.0], [2 * (np.exp(-2) - 1), 3.0]),
        (Softmax(), [0.0, np.log(3.0)], [0.25, 0.75]),
        (Activation("tanh"), [0.0, 0.5], [0.0, np.tanh(0.5)]),
        (Activation(None), [-2.0, 3.0], [-2.0, 3.0]),
    ],
)
def test_activation_layers_stand_for_activations(layer: Activation, x: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(layer.as_activation()(np.array(x)), expected, rtol=1e-12)
    assert Dense(2, activation=layer).activation == layer.as_activation()


def test_names_of_settings_are_resolved() -> None:
    layer = Dense(2, "relu", kernel_initializer="he_normal", kernel_regularizer="l1")
    assert layer.activation == activations.Activation("relu")
    assert layer.kernel_initializer == HeNormal()
    assert layer.kernel_regularizer == L1(0.01)
    assert Dense(np.int64(2)).units == 2
    assert type(Dense(np.int64(2)).units) is int


def test_input_shapes() -> None:
    assert Dense(1, input_dim=3).input_shape == (3,)
    assert Dense(1, input_shape=[3, 4]).input_shape == (3, 4)  # type: ignore[arg-type]
    entry = Input((30,)).call.layer
    assert entry == InputLayer(shape=(30,)) == InputLayer(input_shape=(30,)) == InputLayer(input_dim=30)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(0), ValueError, "units must be at least 1, got 0"),
        (lambda: Dense(-3), ValueError, "units must be at least 1, got -3"),
        (lambda: Dense(True), TypeError, "units must be a whole number, got True"),
        (lambda: Dense(2.5), TypeError, "units must be a whole number, got 2.5"),
        (lambda: Dense("8"), TypeError, "units must be a whole number, got '8'"),
        (lambda: Dense(2, "rellu"), ValueError, "activation must be one of .*'rellu'"),
        (lambda: Dense(2, 7), TypeError, "activation must be .* got 7"),
        (lambda: Dense(2, use_bias=1), TypeError, "use_bias must be True or False, got 1"),
        (lambda: Dense(2, kernel_initializer="glorot"), ValueError, "'glorot'"),
        (lambda: Dense(2, bias_initializer=3), (TypeError, ValueError), "initializer.*3"),
        (lambda: Dense(2, kernel_regularizer="l3"), ValueError, "'l3'"),
        (lambda: Dense(2, trainable="no"), TypeError, "trainable must be True or False, got 'no'"),
        (lambda: Dense(2, name=3), TypeError, "name must be a string, got 3"),
        (lambda: Dense(2, name="a/b"), ValueError, "must not be empty or contain '/', got 'a/b'"),
        (lambda: Dense(2, name=""), ValueError, "must not be empty"),
        (lambda: Dense(2, input_shape=(-3,)), ValueError, r"tuple of positive whole numbers .* got \(-3,\)"),
        (lambda: Dense(2, input_shape=(None, 3)), ValueError, r"leave the batch out .* got \(None, 3\)"),
        (lambda: Dense(2, input_shape=3), TypeError, r"tuple of positive whole numbers such as \(30,\), got 3"),
        (lambda: Dense(2, input_shape=()), ValueError, r"at least one axis beside the batch, got \(\)"),
        (lambda: Dense(2, input_dim=0), ValueError, "input_dim must be at least 1, got 0"),
        (lambda: Dense(2, input_dim=3, input_shape=(3,)), ValueError, "input_shape or input_dim, not both"),
        (lambda: InputLayer(), ValueError, "needs the shape of one row, once"),
        (lambda: InputLayer((3,), input_shape=(3,)), ValueError, "needs the shape of one row, once"),
        (lambda: Input((0,)), ValueError, "shape must be a tuple of positive"),
        (lambda: Input(("a",)), ValueError, "shape must be a tuple of positive"),
        (lambda: Dropout(1), ValueError, r"rate must lie in \[0, 1\), got 1"),
        (lambda: Dropout(-0.1), ValueError, r"rate must lie in \[0, 1\), got -0.1"),
        (lambda: Dropout(float("nan")), ValueError, "rate must be finite"),
        (lambda: Dropout("half"), TypeError, "rate must be a number, got 'half'"),
        (lambda: Dropout(False), TypeError, "rate must be a number, got False"),
        (lambda: LeakyReLU(-0.1), ValueError, "negative_slope must lie in"),
        (lambda: ReLU(negative_slope=-1), ValueError, "negative_slope must lie in"),
        (lambda: Dense(2, ReLU(max_value=1)), ValueError, "max_value None, or 6 without a slope"),
        (lambda: ReLU(max_value=6, negative_slope=0.1).as_activation(), ValueError, "or 6 without a slope"),
        (lambda: ELU("a"), TypeError, "alpha must be a number"),
        (lambda: Softmax(axis=1).output_shape((4, 5)), ValueError, "last axis only, got axis=1"),
        (lambda: Activation("unknown"), ValueError, "'unknown'"),
        (lambda: Dense.from_config({"units": 2, "size": 3}), ValueError, "size"),
        (lambda: deserialize({"class_name": "Cluster", "config": {}}, lookup("layers")), ValueError, "'Cluster'"),
    ],
)
def test_a_wrong_setting_is_refused(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()  # type: ignore[operator]
