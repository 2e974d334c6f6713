"""Initializers: fans and bounds of Keras 3, statistics, seeds, orthogonality, and what is refused."""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fastann import initializers
from fastann.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    Initializer,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
    compute_fans,
)
from fastann.spec import deserialize, lookup, register, serialize

RECORDS = json.loads((Path(__file__).parent / "oracles" / "keras_specs.json").read_text())
RECORD, SIGNATURES = RECORDS["initializers"], RECORDS["signatures"]

FIXED = [Zeros(), Ones(), Constant(0.5), Identity(), Identity(gain=2.0)]
RANDOM = [
    RandomNormal(), RandomNormal(mean=1.0, stddev=0.2), RandomUniform(), RandomUniform(-1.0, 3.0), TruncatedNormal(),
    TruncatedNormal(mean=-2.0, stddev=0.5), VarianceScaling(), VarianceScaling(2.0, "fan_out", "uniform"),
    VarianceScaling(0.5, "fan_avg", "untruncated_normal"), GlorotUniform(), GlorotNormal(), HeUniform(), HeNormal(),
    LecunUniform(), LecunNormal(), Orthogonal(), Orthogonal(gain=0.5),
]  # fmt: skip


def draw(initializer, shape, seed=5):
    return initializer.initialize(shape, np.random.default_rng(seed))


@pytest.mark.parametrize(("shape", "fans"), RECORD["fans"], ids=str)
def test_fans_are_those_of_keras(shape, fans):
    assert list(compute_fans(tuple(shape))) == fans


@pytest.mark.parametrize(("shape", "largest"), RECORD["largest_of_glorot_uniform"], ids=str)
def test_glorot_uniform_reaches_as_far_as_that_of_keras(shape, largest):
    values = draw(GlorotUniform(), shape)
    assert np.abs(values).max() == pytest.approx(largest, rel=2e-3)
    assert np.abs(values).max() <= math.sqrt(6 / sum(compute_fans(tuple(shape))))


@pytest.mark.parametrize("name", RECORD["drawn"])
def test_spread_is_that_of_keras(name):
    values = draw(getattr(initializers, name)(), RECORD["shape"])
    assert values.std() == pytest.approx(RECORD["drawn"][name]["std"], rel=0.01)
    if name != "RandomNormal":
        assert np.abs(values).max() == pytest.approx(RECORD["drawn"][name]["largest"], rel=2e-3)


@pytest.mark.parametrize("name", [key for key in SIGNATURES if key.startswith("initializers.")])
def test_names_order_and_defaults_are_those_of_keras(name):
    """But for input_axes and output_axes, which no layer here needs."""
    parameters = inspect.signature(getattr(initializers, name.partition(".")[2])).parameters.values()
    keras = [[n, default] for n, default, _ in SIGNATURES[name] if n not in ("input_axes", "output_axes")]
    assert [[p.name, p.default] for p in parameters] == keras


#: mean, variance (for fan in 400, fan out 250) and distribution of standardised values.
SHAPE = (400, 250)
CUT = stats.truncnorm(-2, 2)
EXPECTED = [
    (RandomNormal(1.0, 0.2), 1.0, 0.04, stats.norm()),
    (RandomUniform(-1.0, 3.0), 1.0, 16 / 12, stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))),
    (TruncatedNormal(-2.0, 0.5), -2.0, 0.25 * CUT.var(), stats.truncnorm(-2, 2, scale=1 / CUT.std())),
    (VarianceScaling(3.0, "fan_out", "untruncated_normal"), 0.0, 3 / 250, stats.norm()),
    (VarianceScaling(3.0, "fan_avg", "normal"), 0.0, 3 / 325, stats.truncnorm(-2, 2, scale=1 / CUT.std())),
    (GlorotUniform(), 0.0, 2 / 650, stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))),
    (GlorotNormal(), 0.0, 2 / 650, stats.truncnorm(-2, 2, scale=1 / CUT.std())),
    (HeUniform(), 0.0, 2 / 400, stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))),
    (HeNormal(), 0.0, 2 / 400, stats.truncnorm(-2, 2, scale=1 / CUT.std())),
    (LecunUniform(), 0.0, 1 / 400, stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))),
    (LecunNormal(), 0.0, 1 / 400, stats.truncnorm(-2, 2, scale=1 / CUT.std())),
]


@pytest.mark.parametrize(
    ("initializer", "mean", "variance", "distribution"), EXPECTED, ids=lambda value: str(value)[:40]
)
def test_distributions(initializer, mean, variance, distribution):
    values = draw(initializer, SHAPE)
    assert values.mean() == pytest.approx(mean, abs=5 * math.sqrt(variance / values.size))
    assert values.var() == pytest.approx(variance, rel=0.02)
    standardised = (values.ravel()[:5000] - mean) / math.sqrt(variance)
    assert stats.kstest(standardised, distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (3, 3, 2, 5), (2, 2, 3, 40)])
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal(shape, gain):
    matrix = draw(Orthogonal(gain), shape).reshape(-1, shape[-1]) / gain
    product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(product, np.eye(min(matrix.shape)), atol=1e-13)


def test_orthogonal_is_uniform_over_rotations():
    """Without the signs of R, the first entry of Q would never be positive."""
    corners = [draw(Orthogonal(), (3, 3), seed)[0, 0] for seed in range(400)]
    assert np.mean(corners) == pytest.approx(0, abs=5 * math.sqrt(1 / 3 / 400))
    assert np.var(corners) == pytest.approx(1 / 3, rel=0.2)


def test_fixed_values():
    assert draw(Zeros(), (2, 3)).tolist() == [[0.0] * 3] * 2
    assert draw(Ones(), (3,)).tolist() == [1.0] * 3
    assert draw(Constant(np.float32(0.5)), (2,)).tolist() == [0.5, 0.5]
    assert draw(Identity(2.0), (2, 3)).tolist() == [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_one_seed_one_draw(initializer):
    assert np.array_equal(draw(initializer, (6, 4), 1), draw(initializer, (6, 4), 1))
    assert not np.array_equal(draw(initializer, (6, 4), 1), draw(initializer, (6, 4), 2))
    assert np.array_equal(initializer((6, 4), seed=3), initializer((6, 4), seed=3))
    assert not np.array_equal(initializer((6, 4)), initializer((6, 4)))


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_a_seed_of_its_own_comes_first(initializer):
    seeded = type(initializer)(**(initializer.get_config() | {"seed": 11}))
    assert np.array_equal(draw(seeded, (6, 4), 1), draw(seeded, (6, 4), 2))
    assert np.array_equal(seeded((6, 4), "float64"), draw(initializer, (6, 4), 11))
    rng = np.random.default_rng(1)
    seeded.initialize((6, 4), rng)
    assert rng.random() == np.random.default_rng(1).random()


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_numpys_global_generator_is_left_alone(initializer):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    initializer((6, 4))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("initializer", [*FIXED, *RANDOM], ids=str)
def test_types_and_shapes(initializer):
    assert initializer((5, 5)).dtype == np.float32
    assert initializer((5, 5), np.float64).dtype == np.float64
    assert initializer((5, 5), dtype="float16").dtype == np.float16
    assert draw(initializer, (5, 7)).dtype == np.float64
    assert draw(initializer, [np.int64(5), 7]).shape == (5, 7)


@pytest.mark.parametrize(
    "initializer", [each for each in (*FIXED, *RANDOM) if not isinstance(each, Orthogonal | Identity)]
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (0, 4), (2, 3, 4, 5)])
def test_any_rank(initializer, shape):
    assert draw(initializer, shape).shape == shape


@pytest.mark.parametrize("initializer", [*FIXED, *RANDOM], ids=str)
def test_initializers_are_hashable_comparable_frozen_data(initializer):
    again = deserialize(json.loads(json.dumps(serialize(initializer))), lookup("initializers"))
    assert again == initializer
    assert hash(again) == hash(initializer)
    assert initializers.get(serialize(initializer)) == initializer
    with pytest.raises(FrozenInstanceError):
        initializer.seed = 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("glorot_uniform", GlorotUniform()), ("GlorotUniform", GlorotUniform()), ("he_normal", HeNormal()),
        ("lecun_uniform", LecunUniform()), ("zeros", Zeros()), ("zero", Zeros()), ("ones", Ones()), ("one", Ones()),
        ("normal", RandomNormal()), ("uniform", RandomUniform()), ("truncated_normal", TruncatedNormal()),
        ("orthogonal", Orthogonal()), ("identity", Identity()), ("variance_scaling", VarianceScaling()),
        ("constant", Constant()), (HeUniform, HeUniform()), (Constant(2), Constant(2.0)),
    ],
)  # fmt: skip
def test_get(name, expected):
    assert initializers.get(name) == expected


@register("initializers")
@dataclass(frozen=True)
class Ramp(Initializer):
    """An initializer of a user."""

    step: float = 0.5

    def draw(self, shape, rng):
        return np.arange(math.prod(shape)).reshape(shape) * self.step


def test_initializers_of_a_user():
    assert Ramp()((2, 2)).tolist() == [[0.0, 0.5], [1.0, 1.5]]
    assert initializers.get(serialize(Ramp(0.1))) == Ramp(0.1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: initializers.get("glorot"), ValueError, "an initializer must be one of constant, .* got 'glorot'"),
        (lambda: initializers.get(3), TypeError, "must be a name or an Initializer, got 3"),
        (lambda: initializers.get(None), TypeError, "must be a name or an Initializer, got None"),
        (lambda: Constant("a"), TypeError, "value must be a number, got 'a'"),
        (lambda: RandomNormal(stddev=-1), ValueError, r"stddev must lie in \[0, inf\), got -1"),
        (lambda: RandomNormal(mean=float("inf")), ValueError, "mean must be finite"),
        (lambda: RandomUniform(1, -1), ValueError, "maxval must not lie below minval, got maxval=-1, minval=1"),
        (lambda: VarianceScaling(0), ValueError, "scale must lie"),
        (lambda: VarianceScaling(mode="fan"), ValueError, "mode must be one of 'fan_in', .* got 'fan'"),
        (lambda: VarianceScaling(distribution="beta"), ValueError, "distribution must be one of .* got 'beta'"),
        (lambda: GlorotUniform(seed=-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: GlorotUniform(seed=1.5), TypeError, r"seed must be a whole number, got 1\.5"),
        (lambda: Orthogonal()((3,)), ValueError, r"Orthogonal needs a shape with two axes or more, got \(3,\)"),
        (lambda: Identity()((3, 3, 3)), ValueError, "Identity needs a shape with two axes"),
        (lambda: Zeros()((-1, 3)), ValueError, "a length in shape must be at least 0, got -1"),
        (lambda: Zeros()((1.5, 3)), TypeError, "a length in shape must be a whole number"),
        (lambda: Zeros()(3), TypeError, r"shape must be a tuple of whole numbers such as \(30, 16\), got 3"),
        (lambda: Initializer()((3,)), TypeError, "must override draw"),
    ],
)
def test_wrong_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
