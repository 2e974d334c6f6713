"""Write keras_specs.json: what Keras 3 computes for the specifications that fastann shares with it.

Needs keras and jax, which the tests do not. Run as

    KERAS_BACKEND=jax JAX_ENABLE_X64=1 python tests/oracles/record_keras_specs.py
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.src.initializers.random_initializers import compute_fans

X = [-1e4, -100.0, -20.0, -6.5, -3.0, -1.7, -0.5, -1e-3, 0.0, 1e-3, 0.25, 1.0, 2.0, 3.0, 5.5, 6.0, 9.0, 40.0, 1e4]
ROWS = [[1.0, 2.0, 3.0, -1.0], [1000.0, 0.0, -1000.0, 999.0], [0.0, 0.0, 0.0, 0.0]]
W = [[0.5, -2.0], [3.0, 0.0]]
SHAPES = [[], [7], [5, 3], [784, 128], [3, 3, 16, 32], [5, 8, 4], [2, 3, 4, 5, 6]]
STEPS = [0, 1, 7, 9, 10, 11, 25, 49, 50, 51, 99, 100, 101, 250, 333, 1000]

#: label, function, keyword arguments
ACTIVATIONS: list[tuple[str, str, dict[str, Any]]] = [
    *((name, name, {}) for name in (
        "linear", "relu", "leaky_relu", "relu6", "elu", "selu", "gelu", "silu", "softplus", "softsign",
        "hard_sigmoid", "sigmoid", "tanh",
    )),
    ("gelu_tanh", "gelu", {"approximate": True}),
    ("leaky_relu 0.05", "leaky_relu", {"negative_slope": 0.05}),
    ("elu 0.7", "elu", {"alpha": 0.7}),
    ("relu slope", "relu", {"negative_slope": 0.1}),
    ("relu max", "relu", {"max_value": 5.5}),
    ("relu threshold", "relu", {"threshold": 1.0}),
    ("relu all", "relu", {"negative_slope": 0.1, "max_value": 5.5, "threshold": 0.25}),
]  # fmt: skip

REGULARIZERS = [("L1", {}), ("L2", {}), ("L1", {"l1": 0.3}), ("L2", {"l2": 0.2}), ("L1L2", {"l1": 0.1, "l2": 0.02})]

SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 50, "decay_rate": 0.9}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 50, "decay_rate": 0.9, "staircase": True}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 50, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 50, "decay_rate": 0.5, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [10, 50, 100], "values": [1.0, 0.5, 0.1, 0.05]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 100}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 100, "end_learning_rate": 0.01, "power": 0.5}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 30, "power": 2.0, "cycle": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 100}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 100, "alpha": 0.05}),
    ("CosineDecay", {
        "initial_learning_rate": 0.01, "decay_steps": 100, "alpha": 0.1, "warmup_target": 0.2, "warmup_steps": 50,
    }),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 16}),
    ("CosineDecayRestarts", {
        "initial_learning_rate": 0.1, "first_decay_steps": 13, "t_mul": 1.5, "m_mul": 0.8, "alpha": 0.05,
    }),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 40, "t_mul": 1.0, "m_mul": 0.5}),
]  # fmt: skip

#: Own settings of each optimizer.
OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.05}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.8}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.8, "nesterov": True}),
    ("SGD", {"learning_rate": 0.05, "nesterov": True}),
    ("RMSprop", {"learning_rate": 0.02}),
    ("RMSprop", {"learning_rate": 0.02, "rho": 0.7, "momentum": 0.6, "epsilon": 1e-3}),
    ("RMSprop", {"learning_rate": 0.02, "centered": True, "epsilon": 1e-2}),
    ("RMSprop", {"learning_rate": 0.02, "centered": True, "momentum": 0.6, "epsilon": 1e-2}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.5, "epsilon": 1e-2}),
    ("Adam", {"learning_rate": 0.05}),
    ("Adam", {"learning_rate": 0.05, "beta_1": 0.7, "beta_2": 0.95, "epsilon": 1e-2}),
    ("Adam", {"learning_rate": 0.05, "beta_2": 0.8, "amsgrad": True}),
    ("AdamW", {"learning_rate": 0.05}),
    ("Nadam", {"learning_rate": 0.05}),
    ("Nadam", {"learning_rate": 0.05, "beta_1": 0.6, "beta_2": 0.9, "epsilon": 1e-2}),
    ("Adamax", {"learning_rate": 0.05}),
    ("Adamax", {"learning_rate": 0.05, "beta_1": 0.6, "beta_2": 0.9, "epsilon": 1e-2}),
    ("Lion", {"learning_rate": 0.01}),
    ("Lion", {"learning_rate": 0.01, "beta_1": 0.6, "beta_2": 0.8}),
]

#: Settings that every optimizer has, in turn with plain Adam and SGD and with one of the others.
COMMON: list[dict[str, Any]] = [
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "exclude": ["bias"]},
    {"clipnorm": 0.9},
    {"clipvalue": 0.4},
    {"global_clipnorm": 1.2},
    {"use_ema": True, "ema_momentum": 0.7},
    {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3},
    {"weight_decay": 0.1, "clipnorm": 0.9, "use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 4},
    {"schedule": ["ExponentialDecay", {"initial_learning_rate": 0.05, "decay_steps": 3, "decay_rate": 0.7}]},
    {"weight_decay": 0.1, "schedule": ["PolynomialDecay", {
        "initial_learning_rate": 0.05, "decay_steps": 4, "power": 2.0, "cycle": True,
    }]},
]  # fmt: skip

#: Every common setting with the plain form of an optimizer: SGD, Adam and, in turn, the others.
OTHERS = ("Nadam", "RMSprop", "Adagrad", "AdamW", "Adamax", "Lion")
WITH_COMMON = [
    (name, {"learning_rate": 0.05, **common})
    for n, common in enumerate(COMMON)
    for name in ("SGD", "Adam", OTHERS[n % len(OTHERS)])
]

SIGNATURES = {
    "optimizers": ["SGD", "RMSprop", "Adagrad", "Adam", "AdamW", "Nadam", "Adamax", "Lion"],
    "optimizers.schedules": sorted({name for name, _ in SCHEDULES}),
    "regularizers": ["L1", "L2", "L1L2"],
    "initializers": [
        "Zeros", "Ones", "Constant", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling",
        "GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal", "Orthogonal",
        "Identity",
    ],
    "activations": [
        "linear", "relu", "leaky_relu", "relu6", "elu", "selu", "gelu", "silu", "softplus", "softsign",
        "hard_sigmoid", "sigmoid", "tanh", "exponential", "softmax", "log_softmax",
    ],
}  # fmt: skip


def gradient(step: int, kernel: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Return made-up gradients (3, 2) and (2,): they depend on the weights and change sign; one entry stays 0."""
    places = np.arange(1, 9, dtype=np.float64)
    flat = np.sin(0.9 * places * (step + 1)) * places / 4 + 0.3 * np.concatenate([kernel.ravel(), bias])
    flat[5] = 0.0
    return [flat[:6].reshape(3, 2), flat[6:]]


def weights_of(name: str, settings: dict[str, Any]) -> list[list[float]]:
    """Return the weights after 1, 3, 6 and 10 updates, then, with use_ema, their averages."""
    settings = dict(settings)
    excluded = settings.pop("exclude", None)
    schedule = settings.pop("schedule", None)
    if schedule is not None:
        settings["learning_rate"] = getattr(keras.optimizers.schedules, schedule[0])(**schedule[1])
    optimizer = getattr(keras.optimizers, name)(**settings)
    if excluded:
        optimizer.exclude_from_weight_decay(var_names=excluded)
    kernel = keras.Variable(np.linspace(-1, 1, 6).reshape(3, 2), name="kernel")
    bias = keras.Variable(np.array([0.5, -0.25]), name="bias")
    trace = []
    for step in range(10):
        grads = gradient(step, np.asarray(kernel.value), np.asarray(bias.value))
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in grads], [kernel, bias])
        if step + 1 in (1, 3, 6, 10):
            trace.append(flat(kernel, bias))
    if settings.get("use_ema"):
        optimizer.finalize_variable_values([kernel, bias])
        trace.append(flat(kernel, bias))
    return trace


def flat(*variables: Any) -> list[float]:
    """Return all values to 14 digits."""
    values = np.concatenate([np.asarray(v.value).ravel() for v in variables])
    return [float(f"{value:.14g}") for value in values]


def signature(function: Any) -> list[list[Any]]:
    """Return [name, default] for each parameter, without self, *args and **kwargs; null stands for no default too."""
    skipped = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        [p.name, None if p.default is inspect.Parameter.empty else p.default, p.default is inspect.Parameter.empty]
        for p in inspect.signature(function).parameters.values()
        if p.kind not in skipped
    ]


def module(path: str) -> Any:
    """Return keras.path."""
    found: Any = keras
    for part in path.split("."):
        found = getattr(found, part)
    return found


def activations() -> dict[str, Any]:
    """Return every activation at X, and those of rows along both axes."""
    values = {}
    for label, name, arguments in ACTIVATIONS:
        y = getattr(keras.activations, name)(keras.ops.convert_to_tensor(np.array(X)), **arguments)
        values[label] = {"function": name, "arguments": arguments, "y": np.asarray(y).tolist()}
    small = [x for x in X if x <= 40]
    y = keras.activations.exponential(keras.ops.convert_to_tensor(np.array(small)))
    rows = keras.ops.convert_to_tensor(np.array(ROWS))
    by_row = {
        name: {str(axis): np.asarray(getattr(keras.activations, name)(rows, axis=axis)).tolist() for axis in (-1, 0)}
        for name in ("softmax", "log_softmax")
    }
    return {"x": X, "values": values, "exponential": [small, np.asarray(y).tolist()], "rows": ROWS, "by_row": by_row}


def initializers() -> dict[str, Any]:
    """Return fans, and deviation and largest value of 100,000 numbers that each random initializer drew."""
    drawn = {}
    for name in SIGNATURES["initializers"][3:13]:
        values = np.asarray(getattr(keras.initializers, name)(seed=1)((500, 200)), np.float64)
        drawn[name] = {"std": float(values.std()), "largest": float(np.abs(values).max())}
    limits = [
        [shape, float(np.abs(np.asarray(keras.initializers.GlorotUniform(seed=1)(shape))).max())]
        for shape in ([784, 128], [3, 3, 16, 32], [25, 8, 40])
    ]
    return {
        "fans": [[shape, list(compute_fans(tuple(shape)))] for shape in SHAPES],
        "largest_of_glorot_uniform": limits,
        "shape": [500, 200],
        "drawn": drawn,
    }


def regularizers() -> list[Any]:
    """Return name, settings and penalty of W."""
    tensor = keras.ops.convert_to_tensor(np.array(W))
    return [
        [name, settings, float(getattr(keras.regularizers, name)(**settings)(tensor))]
        for name, settings in REGULARIZERS
    ]


def schedules() -> list[Any]:
    """Return name, settings and rates at STEPS."""
    return [
        [name, settings, [float(getattr(keras.optimizers.schedules, name)(**settings)(step)) for step in STEPS]]
        for name, settings in SCHEDULES
    ]


def main() -> None:
    """Write the file beside this one."""
    keras.config.set_floatx("float64")
    record = {
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "activations": activations(),
        "initializers": initializers(),
        "regularizers": {"w": W, "values": regularizers()},
        "schedules": {"steps": STEPS, "values": schedules()},
        "optimizers": [[name, s, weights_of(name, s)] for name, s in OPTIMIZERS + WITH_COMMON],
        "signatures": {
            f"{path}.{name}": signature(getattr(module(path), name))
            for path, names in SIGNATURES.items()
            for name in names
        },
    }
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    Path(__file__).with_name("keras_specs.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
