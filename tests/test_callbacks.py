"""Callbacks: each on its own with made-up logs, and in `fit` where what counts is the training around it."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from fastann import callbacks, schedules
from fastann.callbacks import (
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from fastann.optimizers import SGD
from fastann.training.loop import fit
from fastann.training.session import MetricEntry
from tests.training.fakes import COLUMNS, FakeModel, StreamedMetric, make_session, regression

X, Y = regression(40)


def run(callback, values, key="val_loss", model=None, steps=4):
    """Play epochs with these values to a callback; return the model. Weights are the number of the epoch that ended."""
    model = FakeModel() if model is None else model
    listeners = CallbackList([callback], add_history=True, model=model, verbose=0, epochs=len(values), steps=steps)
    model.set_weights([np.full((COLUMNS, 1), -1.0)])
    model.stop_training = False
    listeners.on_train_begin()
    for epoch, value in enumerate(values):
        listeners.on_epoch_begin(epoch)
        model.set_weights([np.full((COLUMNS, 1), float(epoch))])
        listeners.on_epoch_end(epoch, {} if value is None else {"loss": 1.0, key: value})
        if model.stop_training:
            break
    listeners.on_train_end({})
    return model


def epochs_run(model):
    return len(model.history.epoch)


def weight(model):
    return float(model.get_weights()[0][0, 0])


# ---- base and list


def test_every_public_name_is_there():
    assert set(callbacks.__all__) >= {
        "Callback", "CallbackList", "CSVLogger", "EarlyStopping", "History", "LambdaCallback", "LearningRateScheduler",
        "ModelCheckpoint", "ReduceLROnPlateau", "TerminateOnNaN",
    }  # fmt: skip
    assert all(hasattr(callbacks, name) for name in callbacks.__all__)


@pytest.mark.parametrize(
    ("callback", "wants"),
    [
        (Callback(), ()),
        (EarlyStopping(), ()),
        (ModelCheckpoint("x"), ()),
        (ModelCheckpoint("x", save_freq=3), ("train",)),
        (TerminateOnNaN(), ()),
        (History(), ()),
        (CSVLogger("x"), ()),
        (LambdaCallback(on_epoch_end=print, on_train_begin=print), ()),
        (LambdaCallback(on_train_batch_begin=print), ("train",)),
        (LambdaCallback(on_batch_end=print), ("train",)),
        (LambdaCallback(on_test_batch_end=print), ("test",)),
        (LambdaCallback(on_predict_batch_begin=print), ("predict",)),
        (CallbackList([Callback(), LambdaCallback(on_test_batch_end=print)]), ("test",)),
    ],
)
def test_only_who_has_a_batch_method_is_told_of_batches(callback, wants):
    assert tuple(mode for mode in ("train", "test", "predict") if callback.wants_batches(mode)) == wants


def test_batch_methods_of_subclasses_are_seen():
    class Old(Callback):
        def on_batch_end(self, batch, logs=None):
            pass

    class Checkpoint(ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            pass

    class NoInit(Callback):
        def __init__(self):
            pass

        def on_train_batch_begin(self, batch, logs=None):
            pass

    assert Old().wants_batches("train")
    assert Checkpoint("x").wants_batches("train")
    assert NoInit().wants_batches("train")
    assert not NoInit().wants_batches("test")
    assert NoInit().model is None


def test_older_names_of_batch_methods_are_called():
    seen = []

    class Old(Callback):
        def on_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            seen.append(("end", batch, sorted(logs)))

    fit(FakeModel(), X, Y, batch_size=20, verbose=0, callbacks=[Old()])
    assert seen == [("begin", 0), ("end", 0, ["loss"]), ("begin", 1), ("end", 1, ["loss"])]


def test_lists_are_flattened_and_history_is_last_unless_given():
    first, second = Callback(), Callback()
    made = CallbackList([first, (second, [CallbackList([LambdaCallback()])])], add_history=True)
    assert made.callbacks[:2] == [first, second]
    assert isinstance(made.callbacks[-1], History)
    own = History()
    made = CallbackList([own, first], add_history=True)
    assert made.history is own
    assert made.callbacks == [own, first]
    assert CallbackList(first).callbacks == [first]
    assert CallbackList(None).callbacks == []
    made.append(second)
    assert made.callbacks[-1] is second


@pytest.mark.parametrize(
    "wrong", ["EarlyStopping", 3, [print], EarlyStopping, [Callback(), None, 1.5], {"a": Callback()}]
)
def test_what_is_no_callback_is_refused(wrong):
    with pytest.raises(TypeError, match=r"callbacks must be fastann.callbacks.Callback objects, got "):
        CallbackList(wrong)


def test_a_history_that_is_used_again_collects_on():
    history = History()
    model = FakeModel()
    for _ in range(2):
        fit(model, X, Y, epochs=2, verbose=0, callbacks=[history])
    assert len(history.history["loss"]) == 4
    assert history.epoch == [0, 1]
    assert model.history is history


def test_a_partial_epoch_leaves_all_lists_equally_long():
    history = History()
    history.on_train_begin()
    history.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
    history.add_partial_epoch(1, {"loss": 0.5})
    assert history.epoch == [0, 1]
    assert history.history["loss"] == [1.0, 0.5]
    assert math.isnan(history.history["val_loss"][1])


# ---- LambdaCallback


def test_lambda_callback_calls_its_functions():
    seen = []
    callback = LambdaCallback(
        on_train_begin=lambda logs: seen.append("begin"),
        on_epoch_end=lambda epoch, logs: seen.append((epoch, sorted(logs))),
        on_train_batch_end=lambda batch, logs: seen.append(batch),
        on_test_end=lambda logs: seen.append("tested"),
    )
    fit(FakeModel(), X, Y, batch_size=20, verbose=0, validation_data=(X, Y), callbacks=callback)
    assert seen == ["begin", 0, 1, "tested", (0, ["loss", "val_loss"])]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_epoch": print}, "LambdaCallback knows no 'on_epoch'; it takes on_batch_begin, on_batch_end"),
        ({"set_model": print}, "knows no 'set_model'"),
        ({"on_epoch_end": 3}, "expects a function as on_epoch_end, got 3"),
    ],
)
def test_lambda_callback_refuses_what_it_does_not_know(settings, message):
    with pytest.raises(TypeError, match=message):
        LambdaCallback(**settings)


# ---- EarlyStopping. Expected numbers of epochs were recorded from Keras 3.15 with the same values.

STOPPING = [
    ({}, [3, 2, 2, 1], 3),
    ({"patience": 1}, [3, 2, 2, 1], 3),
    ({"patience": 2}, [3, 2, 2, 1, 1, 1, 1], 6),
    ({"patience": 2, "min_delta": 0.5}, [3, 2, 1.9, 1.8, 1], 4),
    ({"patience": 2, "min_delta": -0.5}, [3, 2, 1.9, 1.8, 1], 4),
    ({"patience": 2, "baseline": 1.5}, [3, 2, 1, 2, 2], 5),
    ({"patience": 1, "baseline": 1.5}, [3, 2.5, 2, 1.8], 4),
    ({"patience": 1, "baseline": 1.5}, [3, 3, 2, 1.8], 2),
    ({"patience": 0}, [1, 2, 3], 2),
    ({"patience": 1, "mode": "max"}, [1, 2, 3, 3, 5], 4),
    ({"patience": 1, "start_from_epoch": 2}, [1, 5, 5, 5, 5], 4),
    ({"patience": 0, "start_from_epoch": 5}, [1, 5, 5, 5, 5], 5),
]


@pytest.mark.parametrize(("settings", "values", "epochs"), STOPPING)
def test_early_stopping_stops_when_keras_does(settings, values, epochs):
    stopping = EarlyStopping(**settings)
    model = run(stopping, values)
    assert epochs_run(model) == epochs
    assert stopping.stopped_epoch == (epochs - 1 if model.stop_training else 0)


def test_early_stopping_restores_the_best_weights_whether_it_stopped_or_not():
    stopping = EarlyStopping(patience=2, restore_best_weights=True)
    assert weight(run(stopping, [3, 1, 2, 2, 0])) == 1
    assert (stopping.best, stopping.best_epoch) == (1, 1)
    assert weight(run(stopping, [3, 1, 2])) == 1
    assert weight(run(EarlyStopping(patience=2), [3, 1, 2])) == 2


def test_early_stopping_restores_before_or_after_the_epoch_as_the_value_demands():
    settings = {"patience": 9, "restore_best_weights": True}
    values = [3, 2, 1, 2, 2]
    # measured after the epoch
    assert weight(run(EarlyStopping("val_loss", **settings), values, steps=1)) == 2
    # one step an epoch: measured before it
    assert weight(run(EarlyStopping("loss", **settings), values, key="loss", steps=1)) == 1
    # many steps: Keras's convention
    assert weight(run(EarlyStopping("loss", **settings), values, key="loss", steps=4)) == 2
    assert weight(run(EarlyStopping("loss", **settings), [1, 2, 2], key="loss", steps=1)) == -1


def test_full_batch_training_restores_the_weights_that_gave_the_best_loss():
    model = FakeModel(make_session(optimizer=SGD(lambda step: 0.05 if step < 3 else 2.0)))
    stopping = EarlyStopping("loss", patience=2, restore_best_weights=True)
    history = fit(model, X, Y, batch_size=40, epochs=20, verbose=0, callbacks=[stopping])
    best = min(history.history["loss"])
    assert len(history.history["loss"]) == stopping.best_epoch + 3
    w = model.get_weights()[0]
    assert ((X @ w - Y[:, None]) ** 2).mean() == pytest.approx(best, rel=1e-12)
    assert stopping.best == best


def test_early_stopping_is_not_fooled_by_nan():
    nan = float("nan")
    stopping = EarlyStopping(patience=2, restore_best_weights=True)
    assert weight(run(stopping, [nan, 2, 3, nan, 1])) == 1
    assert stopping.best == 2


def test_early_stopping_may_be_used_again():
    stopping = EarlyStopping(patience=1)
    run(stopping, [1, 2, 2])
    assert epochs_run(run(stopping, [5, 4, 3, 3])) == 4


def test_early_stopping_says_what_it_does(capsys):
    run(EarlyStopping(verbose=1, restore_best_weights=True), [1, 2])
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: early stopping",
        "Restoring the weights of the best epoch: 1",
    ]


def test_a_value_that_is_not_there_warns_and_changes_nothing():
    with pytest.warns(
        UserWarning, match="EarlyStopping monitors 'val_loss', which this epoch did not give; it gave 'loss'"
    ):
        model = run(EarlyStopping(), [1, 2, 3], key="loss")
    assert epochs_run(model) == 3


@pytest.mark.parametrize(
    ("monitor", "grows"),
    [
        ("loss", False), ("val_loss", False), ("accuracy", True), ("val_acc", True), ("val_my_accuracy", True),
        ("mean_squared_error", False), ("val_mae", False), ("cosine_similarity", True), ("val_sparse_ce", False),
        ("auc", True), ("kl_divergence", False), ("squared_hinge", False), ("out_loss", False),
    ],
)  # fmt: skip
def test_auto_mode_tells_by_the_name(monitor, grows):
    assert EarlyStopping(monitor).grows is grows


def test_auto_mode_tells_by_the_metric_and_gives_up_otherwise():
    model = FakeModel(make_session((MetricEntry("mine", StreamedMetric()),)))
    stopping = EarlyStopping("val_mine")
    stopping.set_model(model)
    assert not stopping.grows
    with pytest.raises(ValueError, match="cannot tell whether 'gain' should grow or shrink; pass mode='min'"):
        run(EarlyStopping("gain"), [1, 2], key="gain")
    assert EarlyStopping("gain", mode="max").grows


@pytest.mark.parametrize("settings", [{"mode": "up"}, {"mode": None}])
def test_unknown_modes_are_refused(settings):
    with pytest.raises(ValueError, match="mode must be 'auto', 'min' or 'max'"):
        EarlyStopping(**settings)
    with pytest.raises(TypeError, match="monitor must be a key"):
        EarlyStopping(monitor=3)


# ---- ReduceLROnPlateau. Expected rates were recorded from Keras 3.15.

PLATEAUS = [
    ({"patience": 2, "factor": 0.1}, [3, 2, 2, 2, 2, 2], [1, 1, 1, 0.1, 0.1, 0.01]),
    ({"patience": 1, "factor": 0.5}, [1, 1, 1, 1], [1, 0.5, 0.25, 0.125]),
    ({"patience": 1, "factor": 0.5, "cooldown": 2}, [1, 1, 1, 1, 1, 1], [1, 0.5, 0.5, 0.25, 0.25, 0.125]),
    ({"patience": 1, "factor": 0.1, "min_lr": 0.05}, [1, 1, 1, 1], [1, 0.1, 0.05, 0.05]),
    ({"patience": 1, "factor": 0.5, "min_delta": 0.5}, [3, 2.8, 2.6, 1], [1, 0.5, 0.25, 0.25]),
    ({"patience": 1, "factor": 0.5, "mode": "max"}, [1, 2, 2, 3], [1, 1, 0.5, 0.5]),
]


@pytest.mark.parametrize(("settings", "values", "rates"), PLATEAUS)
def test_reduce_on_plateau_follows_keras(settings, values, rates):
    model = FakeModel(make_session(optimizer=SGD(1.0)))
    seen = []
    watch = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.session.learning_rate))
    run([ReduceLROnPlateau(**settings), watch], values, model=model)
    np.testing.assert_allclose(seen, rates, rtol=1e-12)
    # the log holds the rate that the epoch was trained with
    np.testing.assert_allclose(model.history.history["learning_rate"], [1.0, *rates[:-1]], rtol=1e-12)


@pytest.mark.parametrize("factor", [1.0, 2.0, 0.0, -1])
def test_factors_that_reduce_nothing_are_refused(factor):
    with pytest.raises(ValueError, match="a factor between 0 and 1"):
        ReduceLROnPlateau(factor=factor)


# ---- LearningRateScheduler


def test_scheduler_sets_and_logs_the_rate_of_each_epoch(capsys):
    model = FakeModel(make_session(optimizer=SGD(0.4)))
    history = fit(
        model, X, Y, epochs=3, verbose=0, validation_split=0.5,
        callbacks=LearningRateScheduler(lambda epoch, rate: rate * 0.5, verbose=1),
    )  # fmt: skip
    assert history.history["learning_rate"] == [0.2, 0.1, 0.05]
    assert list(history.history) == ["loss", "val_loss", "learning_rate"]
    rates = [call[3].coefficients[0, 6] for call in model.executor.calls if call[0] == "train"]
    assert rates == [0.2, 0.1, 0.05]
    assert "Epoch 1: LearningRateScheduler sets the learning rate to 0.2" in capsys.readouterr().out


def test_scheduler_takes_functions_of_the_epoch_alone():
    model = FakeModel()
    fit(model, X, Y, epochs=2, verbose=0, callbacks=LearningRateScheduler(lambda epoch: np.float32(epoch + 1)))
    assert model.session.learning_rate == 2.0


def test_scheduler_does_not_hide_errors_of_the_function():
    def broken(epoch, rate):
        return epoch + "1"

    with pytest.raises(TypeError, match="unsupported operand"):
        fit(FakeModel(), X, Y, verbose=0, callbacks=LearningRateScheduler(broken))


@pytest.mark.parametrize("rate", ["0.1", None, [0.1], True])
def test_scheduler_wants_a_number(rate):
    with pytest.raises(TypeError, match="must return a number"):
        fit(FakeModel(), X, Y, verbose=0, callbacks=LearningRateScheduler(lambda epoch: rate))
    with pytest.raises(TypeError, match="expects a function"):
        LearningRateScheduler(0.1)


def test_scheduler_and_schedule_exclude_each_other():
    model = FakeModel(make_session(optimizer=SGD(schedules.ExponentialDecay(0.1, 10, 0.9))))
    with pytest.raises(TypeError, match="follows a schedule"):
        fit(model, X, Y, verbose=0, callbacks=LearningRateScheduler(lambda epoch: 0.1))


# ---- ModelCheckpoint


def test_checkpoint_saves_every_epoch_under_a_formatted_name(tmp_path):
    model = run(ModelCheckpoint(tmp_path / "deep" / "m-{epoch:02d}-{val_loss:.2f}.zip"), [3, 2])
    assert [(kind, path) for kind, path, _ in model.saved] == [
        ("model", str(tmp_path / "deep" / "m-01-3.00.zip")),
        ("model", str(tmp_path / "deep" / "m-02-2.00.zip")),
    ]
    assert (tmp_path / "deep").is_dir()


def test_checkpoint_saves_only_the_best(tmp_path, capsys):
    checkpoint = ModelCheckpoint(tmp_path / "m", save_best_only=True, save_weights_only=True, verbose=1)
    model = run(checkpoint, [3, 2, 4, float("nan"), 1])
    assert [(kind, params[0]) for kind, _, params in model.saved] == [("weights", 0), ("weights", 1), ("weights", 4)]
    out = capsys.readouterr().out
    assert "Epoch 3: val_loss did not get better than 2.00000" in out
    assert f"Epoch 5: saved {tmp_path / 'm'}" in out
    checkpoint = ModelCheckpoint(tmp_path / "m", save_best_only=True, initial_value_threshold=2.5)
    assert [params[0] for _, _, params in run(checkpoint, [3, 2, 4]).saved] == [1]


def test_checkpoint_counts_batches_across_epochs(tmp_path):
    model = FakeModel()
    checkpoint = ModelCheckpoint(tmp_path / "m-{epoch}-{batch}", save_freq=3)
    fit(model, X, Y, batch_size=10, epochs=2, verbose=0, callbacks=checkpoint)
    assert [path[-5:] for _, path, _ in model.saved] == ["m-1-3", "m-2-2"]


def test_checkpoint_names_the_field_that_is_not_there(tmp_path):
    with pytest.raises(KeyError, match="field 'val_acc', but there are only epoch, loss, val_loss"):
        run(ModelCheckpoint(tmp_path / "{val_acc}"), [1])


def test_checkpoint_saves_and_warns_when_there_is_nothing_to_compare(tmp_path):
    with pytest.warns(UserWarning, match="ModelCheckpoint monitors 'val_loss'"):
        model = run(ModelCheckpoint(tmp_path / "m", save_best_only=True), [1], key="loss")
    assert len(model.saved) == 1


@pytest.mark.parametrize("frequency", ["batch", 0, -1, 1.5, None, True])
def test_checkpoint_frequencies_that_are_none(frequency):
    with pytest.raises(ValueError, match="save_freq must be 'epoch' or a positive number"):
        ModelCheckpoint("m", save_freq=frequency)


# ---- CSVLogger


def read(path, delimiter=","):
    with path.open(newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def test_csv_logger_writes_a_line_an_epoch(tmp_path):
    path = tmp_path / "log.csv"
    model = FakeModel()
    history = fit(model, X, Y, epochs=2, verbose=0, validation_split=0.5, callbacks=CSVLogger(path))
    lines = read(path)
    assert lines[0] == ["epoch", "loss", "val_loss"]
    assert [int(line[0]) for line in lines[1:]] == [0, 1]
    assert [float(line[1]) for line in lines[1:]] == history.history["loss"]
    fit(model, X, Y, epochs=1, verbose=0, callbacks=CSVLogger(path, separator=";"))
    assert len(read(path, ";")) == 2


def test_csv_logger_appends_without_a_second_header(tmp_path):
    path = tmp_path / "log.csv"
    logger = CSVLogger(path, append=True)
    for first in (0, 2):
        fit(FakeModel(), X, Y, epochs=first + 2, initial_epoch=first, verbose=0, callbacks=logger)
    lines = read(path)
    assert [line[0] for line in lines] == ["epoch", "0", "1", "2", "3"]


def test_csv_logger_has_columns_for_a_validation_that_comes_later(tmp_path):
    path = tmp_path / "log.csv"
    settings = {"epochs": 2, "validation_split": 0.5, "validation_freq": 2, "verbose": 0}
    fit(FakeModel(), X, Y, callbacks=CSVLogger(path), **settings)
    header, first, second = read(path)
    assert header == ["epoch", "loss", "val_loss"]
    assert first[2] == "NA"
    assert float(second[2]) > 0


def test_csv_logger_writes_at_once(tmp_path):
    path = tmp_path / "log.csv"
    lengths = []
    watch = LambdaCallback(on_epoch_end=lambda epoch, logs: lengths.append(len(read(path))))
    fit(FakeModel(), X, Y, epochs=3, verbose=0, callbacks=[CSVLogger(path), watch])
    assert lengths == [2, 3, 4]


def test_csv_separators_are_single_characters():
    with pytest.raises(ValueError, match="separator must be one character"):
        CSVLogger("log.csv", separator="::")
