"""Every update rule, with each of its flags, on both backends against the reference."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from fastann_kernels.numba_backend import updates
from fastann_kernels.program import UPDATES, UpdateRule

from tests.comparisons import Comparison
from tests.programs import Chain, loss_on, parameters_for, steps_for

NUMBERS = {
    "lr": 0.02, "momentum": 0.8, "rho": 0.9, "epsilon": 1e-3, "alpha": 0.02, "beta_1": 0.8, "beta_2": 0.95,
    "m_scale": 1.3, "g_scale": 0.4, "v_scale": 1.7, "decay": 0.01, "clipvalue": 0.05, "clipnorm": 0.1,
    "global_clipnorm": 0.15, "ema_momentum": 0.7, "carried": 0.9,
}  # fmt: skip

#: (rule, its own flags): initial slots.
RULES: dict[tuple[str, ...], tuple[float, ...]] = {
    ("sgd",): (),
    ("sgd", "momentum"): (0.0,),
    ("sgd", "momentum", "nesterov"): (0.0,),
    ("rmsprop",): (0.0,),
    ("rmsprop", "momentum"): (0.0, 0.0),
    ("rmsprop", "centered"): (0.0, 0.0),
    ("rmsprop", "centered", "momentum"): (0.0, 0.0, 0.0),
    ("adagrad",): (0.1,),
    ("adam",): (0.0, 0.0),
    ("adam", "amsgrad"): (0.0, 0.0, 0.0),
    ("nadam",): (0.0, 0.0),
    ("adamax",): (0.0, 0.0),
    ("lion",): (0.0,),
}
COMMON = [
    (),
    ("decay",),
    ("clipnorm",),
    ("global_clipnorm",),
    ("clipvalue",),
    ("ema",),
    ("clipnorm", "decay", "ema"),
]

EVERY = [(own, common) for own in RULES for common in COMMON]
#: JAX compiles each: every rule once, every common flag twice or more.
SOME = [(own, COMMON[n % len(COMMON)]) for n, own in enumerate(RULES)] + [(("adam",), ("ema",))]


def rule_of(own: tuple[str, ...], common: tuple[str, ...]) -> UpdateRule:
    slots = RULES[own] + ((0.0,) if "ema" in common else ())
    return UpdateRule(own[0], slots, tuple(sorted({*own[1:], *common})))


def compare(backend, own, common, precision="float64"):
    """Five steps of a network with a frozen tensor between trained ones; the averages are written back once."""
    chain = Chain(3)
    chain.dense(4, "tanh")
    chain.dense(3, "sigmoid", trainable=False)
    chain.dense(2)
    program = chain.program((loss_on(chain, "mean_squared_error"),), update=rule_of(own, common))
    rng = np.random.default_rng(11)
    data = (rng.normal(size=(9, 3)), rng.normal(size=(9, 2)), None)
    penalties = np.tile([0.0, 0.01], (len(program.parameters), 1))
    steps = steps_for(program, 9, 4, epochs=2, numbers=NUMBERS, penalties=penalties)
    steps.coefficients[3, program.update.columns.index("ema_overwrite")] = 1.0
    steps.coefficients[0, program.update.columns.index("ema_momentum")] = 0.0
    comparison = Comparison(backend, program, parameters_for(program, rng), data, precision)
    comparison.check_train(steps, resumed=backend == "numba" or common == ("ema",))


def test_every_rule_is_in_the_table():
    assert {own[0] for own in RULES} == set(UPDATES)


@pytest.mark.parametrize(("own", "common"), EVERY, ids=lambda flags: "+".join(flags) or "plain")
def test_rules_on_numba(own, common):
    pytest.importorskip("numba")
    compare("numba", own, common)


@pytest.mark.parametrize(("own", "common"), SOME, ids=lambda flags: "+".join(flags) or "plain")
def test_rules_on_jax(own, common):
    pytest.importorskip("jax")
    compare("jax", own, common)


@pytest.mark.parametrize("own", RULES, ids="+".join)
def test_rules_in_single_precision_on_numba(own):
    pytest.importorskip("numba")
    compare("numba", own, (), "float32")


@pytest.mark.parametrize("own", [("adam",), ("rmsprop", "centered", "momentum")], ids="+".join)
def test_rules_in_single_precision_on_jax(own):
    pytest.importorskip("jax")
    compare("jax", own, (), "float32")


DECAYING = {
    "sgd": lambda w, g, m, v: updates.sgd(w, g, m, updates.MOMENTUM, 0.1, 0.9, 0.9),
    "nesterov": lambda w, g, m, v: updates.sgd(w, g, m, updates.MOMENTUM | updates.NESTEROV, 0.1, 0.9, 0.9),
    "adam": lambda w, g, m, v: updates.adam(w, g, m, v, 1e-3, 0.9, 0.999, 1e-7),
    "amsgrad": lambda w, g, m, v: updates.amsgrad(w, g, m, v, v, 1e-3, 0.9, 0.999, 1e-7),
    "nadam": lambda w, g, m, v: updates.nadam(w, g, m, v, 1e-3, 0.9, 0.999, 1e-7, 0.9, 0.1, 1.0),
    "adamax": lambda w, g, m, v: updates.adamax(w, g, m, v, 1e-3, 0.9, 0.999, 1e-7),
    "lion": lambda w, g, m, v: updates.lion(w, g, m, 1e-3, 0.9, 0.99),
    "rmsprop": lambda w, g, m, v: updates.rmsprop(w, g, v, m, v, updates.MOMENTUM, 1e-3, 0.9, 0.9, 1e-7),
}


@pytest.mark.parametrize("rule", DECAYING)
def test_momentum_without_gradients_becomes_zero(rule):
    """Not a subnormal number, on which arithmetic is slow; a NaN stays."""
    w, g, v = np.ones(3, np.float32), np.zeros(3, np.float32), np.ones(3, np.float32)
    m = np.array([1e-30, -1e-32, np.nan], np.float32)
    step = numba.njit(DECAYING[rule])  # kernels of the epoch loop can only be called by compiled code
    for _ in range(1000):
        step(w, g, m, v)
    assert m[:2].tolist() == [0, 0]
    assert np.isnan(m[2])
