"""Write keras_layers.json: signatures, shapes, weights and values of the layers that fastann shares with Keras 3.

Needs keras and jax, which the tests do not. Run as

    KERAS_BACKEND=jax JAX_ENABLE_X64=1 python tests/oracles/record_keras_layers.py
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

NAMES = [
    "ActivityRegularization", "Add", "Average", "AveragePooling2D", "BatchNormalization", "Concatenate", "Conv2D",
    "Dense", "DepthwiseConv2D", "Dropout", "Embedding", "GaussianNoise", "GlobalAveragePooling2D",
    "GlobalMaxPooling2D", "Identity", "LayerNormalization", "MaxPooling2D", "Maximum", "Minimum", "Multiply",
    "Normalization", "PReLU", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "ReLU",
    "Rescaling", "Reshape", "SeparableConv2D", "Subtract", "ZeroPadding2D",
]  # fmt: skip

IMAGE = [[5, 6, 4]]

#: layer, settings, shapes of what it reads
CASES: list[tuple[str, dict[str, Any], list[list[int]]]] = [
    ("BatchNormalization", {}, [[4]]),
    ("BatchNormalization", {"momentum": 0.8, "epsilon": 0.1, "scale": False}, [[3, 2, 3]]),
    ("BatchNormalization", {"center": False, "trainable": False}, [[3]]),
    ("LayerNormalization", {}, [[4]]),
    ("LayerNormalization", {"axis": [-2, -1], "epsilon": 0.1}, [[2, 3, 2]]),
    ("LayerNormalization", {"axis": [2, 1], "center": False, "scale": False}, [[3, 2]]),
    ("PReLU", {}, [[4]]),
    ("PReLU", {"shared_axes": [1, 2]}, [[2, 3, 2]]),
    ("ReLU", {"max_value": 0.5}, [[8]]),
    ("ReLU", {"max_value": 0.8, "negative_slope": 0.1}, [[8]]),
    ("Conv2D", {"filters": 3, "kernel_size": 2}, IMAGE),
    ("Conv2D", {"filters": 2, "kernel_size": [3, 2], "padding": "same", "activation": "relu"}, IMAGE),
    ("Conv2D", {"filters": 2, "kernel_size": [2, 4], "padding": "same", "strides": [2, 3]}, IMAGE),
    ("Conv2D", {"filters": 4, "kernel_size": 2, "strides": 2, "groups": 2, "use_bias": False}, IMAGE),
    ("Conv2D", {"filters": 2, "kernel_size": 2, "dilation_rate": [2, 3], "padding": "same"}, IMAGE),
    ("Conv2D", {"filters": 2, "kernel_size": [2, 3], "dilation_rate": 2}, IMAGE),
    ("DepthwiseConv2D", {"kernel_size": 2, "depth_multiplier": 2}, IMAGE),
    ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same", "use_bias": False}, IMAGE),
    ("DepthwiseConv2D", {"kernel_size": 2, "dilation_rate": 2, "padding": "same"}, IMAGE),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 2, "depth_multiplier": 2}, IMAGE),
    ("SeparableConv2D", {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same", "use_bias": False}, IMAGE),
    ("MaxPooling2D", {}, IMAGE),
    ("MaxPooling2D", {"pool_size": [3, 2], "strides": 1, "padding": "same"}, IMAGE),
    ("MaxPooling2D", {"pool_size": 2, "strides": [3, 2], "padding": "same"}, IMAGE),
    ("AveragePooling2D", {"pool_size": 2}, IMAGE),
    ("AveragePooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, IMAGE),
    ("GlobalAveragePooling2D", {}, IMAGE),
    ("GlobalMaxPooling2D", {"keepdims": True}, IMAGE),
    ("Reshape", {"target_shape": [3, -1]}, [[2, 6]]),
    ("ZeroPadding2D", {"padding": 2}, [[2, 2, 1]]),
    ("ZeroPadding2D", {"padding": [[1, 0], [2, 3]]}, [[2, 2, 2]]),
    ("Embedding", {"input_dim": 5, "output_dim": 3}, [[4]]),
    ("Add", {}, [[3], [3], [3]]),
    ("Add", {}, [[2, 3], [2, 1]]),
    ("Subtract", {}, [[3], [2, 3]]),
    ("Multiply", {}, [[2, 2, 3], [1, 1, 3]]),
    ("Average", {}, [[3], [3], [3]]),
    ("Maximum", {}, [[3], [3]]),
    ("Minimum", {}, [[3], [3], [3]]),
    ("Concatenate", {}, [[3], [2]]),
    ("Concatenate", {"axis": 1}, [[1, 2], [2, 2], [1, 2]]),
    ("Concatenate", {"axis": -2}, [[2, 1, 3], [2, 2, 3]]),
    ("Rescaling", {"scale": 0.5, "offset": -1.0}, [[3]]),
    ("Normalization", {"mean": [0.5, -1.0, 2.0], "variance": [4.0, 0.25, 0.0]}, [[2, 3]]),
    ("Normalization", {"mean": 0.5, "variance": 4.0, "axis": None}, [[2, 3]]),
    ("Normalization", {"mean": [0.5, -1.0], "variance": [4.0, 0.25], "invert": True}, [[2]]),
    ("Identity", {}, [[3]]),
    ("Dense", {"units": 3, "activation": "tanh"}, [[2, 4]]),
    ("RandomRotation", {"factor": [0.25, 0.25], "fill_mode": "constant", "fill_value": 0.5}, [[3, 4, 1]]),
    ("RandomRotation", {"factor": [0.1, 0.1]}, [[4, 5, 2]]),
    ("RandomTranslation", {"height_factor": [0.25, 0.25], "width_factor": [-0.3, -0.3]}, [[4, 5, 1]]),
    ("RandomTranslation", {"height_factor": [0.5, 0.5], "width_factor": 0.0, "fill_mode": "wrap"}, [[4, 5, 1]]),
    ("RandomZoom", {"height_factor": [0.5, 0.5], "fill_mode": "nearest"}, [[4, 5, 1]]),
    ("RandomZoom", {"height_factor": [-0.4, -0.4], "width_factor": [0.3, 0.3], "fill_mode": "constant"}, [[4, 5, 1]]),
    ("RandomZoom", {"height_factor": [0.2, 0.2], "interpolation": "nearest"}, [[4, 5, 1]]),
]  # fmt: skip

ROWS = 3


def signature(name: str) -> list[list[Any]]:
    """Return [name, default, whether there is none] for each parameter, without self, *args and **kwargs."""
    skipped = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        [p.name, None if p.default is p.empty else p.default, p.default is p.empty]
        for p in inspect.signature(getattr(keras.layers, name)).parameters.values()
        if p.kind not in skipped
    ]


def tuples(value: Any) -> Any:
    """Return lists as the tuples that Keras wants."""
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def listed(array: Any) -> Any:
    """Return an array as lists of numbers of 12 decimals."""
    return np.round(np.asarray(keras.ops.convert_to_numpy(array), np.float64), 12).tolist()


def case(name: str, settings: dict[str, Any], shapes: list[list[int]], seed: int) -> dict[str, Any]:
    """Return what a layer with weights drawn here makes of rows drawn here, as it predicts and as it trains."""
    rng = np.random.default_rng(seed)
    layer = getattr(keras.layers, name)(**{key: tuples(value) for key, value in settings.items()})
    xs = [np.round(rng.normal(size=(ROWS, *shape)), 3) for shape in shapes]
    if name == "Embedding":
        xs = [rng.integers(0, settings["input_dim"], (ROWS, *shape)).astype(float) for shape in shapes]
    inputs = xs if len(xs) > 1 else xs[0]
    layer(inputs)
    weights = [np.round(0.5 + rng.random(w.shape), 3) for w in layer.weights if not name.startswith("Random")]
    if weights:
        layer.set_weights(weights)
    record: dict[str, Any] = {
        "layer": name,
        "settings": settings,
        "x": [x.tolist() for x in xs],
        "weights": [[w.name, listed(w)] for w in layer.weights[: len(weights)]],
        "y": listed(layer(inputs, training=False)),
    }
    if name == "BatchNormalization" or name.startswith("Random"):
        record["trained"] = listed(layer(inputs, training=True))
    if name == "BatchNormalization":
        record["weights_after"] = [listed(w) for w in layer.weights]
    return record


def activity_losses() -> list[Any]:
    """Return l1, l2, x and what a regularizer of activities adds to the loss of x."""
    x = np.array([[1.0, -2.0], [0.5, 3.0], [0.0, -1.0]])
    found = []
    for l1, l2 in ((0.1, 0.0), (0.0, 0.2), (0.1, 0.2)):
        layer = keras.layers.ActivityRegularization(l1, l2)
        layer(x)
        found.append([l1, l2, x.tolist(), float(sum(layer.losses))])
    return found


def main() -> None:
    """Write the file beside this one."""
    keras.config.set_floatx("float64")
    record = {
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "signatures": {name: signature(name) for name in NAMES},
        "cases": [case(*c, seed) for seed, c in enumerate(CASES)],
        "activity_losses": activity_losses(),
    }
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    Path(__file__).with_name("keras_layers.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
