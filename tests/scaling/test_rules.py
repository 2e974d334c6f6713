"""Rules by hand: rates, betas, epsilon and averages at another batch size."""

from __future__ import annotations

import doctest
import json
import math
from dataclasses import fields

import numpy as np
import pytest

from fastann import scaling
from fastann.optimizers import SGD, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop
from fastann.scaling import (
    RULES,
    LinearScaling,
    half_life,
    rules,
    scale_beta_2,
    scale_ema_momentum,
    scale_learning_rate,
    scale_optimizer,
)
from fastann.schedules import LinearWarmup, Run, Scaled, StepDecay, scaled, scaling_rules
from fastann.spec import deserialize, lookup, serialize


@pytest.mark.parametrize(
    ("rule", "batch", "expected"),
    [
        ("none", 1024, 0.1),
        ("linear", 1024, 0.4),
        ("linear", 64, 0.025),
        ("linear", 256, 0.1),
        ("linear", 8192, 3.2),  # Goyal et al. 2017, ResNet-50
        ("sqrt", 1024, 0.2),
        ("sqrt", 64, 0.05),
        ("sde-sqrt", 1024, 0.2),
        # eta_max = 0.1 (1 + 1000 / 256) = 0.490625
        ("saturating", 1024, 0.490625 / (1 + 1000 / 1024)),
        ("saturating", 256, 0.1),
        ("saturating", 1000, 0.2453125),
    ],
)
def test_rates_by_hand(rule: str, batch: int, expected: float) -> None:
    found = scale_learning_rate(0.1, 256, batch, rule, noise_scale=1000)
    assert found == pytest.approx(expected, rel=1e-14)
    assert scale_learning_rate(0.3, 256, batch, rule, noise_scale=1000) == pytest.approx(3 * expected, rel=1e-14)


def test_saturating_lies_between_linear_and_constant() -> None:
    small = scale_learning_rate(0.1, 1, 10, "saturating", noise_scale=1e9)
    assert small == pytest.approx(1.0, rel=1e-7), "linear far below the noise scale"
    large = scale_learning_rate(0.1, 10_000, 1_000_000, "saturating", noise_scale=1.0)
    assert large == pytest.approx(0.1, rel=1e-3), "constant far above"


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        ((0.1, 256, 512, "cubic"), {}, ValueError, "rule must be one of 'none', 'linear', 'sqrt'.* got 'cubic'"),
        ((0.1, 256, 512, None), {}, ValueError, "rule must be one of .* got None"),
        ((0.1, 256, 512, "saturating"), {}, ValueError, "needs the gradient noise scale in rows, got noise_scale=None"),
        ((0.1, 256, 512), {"noise_scale": 0}, ValueError, r"noise_scale must lie in \(0, inf\), got 0"),
        ((-0.1, 256, 512), {}, ValueError, "base_lr must lie in"),
        ((0.1, 0, 512), {}, ValueError, "base_batch must be at least 1, got 0"),
        ((0.1, 256, 51.2), {}, TypeError, "batch must be a whole number, got 51.2"),
    ],
)
def test_rates_that_make_no_sense_are_refused(arguments, settings, error, message) -> None:
    with pytest.raises(error, match=message):
        scale_learning_rate(*arguments, **settings)


@pytest.mark.parametrize("kind", [Adam, AdamW, Nadam, Adamax])
def test_sde_for_adam_and_its_kin(kind) -> None:
    """kappa = 4: 1 - beta 4 times larger, epsilon half."""
    found = scale_optimizer(kind(1e-3, beta_1=0.9, beta_2=0.99, epsilon=1e-6), 32, 128, "sde-sqrt")
    assert type(found) is kind
    assert found.learning_rate == pytest.approx(2e-3, rel=1e-14)
    assert found.beta_1 == pytest.approx(0.6, rel=1e-14)
    assert found.beta_2 == pytest.approx(0.96, rel=1e-14)
    assert found.epsilon == pytest.approx(5e-7, rel=1e-14)


def test_sde_downwards() -> None:
    found = scale_optimizer(Adam(1e-3), 128, 32, "sde-sqrt")
    assert (found.beta_1, found.beta_2) == (pytest.approx(0.975), pytest.approx(0.99975))
    assert (found.learning_rate, found.epsilon) == (pytest.approx(5e-4), pytest.approx(2e-7))


def test_sde_for_rmsprop_has_epsilon_inside_the_root() -> None:
    """sqrt(v + eps) with v, the size of noise squared, kappa times smaller: so must eps be."""
    found = scale_optimizer(RMSprop(1e-3, rho=0.95, epsilon=1e-6, momentum=0.5), 10, 40, "sde-sqrt")
    assert found.rho == pytest.approx(0.8, rel=1e-14)
    assert found.epsilon == pytest.approx(2.5e-7, rel=1e-14)
    assert found.learning_rate == pytest.approx(2e-3)
    assert found.momentum == 0.5
    v, kappa = 3e-6, 4.0
    step = found.learning_rate / math.sqrt(v / kappa + found.epsilon)
    assert step == pytest.approx(math.sqrt(kappa) * 1e-3 * math.sqrt(kappa) / math.sqrt(v + 1e-6), rel=1e-12)


def test_sde_out_of_its_domain_is_clamped_and_said() -> None:
    with pytest.warns(UserWarning, match=r"below 1, got 16 \(1 - beta_1\) = 1\.6, and the decay is set to 0"):
        found = scale_optimizer(Adam(1e-3), 32, 512, "sde-sqrt")
    assert found.beta_1 == 0
    assert found.beta_2 == pytest.approx(0.984)
    with pytest.warns(UserWarning, match=r"1 \(1 - rho\)|2 \(1 - rho\) = 1, "):
        assert scale_optimizer(RMSprop(rho=0.5), 1, 2, "sde-sqrt").rho == 0


@pytest.mark.parametrize("optimizer", [SGD(0.1), Adagrad(0.1), Lion(0.1)])
def test_sde_is_for_adam_and_rmsprop(optimizer) -> None:
    name = type(optimizer).__name__
    with pytest.raises(ValueError, match=f"is for Adam, .*RMSprop, got {name}; use 'linear' for SGD"):
        scale_optimizer(optimizer, 32, 64, "sde-sqrt")


@pytest.mark.parametrize("rule", ["none", "linear", "sqrt", "saturating"])
def test_other_rules_change_the_rate_alone(rule) -> None:
    for optimizer in (SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01), Adam(0.1, clipnorm=1.0), Lion(0.1)):
        found = scale_optimizer(optimizer, 32, 128, rule, noise_scale=50)
        changed = {f.name for f in fields(found) if getattr(found, f.name) != getattr(optimizer, f.name)}
        assert changed == (set() if rule == "none" else {"learning_rate"})
        assert found.learning_rate == pytest.approx(scale_learning_rate(0.1, 32, 128, rule, noise_scale=50), rel=1e-14)


def test_a_schedule_is_scaled_as_a_whole() -> None:
    schedule = StepDecay(0.1, drop_every=5, factor=0.5)
    found = scale_optimizer(SGD(schedule, momentum=0.9), 32, 128)
    np.testing.assert_allclose(found.learning_rate(np.arange(20)), 4 * schedule(np.arange(20)), rtol=1e-14)
    again = deserialize(json.loads(json.dumps(serialize(found))), lookup("optimizers"))
    assert again == found
    function = scale_optimizer(SGD(lambda step: 0.1 / (1 + step)), 32, 128).learning_rate
    assert function(np.arange(3)).tolist() == pytest.approx([0.4, 0.2, 0.4 / 3])


def test_what_scales_itself_is_not_scaled_twice() -> None:
    with pytest.raises(ValueError, match="must not be a LinearScaling, which scales itself"):
        scale_optimizer(SGD(LinearScaling()), 32, 128)
    assert scale_optimizer(SGD(LinearScaling()), 32, 128, "none") == SGD(LinearScaling())


def test_wrapped_schedules_hear_of_the_run() -> None:
    inner, run = LinearScaling(0.1, base_batch=10, warmup_epochs=0), Run(40, 5)
    assert Scaled(inner, 0.5).for_run(run)(3) == pytest.approx(0.2)
    assert LinearWarmup(inner, 2).for_run(run)(7) == pytest.approx(0.4)
    plain = LinearWarmup(0.1, 2)
    assert plain.for_run(run) is plain


def test_averages_over_as_many_rows() -> None:
    assert scale_beta_2(0.999, 32, 128) == pytest.approx(0.999**4, rel=1e-14)
    assert scale_beta_2(0.999, 32, 1) == pytest.approx(0.999 ** (1 / 32), rel=1e-14)
    assert scale_ema_momentum(0.99, 64, 32) == pytest.approx(math.sqrt(0.99), rel=1e-14)
    for batch in (1, 7, 512):
        assert half_life(scale_beta_2(0.999, 32, batch), batch) == pytest.approx(half_life(0.999, 32), rel=1e-9)
    assert half_life(0.5, 8) == 8
    weight = 0.999 ** (half_life(0.999, 32) / 32)
    assert weight == pytest.approx(0.5)


def test_the_average_of_weights_is_carried_over() -> None:
    found = scale_optimizer(Adam(use_ema=True, ema_momentum=0.99), 32, 64, "sqrt")
    assert found.ema_momentum == pytest.approx(0.9801)
    assert scale_optimizer(Adam(use_ema=True), 32, 64, "none").ema_momentum == 0.99
    assert scale_optimizer(Adam(), 32, 64).ema_momentum == 0.99


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: scale_beta_2(1.0, 32, 64), ValueError, r"beta_2 must lie in \[0, 1\), got 1"),
        (lambda: scale_ema_momentum(1.5, 32, 64), ValueError, "ema_momentum must lie in"),
        (lambda: scale_beta_2(0.9, 0, 64), ValueError, "base_batch must be at least 1"),
        (lambda: half_life(0.0, 32), ValueError, r"decay must lie in \(0, 1\), got 0"),
        (lambda: half_life(0.9, 0), ValueError, "batch must be at least 1"),
        (lambda: scale_optimizer("adam", 32, 64), TypeError, "optimizer must be an Optimizer, got 'adam'"),
        (lambda: scale_optimizer(Adam(), 32, 64, "saturating"), ValueError, "needs the gradient noise scale"),
        (lambda: Scaled(StepDecay, 2.0), TypeError, "got the class StepDecay; make an object of it"),
        (lambda: Scaled(0.1, -1), ValueError, "factor must lie in"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("module", [rules, scaled, scaling_rules])
def test_examples_in_docstrings(module) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_names_are_there() -> None:
    assert all(hasattr(scaling, name) for name in scaling.__all__)
    assert RULES == ("none", "linear", "sqrt", "sde-sqrt", "saturating")
