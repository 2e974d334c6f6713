"""`fit` on a backend that notes every call: what is asked of it, in which order, and what is made of the answers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from fastann import schedules
from fastann.callbacks import Callback, History, LambdaCallback, TerminateOnNaN
from fastann.errors import NonFiniteLossError
from fastann.optimizers import SGD
from fastann.random import epoch_order
from fastann.training import data as data_module
from fastann.training import source as source_module
from fastann.training.loop import fit
from fastann.training.session import MetricEntry
from tests.training.fakes import FakeModel, LargestError, StreamedMetric, make_session, regression

X, Y = regression(40)
MEAN = MetricEntry("mae", StreamedMetric())


def losses_by_hand(orders, batch_size=10, rate=0.05, x=X, y=Y, w=None, weights=None):
    """Return the mean loss of each epoch and the weights after them, computed without fastann."""
    w = np.zeros(3) if w is None else w
    weights = np.ones(len(x)) if weights is None else weights
    means = []
    for order in orders:
        total = 0.0
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            error = x[rows] @ w - y[rows]
            total += (weights[rows] * error**2).mean() * len(rows)
            w = w - rate * (2 * x[rows] * (weights[rows] * error)[:, None]).mean(axis=0)
        means.append(total / len(order))
    return means, w


def test_epochs_visit_the_rows_in_the_order_of_seed_and_epoch():
    model = FakeModel()
    history = fit(model, X, Y, batch_size=16, epochs=3, verbose=0)
    orders = [epoch_order(11, epoch, 40) for epoch in range(3)]
    for got, expected in zip(model.executor.orders, orders, strict=True):
        np.testing.assert_array_equal(got, expected)
    expected, w = losses_by_hand(orders, 16)
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-12)
    np.testing.assert_allclose(model.session.state.params, w, rtol=1e-12)
    assert model.session.iterations == 9
    assert model.session.epochs_trained == 3


def test_five_and_five_epochs_are_ten():
    whole, halves = FakeModel(), FakeModel()
    fit(whole, X, Y, batch_size=7, epochs=10, verbose=0)
    fit(halves, X, Y, batch_size=7, epochs=5, verbose=0)
    fit(halves, X, Y, batch_size=7, epochs=10, initial_epoch=5, verbose=0)
    np.testing.assert_array_equal(whole.session.state.params, halves.session.state.params)
    assert halves.history.epoch == [5, 6, 7, 8, 9]


def test_without_shuffling_no_order_is_given():
    model = FakeModel()
    fit(model, X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    assert model.executor.orders == [None, None]
    assert model.executor.trained == [3, 3]


def test_an_epoch_is_one_call_and_nothing_is_moved_between_epochs():
    model = FakeModel()
    fit(model, X, Y, batch_size=10, epochs=20, verbose=0, callbacks=[LambdaCallback(on_epoch_end=lambda e, logs: None)])
    assert model.executor.trained == [4] * 20
    assert [call[0] for call in model.executor.calls].count("get_state") == 0
    assert len(model.executor.puts) == 1


def test_long_epochs_begin_with_short_calls_without_changing_the_result():
    x, y = regression(400)
    model = FakeModel()
    fit(model, x, y, batch_size=4, epochs=2, verbose=0)
    assert model.executor.trained[:3] == [16, 32, 52]
    assert sum(model.executor.trained) == 200
    _, w = losses_by_hand([epoch_order(11, e, 400) for e in range(2)], 4, x=x, y=y)
    np.testing.assert_allclose(model.session.state.params, w, rtol=1e-10)
    unshuffled = FakeModel()
    fit(unshuffled, x, y, batch_size=4, shuffle=False, verbose=0)
    _, w = losses_by_hand([np.arange(400)], 4, x=x, y=y)
    np.testing.assert_allclose(unshuffled.session.state.params, w, rtol=1e-10)


def test_history_has_keras_keys_in_keras_order():
    model = FakeModel(make_session((MEAN, MetricEntry("largest", LargestError()))))
    history = fit(model, X, Y, batch_size=16, epochs=2, validation_split=0.25, verbose=0)
    assert isinstance(history, History)
    assert model.history is history
    assert list(history.history) == ["loss", "mae", "largest", "val_loss", "val_mae", "val_largest"]
    assert history.epoch == [0, 1]
    assert history.params == {"verbose": 0, "epochs": 2, "steps": 2}
    assert all(type(value) is float for values in history.history.values() for value in values)
    assert all(len(values) == 2 for values in history.history.values())


def test_validation_takes_the_last_rows_and_the_weights_after_the_epoch():
    model = FakeModel(make_session((MEAN,)))
    history = fit(model, X, Y, batch_size=16, epochs=2, validation_split=0.25, verbose=0)
    for epoch in range(2):
        _, w = losses_by_hand([epoch_order(11, e, 30) for e in range(epoch + 1)], 16, x=X[:30], y=Y[:30])
        error = X[30:] @ w - Y[30:]
        assert history.history["val_loss"][epoch] == pytest.approx((error**2).mean(), rel=1e-10)
        assert history.history["val_mae"][epoch] == pytest.approx(np.abs(error).mean(), rel=1e-10)


def test_validation_data_with_weights_and_steps():
    model = FakeModel()
    weights = np.arange(20.0)
    rows = (X[:20], Y[:20], weights)
    history = fit(model, X, Y, verbose=0, validation_data=rows, validation_batch_size=6, validation_steps=2)
    error = X[:12] @ model.session.state.params - Y[:12]
    assert history.history["val_loss"] == [pytest.approx((weights[:12] * error**2).mean(), rel=1e-10)]


@pytest.mark.parametrize(("frequency", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4]), ([1, 4], [1, 4]), (9, [])])
def test_validation_frequency(frequency, epochs):
    seen = []
    watch = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch + 1) if "val_loss" in logs else None)
    fit(FakeModel(), X, Y, epochs=5, verbose=0, validation_split=0.5, validation_freq=frequency, callbacks=watch)
    assert seen == epochs


def test_sample_and_class_weights_multiply_and_leave_the_validation_alone():
    labels = (X[:, 0] > 0).astype(float)
    sample = np.linspace(0, 1, 40)
    model = FakeModel()
    history = fit(
        model, X, labels, batch_size=10, verbose=0, class_weight={1: 3.0}, sample_weight=sample, validation_split=0.25
    )
    factor = sample[:30] * np.where(labels[:30] == 1, 3.0, 1.0)
    expected, w = losses_by_hand([epoch_order(11, 0, 30)], x=X[:30], y=labels[:30], weights=factor)
    assert history.history["loss"] == [pytest.approx(expected[0], rel=1e-10)]
    error = X[30:] @ w - labels[30:]
    assert history.history["val_loss"] == [pytest.approx((sample[30:] * error**2).mean(), rel=1e-10)]


def test_metrics_in_python_see_outputs_targets_and_weights_in_the_order_of_the_visit():
    class Spy(LargestError):
        kept: list = []  # noqa: RUF012

        def update_state(self, y_true, y_pred, sample_weight=None):
            Spy.kept.append((y_true, y_pred, sample_weight))
            super().update_state(y_true, y_pred)

    entries = (MetricEntry("a", Spy()), MetricEntry("b", Spy(), weighted=True))
    model = FakeModel(make_session(entries))
    weights = np.arange(40.0)
    history = fit(model, X, Y, batch_size=40, verbose=0, sample_weight=weights)
    order = epoch_order(11, 0, 40)
    (target, output, none), (_, _, weight) = Spy.kept
    np.testing.assert_array_equal(target, Y[order, None])
    np.testing.assert_array_equal(output, np.zeros((40, 1)))
    assert none is None
    np.testing.assert_array_equal(weight, weights[order])
    assert history.history["a"] == [pytest.approx(np.abs(Y).max())]
    # the model's own objects are left alone
    assert entries[0].metric.value == 0.0


def test_steps_per_epoch_go_through_the_data_pass_after_pass():
    model = FakeModel()
    history = fit(model, X, Y, batch_size=16, epochs=4, steps_per_epoch=2, verbose=0)
    first, second, third = (epoch_order(11, e, 40) for e in range(3))
    expected = [first[:32], first[32:], second[:16], second[16:], third[:32]]
    for got, order in zip(model.executor.orders, expected, strict=True):
        np.testing.assert_array_equal(got, order)
    assert history.params["steps"] == 2
    _, w = losses_by_hand([first, second, third[:32]], 16)
    np.testing.assert_allclose(model.session.state.params, w, rtol=1e-12)


def test_more_steps_an_epoch_than_batches_are_taken_too():
    model = FakeModel()
    history = fit(model, X, Y, batch_size=40, epochs=1, steps_per_epoch=3, verbose=0)
    assert model.session.iterations == 3
    expected, _ = losses_by_hand([np.concatenate([epoch_order(11, e, 40) for e in range(3)])], 40)
    assert history.history["loss"] == [pytest.approx(expected[0], rel=1e-10)]


def test_the_learning_rate_is_logged_last_when_a_schedule_decides():
    optimizer = SGD(schedules.ExponentialDecay(0.1, 1, 0.5))
    model = FakeModel(make_session(optimizer=optimizer))
    history = fit(model, X, Y, batch_size=20, epochs=2, verbose=0, validation_split=0.5)
    assert list(history.history)[-1] == "learning_rate"
    assert history.history["learning_rate"] == [0.1, 0.05]  # that of the last update of each epoch
    plain = fit(FakeModel(), X, Y, verbose=0)
    assert "learning_rate" not in plain.history


class Recorder(Callback):
    """Notes every call with its logs."""

    def __init__(self, *names):
        super().__init__()
        self.calls = []
        for name in names:
            setattr(self, name, self._note(name))

    def _note(self, name):
        def note(*arguments, logs=None):
            logs = arguments[-1] if arguments and isinstance(arguments[-1], dict) else logs
            numbers = [a for a in arguments if not isinstance(a, dict)]
            self.calls.append((name, *numbers, tuple(logs or ())))

        return note


ALL = ("on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end",
       "on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end")  # fmt: skip


def test_callbacks_are_called_in_the_order_of_keras():
    recorder = Recorder(*ALL)
    model = FakeModel(make_session((MEAN,)))
    fit(model, X, Y, batch_size=20, epochs=1, verbose=0, validation_data=(X[:12], Y[:12]), callbacks=[recorder])
    own, both = ("loss", "mae"), ("loss", "mae", "val_loss", "val_mae")
    assert recorder.calls == [
        ("on_train_begin", ()),
        ("on_epoch_begin", 0, ()),
        ("on_train_batch_begin", 0, ()),
        ("on_train_batch_end", 0, own),
        ("on_train_batch_begin", 1, ()),
        ("on_train_batch_end", 1, own),
        ("on_test_begin", ()),
        ("on_test_batch_begin", 0, ()),
        ("on_test_batch_end", 0, own),
        ("on_test_end", own),
        ("on_epoch_end", 0, both),
        ("on_train_end", both),
    ]
    assert recorder.model is model
    assert recorder.params == {"verbose": 0, "epochs": 1, "steps": 2}


def test_batch_hooks_get_running_means_and_do_not_change_the_run():
    seen = []
    model, plain = FakeModel(make_session((MEAN,))), FakeModel(make_session((MEAN,)))
    watch = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs))
    history = fit(model, X, Y, batch_size=16, epochs=2, verbose=0, callbacks=watch)
    expected = fit(plain, X, Y, batch_size=16, epochs=2, verbose=0)
    assert model.executor.trained == [1] * 6
    for key in ("loss", "mae"):
        np.testing.assert_allclose(history.history[key], expected.history[key], rtol=1e-12)
    np.testing.assert_array_equal(model.session.state.params, plain.session.state.params)
    assert seen[2]["loss"] == history.history["loss"][0]
    order = epoch_order(11, 0, 40)
    assert seen[0]["loss"] == pytest.approx((Y[order[:16]] ** 2).mean())
    _, w = losses_by_hand([order[:16]], 16)
    second = order[16:32]
    running = ((Y[order[:16]] ** 2).sum() + ((X[second] @ w - Y[second]) ** 2).sum()) / 32
    assert seen[1]["loss"] == pytest.approx(running, rel=1e-10)


def test_a_callback_can_stop_after_an_epoch_or_a_batch():
    model = FakeModel()

    def stop(number, logs=None):
        model.stop_training = number == 1

    history = fit(model, X, Y, batch_size=10, epochs=9, verbose=0, callbacks=LambdaCallback(on_epoch_end=stop))
    assert history.epoch == [0, 1]
    history = fit(model, X, Y, batch_size=10, epochs=9, verbose=0, callbacks=LambdaCallback(on_train_batch_end=stop))
    assert history.epoch == [0]
    assert model.executor.trained[-2:] == [1, 1]
    # a new fit is not stopped by the old wish, and begins a new pass
    fit(model, X, Y, batch_size=40, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.executor.orders[-1], epoch_order(11, 4, 40))


def test_weights_and_learning_rate_may_be_changed_by_callbacks():
    model = FakeModel()

    def change(epoch, logs):
        model.set_weights([np.full((3, 1), float(epoch))])
        model.optimizer.learning_rate = 0.0

    fit(model, X, Y, epochs=3, verbose=0, callbacks=LambdaCallback(on_epoch_begin=change))
    assert model.get_weights()[0].ravel().tolist() == [2, 2, 2]


def test_zero_epochs_do_nothing():
    model = FakeModel()
    ends = []
    history = fit(model, X, Y, epochs=0, verbose=0, callbacks=LambdaCallback(on_train_end=ends.append))
    assert history.history == {}
    assert model.session.iterations == 0
    assert ends == [{}]


# ---- losses that are not finite

BIG = 1e200


def poisoned():
    """Rows of which number 25 makes the loss overflow."""
    x, y = X.copy(), Y.copy()
    y[25] = BIG
    return x, y


def test_a_nonfinite_loss_raises_with_the_place_and_keeps_the_weights_before():
    x, y = poisoned()
    model = FakeModel()
    fit(model, X, Y, batch_size=10, epochs=2, shuffle=False, verbose=0)
    before = model.history
    with pytest.raises(
        NonFiniteLossError, match=r"became inf at step 3 of epoch 6 \(after 10 updates\): lower"
    ) as caught:
        fit(model, x, y, batch_size=10, epochs=7, initial_epoch=5, shuffle=False, verbose=0)
    assert (caught.value.step, caught.value.epoch, caught.value.iterations) == (2, 5, 10)
    assert isinstance(caught.value, ArithmeticError)
    _, w = losses_by_hand([np.arange(40), np.arange(40), np.arange(20)])
    np.testing.assert_allclose(model.session.state.params, w, rtol=1e-12)
    assert model.history is not before
    assert model.history.history == {}
    # the model goes on as if nothing had happened
    fit(model, X, Y, verbose=0)


def test_history_keeps_the_epochs_before_a_nonfinite_loss():
    model = FakeModel(make_session(optimizer=SGD(3.0)))
    with pytest.raises(NonFiniteLossError) as caught:
        fit(model, X, Y, batch_size=10, epochs=1000, verbose=0)
    epochs = caught.value.epoch
    assert epochs > 2
    assert model.history.epoch == list(range(epochs))
    assert len(model.history.history["loss"]) == epochs
    assert np.isfinite(model.session.state.params).all()


def test_ignoring_a_nonfinite_loss_goes_on():
    x, y = poisoned()
    model = FakeModel(make_session(on_nonfinite="ignore"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = fit(model, x, y, batch_size=10, epochs=2, shuffle=False, verbose=0)
    assert model.session.iterations == 8
    assert history.history["loss"][0] == np.inf


@pytest.mark.parametrize("policy", ["raise", "ignore"])
def test_terminate_on_nan_ends_quietly_with_usable_weights(policy, capsys):
    x, y = poisoned()
    model = FakeModel(make_session((MEAN,), on_nonfinite=policy))
    recorder = Recorder("on_epoch_end", "on_train_end")
    history = fit(
        model, x, y, batch_size=10, epochs=5, shuffle=False, verbose=0, callbacks=[TerminateOnNaN(), recorder]
    )  # fmt: skip
    assert history.epoch == [0]
    assert history.history["loss"] == [np.inf]
    assert np.isfinite(history.history["mae"][0])
    _, w = losses_by_hand([np.arange(20)])
    np.testing.assert_allclose(model.session.state.params, w, rtol=1e-12)
    assert [call[0] for call in recorder.calls] == ["on_epoch_end", "on_train_end"]
    assert "Batch 2: the loss is inf" in capsys.readouterr().out
    # no call for every batch was needed
    assert model.executor.trained == [4]


def test_terminate_on_nan_can_raise():
    x, y = poisoned()
    with pytest.raises(RuntimeError, match="loss of batch 2 is inf"):
        fit(FakeModel(), x, y, batch_size=10, shuffle=False, verbose=0, callbacks=TerminateOnNaN(raise_error=True))


def test_an_error_in_a_callback_leaves_a_usable_model():
    model = FakeModel()

    def fail(epoch, logs):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fit(model, X, Y, epochs=3, verbose=0, callbacks=LambdaCallback(on_epoch_end=fail))
    assert model.session.state.params.any()
    assert fit(model, X, Y, epochs=2, verbose=0).epoch == [0, 1]


# ---- large memory maps


def test_memory_maps_of_another_type_are_never_copied_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(data_module, "copy_limit", lambda: 100)
    monkeypatch.setattr(source_module, "PIECE_BYTES", 12 * 3 * 8)
    x = X.astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    entries = (MEAN, MetricEntry("largest", LargestError()))
    model, plain = FakeModel(make_session(entries)), FakeModel(make_session(entries))
    settings = {"batch_size": 5, "epochs": 2, "verbose": 0, "validation_split": 0.25, "sample_weight": np.arange(40.0)}
    history = fit(model, mapped, Y, **settings)
    expected = fit(plain, x.astype(float), Y, **settings)
    assert max(len(data.x) for data in model.executor.puts) <= 12
    assert model.executor.trained == [2, 2, 2] * 2
    assert history.history.keys() == expected.history.keys()
    for key, values in expected.history.items():
        np.testing.assert_allclose(history.history[key], values, rtol=1e-10)
    np.testing.assert_allclose(model.session.state.params, plain.session.state.params, rtol=1e-12)
