"""Specifications to JSON and back, the registry, checks of settings, and the public names of the package."""

from __future__ import annotations

import doctest
import importlib
import json
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

import fastann
from fastann import activations, initializers, layers, losses, metrics, optimizers, regularizers, schedules
from fastann.spec import KINDS, Spec, bounded, deserialize, flag, label, lookup, number, register, serialize, whole


@register("layers")
@dataclass(frozen=True)
class Nest(Spec):
    """Settings of every kind that may be written."""

    items: tuple[object, ...] = ()
    number: float = 0.5
    text: str | None = None
    inner: object = None


EXAMPLES = [
    Nest(),
    Nest((1, 2.5, "a", None, True, (3, (4,)))),
    Nest((optimizers.Adam(schedules.CosineDecay(0.1, 10)), layers.Dense(3, "relu"))),
    Nest(inner=Nest(inner=Nest((initializers.HeNormal(seed=3), regularizers.L1(0.1))))),
    Nest((activations.Activation("elu", 0.5), layers.Activation("elu"), losses.MeanSquaredError())),
    layers.Dense(4, layers.LeakyReLU(0.1), kernel_regularizer="l2", bias_initializer=initializers.Constant(0.1)),
    optimizers.SGD(schedules.PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001]), exclude_from_weight_decay=("bias",)),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example)[:60])
def test_through_json_and_back(example):
    text = json.dumps(serialize(example), allow_nan=False)
    again = deserialize(json.loads(text))
    assert again == example
    assert type(again) is type(example)
    assert hash(again) == hash(example)
    assert json.dumps(serialize(again)) == text


def test_the_form_on_file():
    assert serialize(optimizers.Lion(0.5, exclude_from_weight_decay=("bias",))) == {
        "class_name": "Lion",
        "kind": "optimizers",
        "config": {
            "learning_rate": 0.5, "weight_decay": None, "clipnorm": None, "clipvalue": None, "global_clipnorm": None,
            "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None, "name": None,
            "exclude_from_weight_decay": ["bias"], "beta_1": 0.9, "beta_2": 0.99,
        },
    }  # fmt: skip


def test_classes_of_two_kinds_may_have_one_name():
    """`Activation` is a layer and an activation, `MeanSquaredError` a loss and a metric."""
    assert lookup("layers")["Activation"] is layers.Activation
    assert lookup("activations")["Activation"] is activations.Activation
    assert lookup("losses")["MeanSquaredError"] is losses.MeanSquaredError
    assert lookup("metrics")["MeanSquaredError"] is metrics.MeanSquaredError
    again = deserialize(serialize(layers.Dense(3, activation="elu")))
    assert isinstance(again.activation, activations.Activation)


def test_kind_may_be_left_out_where_the_registry_is_given():
    assert deserialize({"class_name": "SGD", "config": {}}, lookup("optimizers")) == optimizers.SGD()


def test_numpy_scalars_become_python_numbers():
    config = Nest((np.float32(0.5), np.int64(3), np.bool_(True), np.str_("a")), np.float64(0.25)).get_config()
    assert config == {"items": [0.5, 3, True, "a"], "number": 0.25, "text": None, "inner": None}
    assert [type(item) for item in config["items"]] == [float, int, bool, str]


def test_settings_left_out_have_their_defaults():
    assert initializers.RandomNormal.from_config({"seed": 3}) == initializers.RandomNormal(seed=3)


@pytest.mark.parametrize("kind", KINDS)
def test_lookup_finds_classes_of_modules_not_yet_imported(kind):
    table = lookup(kind)
    assert table
    assert all(name == cls.__name__ for name, cls in table.items())
    with pytest.raises(TypeError):
        table["Evil"] = dict


def test_registering_twice():
    assert register("layers")(Nest) is Nest
    with pytest.raises(ValueError, match="layers must have names of their own, got a second 'Dense'; rename the class"):

        @register("layers")
        @dataclass(frozen=True)
        class Dense(Spec):
            pass


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: serialize(3), TypeError, "only objects of registered classes can be saved, got an object of type int"),
        (lambda: serialize(len), TypeError, "only objects .* 'len'"),
        (lambda: serialize(Nest), TypeError, "only objects .* 'Nest'"),
        (
            lambda: serialize(Nest(text=lambda x: x)),
            TypeError,
            r"Nest\.text must be .* got function .*a Python function",
        ),
        (lambda: serialize(Nest((np.zeros(3),))), TypeError, r"Nest\.items must be .* type ndarray"),
        (lambda: serialize(Nest(({1: 2},))), TypeError, r"Nest\.items must be .* type dict"),
        (lambda: serialize(Nest(inner=object())), TypeError, r"Nest\.inner must be"),
        (lambda: serialize(Nest(inner=layers.Dense)), TypeError, r"Nest\.inner must be .* 'Dense'"),
        (lambda: deserialize(3), ValueError, "must be a mapping with 'class_name' and 'config', got 3"),
        (lambda: deserialize({}), ValueError, "must be a mapping with 'class_name' and 'config', got {}"),
        (lambda: deserialize({"class_name": "SGD"}), ValueError, "must be a mapping"),
        (lambda: deserialize({"class_name": 3, "config": {}}), ValueError, "must be a mapping"),
        (lambda: deserialize({"class_name": "SGD", "config": []}), ValueError, "must be a mapping"),
        (lambda: deserialize({"class_name": "SGD", "config": {3: 4}}), ValueError, "must be a mapping"),
        (lambda: deserialize({"class_name": "SGD", "config": {}}), ValueError, "the kind must be one of .* got ''"),
        (lambda: deserialize({"class_name": "SGD", "kind": "os", "config": {}}), ValueError, "got 'os'"),
        (lambda: deserialize({"class_name": "SGD", "kind": [], "config": {}}), ValueError, r"got \[\]"),
        (lambda: deserialize({"class_name": "eval", "kind": "layers", "config": {}}), ValueError, "got 'eval'; import"),
        (
            lambda: deserialize({"class_name": "x" * 999, "kind": "layers", "config": {}}),
            ValueError,
            r"x{70,76}\.\.\.;",
        ),
        (lambda: lookup("os"), ValueError, "the kind must be one of activations, .* got 'os'"),
        (lambda: register("os"), ValueError, "the kind must be one of"),
        (lambda: register("layers")(dict), TypeError, "dict must have get_config and from_config to be registered"),
        (lambda: Nest.from_config({"itmes": ()}), ValueError, "Nest has the settings items, .* got 'itmes'; remove it"),
        (lambda: layers.Dense.from_config({}), ValueError, r"Dense needs the setting 'units', got only \[\]"),
        (lambda: initializers.Zeros.from_config({"a": 1}), ValueError, "Zeros has the settings none, got 'a'"),
    ],
)
def test_what_cannot_be_written_or_read_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_nesting_without_end_is_refused():
    data = {"class_name": "Nest", "kind": "layers", "config": {}}
    for _ in range(2000):
        data = {"class_name": "Nest", "kind": "layers", "config": {"inner": data}}
    with pytest.raises(ValueError, match="nested too deeply"):
        deserialize(data)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int8(2), np.float64(2), Fraction(2), np.array(2.0)])
def test_numbers(value):
    for check in (number, bounded):
        found = check(value, "rate")
        assert found == 2.0
        assert type(found) is float


@pytest.mark.parametrize("value", [True, np.True_, "2", b"2", None, [2.0], np.ones(1), 1j, {}, object()])
def test_what_is_no_number(value):
    with pytest.raises(TypeError, match="rate must be a number, got"):
        number(value, "rate")


def test_bounds():
    assert bounded(0, "rate") == 0.0
    assert bounded(1, "rate", 0, 1) == 1.0
    for value, arguments, limits in (
        (-1, {}, r"\[0, inf\)"),
        (0, {"above": True}, r"\(0, inf\)"),
        (1, {"high": 1, "below": True}, r"\[0, 1\)"),
        (2, {"low": -1, "high": 1}, r"\[-1, 1\]"),
    ):
        with pytest.raises(ValueError, match=f"rate must lie in {limits}, got {value}"):
            bounded(value, "rate", **arguments)


def test_whole_numbers_flags_and_labels():
    assert (whole(np.int64(3), "n"), type(whole(np.int64(3), "n"))) == (3, int)
    assert (flag(np.True_, "f"), flag(False, "f")) == (True, False)
    assert (label(None, "name"), label("a", "name")) == (None, "a")
    for check, value in ((whole, 1.0), (whole, True), (whole, "1"), (flag, 1), (flag, None), (label, 1)):
        with pytest.raises(TypeError, match=r"it must be .*, got"):
            check(value, "it")
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        whole(0, "n", 1)


@pytest.mark.parametrize("name", fastann.__all__)
def test_public_names_are_there(name):
    assert getattr(fastann, name) is not None
    assert name in dir(fastann)


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="'fastann' has no attribute 'Sequentail'"):
        fastann.Sequentail  # noqa: B018


@pytest.mark.parametrize(
    "module",
    [
        "activations",
        "initializers",
        "optimizers",
        "optimizers.adam",
        "optimizers.sgd",
        "regularizers",
        "schedules.cosine",
        "schedules.cyclical",
        "schedules.decays",
        "schedules.linear_warmup",
        "schedules.piecewise_constant_decay",
        "spec",
    ],
)
def test_examples_in_docstrings(module):
    found = doctest.testmod(importlib.import_module(f"fastann.{module}"))
    assert found.attempted > 0
    assert found.failed == 0
