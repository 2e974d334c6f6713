"""A learning rate that learns the batch size from `fit`: by hand, over several calls, from a file."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastann import Sequential, load_model
from fastann.callbacks import LambdaCallback
from fastann.layers import Dense
from fastann.optimizers import SGD, Adam
from fastann.scaling import LinearScaling, Run
from fastann.schedules import LearningRateSchedule, PiecewiseConstantDecay, StepDecay, linear_scaling
from fastann.spec import deserialize, lookup, serialize

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 3))
Y = X @ [1.0, -2.0, 0.5]


def network(rate: Any, backend: str = "numba", **settings: Any) -> Sequential:
    model = Sequential([Dense(1, input_shape=(3,))], seed=1)
    optimizer = SGD(rate, **settings)
    model.compile(optimizer, "mse", backend=backend, precision="float64")
    return model


def rates_of(model: Sequential, **settings: Any) -> list[float]:
    """Fit with one call of the backend a batch, and return the learning rate of each."""
    seen: list[float] = []
    note = LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(model.learning_rate))
    model.fit(X, Y, verbose=0, callbacks=[note], **settings)
    return seen


def test_warm_up_by_hand() -> None:
    """kappa = 4, 2 epochs of 5 steps: from 0.01 by 0.003 a step to 0.04."""
    model = network(LinearScaling(0.01, base_batch=2, warmup_epochs=2))
    rates = rates_of(model, batch_size=8, epochs=3)
    expected = [0.01 + 0.003 * step for step in range(10)] + [0.04] * 5
    assert rates == pytest.approx(expected, rel=1e-12)
    assert model.learning_rate == pytest.approx(0.04)


def test_goyal_s_own_numbers() -> None:
    """8192 rows a batch, reference 0.1 for 256: 3.2 after five epochs of 157 steps."""
    schedule = LinearScaling().for_run(Run(8192, 157))
    assert schedule(0) == pytest.approx(0.1)
    assert schedule(157) == pytest.approx(0.1 + 3.1 / 5)
    assert schedule(785) == schedule(10_000) == pytest.approx(3.2)
    steps = np.diff(schedule(np.arange(786)))
    np.testing.assert_allclose(steps, 3.1 / 785, rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "factor"),
    [({"rule": "none"}, 1.0), ({"rule": "sqrt"}, 2.0), ({"rule": "saturating", "noise_scale": 4.0}, 3 / (1 + 4 / 8))],
)
def test_other_rules(settings: dict[str, Any], factor: float) -> None:
    schedule = LinearScaling(0.01, base_batch=2, warmup_epochs=1, **settings).for_run(Run(8, 10))
    assert schedule(0) == pytest.approx(0.01)
    assert schedule(5) == pytest.approx(0.01 * (1 + factor) / 2)
    assert schedule(10) == pytest.approx(0.01 * factor)


def test_a_batch_below_the_base_needs_no_warm_up() -> None:
    assert rates_of(network(LinearScaling(0.1, base_batch=32)), batch_size=8) == pytest.approx([0.025] * 5)


def test_the_batch_cannot_be_larger_than_the_data() -> None:
    model = network(LinearScaling(0.01, base_batch=20, warmup_epochs=0))
    assert rates_of(model, batch_size=1000, epochs=2) == pytest.approx([0.02, 0.02])


def test_a_schedule_in_epochs_below_the_scaling() -> None:
    """Goyal: a tenth at given epochs, whatever number of steps they have."""
    scaling = LinearScaling(StepDecay(0.01, drop_every=2, factor=0.1), base_batch=5, warmup_epochs=1)
    assert rates_of(network(scaling), batch_size=10, epochs=4) == pytest.approx(
        [0.01, 0.0125, 0.015, 0.0175] + [0.02] * 4 + [0.002] * 8
    )
    model = network(scaling)
    rates_of(model, batch_size=20, epochs=3)
    assert model.learning_rate == pytest.approx(0.004), "a tenth of 4 times the base"
    plain = LinearScaling(lambda epoch: 0.1 / (1 + epoch), rule="none", warmup_epochs=0)
    assert rates_of(network(plain), batch_size=20, epochs=2) == pytest.approx([0.1, 0.1 / 1.5, 0.05, 0.1 / 2.5])
    boundaries = LinearScaling(PiecewiseConstantDecay([1], [0.2, 0.1]), rule="none").for_run(Run(8, 10))
    assert boundaries(np.array([9, 10, 11])).tolist() == [0.2, 0.2, 0.1], "up to and including the boundary"


def test_the_history_holds_the_rate_of_each_epoch_s_last_step(backend: str) -> None:
    model = network(LinearScaling(0.01, base_batch=2, warmup_epochs=2), backend)
    history = model.fit(X, Y, batch_size=8, epochs=3, verbose=0).history
    assert history["learning_rate"] == pytest.approx([0.022, 0.037, 0.04])


def test_epochs_go_on_from_one_fit_to_the_next() -> None:
    """Three epochs of 4 steps, then with another batch size; the warm-up of 4 epochs is three quarters over."""
    model = network(LinearScaling(0.01, base_batch=5, warmup_epochs=4))
    assert rates_of(model, batch_size=10, epochs=3) == pytest.approx([0.01 * (1 + step / 16) for step in range(12)])
    # 20 rows: kappa = 4, 2 steps an epoch, epochs 3, 3.5, 4, 4.5
    assert rates_of(model, batch_size=20, epochs=2) == pytest.approx([0.0325, 0.03625, 0.04, 0.04])
    # another batch size after the warm-up: its rate at once
    assert rates_of(model, batch_size=10, epochs=1) == pytest.approx([0.02] * 4)
    model.recompile(SGD(LinearScaling(0.01, base_batch=5, warmup_epochs=4)))
    assert rates_of(model, batch_size=10, epochs=1)[0] == pytest.approx(0.01), "compiled anew, warmed up anew"


def test_two_fits_are_one() -> None:
    whole, halves = (network(LinearScaling(0.01, base_batch=5, warmup_epochs=3), momentum=0.9) for _ in range(2))
    whole.fit(X, Y, batch_size=7, epochs=4, verbose=0)
    for _ in range(2):
        halves.fit(X, Y, batch_size=7, epochs=2, verbose=0)
    np.testing.assert_array_equal(whole.get_weights()[0], halves.get_weights()[0])


def test_without_a_fit_the_rate_is_the_base_rate() -> None:
    model = network(LinearScaling(0.01, base_batch=2, warmup_epochs=1))
    assert model.learning_rate == 0.01
    for _ in range(3):
        model.train_on_batch(X, Y)
    assert model.learning_rate == 0.01
    assert rates_of(model, batch_size=8, epochs=2) == pytest.approx([0.01 + 0.006 * k for k in range(5)] + [0.04] * 5)
    model.train_on_batch(X, Y)
    assert model.learning_rate == pytest.approx(0.04), "as in the last fit"


def test_streams_say_their_batch_size() -> None:
    model = network(LinearScaling(0.01, base_batch=2, warmup_epochs=0))

    def batches():
        while True:
            yield X[:8], Y[:8]

    model.fit(batches(), steps_per_epoch=3, verbose=0)
    assert model.learning_rate == pytest.approx(0.04)
    fresh = network(LinearScaling(0.01, base_batch=2))
    with pytest.raises(ValueError, match=r"must know how many batches an epoch has.* give fit steps_per_epoch"):
        fresh.fit(iter([(X[:8], Y[:8])] * 3), verbose=0)
    assert fresh.iterations == 0


def test_schedules_of_a_user_may_ask_too() -> None:
    class PerRow(LearningRateSchedule):
        def __init__(self, rate: float) -> None:
            self.rate = rate

        def __call__(self, step: int) -> float:
            return self.rate

        def for_run(self, run: Run) -> LearningRateSchedule:
            return PerRow(0.001 * run.batch_size)

    assert rates_of(network(PerRow(0.5)), batch_size=20) == [0.02, 0.02]


@pytest.mark.parametrize("rate", [0.02, LinearScaling(0.01, base_batch=5, warmup_epochs=3)], ids=["number", "schedule"])
def test_a_file_holds_all_that_training_goes_on_from(tmp_path: Path, rate: Any, backend: str) -> None:
    """Saved within the warm-up, between fits of different batch sizes."""
    straight, begun = (network(rate, backend, momentum=0.9, momentum_correction=True) for _ in range(2))
    for model in (straight, begun):
        model.fit(X, Y, batch_size=20, epochs=1, verbose=0)
        model.fit(X, Y, batch_size=10, epochs=1, verbose=0)
        if rate == 0.02:
            model.optimizer.learning_rate = 0.005
    begun.save(tmp_path / "model.fastann")
    again = load_model(tmp_path / "model.fastann")
    assert again.learning_rate == straight.learning_rate
    before, after = begun.training_state(), again.training_state()
    np.testing.assert_array_equal(before.pop("slots"), after.pop("slots"))
    assert before == after
    assert ("run" in before) == (rate != 0.02)
    for model in (straight, again):
        model.fit(X, Y, batch_size=10, epochs=3, verbose=0)
    np.testing.assert_array_equal(again.get_weights()[0], straight.get_weights()[0])


def test_a_training_state_with_nonsense_is_refused() -> None:
    model = network(LinearScaling())
    model.fit(X, Y, verbose=0)
    state = model.training_state()
    assert state["run"] == {"batch_size": 32, "steps_per_epoch": 2, "first_step": 0, "first_epoch": 0.0}
    for change, message in (
        ({"run": {**state["run"], "batch_size": 0}}, "batch_size must be at least 1"),
        ({"run": {**state["run"], "colour": "red"}}, "Run has the settings batch_size"),
        ({"last_rate": -1.0}, "last_rate must lie in"),
    ):
        with pytest.raises(ValueError, match=message):
            model.set_training_state({**state, **change})


def test_settings_go_through_json() -> None:
    schedule = LinearScaling(StepDecay(0.1, 30, 0.1), 128, 2.5, "saturating", 700, name="mine")
    again = deserialize(json.loads(json.dumps(serialize(schedule))), lookup("schedules"))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert again.for_run(Run(512, 9))(17) == schedule.for_run(Run(512, 9))(17)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LinearScaling(-0.1), ValueError, "base_learning_rate must lie in"),
        (lambda: LinearScaling(StepDecay), TypeError, "got the class StepDecay; make an object of it"),
        (lambda: LinearScaling(base_batch=0), ValueError, "base_batch must be at least 1, got 0"),
        (lambda: LinearScaling(warmup_epochs=-1), ValueError, "warmup_epochs must lie in"),
        (lambda: LinearScaling(rule="square"), ValueError, "rule must be one of"),
        (lambda: LinearScaling(rule="sde-sqrt"), ValueError, "use fastann.scaling.scale_optimizer"),
        (lambda: LinearScaling(rule="saturating"), ValueError, "needs the gradient noise scale"),
        (lambda: Run(0, 5), ValueError, "batch_size must be at least 1"),
        (lambda: LinearScaling().for_run(Run(8, None)), ValueError, "give fit steps_per_epoch"),
    ],
)
def test_wrong_settings_are_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_run_without_a_known_length_counts_no_epochs() -> None:
    run = Run(8, None, first_step=3, first_epoch=1.5)
    assert run.followed_by(8, 10, 50) == Run(8, 10, 50, 1.5)
    assert run.followed_by(8, None, 50) is run
    assert Run(8, 10).followed_by(16, 5, 25) == Run(16, 5, 25, 2.5)


def test_it_works_with_adam(backend: str) -> None:
    model = Sequential([Dense(1, input_shape=(3,))], seed=1)
    model.compile(Adam(LinearScaling(1e-3, base_batch=10, rule="sqrt")), "mse", backend=backend)
    model.fit(X, Y, batch_size=40, epochs=6, verbose=0)
    assert model.learning_rate == pytest.approx(2e-3)


def test_examples_in_docstrings() -> None:
    found = doctest.testmod(linear_scaling)
    assert found.attempted > 0
    assert found.failed == 0
