"""Whole models: what is in the file, what comes back, and what is refused."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

import fastann
from fastann import Sequential, load_model
from fastann.io import FORMAT_VERSION, ModelFileError, save_model
from fastann.io.archive import write_archive
from fastann.layers import Activation, Dense, Dropout, Flatten, Input, LeakyReLU
from fastann.losses import Huber
from fastann.metrics import RootMeanSquaredError, TopKCategoricalAccuracy
from fastann.optimizers import SGD, Adam
from fastann.regularizers import L1L2
from fastann.schedules import ExponentialDecay

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 4, 2)), RNG.normal(size=(40, 3))


def network(**compile_arguments: Any) -> Sequential:
    layers = [
        Input((4, 2)),
        Flatten(),
        Dense(6, "gelu", kernel_initializer="he_normal", kernel_regularizer=L1L2(1e-3, 1e-2), name="first"),
        Dropout(0.2),
        Dense(5, use_bias=False, trainable=False),
        LeakyReLU(negative_slope=0.05),
        Dense(3),
        Activation("tanh"),
    ]
    model = Sequential(layers, name="everything", seed=2**63 + 5)
    if compile_arguments:
        model.compile(**compile_arguments)
    return model


def parts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_an_uncompiled_model(tmp_path: Path) -> None:
    model = network()
    model.save(tmp_path / "m.fastann")
    assert list(parts(tmp_path / "m.fastann")) == ["fastann.json", "weights.safetensors"]
    found = load_model(tmp_path / "m.fastann")
    assert found.get_config() == model.get_config()
    assert (found.name, found.seed, found.compiled) == ("everything", 2**63 + 5, False)
    assert found.summary_text() == model.summary_text()
    for weight, expected in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
        assert weight.dtype == expected.dtype


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_trained_model(tmp_path: Path, backend: str, precision: str) -> None:
    schedule = ExponentialDecay(0.01, 10, 0.9)
    optimizer = Adam(
        schedule, use_ema=True, global_clipnorm=1.5, exclude_from_weight_decay=("bias",), weight_decay=0.01
    )
    metrics = ["mae", RootMeanSquaredError(name="root")]
    model = network(optimizer=optimizer, loss=Huber(delta=0.5), metrics=metrics, backend=backend, precision=precision)
    model.fit(X, Y, epochs=3, batch_size=16, verbose=0)
    model.save(tmp_path / "m.fastann")
    found = load_model(tmp_path / "m.fastann")
    assert found.compile_config() == model.compile_config()
    assert found.compile_spec.optimizer == model.compile_spec.optimizer
    assert found.compile_spec.losses == model.compile_spec.losses
    assert (found.iterations, found.epochs_trained, found.seed) == (9, 3, 2**63 + 5)
    assert found.learning_rate == model.learning_rate
    np.testing.assert_array_equal(found.predict(X, verbose=0), model.predict(X, verbose=0))
    assert found.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    before, after = model.training_state(), found.training_state()
    np.testing.assert_array_equal(before.pop("slots"), after.pop("slots"))
    assert before == after


def test_what_is_in_the_file(tmp_path: Path) -> None:
    model = network(optimizer="adam", loss="mse", backend="numba")
    model.fit(X, Y, epochs=1, verbose=0)
    model.optimizer.learning_rate = 0.0123
    model.save(tmp_path / "m.fastann")
    members = parts(tmp_path / "m.fastann")
    assert list(members) == ["fastann.json", "weights.safetensors", "optimizer.safetensors"]
    document = json.loads(members["fastann.json"])
    assert document["format"] == "fastann model"
    assert document["format_version"] == FORMAT_VERSION == 1
    assert document["fastann_version"] == fastann.__version__
    assert document["training"] == {
        "seed": 2**63 + 5, "iterations": 2, "epochs_trained": 1, "learning_rate": 0.0123, "slots": 2,
    }  # fmt: skip
    weights, slots = load(members["weights.safetensors"]), load(members["optimizer.safetensors"])
    assert set(weights) == {"first/kernel", "first/bias", "dense/kernel", "dense_1/kernel", "dense_1/bias"}
    assert set(slots) == {f"{slot}/{name}" for slot in (0, 1) for name in weights}
    np.testing.assert_array_equal(weights["first/kernel"], model.get_weights()[0])
    assert np.abs(slots["0/first/kernel"]).max() > 0
    assert np.abs(slots["0/dense/kernel"]).max() == 0, "not trainable"


def test_learning_rate_that_was_set_comes_back(tmp_path: Path) -> None:
    model = network(optimizer=SGD(0.1), loss="mse")
    model.optimizer.learning_rate = 1 / 3
    model.save(tmp_path / "m")
    assert load_model(tmp_path / "m").optimizer.learning_rate == 1 / 3


def test_weights_may_be_nan(tmp_path: Path) -> None:
    model = network()
    weights = model.get_weights()
    weights[0][0, 0], weights[1][0] = np.nan, -np.inf
    model.set_weights(weights)
    model.save(tmp_path / "m")
    for found, expected in zip(load_model(tmp_path / "m").get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_same_model_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        network(optimizer="adam", loss="mse").save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_zip_packed_again_is_read(tmp_path: Path) -> None:
    model = network(optimizer="adam", loss="mse")
    model.save(tmp_path / "m")
    with zipfile.ZipFile(tmp_path / "again", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in reversed(parts(tmp_path / "m").items()):
            archive.writestr(name, data)
    np.testing.assert_array_equal(load_model(tmp_path / "again").get_weights()[0], model.get_weights()[0])


def test_overwriting_can_be_refused(tmp_path: Path) -> None:
    model = network()
    model.save(tmp_path / "m", overwrite=False)
    model.save(tmp_path / "m")
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        model.save(tmp_path / "m", overwrite=False)


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return ((y_true - y_pred) ** 2).mean(-1)


def test_python_functions_are_refused_and_can_be_left_out(tmp_path: Path) -> None:
    model = network(optimizer="adam", loss=own_loss)
    with pytest.raises(TypeError, match=r"own_loss.*include_optimizer=False"):
        model.save(tmp_path / "m")
    assert os.listdir(tmp_path) == []
    save_model(model, tmp_path / "m", include_optimizer=False)
    assert not load_model(tmp_path / "m").compiled
    model = network(optimizer=SGD(lambda step: 0.1), loss="mse")
    with pytest.raises(TypeError, match="cannot be written to a file"):
        model.save(tmp_path / "n")


def test_a_model_without_shape(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not known yet"):
        Sequential([Dense(2)]).save(tmp_path / "m")
    assert os.listdir(tmp_path) == []


def test_top_k_and_weighted_metrics_come_back(tmp_path: Path) -> None:
    model = network()
    model.compile(
        "sgd", "categorical_crossentropy", metrics=[TopKCategoricalAccuracy(k=2)], weighted_metrics=["accuracy"]
    )
    model.save(tmp_path / "m")
    assert load_model(tmp_path / "m").compile_config() == model.compile_config()


# ---- files that lie


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("good") / "m"
    model = network(optimizer="adam", loss="mse", backend="numba")
    model.fit(X, Y, epochs=1, verbose=0)
    model.save(path)
    return parts(path)


def refused(tmp_path: Path, members: dict[str, bytes]) -> str:
    write_archive(tmp_path / "bad", members)
    with pytest.raises(ModelFileError) as caught:
        load_model(tmp_path / "bad")
    message = str(caught.value)
    assert message.startswith(repr(str(tmp_path / "bad")))
    assert len(message) < 600 + 2 * len(str(tmp_path))
    assert "\n" not in message
    return message


def edited(good: dict[str, bytes], *path: Any, to: Any) -> dict[str, bytes]:
    """Return the members with one value of fastann.json changed."""
    document = json.loads(good["fastann.json"])
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return {**good, "fastann.json": json.dumps(document).encode()}


def test_missing_and_surplus_members(tmp_path: Path, good: dict[str, bytes]) -> None:
    for name in good:
        message = refused(tmp_path, {k: v for k, v in good.items() if k != name})
        assert name in message
    assert "unexpected member '../evil.py'" in refused(tmp_path, {**good, "../evil.py": b""})
    assert "unexpected member" in refused(tmp_path, {**good, "data.pkl": b"\x80\x04."})
    assert "optimizer.safetensors is there" in refused(tmp_path, edited(good, "training", "slots", to=0))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("format",), "keras", "does not describe a model of fastann"),
        (("format_version",), 0, "does not describe a model of fastann"),
        (("format_version",), True, "does not describe a model of fastann"),
        (
            ("format_version",),
            2,
            "written by a newer fastann ('0.1.0', format 2; this one reads up to 1): upgrade fastann",
        ),
        (("extra",), 1, "has other entries"),
        (("training",), None, "only one of compile arguments and training state"),
        (("training",), [], "the training state must give"),
        (("training", "iterations"), -1, "iterations must be a whole number below"),
        (("training", "iterations"), 1.5, "got '1.5'"),
        (("training", "iterations"), True, "got 'True'"),
        (("training", "iterations"), 10**30, "iterations must be"),
        (("training", "seed"), 2**64, "seed must be"),
        (("training", "slots"), 9, "slots must be"),
        (("training", "slots"), 1, "holds the tensors '1/dense/kernel', '1/dense_1/bias'"),
        (("training", "learning_rate"), "fast", "learning_rate must be a finite number"),
        (("training", "learning_rate"), -1, "learning_rate must be a finite number"),
        (("training", "last_rate"), -1, "last_rate must be a finite number"),
        (("training", "run"), 5, "run must be an object of numbers below 2^63, got '5'"),
        (("training", "run"), {"batch_size": 8}, "steps_per_epoch"),
        (("training", "run"), {"batch_size": 8, "steps_per_epoch": 10**400}, "below 2^63"),
        (("training", "run"), {"batch_size": -8, "steps_per_epoch": 3}, "batch_size must be at least 1"),
        (("model",), [], "describes no network"),
        (("model", "class_name"), "Transformer", "the kind of model 'Transformer' is unknown"),
        (("model", "class_name"), ["x"], "describes no network"),
        (("model", "config"), {}, "describes no network"),
        (("model", "config", "seed"), -1, "seed"),
        (("model", "config", "nodes"), [{}], "describes no network"),
        (("model", "config", "nodes"), [{}] * 10_001, "the network has 10,001 layers"),
        (("model", "config", "nodes"), "x", "describes no network"),
        (("model", "config", "nodes", 2, "layer", "class_name"), "Evil", "Evil"),
        (("model", "config", "nodes", 2, "layer", "class_name"), "__import__", "__import__"),
        (("model", "config", "nodes", 2, "layer", "class_name"), {}, "describes no network"),
        (("model", "config", "nodes", 2, "layer", "config"), {"units": 5, "evil": 1}, "evil"),
        (("model", "config", "nodes", 2, "layer", "config", "units"), -5, "units"),
        (("model", "config", "nodes", 2, "layer", "config", "units"), "6", "units"),
        (("model", "config", "nodes", 2, "layer", "config", "units"), 7, "must have shape (8, 7), got (8, 6)"),
        (
            ("model", "config", "nodes", 2, "layer", "config", "units"),
            10**9,
            "numbers in weights.safetensors, which has",
        ),
        (("model", "config", "nodes", 2, "layer", "config", "units"), 10**15, "more weights than a file can hold"),
        (("model", "config", "nodes", 2, "layer", "config", "units"), 10**4000, "more weights than a file can hold"),
        (("compile",), {}, "describes no network"),
        (("compile", "optimizer"), {"class_name": "Evil", "config": {}}, "Evil"),
        (("compile", "optimizer"), None, "name no optimizer"),
        (("compile", "losses"), [], "not for a network with 1 output(s)"),
        (("compile", "loss_weights"), [1, 2], "not for a network with 1 output(s)"),
        (("compile", "loss_weights"), ["much"], "loss_weights"),
        (("compile", "metrics"), [{"identifier": "mae", "output": 1, "weighted": False}], "not for a network with"),
        (("compile", "metrics"), [{"identifier": "mae", "output": -1, "weighted": False}], "output must"),
        (("compile", "metrics"), [{"identifier": "mae"}], "describes no network"),
        (("compile", "backend"), "torch", "backend"),
        (("compile", "precision"), "float16", "precision"),
        (("compile", "losses"), [{"class_name": "Dense", "config": {"units": 3}}], "Dense"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_documents_that_lie(tmp_path: Path, good: dict[str, bytes], path: Any, value: Any, expected: str) -> None:
    assert expected in refused(tmp_path, edited(good, *path, to=value))


def test_documents_that_are_none(tmp_path: Path, good: dict[str, bytes]) -> None:
    for text in (b"", b"[]", b'{"a":' * 5000, b"\xff", b"{}"):
        refused(tmp_path, {**good, "fastann.json": text})


def test_weights_that_do_not_fit(tmp_path: Path, good: dict[str, bytes]) -> None:
    weights = load(good["weights.safetensors"])
    for change in (
        {"first/kernel": weights["first/kernel"].T.copy()},
        {"first/kernel": weights["first/kernel"].astype(np.float16)},
        {"first/kernel": weights["first/kernel"].view(np.int32)},
        {"other/kernel": weights["first/kernel"]},
    ):
        refused(tmp_path, {**good, "weights.safetensors": save({**weights, **change})})
    weights.pop("first/bias")
    refused(tmp_path, {**good, "weights.safetensors": save(weights)})
    slots = load(good["optimizer.safetensors"])
    slots["1/first/bias"] = np.zeros(7, np.float32)
    assert "'1/first/bias' must have shape (6,), got (7,)" in refused(
        tmp_path, {**good, "optimizer.safetensors": save(slots)}
    )
