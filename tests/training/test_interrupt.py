"""Ctrl-C: in this process with signals raised at chosen moments, and in a process of its own with real ones."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from fastann.callbacks import LambdaCallback
from fastann.random import epoch_order
from fastann.training.interrupt import Interrupt
from fastann.training.loop import evaluate, fit, predict
from tests.training.fakes import FakeExecutor, FakeModel, regression

X, Y = regression(40)
ROOT = Path(__file__).parents[2]


pytestmark = pytest.mark.usefixtures("python_handler")


def press():
    signal.raise_signal(signal.SIGINT)


def pressing_executor(monkeypatch, call, times=1):
    """Press Ctrl-C inside call number `call` of `train`."""
    train = FakeExecutor.train

    def pressed(self, state, data, steps):
        result = train(self, state, data, steps)
        if len(self.trained) == call:
            for _ in range(times):
                press()
        return result

    monkeypatch.setattr(FakeExecutor, "train", pressed)


def test_the_first_press_ends_training_after_the_call_in_good_order(monkeypatch):
    pressing_executor(monkeypatch, call=6)
    x, y = regression(400)
    ended, epochs = [], []
    watch = LambdaCallback(
        on_train_end=lambda logs: ended.append(logs), on_epoch_end=lambda epoch, logs: epochs.append(epoch)
    )
    model = FakeModel()
    with pytest.raises(KeyboardInterrupt):
        fit(model, x, y, batch_size=1, epochs=9, verbose=0, validation_data=(X, Y), callbacks=watch)
    # calls of 16, 32, 64, 128, 160 steps are the first epoch; the sixth is in the second
    assert model.executor.trained[:5] == [16, 32, 64, 128, 160]
    assert epochs == [0]
    assert model.history.epoch == [0, 1]
    history = model.history.history
    assert len(history["loss"]) == len(history["val_loss"]) == 2
    assert math.isnan(history["val_loss"][1])
    assert ended == [{"loss": history["loss"][1]}]
    steps = model.executor.trained[5]
    order = epoch_order(11, 1, 400)[:steps]
    assert model.session.iterations == 400 + steps
    w = np.zeros(3)
    for row in np.concatenate([epoch_order(11, 0, 400), order]):
        w = w - 0.05 * 2 * x[row] * (x[row] @ w - y[row])
    np.testing.assert_allclose(model.session.state.params, w, rtol=1e-9)
    # and it goes on from there
    fit(model, x, y, epochs=1, verbose=0)


def test_a_press_at_the_end_of_an_epoch_lets_it_end_as_usual(monkeypatch):
    pressing_executor(monkeypatch, call=2)
    model = FakeModel()
    with pytest.raises(KeyboardInterrupt):
        fit(model, X, Y, epochs=9, verbose=0, validation_split=0.25)
    assert model.history.epoch == [0, 1]
    assert all(np.isfinite(values).all() and len(values) == 2 for values in model.history.history.values())


def test_the_second_press_raises_at_once_but_keeps_the_state(monkeypatch):
    pressing_executor(monkeypatch, call=1, times=2)
    ended = []
    model = FakeModel()
    with pytest.raises(KeyboardInterrupt):
        fit(model, X, Y, batch_size=20, verbose=0, callbacks=LambdaCallback(on_train_end=ended.append))
    assert ended == []
    assert model.session.iterations == 2
    assert model.session.state.params.any()


def test_a_second_press_in_a_callback_raises_there():
    reached = []

    def callback(epoch, logs):
        press()
        reached.append(1)
        press()
        reached.append(2)

    model = FakeModel()
    with pytest.raises(KeyboardInterrupt):
        fit(model, X, Y, verbose=0, callbacks=LambdaCallback(on_epoch_end=callback))
    assert reached == [1]
    assert model.session.iterations == 2


def test_the_handler_is_put_back_after_every_kind_of_end():
    model = FakeModel()
    fit(model, X, Y, verbose=0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def fail(epoch, logs):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fit(model, X, Y, verbose=0, callbacks=LambdaCallback(on_epoch_begin=fail))


def test_a_program_that_handles_the_signal_itself_goes_on_doing_so(monkeypatch):
    pressing_executor(monkeypatch, call=1)
    pressed = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        model = FakeModel()
        fit(model, X, Y, epochs=2, verbose=0)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert pressed == [signal.SIGINT]
    assert model.history.epoch == [0, 1]


def test_a_fit_inside_a_callback_is_interrupted_first():
    inner = FakeModel()

    def callback(epoch, logs):
        fit(inner, X, Y, epochs=5, verbose=0, callbacks=LambdaCallback(on_epoch_end=lambda e, logs: press()))

    outer = FakeModel()
    with pytest.raises(KeyboardInterrupt):
        fit(outer, X, Y, verbose=0, callbacks=LambdaCallback(on_epoch_end=callback))
    assert inner.history.epoch == [0]


def test_other_threads_train_without_a_handler():
    model, seen = FakeModel(), []
    watch = LambdaCallback(on_epoch_end=lambda e, logs: seen.append(signal.getsignal(signal.SIGINT)))
    thread = threading.Thread(target=fit, args=(model, X, Y), kwargs={"verbose": 0, "callbacks": watch})
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
    assert model.history.epoch == [0]


@pytest.mark.parametrize("function", [evaluate, predict])
def test_evaluation_and_prediction_end_between_two_batches(function):
    hooks = {"on_test_batch_end": lambda batch, logs: press(), "on_predict_batch_end": lambda batch, logs: press()}
    seen = []
    hooks["on_test_batch_begin"] = hooks["on_predict_batch_begin"] = lambda batch, logs: seen.append(batch)
    arguments = (X, Y) if function is evaluate else (X,)
    with pytest.raises(KeyboardInterrupt):
        function(FakeModel(), *arguments, batch_size=10, verbose=0, callbacks=LambdaCallback(**hooks))
    assert seen == [0]


def test_a_third_press_breaks_even_a_shield():
    def press_often(interrupt):
        with interrupt.shield():
            press()
            press()
            assert interrupt.requested
            press()
            pytest.fail("not reached")

    with Interrupt() as interrupt, pytest.raises(KeyboardInterrupt):
        press_often(interrupt)


SCRIPT = """
import signal, sys, threading, time
import numpy as np
from fastann import Sequential, layers
from fastann.callbacks import LambdaCallback

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in background jobs
x = np.random.default_rng(0).normal(size=(2000, 8))
y = x.sum(axis=1)
model = Sequential([layers.Dense(16, activation="relu", input_shape=(8,)), layers.Dense(1)], seed=3)
model.compile("sgd", "mse", backend={backend!r})
ended = []
told = False
def tell(epoch, logs):
    global told
    if not told:
        print("training", flush=True)
        told = True
watch = LambdaCallback(on_epoch_end=tell, on_train_end=lambda logs: ended.append(logs))
try:
    model.fit(x, y, epochs=10**7, verbose={verbose}, callbacks=watch)
except KeyboardInterrupt:
    epochs = len(model.history.epoch)
    assert ended and len(model.history.history["loss"]) == epochs >= 1, (ended, epochs)
    assert np.isfinite(model.predict(x, verbose=0)).all()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    model.fit(x, y, epochs=1, verbose=0)
    print("usable", flush=True)
    sys.exit(7)
print("not interrupted")
"""


@pytest.mark.parametrize("verbose", [0, 1])
def test_a_real_signal_ends_training_in_a_process_of_its_own(backend, verbose):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT.format(backend=backend, verbose=verbose))],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        lines = iter(process.stdout.readline, "")
        assert any("training" in line for line in lines), process.stderr.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 7, err
    assert "usable" in out
    assert "Traceback" not in err
