"""The arguments of `compile`, and models and arguments as JSON-able data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastann import Sequential
from fastann.layers import Dense, Dropout, Flatten, LeakyReLU
from fastann.metrics import MeanSquaredError
from fastann.optimizers import SGD, Adam
from fastann.schedules import ExponentialDecay
from tests.models.small import small

# ---- as data


@pytest.mark.parametrize("built", [True, False])
def test_a_model_survives_its_configuration(built: bool) -> None:
    layers = [Flatten(), Dense(4, LeakyReLU(0.1), kernel_regularizer="l2"), Dropout(0.5), Dense(2, name="last")]
    model = Sequential(layers, name="net", seed=2**63)
    if built:
        model.build((None, 2, 3))
    config = json.loads(json.dumps(model.get_config()))
    assert [node["name"] for node in config["nodes"]][-4:] == ["flatten", "dense", "dropout", "last"]
    again = Sequential.from_config(config)
    again.build((None, 2, 3))
    model.build((None, 2, 3))
    assert (again.name, again.seed, again.graph) == ("net", 2**63, model.graph)
    assert again.get_config() == model.get_config()
    for mine, expected in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_compile_arguments_survive_their_configuration() -> None:
    model = small()
    model.compile(
        Adam(ExponentialDecay(0.01, 100, 0.9), clipnorm=1.0, exclude_from_weight_decay=("bias",)),
        loss="huber",
        loss_weights=2.0,
        metrics=["mae", MeanSquaredError(name="error")],
        weighted_metrics=["mse"],
        backend="numba",
        precision="float64",
        on_nonfinite="ignore",
    )
    config = json.loads(json.dumps(model.compile_config()))
    again = small()
    again.compile_from_config(config)
    assert again.compile_config() == config
    assert again.compile_spec.optimizer == model.compile_spec.optimizer
    assert again.compile_spec.losses == model.compile_spec.losses
    assert [(m.key, m.weighted) for m in again.compile_spec.metrics] == [
        ("mae", False), ("error", False), ("mse", True),
    ]  # fmt: skip


def test_functions_cannot_be_written_to_a_configuration() -> None:
    def distance(y_true: object, y_pred: object) -> object:
        return y_pred

    model = small()
    model.compile("sgd", distance)
    with pytest.raises(TypeError, match="function"):
        model.compile_config()


# ---- compile


def test_compile_and_its_views() -> None:
    model = small()
    assert not model.compiled
    assert model.optimizer is None
    model.compile(SGD(0.5, momentum=0.9), "mse")
    assert model.compiled
    assert model.optimizer is not None
    assert (model.optimizer.learning_rate, model.optimizer.iterations, model.optimizer.momentum) == (0.5, 0, 0.9)
    model.optimizer.learning_rate = 0.25
    assert model.optimizer.learning_rate == model.learning_rate == 0.25
    assert model.optimizer.spec == SGD(0.5, momentum=0.9)
    assert "SGD" in repr(model.optimizer)
    model.compile("adam", "mse")
    assert model.optimizer.learning_rate == 0.001


def test_a_schedule_decides_the_learning_rate() -> None:
    model = small()
    model.compile(SGD(ExponentialDecay(0.5, 10, 0.1)), "mse")
    assert model.learning_rate == pytest.approx(0.5)
    with pytest.raises(TypeError, match="schedule"):
        model.learning_rate = 0.1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"optimizer": "adamant"}, ValueError, "optimizer must be one of .*'adamant'"),
        ({"optimizer": None}, TypeError, "optimizer"),
        ({"loss": "mze"}, ValueError, "'mze'"),
        ({"loss": ["mse", "mae"]}, ValueError, "loss must have one entry for each output .dense_1., 1, got 2"),
        ({"loss": {"a": "mse"}}, ValueError, "loss must name outputs of the model .dense_1., got 'a'"),
        ({"loss_weights": "high"}, TypeError, "loss_weights must be a number, got 'high'"),
        ({"loss_weights": [1, 2]}, ValueError, "loss_weights must have one entry"),
        ({"metrics": "accuracy"}, TypeError, r"metrics must be a list such as \['accuracy'\], got 'accuracy'"),
        ({"metrics": ["acuracy"]}, ValueError, "'acuracy'"),
        ({"metrics": ["mae", "mae"]}, ValueError, "a name of its own, and not 'loss', got 'mae'"),
        ({"metrics": ["mae"], "weighted_metrics": ["mae"]}, ValueError, "got 'mae'"),
        ({"metrics": [MeanSquaredError(name="loss")]}, ValueError, "got 'loss'"),
        ({"backend": "torch"}, ValueError, "backend must be one of 'auto', 'numba', 'jax', got 'torch'"),
        ({"backend": None}, ValueError, "backend must be one of"),
        ({"precision": "float16"}, ValueError, "precision must be one of .*'bfloat16', got 'float16'"),
        ({"on_nonfinite": "stop"}, ValueError, "on_nonfinite must be one of 'raise', 'ignore', got 'stop'"),
    ],
)
def test_wrong_compile_arguments_are_refused(
    arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    model = small()
    model.compile("sgd", "mse")
    with pytest.raises(error, match=message):
        model.compile(**{"optimizer": "adam", "loss": "mse", **arguments})  # type: ignore[arg-type]
    assert model.compile_spec.optimizer == SGD()


def test_explain_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTANN_BACKEND", raising=False)
    model = small()
    model.compile("sgd", "mse", backend="numba")
    assert model.explain_backend().name == "numba"
    assert "compile" in str(model.explain_backend())
    model.compile("sgd", lambda y_true, y_pred: y_pred)
    assert model.explain_backend().name == "jax"
    assert "function" in str(model.explain_backend())
    monkeypatch.setenv("FASTANN_BACKEND", "numba")
    model.compile("sgd", "mse")
    assert "FASTANN_BACKEND" in str(model.explain_backend())
