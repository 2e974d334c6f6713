"""Layers against Keras 3: signatures, shapes of outputs, names, order and shapes of weights."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from fastann import layers
from fastann.lowering import lower
from fastann.spec import deserialize, lookup, serialize
from tests.layers.graphs import RECORD, alone, label, recorded_inputs, recorded_layer

#: What Keras's layers take and these do not.
NOT_IN_FASTANN = {
    "name", "noise_shape", "lora_rank", "lora_alpha", "quantization_config", "weights", "renorm", "renorm_clipping",
    "renorm_momentum", "synchronized",
}  # fmt: skip
#: What every layer takes.
COMMON = {"name", "trainable", "input_shape", "input_dim"}


def plain(value: Any) -> Any:
    return [plain(item) for item in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", RECORD["signatures"])
def test_names_order_and_defaults_of_settings_are_those_of_keras(name: str) -> None:
    keras = {key: (default, required) for key, default, required in RECORD["signatures"][name]}
    ours = inspect.signature(getattr(layers, name)).parameters
    positional = [key for key, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert {key for key in set(keras) - set(ours) if not key.endswith("_constraint")} <= NOT_IN_FASTANN
    assert set(ours) - set(keras) <= COMMON
    assert positional == [key for key in keras if key in positional]
    for key in positional:
        default, required = keras[key]
        assert (ours[key].default is inspect.Parameter.empty) is required, key
        assert required or plain(ours[key].default) == default, key


@pytest.mark.parametrize("case", RECORD["cases"], ids=label)
def test_shapes_and_weights_are_those_of_keras(case: dict[str, Any]) -> None:
    layer = recorded_layer(case)
    shapes = [x.shape[1:] for x in recorded_inputs(case)]
    assert layer.output_shape(*shapes) == np.shape(case["y"])[1:]
    weights = layer.weights(*shapes)
    if case["layer"] != "Normalization":  # Keras has weights only if it learns them
        assert [(w.name, w.shape) for w in weights] == [(n, np.shape(value)) for n, value in case["weights"]]
    program = lower(alone(layer, *shapes))
    assert program.values[program.outputs[0]].shape == np.shape(case["y"])[1:]
    assert [p.shape for p in program.parameters] == [w.shape for w in weights]


@pytest.mark.parametrize("case", RECORD["cases"], ids=label)
def test_a_layer_survives_json(case: dict[str, Any]) -> None:
    layer = recorded_layer(case)
    again = deserialize(json.loads(json.dumps(serialize(layer))), lookup("layers"))
    assert again == layer
    assert hash(again) == hash(layer)
    assert type(again) is type(layer)
    assert all(type(getattr(again, f.name)) is type(getattr(layer, f.name)) for f in fields(layer))


def test_every_layer_is_registered_and_exported() -> None:
    registered = set(lookup("layers"))
    classes = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    exported = classes - {"Layer", "SymbolicTensor", "WeightSpec"}
    aliases = {f"{kind}Pool{d}D" for kind in ("Avg", "Max", "GlobalAvg", "GlobalMax") for d in (1, 2)}
    assert exported - aliases <= registered
    assert layers.MaxPool2D is layers.MaxPooling2D
    assert layers.GlobalAvgPool2D is layers.GlobalAveragePooling2D


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (layers.Conv2D(1, 1), "conv2d"),
        (layers.MaxPooling2D(), "max_pooling2d"),
        (layers.PReLU(), "p_re_lu"),
        (layers.GlobalAveragePooling2D(), "global_average_pooling2d"),
        (layers.BatchNormalization(), "batch_normalization"),
    ],
)
def test_names_in_a_model_are_those_of_keras(layer: layers.Layer, name: str) -> None:
    from fastann import Sequential

    assert Sequential([layers.Input((2, 2, 1)), layer]).layers[0].name == name
