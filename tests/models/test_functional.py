"""Models of symbolic values: branches, shared layers, several inputs and outputs, models as layers."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastann
from fastann import Input, Model, Sequential, layers
from fastann.layers import Add, BatchNormalization, Concatenate, Dense, Dropout, InputLayer, Layer

F64: dict[str, Any] = {"precision": "float64"}


def data(rows: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return two inputs (rows, 4) and (rows, 3), labels and numbers."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(rows, 4)), rng.normal(size=(rows, 3))
    return a, b, (a[:, 0] > 0).astype(int), a[:, :1] * b[:, :1]


def two_headed(backend: str) -> Model:
    """Return a compiled model with inputs "a" and "b" and outputs "kind" and "size"."""
    a, b = Input((4,), name="a"), Input((3,), name="b")
    shared = Dense(5, "tanh", name="shared")
    left, right = shared(Dense(6)(a)), shared(Dense(6)(b))
    joined = Concatenate()([left, right])
    residual = Add()([joined, Dense(10, "relu")(joined)])
    model = Model([a, b], [Dense(1, "sigmoid", name="kind")(residual), Dense(1, name="size")(residual)], seed=5)
    model.compile(
        fastann.optimizers.SGD(0.1),
        loss={"kind": "binary_crossentropy", "size": "mse"},
        loss_weights={"size": 0.5},
        metrics={"kind": ["accuracy"], "size": "mae"},
        backend=backend,
        **F64,
    )
    return model


def forward(w: dict[str, np.ndarray], a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute `two_headed` in NumPy."""

    def dense(name: str, x: np.ndarray) -> np.ndarray:
        return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]

    joined = np.concatenate([np.tanh(dense("shared", dense(n, x))) for n, x in (("dense", a), ("dense_1", b))], axis=1)
    residual = joined + np.maximum(dense("dense_2", joined), 0)
    return 1 / (1 + np.exp(-dense("kind", residual))), dense("size", residual)


def loss_of(w: dict[str, np.ndarray]) -> tuple[float, float, float]:
    """Return total loss, that of "kind" and that of "size" on `data`."""
    a, b, kind, size = data()
    p, q = forward(w, a, b)
    cross = -np.mean(np.where(kind[:, None] == 1, np.log(p), np.log(1 - p)))
    square = np.mean((q - size) ** 2)
    return cross + 0.5 * square, cross, square


def named_weights(model: Model) -> dict[str, np.ndarray]:
    return dict(zip((p.name for p in model.parameters), model.get_weights(), strict=True))


def test_two_inputs_and_outputs_against_numpy(backend: str) -> None:
    a, b, kind, size = data()
    model = two_headed(backend)
    outputs = model.predict([a, b], verbose=0)
    assert isinstance(outputs, list)
    for mine, expected in zip(outputs, forward(named_weights(model), a, b), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-10)
    result = model.evaluate({"b": b, "a": a}, [kind, size], verbose=0, return_dict=True)
    total, cross, square = loss_of(named_weights(model))
    assert list(result) == ["loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"]
    np.testing.assert_allclose([result["loss"], result["kind_loss"], result["size_loss"]], [total, cross, square])
    np.testing.assert_allclose(result["kind_accuracy"], np.mean((outputs[0][:, 0] > 0.5) == kind))
    np.testing.assert_allclose(result["size_mae"], np.mean(np.abs(outputs[1] - size)))


def test_gradients_through_branches_and_shared_layers(backend: str) -> None:
    a, b, kind, size = data()
    model = two_headed(backend)
    loss, gradients = model.loss_and_gradients([a, b], {"kind": kind, "size": size})
    weights = named_weights(model)
    assert loss == pytest.approx(loss_of(weights)[0], rel=1e-10)
    for name, gradient in zip(weights, gradients, strict=True):
        place = tuple(n // 2 for n in gradient.shape)
        step, sides = 1e-5, []
        for sign in (1, -1):
            moved = {**weights, name: weights[name].copy()}
            moved[name][place] += sign * step
            sides.append(loss_of(moved)[0])
        assert gradient[place] == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-6, abs=1e-9)


def test_fit_records_every_output_and_both_backends_agree() -> None:
    a, b, kind, size = data(60)
    histories = []
    for backend in ("numba", "jax"):
        model = two_headed(backend)
        weights = [np.linspace(0.5, 2, 60), None]
        history = model.fit(
            [a, b], [kind, size], batch_size=7, epochs=5, verbose=0, sample_weight=weights, validation_split=0.2
        )
        histories.append(history.history)
    keys = ["loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"]
    assert list(histories[0]) == [*keys, *(f"val_{key}" for key in keys)]
    assert histories[0]["loss"][-1] < histories[0]["loss"][0]
    for key, values in histories[0].items():
        np.testing.assert_allclose(values, histories[1][key], rtol=1e-9)


def test_sample_weights_count_for_the_output_they_are_given_for(backend: str) -> None:
    a, b, kind, size = data()
    model = two_headed(backend)
    plain = model.evaluate([a, b], [kind, size], verbose=0, return_dict=True)
    half = np.full(24, 0.5)
    one = model.evaluate([a, b], [kind, size], sample_weight={"size": half}, verbose=0, return_dict=True)
    assert one["kind_loss"] == pytest.approx(plain["kind_loss"])
    assert one["size_loss"] == pytest.approx(plain["size_loss"] / 2)
    both = model.evaluate([a, b], [kind, size], sample_weight=half, verbose=0, return_dict=True)
    assert both["loss"] == pytest.approx(plain["loss"] / 2)


def test_an_output_without_a_loss_needs_no_targets(backend: str) -> None:
    a, b, kind, _ = data()
    model = two_headed(backend)
    model.compile("sgd", loss=["binary_crossentropy", None], metrics=[["accuracy"], None], backend=backend)
    history = model.fit([a, b], {"kind": kind}, verbose=0).history
    assert list(history) == ["loss", "kind_loss", "kind_accuracy"]
    before = model.get_weights()[-2:]
    model.fit([a, b], [kind, None], verbose=0)
    for mine, expected in zip(model.get_weights()[-2:], before, strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_generators_may_bring_several_inputs(backend: str) -> None:
    a, b, kind, size = data()

    def batches() -> Any:
        while True:
            yield {"a": a[:8], "b": b[:8]}, {"kind": kind[:8], "size": size[:8]}

    model, other = two_headed(backend), two_headed(backend)
    model.fit(batches(), steps_per_epoch=3, epochs=2, verbose=0)
    for _ in range(6):
        other.train_on_batch([a[:8], b[:8]], [kind[:8], size[:8]])
    for mine, expected in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-9)


def test_dicts_in_dicts_out(backend: str) -> None:
    x = Input((3,))
    model = Model({"x": x}, {"double": x * 2.0, "shifted": 1 - x}, seed=1)
    model.compile("sgd", {"double": "mse", "shifted": "mae"}, backend=backend)
    rows = np.arange(6.0).reshape(2, 3)
    made = model.predict({"x": rows}, verbose=0)
    assert list(made) == ["double", "shifted"]
    np.testing.assert_allclose(made["double"], 2 * rows)
    np.testing.assert_allclose(made["shifted"], 1 - rows)
    assert (model.input_names, model.output_names) == (("x",), ("double", "shifted"))
    logs = model.test_on_batch({"x": rows}, {"double": rows, "shifted": rows}, return_dict=True)
    assert list(logs) == ["loss", "double_loss", "shifted_loss"]


def test_operators_are_layers(backend: str) -> None:
    a, b = Input((3,)), Input((3,))
    outputs = [a + b, a - b, a * b, a + 1.5, 2 - a, a / 4, -a, 3 * a, a - 1, 1 + a, layers.maximum([a, b])]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    model = Model([a, b], outputs)
    model.compile(backend=backend, **F64)
    expected = [x + y, x - y, x * y, x + 1.5, 2 - x, x / 4, -x, 3 * x, x - 1, 1 + x, np.maximum(x, y)]
    for mine, wanted in zip(model.predict([x, y], verbose=0), expected, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate"])
def test_functions_call_their_layer(name: str) -> None:
    value = getattr(layers, name)([Input((3,)), Input((3,))])
    assert type(value.call.layer).__name__.lower() == name
    assert value.shape == (None, 6 if name == "concatenate" else 3)


# ---- the graph


def test_nodes_stand_in_the_order_of_their_making_behind_the_inputs() -> None:
    late = Input((3,))
    hidden = Dense(4)(late)
    early = Input((2,), name="early")
    model = Model([early, late], Dense(1)(layers.concatenate([Dense(2)(early), hidden])))
    assert [node.name for node in model.graph.nodes] == [
        "early", "input_layer", "dense", "dense_1", "concatenate", "dense_2",
    ]  # fmt: skip
    assert model.input_shape == [(None, 2), (None, 3)]
    assert model.output_shape == (None, 1)
    assert [layer.name for layer in model.layers][:2] == ["early", "input_layer"]


def test_a_network_can_be_cut_within() -> None:
    x = Input((3,))
    hidden = Dense(4, "tanh")(x)
    whole = Model(x, Dense(2)(hidden), seed=1)
    head = Model(hidden, whole.output)
    tail = Model(x, hidden)
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    joined = head.predict(tail.predict(rows, verbose=0), verbose=0)
    np.testing.assert_allclose(joined, whole.predict(rows, verbose=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda x: Dense(2)(np.ones((2, 3))),
            TypeError,
            "is called on what Input.. and other layers return, got ndarray",
        ),
        (lambda x: Dense(2)([x, x]), ValueError, r"reads 1 value\(s\), got 2"),
        (lambda x: Add()(x), ValueError, "reads a list of two or more values, got 1"),
        (lambda x: Add()([x, Input((4,))]), ValueError, "layer 'Add': .*inputs of one shape"),
        (lambda x: InputLayer((3,))(x), TypeError, "reads nothing"),
        (lambda x: Model(x, Dense(1)(Input((2,), name="z"))), ValueError, "another input 'z' of shape .None, 2."),
        (lambda x: Model(x, np.ones(3)), TypeError, "got ndarray"),
        (lambda x: Model([], x), ValueError, "at least one input"),
        (lambda x: Model([x, x], x), ValueError, "got one of them twice"),
        (lambda x: Model(x, Dense(1, name="d")(Dense(1, name="d")(x))), ValueError, "unique in a model, got 'd' twice"),
        (lambda x: np.asarray(x), TypeError, "holds no numbers"),
        (lambda x: bool(x), TypeError, "no truth"),
        (lambda x: x + "a", TypeError, "must be a number, got 'a'"),
        (
            lambda x: Sequential([Input((3,)), Dense(1)])(Input((4,))),
            ValueError,
            "reads values of shape .None, 3., got",
        ),
        (lambda x: Sequential([Dense(2)(x)]), TypeError, "got the output of one at place 0"),
        (lambda x: Model(Dense(2)(x), x), ValueError, "another input"),
    ],
)
def test_malformed_graphs(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(Input((3,)))


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (np.ones((4, 4)), [0, 0], TypeError, "x must be a list with one entry for each of a, b"),
        ([np.ones((4, 4))], [0, 0], ValueError, "for each of a, b, 2, got 1"),
        ({"a": np.ones((4, 4))}, [0, 0], ValueError, "but 'b' is missing"),
        ({"a": 1, "c": 2}, [0, 0], ValueError, "keys a, b, got 'c'"),
        (
            [np.ones((4, 4)), np.ones((3, 3))],
            [0, 0],
            ValueError,
            r"x\['b'\] must have as many rows as x\['a'\], 4, got 3",
        ),
        ([np.ones((4, 4)), np.ones((4, 2))], [np.ones(4)] * 2, ValueError, r"x\['b'\] must have shape"),
        ([np.ones((4, 4)), np.ones((4, 3))], np.ones(4), TypeError, "y must be a list with one entry"),
        ([np.ones((4, 4)), np.ones((4, 3))], {"kind": np.ones(4)}, ValueError, r"y\['size'\] must be given"),
        (
            [np.ones((4, 4)), np.ones((4, 3))],
            [np.full(4, 7.0), np.ones(4)],
            ValueError,
            r"y\['kind'\] must lie between",
        ),
        ([np.ones((4, 4)), np.ones((4, 3))], [np.ones(3), np.ones(4)], ValueError, r"y\['kind'\] must have as many"),
    ],
)
def test_malformed_data(x: Any, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        two_headed("numba").fit(x, y, verbose=0)


def test_class_weights_want_one_output() -> None:
    a, b, kind, size = data()
    with pytest.raises(ValueError, match="class_weight expects a model with one output, got one with 2"):
        two_headed("numba").fit([a, b], [kind, size], class_weight={0: 2.0}, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": ["mse"]}, "loss must have one entry for each output .kind, size., 2, got 1"),
        ({"loss": {"king": "mse"}}, "must name outputs of the model .kind, size., got 'king'"),
        ({"loss": "mse", "metrics": ["mae", "mse", "mape"]}, "metrics must have one entry or list for each output"),
        ({"loss": "mse", "metrics": {"king": ["mae"]}}, "got 'king'"),
    ],
)
def test_malformed_arguments_of_compile(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        two_headed("numba").compile("sgd", **arguments)


# ---- weights that models share


def rows_of(count: int = 30, columns: int = 5) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, columns)).astype(np.float32)


def autoencoder(backend: str) -> tuple[Sequential, Sequential, Model]:
    encoder = Sequential([Input((5,)), Dense(2, "tanh")], name="encoder", seed=1)
    decoder = Sequential([Input((2,)), Dense(5)], name="decoder", seed=2)
    x = Input((5,))
    whole = Model(x, decoder(encoder(x)), seed=3)
    for model in (encoder, decoder, whole):
        model.compile("adam", "mse", backend=backend)
    return encoder, decoder, whole


def test_models_of_the_same_layers_learn_together(backend: str) -> None:
    encoder, decoder, whole = autoencoder(backend)
    x = rows_of()
    before = encoder.predict(x, verbose=0)
    for _ in range(2):
        whole.fit(x, x, epochs=3, verbose=0)
        code = encoder.predict(x, verbose=0)
        np.testing.assert_allclose(decoder.predict(code, verbose=0), whole.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert np.abs(code - before).max() > 1e-3
    decoder.fit(code, np.zeros_like(x), epochs=3, verbose=0)
    np.testing.assert_array_equal(whole.get_weights()[2], decoder.get_weights()[0])
    np.testing.assert_array_equal(whole.get_weights()[0], encoder.get_weights()[0])
    encoder.set_weights([np.zeros((5, 2)), np.zeros(2)])
    np.testing.assert_array_equal(whole.get_weights()[0], np.zeros((5, 2)))
    assert [layer.name for layer in whole.layers] == ["input_layer", "encoder.dense", "decoder.dense"]


def test_features_of_a_trained_model_follow_its_training(backend: str) -> None:
    model = Sequential([Input((5,)), Dense(4, "relu"), BatchNormalization(), Dense(1)], seed=1)
    model.compile("adam", "mse", backend=backend)
    x = rows_of()
    y = x[:, :1]
    features = Model(model.input, model.layers[-2].output)
    for _ in range(2):
        model.fit(x, y, epochs=2, verbose=0)
        kernel, bias = model.get_weights()[-2:]
        made = features.predict(x, verbose=0) @ kernel + bias
        np.testing.assert_allclose(made, model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    assert features.layers[-1].name == "batch_normalization"


def test_a_copy_shares_nothing(backend: str) -> None:
    encoder, _, whole = autoencoder(backend)
    x = rows_of()
    for twin in (copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))):
        before = whole.get_weights()
        twin.fit(x, x, epochs=1, verbose=0)
        assert np.abs(twin.get_weights()[0] - before[0]).max() > 0
        for mine, expected in zip(whole.get_weights(), before, strict=True):
            np.testing.assert_array_equal(mine, expected)
        np.testing.assert_array_equal(encoder.get_weights()[0], before[0])


def test_a_frozen_layer_is_not_trained_after_compile(backend: str) -> None:
    encoder, _, whole = autoencoder(backend)
    x = rows_of()
    encoder.trainable = False
    assert [layer.trainable for layer in whole.layers] == [True, False, True]
    before = whole.get_weights()
    whole.fit(x, x, epochs=1, verbose=0)  # compiled while everything was trainable
    assert np.abs(whole.get_weights()[0] - before[0]).max() > 0
    whole.compile("adam", "mse", backend=backend)
    before = whole.get_weights()
    whole.fit(x, x, epochs=1, verbose=0)
    np.testing.assert_array_equal(whole.get_weights()[0], before[0])
    assert np.abs(whole.get_weights()[2] - before[2]).max() > 0
    whole.get_layer("encoder.dense").trainable = True
    assert encoder.trainable
    with pytest.raises(TypeError, match="trainable must be True or False, got 1"):
        encoder.layers[0].trainable = 1  # type: ignore[assignment]


def test_models_stand_in_a_row_like_layers(backend: str) -> None:
    encoder, _, _ = autoencoder(backend)
    model = Sequential([encoder, Dense(3, "softmax")], seed=4)
    model.compile("sgd", "sparse_categorical_crossentropy", backend=backend)
    x = rows_of()
    model.fit(x, np.arange(30) % 3, epochs=2, verbose=0)
    kernel, bias = model.get_weights()[2:]
    scores = encoder.predict(x, verbose=0) @ kernel + bias
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4)
    later = Sequential([Dense(5), encoder])
    later.build((7,))
    assert later.output_shape == (None, 2)
    model.add(Dense(1))
    np.testing.assert_array_equal(model.get_weights()[0], encoder.get_weights()[0])


# ---- files and tables


def branching(backend: str) -> Model:
    x = Input((4,), name="x")
    hidden: Any = Dense(6, "relu")(x)
    hidden = BatchNormalization()(Dropout(0.2)(hidden)) + Dense(6)(x)
    model = Model({"x": x}, {"y": Dense(1)(hidden), "z": Dense(2, "softmax")(hidden)}, name="branching", seed=9)
    model.compile("adam", {"y": "mse", "z": "sparse_categorical_crossentropy"}, metrics={"y": ["mae"]}, backend=backend)
    return model


def test_saved_models_go_on_as_they_would_have(backend: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4)), {"y": rng.normal(size=20), "z": rng.integers(0, 2, 20)}
    model = branching(backend)
    model.fit({"x": x}, y, epochs=2, verbose=0)
    model.save(tmp_path / "model.fastann")
    again = fastann.load_model(tmp_path / "model.fastann")
    assert type(again) is Model
    assert (again.input_names, again.output_names) == (("x",), ("y", "z"))
    histories = [m.fit({"x": x}, y, epochs=2, verbose=0).history for m in (model, again)]
    assert histories[0] == histories[1]
    assert "y_mae" in histories[0]
    made = [m.predict({"x": x}, verbose=0) for m in (model, again)]
    for key in ("y", "z"):
        np.testing.assert_array_equal(made[0][key], made[1][key])
    twin = Model.from_config(model.get_config())
    assert twin.graph == model.graph


def test_a_row_with_a_branching_model_is_read_as_a_model(tmp_path: Path) -> None:
    x = Input((5,))
    inner = Model(x, Dense(5)(x) + x, name="inner", seed=1)
    row = Sequential([inner, Dense(1)], seed=2)
    row.save(tmp_path / "row.fastann")
    again = fastann.load_model(tmp_path / "row.fastann")
    assert type(again) is Model
    np.testing.assert_array_equal(again.predict(rows_of(), verbose=0), row.predict(rows_of(), verbose=0))


def test_the_table_says_what_each_layer_reads() -> None:
    text = branching("numba").summary_text()
    assert "Connected to" in text
    rows = [line.replace(" ", "") for line in text.splitlines()]
    assert any("│add(Add)│(None,6)│0│batch_normali" in row for row in rows)
    assert "Connected to" not in Sequential([Input((3,)), Dense(1)]).summary_text()


def test_user_defined_layer_objects_are_not_changed_by_models() -> None:
    layer: Layer = Dense(3)
    x = Input((2,))
    Model(x, layer(x))
    assert layer == Dense(3)
    assert layer.name is None
