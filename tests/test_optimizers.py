"""Optimizers as data: Keras 3's names, defaults and trajectories, coefficients, and what is refused."""

from __future__ import annotations

import inspect
import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from fastann_kernels.program import UPDATES, Parameter, Program

from fastann import optimizers, schedules
from fastann.optimizers import SGD, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, Optimizer, RMSprop
from fastann.optimizers.adam import one_minus_power
from fastann.spec import deserialize, lookup, serialize
from tests.reference.updates import update

RECORD = json.loads((Path(__file__).parent / "oracles" / "keras_specs.json").read_text())
CLASSES = [SGD, RMSprop, Adagrad, Adam, AdamW, Nadam, Adamax, Lion]

#: Where the signatures differ from Keras's on purpose.
NOT_IN_FASTANN = {"loss_scale_factor", "gradient_accumulation_steps"}
NOT_IN_KERAS = {"exclude_from_weight_decay"}  # there a method
NOT_IN_KERAS_SGD = {"momentum_correction"}


def make(name, settings):
    """Return the optimizer that a record describes, with its schedule."""
    settings = dict(settings)
    if "exclude" in settings:
        settings["exclude_from_weight_decay"] = tuple(settings.pop("exclude"))
    if "schedule" in settings:
        kind, arguments = settings.pop("schedule")
        settings["learning_rate"] = getattr(schedules, kind)(**arguments)
    return getattr(optimizers, name)(**settings)


def rates_of(optimizer, first, steps):
    rate = optimizer.learning_rate
    return np.array([rate(step) for step in range(first, first + steps)]) if callable(rate) else np.full(steps, rate)


def gradient(step, weights):
    """Return the made-up gradients of record_keras_specs.py."""
    places = np.arange(1, 9)
    g = np.sin(0.9 * places * (step + 1)) * places / 4 + 0.3 * weights
    g[5] = 0.0
    return g


def trajectory(optimizer, steps=10):
    """Return weights and slots after each step of the reference of `UpdateRule`: a kernel (3, 2) and a bias (2,)."""
    excluded = optimizer.exclude_from_weight_decay
    layout = tuple(
        Parameter(name, shape, offset, decay=not any(part in name for part in excluded))
        for name, shape, offset in (("dense/kernel", (3, 2), 0), ("dense/bias", (2,), 6))
    )
    rule = optimizer.update_rule()
    program = Program((), (), (), (), layout, update=rule)
    rows = optimizer.coefficients(0, rates_of(optimizer, 0, steps))
    weights = np.concatenate([np.linspace(-1, 1, 6), [0.5, -0.25]])
    slots = np.array([np.full(8, start) for start in rule.slots]).reshape(len(rule.slots), 8)
    trace = []
    for step, row in enumerate(rows):
        weights, slots = update(program, weights, slots, gradient(step, weights), row)
        trace.append((weights, slots))
    return trace


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    RECORD["optimizers"],
    ids=[f"{name}-{'-'.join(settings)}-{n}" for n, (name, settings, _) in enumerate(RECORD["optimizers"])],
)
def test_weights_are_those_of_keras(name, settings, expected):
    optimizer = make(name, settings)
    trace = trajectory(optimizer)
    found = [trace[step - 1][0] for step in (1, 3, 6, 10)]
    if optimizer.use_ema:
        found.append(trace[-1][1][-1])
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cls", CLASSES)
def test_names_order_and_defaults_are_those_of_keras(cls):
    keras = {name: default for name, default, _ in RECORD["signatures"][f"optimizers.{cls.__name__}"]}
    parameters = inspect.signature(cls).parameters
    ours = {name: p.default for name, p in parameters.items()}
    assert set(keras) - set(ours) == NOT_IN_FASTANN
    assert set(ours) - set(keras) == NOT_IN_KERAS | (NOT_IN_KERAS_SGD if cls is SGD else set())
    assert {name: ours[name] for name in keras if name in ours} == {n: d for n, d in keras.items() if n in ours}
    positional = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == list(keras)[: len(positional)]
    assert len(positional) == list(keras).index("clipnorm" if cls is AdamW else "weight_decay")


@pytest.mark.parametrize("cls", CLASSES)
def test_rules_are_in_the_contract(cls):
    rule = cls().update_rule()
    assert rule.op in UPDATES
    assert cls().coefficients(0, np.ones(3)).shape == (3, len(rule.columns))
    assert cls().coefficients(0, np.ones(3)).dtype == np.float64
    assert cls().coefficients(5, np.ones(0)).shape == (0, len(rule.columns))


@pytest.mark.parametrize(
    ("optimizer", "slots", "flags"),
    [
        (SGD(), (), ()),
        (SGD(nesterov=True), (), ()),
        (SGD(momentum=0.9, nesterov=True), (0.0,), ("momentum", "nesterov")),
        (RMSprop(), (0.0,), ()),
        (RMSprop(momentum=0.5, centered=True, use_ema=True), (0.0,) * 4, ("centered", "ema", "momentum")),
        (Adagrad(initial_accumulator_value=0.3, clipvalue=1), (0.3,), ("clipvalue",)),
        (Adam(amsgrad=True, clipnorm=1), (0.0,) * 3, ("amsgrad", "clipnorm")),
        (Adam(weight_decay=0.0), (0.0,) * 2, ()),
        (AdamW(), (0.0,) * 2, ("decay",)),
        (AdamW(weight_decay=None), (0.0,) * 2, ()),
        (Nadam(global_clipnorm=2.0), (0.0,) * 2, ("global_clipnorm",)),
        (Adamax(), (0.0,) * 2, ()),
        (Lion(weight_decay=0.1), (0.0,), ("decay",)),
    ],
    ids=str,
)
def test_slots_and_flags_follow_the_settings(optimizer, slots, flags):
    rule = optimizer.update_rule()
    assert rule.slots == slots
    assert rule.flags == flags


@pytest.mark.parametrize("cls", CLASSES)
def test_coefficients_depend_on_the_update_alone(cls):
    """A run that is cut anywhere sees the rows of one that was not, to the last bit."""
    optimizer = cls(weight_decay=0.1, use_ema=True, ema_overwrite_frequency=3)
    rates = np.linspace(0.1, 0.01, 40)
    whole = optimizer.coefficients(0, rates)
    for first in range(40):
        assert np.array_equal(whole[first:], optimizer.coefficients(first, rates[first:]))
        assert np.array_equal(whole[first : first + 1], optimizer.coefficients(first, rates[first : first + 1]))


@pytest.mark.parametrize("beta", [0.0, 1e-9, 0.5, 0.9, 0.999, 1 - 1e-6])
@pytest.mark.parametrize("first", [1, 30, 340, 37_000, 10**8])
def test_powers_that_do_not_show_are_left_out(beta, first):
    t = np.arange(first, first + 1000, dtype=np.float64)
    assert np.array_equal(one_minus_power(beta, t), 1 - beta**t)
    assert len(one_minus_power(beta, t[:0])) == 0


def test_common_columns():
    optimizer = SGD(
        0.1, weight_decay=0.5, global_clipnorm=2.0, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=2
    )
    rows = optimizer.coefficients(0, np.array([0.1, 0.2, 0.3, 0.4]))
    columns = dict(zip(optimizer.update_rule().columns, rows.T, strict=True))
    assert columns["decay"] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert columns["ema_momentum"].tolist() == [0.0, 0.9, 0.9, 0.9]
    assert columns["ema_overwrite"].tolist() == [0, 1, 0, 1]
    assert columns["global_clipnorm"].tolist() == [2.0] * 4
    assert not columns["clipnorm"].any()
    assert not columns["clipvalue"].any()
    assert columns["lr"].tolist() == [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("beta_1", [0.0, 0.5, 0.9, 0.9999])
def test_nadam_product_of_momenta_far_into_a_run(beta_1):
    optimizer = Nadam(beta_1=beta_1)
    rows = optimizer.coefficients(0, np.ones(3000))
    mu = [beta_1 * (1 - 0.5 * 0.96**t) for t in range(1, 3002)]
    product, columns = 1.0, optimizer.update_rule().columns
    m_scale, g_scale = rows[:, columns.index("m_scale")], rows[:, columns.index("g_scale")]
    for step in range(3000):
        product *= mu[step]
        assert m_scale[step] == pytest.approx(mu[step + 1] / (1 - product * mu[step + 1]), rel=1e-11)
        assert g_scale[step] == pytest.approx((1 - mu[step]) / (1 - product), rel=1e-11)


def test_coefficients_of_a_long_run_stay_finite():
    for cls in CLASSES:
        assert np.isfinite(cls(weight_decay=0.1).coefficients(10**9, np.full(3, 0.1))).all()


@pytest.mark.parametrize("cls", CLASSES)
def test_optimizers_are_hashable_comparable_frozen_data(cls):
    one, other = cls(learning_rate=0.25, clipnorm=1), cls(learning_rate=np.float32(0.25), clipnorm=np.float64(1))
    assert one == other
    assert hash(one) == hash(other)
    assert one != cls(learning_rate=0.5, clipnorm=1)
    assert type(other.learning_rate) is float
    assert type(one.clipnorm) is float
    with pytest.raises(FrozenInstanceError):
        one.learning_rate = 0.1
    assert eval(repr(one), {cls.__name__: cls}) == one


@pytest.mark.parametrize(("name", "settings", "_"), RECORD["optimizers"])
def test_optimizers_go_through_json(name, settings, _):
    optimizer = make(name, settings)
    text = json.dumps(serialize(optimizer))
    again = deserialize(json.loads(text), lookup("optimizers"))
    assert again == optimizer
    assert type(again) is type(optimizer)
    assert again.update_rule() == optimizer.update_rule()
    assert type(optimizer).from_config(optimizer.get_config()) == optimizer
    assert optimizers.get(json.loads(text)) == optimizer


def test_functions_train_but_are_not_written():
    optimizer = Adam(learning_rate=lambda step: 0.1 / (step + 1))
    assert rates_of(optimizer, 0, 2).tolist() == [0.1, 0.05]
    assert optimizer.update_rule() == Adam().update_rule()
    with pytest.raises(TypeError, match=r"Adam\.learning_rate must .*got function .*lambda"):
        serialize(optimizer)


@pytest.mark.parametrize("cls", CLASSES)
def test_get_knows_every_name(cls):
    assert optimizers.get(cls.__name__) == cls()
    assert optimizers.get(cls.__name__.lower()) == cls()
    assert optimizers.get(cls(learning_rate=0.5)) == cls(learning_rate=0.5)


def test_keras_places_of_arguments():
    assert AdamW(0.1, 0.2, 0.3, 0.4, 0.5, True) == AdamW(
        learning_rate=0.1, weight_decay=0.2, beta_1=0.3, beta_2=0.4, epsilon=0.5, amsgrad=True
    )
    assert SGD(0.1, 0.9, True) == SGD(learning_rate=0.1, momentum=0.9, nesterov=True)
    assert RMSprop(0.1, 0.8, 0.7, 0.6, True).centered


def test_schedules_have_their_place_in_keras_too():
    from fastann.optimizers.schedules import CosineDecay

    assert CosineDecay is schedules.CosineDecay is optimizers.schedules.CosineDecay


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(-0.1), ValueError, r"learning_rate must .* got -0\.1"),
        (lambda: SGD(float("nan")), ValueError, "learning_rate must be finite, got nan"),
        (lambda: SGD(float("inf")), ValueError, "learning_rate must be finite, got inf"),
        (lambda: SGD("0.1"), TypeError, r"learning_rate must be a number, got '0\.1'"),
        (lambda: SGD(True), TypeError, "learning_rate must be a number, got True"),
        (lambda: SGD(None), TypeError, "learning_rate must be a number, got None"),
        (lambda: SGD([0.1]), TypeError, "learning_rate must be a number"),
        (lambda: SGD(schedules.CosineDecay), TypeError, "got the class CosineDecay; make an object"),
        (lambda: SGD(momentum=1.0), ValueError, r"momentum must lie in \[0, 1\), got 1"),
        (lambda: SGD(momentum=-0.1), ValueError, r"momentum must lie in \[0, 1\)"),
        (lambda: SGD(nesterov=1), TypeError, "nesterov must be True or False, got 1"),
        (lambda: RMSprop(rho=1.5), ValueError, "rho must lie"),
        (lambda: RMSprop(momentum=2), ValueError, "momentum must lie"),
        (lambda: RMSprop(epsilon=-1e-7), ValueError, "epsilon must lie"),
        (lambda: RMSprop(centered="yes"), TypeError, "centered must be"),
        (lambda: Adagrad(initial_accumulator_value=-1), ValueError, "initial_accumulator_value must lie"),
        *((lambda cls=cls: cls(beta_1=1.0), ValueError, "beta_1 must lie") for cls in CLASSES[3:]),
        *((lambda cls=cls: cls(beta_2=-0.1), ValueError, "beta_2 must lie") for cls in CLASSES[3:]),
        (lambda: Adam(amsgrad=None), TypeError, "amsgrad must be"),
        (lambda: Adam(clipnorm=-1), ValueError, r"clipnorm must lie in \(0, inf\), got -1"),
        (lambda: Adam(clipvalue=0), ValueError, "clipvalue must lie"),
        (lambda: Adam(global_clipnorm=-2.5), ValueError, "global_clipnorm must lie"),
        (lambda: Adam(clipnorm=1, clipvalue=1), ValueError, "only one of .* got clipnorm and clipvalue"),
        (lambda: Adam(weight_decay=-0.1), ValueError, "weight_decay must lie"),
        (lambda: Adam(use_ema=1), TypeError, "use_ema must be"),
        (lambda: Adam(ema_momentum=1.1), ValueError, "ema_momentum must lie"),
        (lambda: Adam(ema_overwrite_frequency=0), ValueError, "ema_overwrite_frequency must be at least 1, got 0"),
        (lambda: Adam(ema_overwrite_frequency=1.5), TypeError, "ema_overwrite_frequency must be a whole number"),
        (lambda: Adam(name=3), TypeError, "name must be a string or None, got 3"),
        (lambda: Adam(exclude_from_weight_decay="bias"), TypeError, r"must be a tuple of strings .* got 'bias'"),
        (lambda: Adam(exclude_from_weight_decay=(1,)), TypeError, "must be a tuple of strings"),
        (lambda: Adam(lr=0.1), TypeError, "lr"),
        (lambda: optimizers.get("adamant"), ValueError, "must be one of 'adagrad', .* got 'adamant'"),
        (lambda: optimizers.get(Adam), TypeError, r"make an object of it: Adam\(\)"),
        (lambda: optimizers.get(3), TypeError, "must be a name or an Optimizer, got 3"),
        (lambda: Optimizer(), TypeError, "use one of its kinds, such as Adam"),
        (lambda: Adam.from_config({"beta": 1}), ValueError, "got 'beta'"),
    ],
)
def test_wrong_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
