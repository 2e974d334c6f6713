"""Schedules: Keras 3's values and signatures, their definitions, arrays of steps, and what is refused."""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fastann import Sequential, load_model, schedules
from fastann.layers import Dense
from fastann.optimizers import SGD
from fastann.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    CyclicalLearningRate,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    LinearWarmup,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
    StepDecay,
)
from fastann.spec import deserialize, lookup, register, serialize

RECORD = json.loads((Path(__file__).parent / "oracles" / "keras_specs.json").read_text())
STEPS = RECORD["schedules"]["steps"]
VALUES = RECORD["schedules"]["values"]
IDS = [f"{name}-{n}" for n, (name, _, _) in enumerate(VALUES)]

#: Keras on JAX computes its cosines in float32, whatever the type of the rest.
TOLERANCE = {"CosineDecay": 1e-7, "CosineDecayRestarts": 1e-7}


@register("schedules")
@dataclass(frozen=True)
class Stairs(LearningRateSchedule):
    """A schedule of a user."""

    steps: int = 10

    def __call__(self, step):
        return 0.1 * 0.5 ** (step // self.steps)


@pytest.mark.parametrize(("name", "settings", "expected"), VALUES, ids=IDS)
def test_values_are_those_of_keras(name, settings, expected):
    schedule = getattr(schedules, name)(**settings)
    rates = [schedule(step) for step in STEPS]
    assert all(type(rate) is float for rate in rates)
    tolerance = TOLERANCE.get(name, 1e-14)
    np.testing.assert_allclose(rates, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("name", "settings", "_"), VALUES, ids=IDS)
def test_arrays_of_steps_give_the_same_rates(name, settings, _):
    schedule = getattr(schedules, name)(**settings)
    one_by_one = [schedule(step) for step in range(300)]
    together = schedule(np.arange(300))
    assert together.dtype == np.float64
    assert together.tolist() == one_by_one
    assert schedule(np.arange(300).reshape(3, 100)).tolist() == np.reshape(one_by_one, (3, 100)).tolist()
    assert type(schedule(np.int64(7))) is float


@pytest.mark.parametrize(("name", "settings", "_"), VALUES, ids=IDS)
def test_schedules_go_through_json(name, settings, _):
    schedule = getattr(schedules, name)(**settings)
    again = deserialize(json.loads(json.dumps(serialize(schedule))), lookup("schedules"))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert again.get_config() == schedule.get_config()


@pytest.mark.parametrize("name", [key for key in RECORD["signatures"] if key.startswith("optimizers.schedules.")])
def test_names_order_and_defaults_are_those_of_keras(name):
    parameters = inspect.signature(getattr(schedules, name.rpartition(".")[2])).parameters.values()
    ours = [
        [p.name, None if p.default is inspect.Parameter.empty else p.default, p.default is inspect.Parameter.empty]
        for p in parameters
    ]
    assert ours == RECORD["signatures"][name]


def test_cosine_by_its_definition():
    plain, warm = CosineDecay(0.2, 40, alpha=0.1), CosineDecay(0.05, 40, 0.1, warmup_target=0.2, warmup_steps=8)
    for step in range(60):
        falling = 0.2 * (0.9 * (1 + math.cos(math.pi * min(step, 40) / 40)) / 2 + 0.1)
        assert plain(step) == pytest.approx(falling, rel=1e-14)
        assert warm(step + 8) == pytest.approx(falling, rel=1e-14)
    for step in range(8):
        assert warm(step) == pytest.approx(0.05 + 0.15 * step / 8, rel=1e-14)


@pytest.mark.parametrize(("t_mul", "m_mul"), [(1.0, 1.0), (1.0, 0.5), (2.0, 1.0), (1.5, 0.8), (3.0, 0.9)])
def test_restarts_by_walking_through_the_periods(t_mul, m_mul):
    schedule = CosineDecayRestarts(0.1, 8, t_mul=t_mul, m_mul=m_mul, alpha=0.05)
    start, length, height = 0.0, 8.0, 1.0
    for step in range(700):
        while step >= start + length * (1 - 1e-12):
            start, length, height = start + length, length * t_mul, height * m_mul
        expected = 0.1 * (0.95 * height * (1 + math.cos(math.pi * (step - start) / length)) / 2 + 0.05)
        assert schedule(step) == pytest.approx(expected, rel=1e-11)


def test_warm_up_without_steps_starts_at_the_target():
    assert CosineDecay(0.01, 10, warmup_target=0.2, warmup_steps=0)(0) == 0.2


def test_steps_down():
    schedule = StepDecay(0.2, drop_every=4, factor=0.25)
    assert [schedule(step) for step in (0, 3, 4, 7, 8)] == [0.2, 0.2, 0.05, 0.05, 0.0125]


#: Steps and rates of `torch.optim.lr_scheduler.CyclicLR(base_lr=0.1, max_lr=0.6, step_size_up=5)`, PyTorch 2.13.
CYCLES = {
    "triangular": [0.1, 0.2, 0.6, 0.4, 0.1, 0.6, 0.3, 0.6, 0.1],
    "triangular2": [0.1, 0.2, 0.6, 0.4, 0.1, 0.35, 0.2, 0.225, 0.1],
    "exp_range": [0.1, 0.199, 0.57549502495, 0.379619604372, 0.1, 0.530029177321, 0.26690275229, 0.4889106797, 0.1],
}


@pytest.mark.parametrize("mode", CYCLES)
def test_cycles_are_those_of_pytorch(mode):
    schedule = CyclicalLearningRate(0.1, 0.6, step_size=5, mode=mode, gamma=0.99 if mode == "exp_range" else 1.0)
    rates = schedule(np.array([0, 1, 5, 7, 10, 15, 18, 25, 30]))
    np.testing.assert_allclose(rates, CYCLES[mode], rtol=1e-10)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.02, 0.026017301076362354, 0.36413209738821395, 0.5, 0.4989935775245158, 0.28355918222114807, 2e-06]),
        (
            {"warmup_fraction": 0.2, "initial_divisor": 10, "final_divisor": 100, "annealing": "linear"},
            [0.05, 0.1, 0.5, 0.4375625, 0.425075, 0.2377625, 0.0005],
        ),
    ],
)
def test_one_cycle_is_that_of_pytorch(settings, expected):
    """Recorded from `torch.optim.lr_scheduler.OneCycleLR(max_lr=0.5, total_steps=50)`, PyTorch 2.13."""
    schedule = OneCycle(0.5, total_steps=50, **settings)
    np.testing.assert_allclose(schedule(np.array([0, 1, 9, 14, 15, 30, 49])), expected, rtol=1e-12)
    assert schedule(1000) == pytest.approx(expected[-1])


@pytest.mark.parametrize("then", [0.4, ExponentialDecay(0.4, 10, 0.5), Stairs(3), lambda step: 0.3 / (1 + step)])
def test_warm_up_leads_to_what_follows(then):
    schedule = LinearWarmup(then, warmup_steps=8, initial_learning_rate=0.1)
    after = then if callable(then) else lambda _: then
    for step in range(8):
        assert schedule(step) == pytest.approx(0.1 + (after(0) - 0.1) * step / 8, rel=1e-14)
    for step in range(8, 30):
        assert schedule(step) == pytest.approx(after(step - 8), rel=1e-14)
    assert schedule(np.arange(30)).tolist() == [schedule(step) for step in range(30)]
    assert LinearWarmup(then, 0)(0) == pytest.approx(after(0))


@pytest.mark.parametrize(
    "schedule",
    [
        StepDecay(0.1, 5),
        CyclicalLearningRate(0.01, 0.1, 4, "exp_range", 0.9),
        OneCycle(0.1, 40),
        LinearWarmup(CosineDecay(0.1, 20), 5),
        LinearWarmup(0.1, 5),
    ],
    ids=repr,
)
def test_what_keras_does_not_have_goes_through_json_and_trains(schedule, backend):
    again = deserialize(json.loads(json.dumps(serialize(schedule))), lookup("schedules"))
    assert again == schedule
    assert again(np.arange(50)).tolist() == schedule(np.arange(50)).tolist()
    model = Sequential([Dense(1, input_shape=(2,), use_bias=False, kernel_initializer="ones")])
    model.compile(SGD(schedule), "mse", backend=backend, precision="float64")
    x, w = np.ones((1, 2)), 1.0
    model.fit(x, np.zeros(1), epochs=12, verbose=0)
    for step in range(12):
        w -= schedule(step) * 2 * (2 * w)
    np.testing.assert_allclose(model.get_weights()[0], [[w], [w]], rtol=1e-9)


@pytest.mark.parametrize(
    "schedule",
    [
        StepDecay(0.1, 3),
        CyclicalLearningRate(0.01, 0.1, 3, "triangular2"),
        OneCycle(0.1, 20),
        LinearWarmup(CosineDecay(0.1, 20), 3),
    ],
    ids=repr,
)
def test_training_goes_on_from_a_file(schedule, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    y = x @ [1.0, 2.0]
    straight, begun = (Sequential([Dense(1, input_shape=(2,))], seed=1) for _ in range(2))
    for model in (straight, begun):
        model.compile(SGD(schedule), "mse", backend="numba")
    straight.fit(x, y, batch_size=10, epochs=4, verbose=0)
    begun.fit(x, y, batch_size=10, epochs=2, verbose=0)
    begun.save(tmp_path / "model.fastann")
    again = load_model(tmp_path / "model.fastann")
    again.fit(x, y, batch_size=10, epochs=2, verbose=0)
    for mine, expected in zip(again.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_schedules_of_a_user():
    schedule = Stairs(5)
    assert [schedule(step) for step in (0, 4, 5, 10)] == [0.1, 0.1, 0.05, 0.025]
    optimizer = SGD(learning_rate=schedule)
    assert deserialize(json.loads(json.dumps(serialize(optimizer))), lookup("optimizers")) == optimizer


def test_schedules_that_forget_to_say_what_they_are():
    class Silent(LearningRateSchedule):
        pass

    with pytest.raises(TypeError, match="Silent must override __call__"):
        Silent()(0)
    with pytest.raises(TypeError, match="Silent must be a frozen dataclass"):
        register("schedules")(Silent)
    with pytest.raises(TypeError, match="only objects of registered classes can be saved"):
        serialize(Silent())


def test_numbers_are_kept_as_python_has_them():
    schedule = ExponentialDecay(np.float32(0.5), np.int64(100), np.float64(0.9))
    assert schedule == ExponentialDecay(0.5, 100.0, 0.9)
    assert [type(value) for value in (schedule.initial_learning_rate, schedule.decay_steps)] == [float, int]
    assert ExponentialDecay(0.1, 2.5, 0.9)(5) == pytest.approx(0.1 * 0.9**2)
    assert PiecewiseConstantDecay([1.0], [1, 2]) == PiecewiseConstantDecay((1,), (1.0, 2.0))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ExponentialDecay(-0.1, 10, 0.9), ValueError, r"initial_learning_rate must .* got -0\.1"),
        (lambda: ExponentialDecay(0.1, 0, 0.9), ValueError, r"decay_steps must lie in \(0, inf\), got 0"),
        (lambda: ExponentialDecay(0.1, "10", 0.9), TypeError, "decay_steps must be a number, got '10'"),
        (lambda: ExponentialDecay(0.1, 10, -1), ValueError, "decay_rate must"),
        (lambda: ExponentialDecay(0.1, 10, 0.9, staircase=1), TypeError, "staircase must be True or False, got 1"),
        (lambda: ExponentialDecay(0.1, 10, 0.9, name=2), TypeError, "name must be a string or None, got 2"),
        (lambda: InverseTimeDecay(0.1, float("nan"), 0.9), ValueError, "decay_steps must be finite, got nan"),
        (lambda: PolynomialDecay(0.1, 10, power=-1), ValueError, "power must"),
        (lambda: PolynomialDecay(0.1, 10, cycle="no"), TypeError, "cycle must be True or False"),
        (lambda: PolynomialDecay(0.1, 10, end_learning_rate=-1), ValueError, "end_learning_rate must"),
        (lambda: CosineDecay(0.1, 10, warmup_target=-1), ValueError, "warmup_target must"),
        (lambda: CosineDecay(0.1, 10, warmup_steps=-1), ValueError, "warmup_steps must be at least 0, got -1"),
        (lambda: CosineDecay(0.1, -10), ValueError, "decay_steps must"),
        (lambda: CosineDecayRestarts(0.1, 10, t_mul=0.5), ValueError, r"t_mul must lie in \[1, inf\), got 0\.5"),
        (lambda: CosineDecayRestarts(0.1, 0), ValueError, "first_decay_steps must"),
        (lambda: PiecewiseConstantDecay([10], [1.0]), ValueError, "got 1 values for 1 boundaries"),
        (lambda: PiecewiseConstantDecay([], [1.0]), ValueError, "got 1 values for 0 boundaries"),
        (lambda: PiecewiseConstantDecay([9, 9], [1.0, 2.0, 3.0]), ValueError, r"must increase, got \(9, 9\)"),
        (lambda: PiecewiseConstantDecay(10, [1.0, 2.0]), TypeError, "boundaries must be a list of numbers, got 10"),
        (lambda: PiecewiseConstantDecay(["a"], [1.0, 2.0]), TypeError, "a boundary must be a number, got 'a'"),
        (lambda: StepDecay(0.1, 0), ValueError, "drop_every must"),
        (lambda: StepDecay(0.1, 5, 2.0), ValueError, "factor must"),
        (lambda: CyclicalLearningRate(0.5, 0.1, 5), ValueError, "max_learning_rate must"),
        (lambda: CyclicalLearningRate(0.1, 0.5, 5, "sine"), ValueError, "mode must be one of 'triangular'"),
        (lambda: CyclicalLearningRate(0.1, 0.5, 5, gamma=0), ValueError, "gamma must"),
        (lambda: OneCycle(0.1, 2), ValueError, "more than one step for the way up"),
        (lambda: OneCycle(0.1, 50, 1.0), ValueError, "warmup_fraction must"),
        (lambda: OneCycle(0.1, 50, annealing="sine"), ValueError, "annealing must be 'cosine' or 'linear'"),
        (lambda: LinearWarmup(-1, 5), ValueError, "learning_rate must"),
        (lambda: LinearWarmup(CosineDecay, 5), TypeError, "got the class CosineDecay; make an object of it"),
        (lambda: LinearWarmup(0.1, 2.5), TypeError, "warmup_steps must be a whole number"),
        (lambda: PiecewiseConstantDecay([1], [1.0, -2.0]), ValueError, "a learning rate in values must"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
