"""Activations on arrays: Keras 3's values, derivatives, extremes, types, identifiers."""

from __future__ import annotations

import inspect
import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from fastann_kernels.program import ACTIVATION_ALPHA, ACTIVATIONS

from fastann import activations
from fastann.activations import Activation
from fastann.layers import ELU, Dense, LeakyReLU, ReLU, Softmax
from fastann.spec import deserialize, lookup, serialize
from tests.reference.activations import activate

RECORD = json.loads((Path(__file__).parent / "oracles" / "keras_specs.json").read_text())["activations"]
SIGNATURES = json.loads((Path(__file__).parent / "oracles" / "keras_specs.json").read_text())["signatures"]
X = np.array(RECORD["x"])
ROW_WISE = ("softmax", "log_softmax")
ELEMENTWISE = [name for name in ACTIVATIONS if name not in ROW_WISE]
SPECS = [Activation(name) for name in ACTIVATIONS] + [
    Activation("relu", 0.1),
    Activation("leaky_relu", 0.01),
    Activation("leaky_relu", 0.0),
    Activation("elu", 0.5),
]


@pytest.mark.parametrize("label", RECORD["values"])
def test_values_are_those_of_keras(label):
    case = RECORD["values"][label]
    y = getattr(activations, case["function"])(X, **case["arguments"])
    # Keras on JAX computes its tanh in float32, whatever the type of the rest.
    np.testing.assert_allclose(y, case["y"], rtol=2e-7 if label == "tanh" else 1e-12, atol=1e-13)
    assert y.dtype == np.float64


def test_exponential_is_that_of_keras():
    x, expected = RECORD["exponential"]
    np.testing.assert_allclose(activations.exponential(x), expected, rtol=1e-13)


@pytest.mark.parametrize("name", ROW_WISE)
@pytest.mark.parametrize("axis", [-1, 0])
def test_rows_are_those_of_keras(name, axis):
    y = getattr(activations, name)(np.array(RECORD["rows"]), axis=axis)
    np.testing.assert_allclose(y, RECORD["by_row"][name][str(axis)], rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("name", [key for key in SIGNATURES if key.startswith("activations.")])
def test_names_order_and_defaults_are_those_of_keras(name):
    parameters = inspect.signature(getattr(activations, name.partition(".")[2])).parameters.values()
    ours = [
        [p.name, None if p.default is inspect.Parameter.empty else p.default, p.default is inspect.Parameter.empty]
        for p in parameters
    ]
    assert ours == SIGNATURES[name]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_objects_compute_what_the_kernels_are_tested_against(spec):
    x = np.random.default_rng(3).normal(0, 3, size=(5, 4))
    np.testing.assert_allclose(spec(x), activate(spec.name, x, spec.alpha), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes_overflow_nowhere(spec, dtype):
    """Warnings are errors in these tests, so that an overflow on the way would show."""
    x = np.array([[-1e4, 1e4, 0.0, -90.0], [-0.0, 1e-30, 700.0, -1e-4]], dtype)
    if spec.name == "exponential":
        x = np.minimum(x, 80)
    y = spec(x)
    assert y.dtype == dtype
    assert y.shape == x.shape
    assert np.isfinite(y).all()
    if spec.name not in ROW_WISE:
        assert np.isfinite(spec.derivative(x)).all()


@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "relu6", "elu", "selu", "softplus", "sigmoid", "tanh", "hard_sigmoid"]
)
def test_infinities_and_nan(name):
    limits = {"relu": (0, np.inf), "leaky_relu": (-np.inf, np.inf), "relu6": (0, 6), "elu": (-1, np.inf),
              "selu": (-1.0507009873554805 * 1.6732632423543772, np.inf), "softplus": (0, np.inf), "sigmoid": (0, 1),
              "tanh": (-1, 1), "hard_sigmoid": (0, 1)}  # fmt: skip
    y = Activation(name)(np.array([-np.inf, np.inf, np.nan]))
    assert y[:2] == pytest.approx(limits[name])
    assert np.isnan(y[2])


def test_exponential_overflows_quietly():
    assert activations.exponential(np.float32([1e4])).tolist() == [np.inf]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_types(spec):
    floats = np.array([[-2.0, 0.0, 3.0]])
    for dtype in (np.int8, np.int64, np.uint8, np.bool_, np.float16):
        y = spec(np.abs(floats).astype(dtype))
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, spec(np.abs(floats).astype(dtype).astype(np.float32)))
    assert spec([[1, 2, 3]]).dtype == np.float32
    assert spec([[1.0, 2.0]]).dtype == np.float64
    before = floats.copy()
    spec(floats)
    assert np.array_equal(floats, before)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.name not in ROW_WISE], ids=str)
def test_derivatives_against_central_differences(spec):
    kinks = {"relu": [0], "leaky_relu": [0], "elu": [0], "selu": [0], "relu6": [0, 6], "hard_sigmoid": [-3, 3]}
    x = np.linspace(-7, 7, 281) + 0.0123
    x = x[np.abs(x[:, None] - np.array(kinks.get(spec.name, [np.inf]))).min(axis=1) > 1e-3]
    h = 1e-5
    slope = (spec(x + h) - spec(x - h)) / (2 * h)
    np.testing.assert_allclose(spec.derivative(x), slope, rtol=1e-6, atol=1e-9)
    assert spec.derivative(x).dtype == np.float64


@pytest.mark.parametrize("name", ROW_WISE)
def test_activations_of_rows_have_no_derivative_of_their_own(name):
    with pytest.raises(ValueError, match="not element-wise"):
        Activation(name).derivative([1.0, 2.0])


def test_softmax_is_a_distribution_however_large_its_inputs():
    y = activations.softmax(np.float32([[1e4, 1e4 - 1, -1e4], [3e38, 3e38, 0]]))
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-6)
    assert y[1].tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_name_of_the_contract(name):
    spec = activations.get(name)
    assert spec == Activation(name)
    assert spec.alpha == ACTIVATION_ALPHA.get(name, 0.0)
    assert type(spec.alpha) is float
    assert activations.get(name.upper()) == spec


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        (None, Activation("linear")),
        ("swish", Activation("silu")),
        ("identity", Activation("linear")),
        (activations.relu, Activation("relu")),
        (activations.swish, Activation("silu")),
        (activations.gelu, Activation("gelu")),
        (activations.softmax, Activation("softmax")),
        (LeakyReLU(), Activation("leaky_relu", 0.3)),
        (ELU(alpha=0.5), Activation("elu", 0.5)),
        (ReLU(max_value=6), Activation("relu6")),
        (Softmax(), Activation("softmax")),
        (serialize(Activation("elu", 0.5)), Activation("elu", 0.5)),
    ],
)
def test_get(identifier, expected):
    assert activations.get(identifier) == expected


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_activations_are_hashable_comparable_frozen_data(spec):
    again = deserialize(json.loads(json.dumps(serialize(spec))), lookup("activations"))
    assert again == spec
    assert hash(again) == hash(spec)
    assert Activation(spec.name, np.float64(spec.alpha)) == spec
    with pytest.raises(FrozenInstanceError):
        spec.name = "relu"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: activations.get("rellu"), ValueError, "activation must be one of elu, .* got 'rellu'"),
        (lambda: activations.get(3), TypeError, "an activation must be a name, .* got 3"),
        (lambda: activations.get(np.tanh), TypeError, "must be a name, an Activation, a layer or a function of"),
        (lambda: activations.get(LeakyReLU), TypeError, "must be a name"),
        (lambda: activations.get(Dense(3)), TypeError, "must be a name"),
        (lambda: Activation(3), TypeError, "name must be a string, got 3"),
        (lambda: Activation("tanh", 0.5), ValueError, "'tanh' takes no alpha, got 0.5; leave it out"),
        (lambda: Activation("elu", "a"), TypeError, "alpha must be a number, got 'a'"),
        (lambda: Activation("elu", float("nan")), ValueError, "alpha must be finite"),
        (lambda: activations.get({"class_name": "Dense", "config": {"units": 3}}), ValueError, "'Dense'"),
    ],
)
def test_what_is_no_activation_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
