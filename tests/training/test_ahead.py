"""Several short epochs in one call are what they are one by one."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pytest
from fastann_kernels.backend import Record, available_backends

from fastann import Sequential
from fastann.callbacks import Callback
from fastann.errors import NonFiniteLossError
from fastann.layers import Dense, Dropout, Input
from fastann.optimizers import SGD, Adam
from fastann.schedules import ExponentialDecay
from fastann.training import ahead, session

BACKENDS = [name for name in ("numba", "jax") if name in available_backends()]
ROWS, BATCH = 50, 16  # the last batch of an epoch is short


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 4))
    return x, (x.sum(axis=1, keepdims=True) > 0).astype(float)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def model(backend: str, optimizer: Any = None, loss: str = "binary_crossentropy", **options: Any) -> Sequential:
    network = Sequential([Input((4,)), Dense(8, "relu"), Dropout(0.25), Dense(1, "sigmoid")], seed=3)
    network.compile(optimizer or Adam(0.01), loss, metrics=["accuracy"], backend=backend, **options)
    return network


class Attentive(Callback):
    """Listens to epochs, so that each is a call of its own."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Do nothing."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of each call of `Session.train`."""
    made: list[int] = []
    train = session.Session.train

    def counted(self: Any, *arguments: Any, **named: Any) -> Record:
        record = train(self, *arguments, **named)
        made.append(len(record.losses))
        return record

    monkeypatch.setattr(session.Session, "train", counted)
    return made


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    "optimizer", [Adam(0.01), SGD(ExponentialDecay(0.1, 7, 0.9), momentum=0.9)], ids=["number", "schedule"]
)
def test_the_same_history_and_weights(backend: str, optimizer: Any, shuffle: bool, calls: list[int]) -> None:
    x, y = data()
    fits = [{"epochs": 9}, {"epochs": 12, "initial_epoch": 9}]
    found = []
    for callbacks in ([], [Attentive()]):
        network = model(backend, optimizer)
        histories = [
            network.fit(x, y, batch_size=BATCH, verbose=0, shuffle=shuffle, callbacks=callbacks, **fit).history
            for fit in fits
        ]
        found.append((histories, network.get_weights(), network.epochs_trained, list(calls)))
        calls.clear()
    (together, weights, epochs, few), (alone, alone_weights, alone_epochs, many) = found
    assert together == alone
    assert epochs == alone_epochs == 12
    for one, other in zip(weights, alone_weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(many) == 12
    # JAX reads rows as they lie without an order, a pass a call.
    assert (len(few) < 12) == (shuffle or backend == "numba")
    assert sum(few) == sum(many) == 12 * 4


def test_a_loss_that_is_not_finite_is_told_as_in_single_epochs(backend: str) -> None:
    x, y = data()
    y = 1e30 * y
    told = []
    for callbacks in ([], [Attentive()]):
        network = model(backend, SGD(0.1), "mean_squared_error")
        with pytest.raises(NonFiniteLossError) as error:
            network.fit(x, y, batch_size=BATCH, epochs=40, verbose=0, callbacks=callbacks)
        history = network.history
        assert history is not None
        told.append((str(error.value), history.history, network.epochs_trained, network.get_weights()))
    assert told[0][:3] == told[1][:3]
    for one, other in zip(told[0][3], told[1][3], strict=True):
        np.testing.assert_array_equal(one, other)


def test_with_ignore_training_goes_on(backend: str) -> None:
    x, y = data()
    network = model(backend, SGD(0.1), "mean_squared_error", on_nonfinite="ignore")
    history = network.fit(x, 1e30 * y, batch_size=BATCH, epochs=20, verbose=0).history
    assert len(history["loss"]) == 20
    assert not np.isfinite(history["loss"][-1])


@pytest.mark.parametrize(
    "options",
    [
        {"validation_split": 0.2},
        {"verbose": 2},
        {"callbacks": [Attentive()]},
        {"steps_per_epoch": 2},
    ],
    ids=["validation", "verbose", "callbacks", "steps"],
)
def test_what_happens_between_epochs_keeps_them_apart(backend: str, options: dict[str, Any], calls: list[int]) -> None:
    x, y = data()
    model(backend).fit(x, y, **{"batch_size": BATCH, "epochs": 6, "verbose": 0, **options})
    assert len(calls) == 6


def test_few_rows_ahead(backend: str, monkeypatch: pytest.MonkeyPatch, calls: list[int]) -> None:
    monkeypatch.setattr(ahead, "ROWS_AHEAD", 2 * ROWS)
    x, y = data()
    assert len(model(backend).fit(x, y, batch_size=BATCH, epochs=20, verbose=0).history["loss"]) == 20
    assert max(calls) == 2 * 4


@pytest.mark.usefixtures("python_handler")
def test_ctrl_c_comes_after_what_was_trained(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs that one call has trained are all told of before the interrupt is raised."""
    x, y = data()
    network = model(backend)
    train = ahead.EpochsAhead.train
    counts: list[int] = []

    def interrupted(self: ahead.EpochsAhead, count: int, stop_at_nonfinite: bool) -> tuple[Record, float]:
        result = train(self, count, stop_at_nonfinite)
        counts.append(count)
        if count >= 4:
            signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(ahead.EpochsAhead, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        network.fit(x, y, batch_size=BATCH, epochs=1000, verbose=0)
    assert network.history is not None
    assert counts[-1] == 4
    assert network.history.epoch == list(range(network.epochs_trained))
    # alone, to see how long it takes; where the first compiles, another one
    assert network.epochs_trained - sum(counts) in (1, 2)


def test_a_record_is_cut_into_epochs() -> None:
    steps = np.arange(7.0)
    record = Record(steps, np.arange(7), steps[:, None], steps[:, None], steps[:, None], None, completed=6)
    parts = ahead.records_of_epochs(record, 3)
    assert [part.losses.tolist() for part in parts] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [part.completed for part in parts] == [3, 3, 0]
    assert [part.rows.tolist() for part in parts] == [[0, 1, 2], [3, 4, 5], [6]]
