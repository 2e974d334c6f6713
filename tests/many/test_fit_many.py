"""Many trainings at once: each is the one that its model alone would have had."""

from __future__ import annotations

import doctest
import signal
from typing import Any

import numpy as np
import pytest

import fastann
from fastann import Sequential, many
from fastann.callbacks import History
from fastann.errors import TrainingsInterrupted
from fastann.layers import BatchNormalization, Dense, Dropout, Input
from fastann.many import Run, fit_many
from fastann.metrics import Metric
from fastann.optimizers import SGD, Adam
from fastann.regularizers import L2
from fastann.schedules import ExponentialDecay
from fastann.training import together
from fastann.utils import PyDataset

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4)).astype(np.float32)
Y = (X @ RNG.normal(size=4) > 0).astype(int)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def network(backend: str, seed: int = 3, **compiled: Any) -> Sequential:
    layers = [Input((4,)), Dense(6, "relu", kernel_regularizer=L2(1e-3)), Dropout(0.2), Dense(1, "sigmoid")]
    model = Sequential(layers, seed=seed)
    settings: dict[str, Any] = {"optimizer": "adam", "loss": "binary_crossentropy", "metrics": ["accuracy"]}
    model.compile(**{**settings, **compiled}, backend=backend)
    return model


def same(run: many.TrainedRun, alone: Sequential, history: History) -> None:
    """The run has the history, the weights and the counters of the model that was trained alone."""
    assert list(run.history.history) == list(history.history)
    assert run.history.epoch == history.epoch
    for key, values in history.history.items():
        np.testing.assert_allclose(run.history.history[key], values, **CLOSE, err_msg=key)
    for mine, its in zip(run.model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, **CLOSE)
    assert (run.model.iterations, run.model.epochs_trained) == (alone.iterations, alone.epochs_trained)


def test_sixteen_learning_rates_are_sixteen_trainings(backend: str) -> None:
    rates = np.geomspace(1e-4, 0.1, 16).tolist()
    model = network(backend)
    before = model.get_weights()
    runs = fit_many(
        model, X, Y, learning_rates=rates, epochs=3, batch_size=16, validation_data=(X[:30], Y[:30]), verbose=0
    )
    assert [run.run.learning_rate for run in runs] == rates
    for run in runs:
        alone = network(backend, optimizer=Adam(run.run.learning_rate))
        same(run, alone, alone.fit(X, Y, epochs=3, batch_size=16, validation_data=(X[:30], Y[:30]), verbose=0))
        assert run.model.history is run.history
        assert run.seconds > 0
    assert model.iterations == 0
    for mine, its in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_seeds_and_decays_are_every_combination(backend: str) -> None:
    runs = fit_many(network(backend), X, Y, weight_decays=[0, 0.1], seeds=[5, 6], epochs=2, verbose=0)
    assert [(run.run.weight_decay, run.run.seed) for run in runs] == [(0, 5), (0, 6), (0.1, 5), (0.1, 6)]
    for run in runs:
        alone = network(backend, run.run.seed or 0, optimizer=Adam(weight_decay=run.run.weight_decay))
        same(run, alone, alone.fit(X, Y, epochs=2, verbose=0))


def test_folds_see_their_rows_alone(backend: str) -> None:
    folds = np.array_split(np.random.default_rng(1).permutation(90), 4)  # of 23 and of 22 rows
    rest = [np.setdiff1d(np.arange(90), fold) for fold in folds]
    runs = [{"rows": rows, "validation_rows": fold} for rows, fold in zip(rest, folds, strict=True)]
    for run, rows, fold in zip(
        fit_many(network(backend), X, Y, runs=runs, epochs=2, verbose=0), rest, folds, strict=True
    ):
        alone = network(backend)
        same(run, alone, alone.fit(X[rows], Y[rows], epochs=2, verbose=0, validation_data=(X[fold], Y[fold])))


def test_runs_may_differ_in_everything() -> None:
    settings = [
        {"optimizer": SGD(0.1, momentum=0.9), "batch_size": 7},
        {"optimizer": "rmsprop", "learning_rate": ExponentialDecay(0.01, 10, 0.5)},
        Run(seed=9, batch_size=64),
    ]
    common: dict[str, Any] = {"epochs": 2, "validation_split": 0.2, "class_weight": {0: 2.0}, "verbose": 0}
    runs = fit_many(network("numba"), X, Y, runs=settings, shuffle=False, **common)
    optimizers = [SGD(0.1, momentum=0.9), fastann.optimizers.RMSprop(ExponentialDecay(0.01, 10, 0.5)), "adam"]
    for run, optimizer, seed, size in zip(runs, optimizers, (3, 3, 9), (7, 32, 64), strict=True):
        alone = network("numba", seed, optimizer=optimizer)
        same(run, alone, alone.fit(X, Y, batch_size=size, shuffle=False, **common))
    assert "learning_rate" in runs[1].history.history


@pytest.mark.parametrize("rate", [0.01, ExponentialDecay(0.01, 10, 0.9)], ids=["number", "schedule"])
def test_short_epochs_share_calls(monkeypatch: pytest.MonkeyPatch, rate: Any) -> None:
    calls = []

    def counted(given: Any) -> Any:
        calls.append(len(given))
        return together.train_together(given)

    monkeypatch.setattr("fastann.many.training.train_together", counted)
    settings = [{"learning_rate": rate}, {"seed": 8, "batch_size": 25}, {"rows": np.arange(0, 90, 2)}]
    runs = fit_many(network("numba"), X, Y, runs=settings, epochs=40, batch_size=16, verbose=0)
    assert len(calls) < 20
    expected = [
        (network("numba", optimizer=Adam(rate)), X, Y, 16),
        (network("numba", 8), X, Y, 25),
        (network("numba"), X[::2], Y[::2], 16),
    ]
    for run, (alone, x, y, size) in zip(runs, expected, strict=True):
        same(run, alone, alone.fit(x, y, epochs=40, batch_size=size, verbose=0))


def test_a_training_may_diverge_in_the_middle_of_a_call() -> None:
    def build(rate: float) -> Sequential:
        model = Sequential([Dense(1, input_shape=(4,))], seed=1)
        model.compile(SGD(rate), "mse", backend="numba")
        return model

    lost, kept = fit_many(build(0.1), X, Y, learning_rates=[1.5, 0.1], epochs=60, verbose=0)
    alone, rest = build(1.5), build(0.1)
    with pytest.raises(fastann.errors.NonFiniteLossError) as error:
        alone.fit(X, Y, epochs=60, verbose=0)
    assert error.value.epoch is not None
    assert 2 < error.value.epoch < 59
    assert lost.diverged == error.value.iterations == lost.model.iterations
    assert lost.history.epoch == list(range(error.value.epoch + 1))
    assert lost.model.epochs_trained == alone.epochs_trained
    np.testing.assert_allclose(lost.history.history["loss"][:-1], alone.history.history["loss"], rtol=1e-5)
    assert not np.isfinite(lost.history.history["loss"][-1])
    same(kept, rest, rest.fit(X, Y, epochs=60, verbose=0))


def test_a_training_goes_on_from_the_weights_of_its_model(backend: str) -> None:
    model, alone = network(backend), network(backend)
    for each in (model, alone):
        each.fit(X, Y, epochs=1, verbose=0)
    alone.recompile("adam")
    (run,) = fit_many(model, X, Y, runs=[{}], epochs=2, verbose=0)
    same(run, alone, alone.fit(X, Y, epochs=2, verbose=0))


class Calls(Metric):
    """Counts rows, in Python."""

    def __init__(self, name: str = "rows_seen") -> None:
        super().__init__(name=name)
        self.rows = 0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.rows += len(y_true) + int(1e6 * float(np.mean(y_pred)))

    def result(self) -> float:
        return float(self.rows)

    def reset_state(self) -> None:
        self.rows = 0


def test_averages_and_statistics_of_batches_are_kept(backend: str) -> None:
    def build() -> Sequential:
        model = Sequential([Input((4,)), Dense(5), BatchNormalization(), Dense(1)], seed=2)
        model.compile(SGD(0.05, use_ema=True), "mse", backend=backend)
        return model

    runs = fit_many(build(), X, Y, learning_rates=[0.05, 0.01], epochs=2, verbose=0, steps_per_epoch=4)
    alone = build()
    same(runs[0], alone, alone.fit(X, Y, epochs=2, verbose=0, steps_per_epoch=4))


def test_a_training_that_diverges_ends_and_the_others_go_on(backend: str) -> None:
    def build(rate: float) -> Sequential:
        model = Sequential([Dense(1, input_shape=(4,))], seed=1)
        model.compile(SGD(rate), "mse", backend=backend)
        return model

    runs = fit_many(build(0.1), X, Y, learning_rates=[0.01, 1e6, 0.02], epochs=6, validation_data=(X, Y), verbose=0)
    lost = runs[1]
    alone = build(1e6)
    with pytest.raises(fastann.errors.NonFiniteLossError) as error:
        alone.fit(X, Y, epochs=6, verbose=0)
    assert lost.diverged == error.value.iterations
    assert lost.model.iterations == alone.iterations
    for mine, its in zip(lost.model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4)
    assert lost.history.epoch == list(range(error.value.epoch + 1))
    assert not np.isfinite(lost.history.history["loss"][-1])
    assert np.isnan(lost.history.history["val_loss"][-1])
    for run, rate in ((runs[0], 0.01), (runs[2], 0.02)):
        one = build(rate)
        assert run.diverged is None
        same(run, one, one.fit(X, Y, epochs=6, validation_data=(X, Y), verbose=0))
    assert runs.best("loss") is not lost
    assert f"learning_rate 1e+06 (diverged after {lost.diverged} updates)" in str(runs)


def test_a_model_that_ignores_divergence_goes_on() -> None:
    model = Sequential([Dense(1, input_shape=(4,))], seed=1)
    model.compile("sgd", "mse", backend="numba", on_nonfinite="ignore")
    runs = fit_many(model, X, Y, learning_rates=[0.01, 1e6], epochs=9, verbose=0)
    assert [run.diverged for run in runs] == [None, None]
    assert [len(run.history.epoch) for run in runs] == [9, 9]
    assert not np.isfinite(runs[1].history.history["loss"][-1])


def test_each_ends_when_its_goals_are_reached(backend: str) -> None:
    runs = fit_many(
        network(backend), X, Y, learning_rates=[1e-5, 0.05], epochs=25, verbose=0, validation_data=(X, Y),
        until={"val_accuracy": 0.9, "loss": 0.5},
    )  # fmt: skip
    assert [run.reached for run in runs] == [False, True]
    assert len(runs[0].history.epoch) == 25
    history = runs[1].history.history
    assert len(history["loss"]) < 25
    reached = [
        accuracy >= 0.9 and loss <= 0.5 for accuracy, loss in zip(history["val_accuracy"], history["loss"], strict=True)
    ]
    assert reached.index(True) == len(reached) - 1


def test_metrics_in_python_belong_to_each() -> None:
    runs = fit_many(
        network("numba", metrics=[Calls()]), X, Y, seeds=[1, 2], epochs=2, verbose=0, validation_data=(X[:9], Y[:9])
    )
    for run, seed in zip(runs, (1, 2), strict=True):
        alone = network("numba", seed, metrics=[Calls()])
        same(run, alone, alone.fit(X, Y, epochs=2, verbose=0, validation_data=(X[:9], Y[:9])))


@pytest.mark.usefixtures("python_handler")
def test_an_interrupt_keeps_what_was_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def pressed(given: Any) -> Any:
        found = together.train_together(given)
        calls.append(len(given))
        if len(calls) == 7:
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr("fastann.many.training.train_together", pressed)
    with pytest.raises(KeyboardInterrupt) as raised:
        # 90 steps an epoch, in calls of 16, 32 and 42, then of 64 and 26
        fit_many(network("numba"), X, Y, learning_rates=[0.1, 0.2], epochs=50, batch_size=1, verbose=0)
    assert isinstance(raised.value, TrainingsInterrupted)
    runs = raised.value.runs
    assert [run.model.iterations for run in runs] == [runs[0].model.iterations] * 2
    assert 0 < runs[0].model.iterations < 50 * 90
    for run in runs:
        assert run.history.epoch == list(range(-(-run.model.iterations // 90)))
        assert np.isfinite(run.history.history["loss"]).all()
        run.model.fit(X, Y, epochs=1, verbose=0)


def test_the_table_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    runs = fit_many(network("numba"), X, Y, learning_rates=[0.1, 0.2], seeds=[1], epochs=2, verbose=2)
    assert capsys.readouterr().out.startswith("2 trainings - ")
    lines = str(runs).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["run", "learning_rate 0.1, seed 1", "learning_rate 0.2, seed 1"]
    assert lines[0].split() == ["run", "epochs", "seconds", "loss", "accuracy"]
    assert len(runs[:1]) == 1
    assert runs.best("accuracy").last["accuracy"] == max(run.last["accuracy"] for run in runs)
    with pytest.raises(ValueError, match="no training ended with a finite 'nope'"):
        runs.best("nope")


class Batches(PyDataset):
    """Ten rows at a time."""

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> Any:
        return X[10 * index : 10 * index + 10], Y[10 * index : 10 * index + 10]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "got nothing: give learning_rates, seeds or runs"),
        ({"seeds": []}, ValueError, "at least one training"),
        ({"runs": []}, ValueError, "at least one training"),
        ({"runs": [{}], "seeds": [1]}, ValueError, "runs and seeds must not be given together"),
        ({"runs": {"seed": 1}}, TypeError, "runs must be a list"),
        ({"runs": [3]}, TypeError, "each of runs must be a dict of settings or a Run, got 3 at place 0"),
        ({"runs": [{"rate": 3}]}, ValueError, "got 'rate' at place 0"),
        ({"seeds": 3}, TypeError, "seeds must be a list, got 3"),
        ({"seeds": [-1]}, ValueError, "seed must lie between 0"),
        ({"learning_rates": [-1.0]}, ValueError, "learning_rate must lie in"),
        ({"learning_rates": ["fast"]}, TypeError, "learning_rate must be a number"),
        ({"weight_decays": [-1.0]}, ValueError, "weight_decay must lie in"),
        ({"runs": [{"optimizer": "nope"}]}, ValueError, "'nope'"),
        ({"runs": [{"batch_size": 0}]}, ValueError, "batch_size must be at least 1"),
        ({"runs": [{"rows": [90]}]}, ValueError, "rows must be numbers of rows from 0 to 89, got 90 to 90"),
        ({"runs": [{"rows": []}]}, TypeError, "rows must be whole numbers"),
        ({"runs": [{"rows": Y > 0}]}, TypeError, "use numpy.flatnonzero for a mask"),
        ({"runs": [{"validation_rows": [-1]}]}, ValueError, "validation_rows must be numbers of rows"),
        ({"runs": [{"validation_rows": [1]}], "validation_split": 0.5}, ValueError, "leave those out"),
        ({"runs": [{"rows": [1]}], "validation_split": 0.5}, ValueError, "give validation_rows with them"),
        ({"runs": [{"rows": [1]}], "class_weight": "balanced"}, ValueError, "class_weight must be a dict"),
        ({"seeds": [1], "epochs": -1}, ValueError, "epochs must be at least 0"),
        ({"seeds": [1], "until": 0.5}, TypeError, "until must be a dict"),
        ({"seeds": [1], "until": {"val_loss": 0.5}}, ValueError, "'loss', 'accuracy', got 'val_loss'"),
        ({"seeds": [1], "until": {"loss": "low"}}, TypeError, "the goal of 'loss' must be a number"),
        ({"seeds": [1], "validation_data": Batches()}, TypeError, "got Batches, which brings batches"),
        ({"seeds": [1], "validation_data": X}, ValueError, "validation_data must be"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fit_many(network("numba"), X, Y, verbose=0, **arguments)


def test_wrong_models_and_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="must be compiled first"):
        fit_many(Sequential([Dense(1, input_shape=(4,))]), X, Y, seeds=[1])
    with pytest.raises(TypeError, match="x must be rows that all trainings read"):
        fit_many(network("numba"), Batches(), seeds=[1])
    with pytest.raises(ValueError, match="y must have as many rows as x"):
        fit_many(network("numba"), X, Y[:3], seeds=[1])


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(many).failed == 0
