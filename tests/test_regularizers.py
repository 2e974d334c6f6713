"""Regularizers: Keras 3's penalties and signatures, identifiers, and what is refused."""

from __future__ import annotations

import inspect
import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from fastann import regularizers
from fastann.regularizers import L1, L1L2, L2
from fastann.spec import deserialize, lookup, serialize

RECORDS = json.loads((Path(__file__).parent / "oracles" / "keras_specs.json").read_text())
RECORD = RECORDS["regularizers"]
SPECS = [L1(), L2(), L1(0.3), L2(0.2), L1L2(), L1L2(0.1, 0.02), L1L2(l2=0.5)]


@pytest.mark.parametrize(("name", "settings", "penalty"), RECORD["values"], ids=str)
def test_penalties_are_those_of_keras(name, settings, penalty):
    found = getattr(regularizers, name)(**settings)(RECORD["w"])
    assert type(found) is float
    assert found == pytest.approx(penalty, rel=1e-14)


@pytest.mark.parametrize("name", ["L1", "L2", "L1L2"])
def test_names_order_and_defaults_are_those_of_keras(name):
    parameters = inspect.signature(getattr(regularizers, name)).parameters.values()
    keras = [[n, default] for n, default, _ in RECORDS["signatures"][f"regularizers.{name}"]]
    assert [[p.name, p.default] for p in parameters] == keras


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_penalty_by_its_definition(spec):
    w = np.random.default_rng(2).normal(size=(3, 4, 2))
    expected = sum(spec.l1 * abs(x) + spec.l2 * x * x for x in w.ravel().tolist())
    assert spec(w) == pytest.approx(expected, rel=1e-13)
    assert spec(w.astype(np.float32)) == pytest.approx(expected, rel=1e-5)
    assert spec(np.zeros((0, 3))) == 0.0
    assert spec(np.int8([-100, 100])) == pytest.approx(spec.l1 * 200 + spec.l2 * 20_000)


def test_all_have_both_factors():
    assert [(spec.l1, spec.l2) for spec in SPECS] == [
        (0.01, 0.0), (0.0, 0.01), (0.3, 0.0), (0.0, 0.2), (0.0, 0.0), (0.1, 0.02), (0.0, 0.5),
    ]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_regularizers_are_hashable_comparable_frozen_data(spec):
    again = deserialize(json.loads(json.dumps(serialize(spec))), lookup("regularizers"))
    assert again == spec
    assert type(again) is type(spec)
    assert hash(again) == hash(spec)
    with pytest.raises(FrozenInstanceError):
        spec.l1 = 0.5


def test_numbers_are_kept_as_python_has_them():
    spec = L1L2(np.float32(0.5), np.int64(2))
    assert spec == L1L2(0.5, 2.0)
    assert (type(spec.l1), type(spec.l2)) == (float, float)


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        (None, None), ("l1", L1()), ("L2", L2()), ("l1_l2", L1L2(0.01, 0.01)), ("L1L2", L1L2(0.01, 0.01)),
        (L1(0.5), L1(0.5)), (L2, L2()), (regularizers.l1_l2, L1L2()), (serialize(L1L2(0.1, 0.2)), L1L2(0.1, 0.2)),
    ],
)  # fmt: skip
def test_get(identifier, expected):
    assert regularizers.get(identifier) == expected


def test_lower_case_names_are_the_classes():
    assert (regularizers.l1, regularizers.l2, regularizers.l1_l2) == (L1, L2, L1L2)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: L1(-0.1), ValueError, r"l1 must lie in \[0, inf\), got -0\.1"),
        (lambda: L2(float("inf")), ValueError, "l2 must be finite, got inf"),
        (lambda: L1L2("0.1"), TypeError, "l1 must be a number"),
        (lambda: L1L2(l2=float("nan")), ValueError, "l2 must be finite, got nan"),
        (lambda: regularizers.get("l3"), ValueError, "must be 'l1', 'l2', 'l1_l2' or an object, got 'l3'"),
        (lambda: regularizers.get(0.01), TypeError, "a regularizer must be a name, .* got 0.01"),
        (lambda: regularizers.get(int), TypeError, "a regularizer must be a name"),
    ],
)
def test_wrong_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
