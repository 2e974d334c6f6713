"""`fit`, `evaluate` and `predict` on data that comes in batches: the same results as on rows, and the edges."""

from __future__ import annotations

import os
import signal
import threading
from itertools import pairwise

import numpy as np
import pytest

from fastann import Sequential, layers
from fastann.callbacks import Callback, LambdaCallback
from fastann.random import epoch_order
from fastann.training import prefetch as prefetch_module
from fastann.training import reader as reader_module
from fastann.training.loop import evaluate, fit, predict
from fastann.training.session import MetricEntry
from tests.training.fakes import FakeModel, LargestError, StreamedMetric, make_session, regression
from tests.training.test_streams import Loader, Numbered, OwnError

X, Y = regression(40)
ENTRIES = (MetricEntry("mae", StreamedMetric()), MetricEntry("largest", LargestError()))


def batches(size=10, x=X, y=Y, *others):
    return [tuple(a[i : i + size] for a in (x, y, *others)) for i in range(0, len(x), size)]


def forever(size=10, x=X, y=Y):
    while True:
        yield from batches(size, x, y)


@pytest.fixture(autouse=True)
def no_threads_left():
    yield
    assert [t.name for t in threading.enumerate() if t.name == "fastann-prefetch"] == []


def on_rows(epochs=3, size=10, **settings):
    model = FakeModel(make_session(ENTRIES))
    fit(model, X, Y, batch_size=size, epochs=epochs, shuffle=False, verbose=0, **settings)
    return model


def same(model, expected):
    np.testing.assert_allclose(model.session.state.params, expected.session.state.params, rtol=1e-12)
    assert model.history.epoch == expected.history.epoch
    assert list(model.history.history) == list(expected.history.history)
    for key, values in expected.history.history.items():
        np.testing.assert_allclose(model.history.history[key], values, rtol=1e-12, err_msg=key)


# ---- the same as on rows


class OfBatches(Loader):
    def __init__(self, size=10):
        self.size = size

    def __iter__(self):
        return iter(batches(self.size))


@pytest.mark.parametrize("size", [10, 16])
@pytest.mark.parametrize("kind", ["endless", "sequence", "loader", "lists"])
def test_training_on_batches_is_training_on_rows(kind, size):
    given, steps = {
        "endless": (forever(size), -(-40 // size)),
        "sequence": (Numbered(batches(size)), None),
        "loader": (OfBatches(size), None),
        "lists": (Numbered([[x.tolist(), y.tolist()] for x, y in batches(size)]), None),
    }[kind]
    model = FakeModel(make_session(ENTRIES))
    fit(model, given, epochs=3, steps_per_epoch=steps, shuffle=False, verbose=0)
    same(model, on_rows(size=size))
    assert model.session.epochs_trained == 3


@pytest.mark.parametrize("kind", ["endless", "once", "sequence", "rows"])
def test_validation_on_batches(kind):
    x, y = regression(25, seed=1)
    given, steps = {
        "endless": (forever(10, x, y), 3),
        "once": (iter(batches(10, x, y)), None),
        "sequence": (Numbered(batches(10, x, y)), None),
        "rows": ((x, y), None),
    }[kind]
    model = FakeModel(make_session(ENTRIES))
    data = Numbered(batches())
    fit(model, data, epochs=3, shuffle=False, validation_data=given, validation_steps=steps, verbose=0)
    same(model, on_rows(validation_data=(x, y)))


def test_rows_can_be_validated_on_batches():
    model = FakeModel(make_session(ENTRIES))
    fit(model, X, Y, batch_size=10, epochs=3, shuffle=False, validation_data=Numbered(batches(7)), verbose=0)
    same(model, on_rows(validation_data=(X, Y)))


def test_validation_steps_take_the_first_batches_of_a_sequence_each_time():
    model = FakeModel(make_session(ENTRIES))
    data = Numbered(batches(5))
    fit(model, X, Y, batch_size=10, epochs=3, shuffle=False, validation_data=data, validation_steps=3, verbose=0)
    same(model, on_rows(validation_data=(X[:15], Y[:15])))


def test_evaluate_and_predict():
    model = on_rows()
    expected = evaluate(model, X, Y, verbose=0)
    outputs = predict(model, X, verbose=0)
    for given, steps in ((iter(batches(7)), None), (Numbered(batches(7)), None), (forever(8), 5), (OfBatches(), None)):
        np.testing.assert_allclose(evaluate(model, given, steps=steps, verbose=0), expected, rtol=1e-12)
    for made in (iter([x for x, _ in batches(7)]), iter([(x,) for x, _ in batches(7)]), Numbered(batches(7))):
        np.testing.assert_allclose(predict(model, made, verbose=0), outputs, rtol=1e-12)
    np.testing.assert_allclose(predict(model, forever(8), steps=2, verbose=0), outputs[:16], rtol=1e-12)
    np.testing.assert_allclose(
        evaluate(model, Numbered(batches(7)), steps=2, verbose=0), evaluate(model, X[:14], Y[:14], verbose=0)
    )


def test_weights_of_rows_and_classes():
    weights = np.linspace(0.0, 2.0, 40)
    labels = np.arange(40.0) % 2
    expected, model = FakeModel(), FakeModel()
    factors = {0: 0.5, 1: 3.0}
    fit(expected, X, labels, 10, shuffle=False, sample_weight=weights, class_weight=factors, verbose=0)
    fit(model, iter(batches(10, X, labels, weights)), class_weight=factors, verbose=0)
    same(model, expected)
    mixed = [(x, y, w) if i % 2 else (x, y) for i, (x, y, w) in enumerate(batches(10, X, Y, weights))]
    weights[:10] = weights[20:30] = 1.0
    expected, model = FakeModel(), FakeModel()
    fit(expected, X, Y, 10, shuffle=False, sample_weight=weights, verbose=0)
    fit(model, iter(mixed), verbose=0)
    same(model, expected)


def test_batches_of_any_size_count_by_their_rows():
    model = FakeModel(make_session(ENTRIES))
    sizes = [1, 9, 3, 3, 3, 11, 2, 8]
    cuts = np.cumsum([0, *sizes])
    made = [(X[a:b], Y[a:b]) for a, b in pairwise(cuts)]
    history = fit(model, iter(made), verbose=0)
    w, total = np.zeros(3), 0.0
    for x, y in made:
        error = x @ w - y
        total += (error**2).sum()
        w = w - 0.05 * (2 * x * error[:, None]).mean(axis=0)
    assert history.history["loss"] == [pytest.approx(total / 40, rel=1e-12)]
    np.testing.assert_allclose(model.session.state.params, w, rtol=1e-12)
    assert model.session.iterations == len(sizes)


# ---- order, steps and hooks


def test_a_sequence_is_shuffled_by_seed_and_epoch():
    model = FakeModel()
    seen = []

    class Watched(Numbered):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    fit(model, Watched(batches(4)), epochs=3, verbose=0)
    assert seen[0] == 0  # looked at before anything begins
    np.testing.assert_array_equal(np.reshape(seen[1:], (3, 10)), [epoch_order(11, e, 10) for e in range(3)])


def test_steps_per_epoch_go_on_through_the_passes():
    seen = []

    class Watched(Numbered):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    model = FakeModel()
    fit(model, Watched(batches(10)), epochs=3, steps_per_epoch=3, shuffle=False, verbose=0)
    assert seen == [0, 0, 1, 2, 3, 0, 1, 2, 3, 0]
    expected = FakeModel()
    fit(expected, X, Y, 10, epochs=3, steps_per_epoch=3, shuffle=False, verbose=0)
    same(model, expected)


def test_a_generator_is_not_read_beyond_the_epoch():
    read = []
    given = (read.append(i) or batch for i, batch in enumerate(forever()))
    at_end = []
    watch = LambdaCallback(on_epoch_end=lambda epoch, logs: at_end.append(len(read)))
    fit(FakeModel(), given, epochs=3, steps_per_epoch=5, verbose=0, callbacks=[watch])
    assert at_end == [5, 10, 15]


def test_hooks_of_a_sequence():
    told = []

    class Told(Numbered):
        def on_epoch_begin(self):
            told.append("begin")

        def on_epoch_end(self):
            told.append("end")

    watch = LambdaCallback(on_epoch_end=lambda epoch, logs: told.append(epoch))
    fit(FakeModel(), Told(batches()), epochs=2, verbose=0, callbacks=[watch])
    assert told == ["begin", "end", 0, "begin", "end", 1]


def test_a_generator_may_use_one_array_for_all_batches():
    def reusing():
        x, y = np.empty((10, 3)), np.empty((10, 1))
        for new_x, new_y in batches():
            x[:], y[:, 0] = new_x, new_y
            yield x, y

    model, expected = FakeModel(), FakeModel()
    fit(expected, X, Y, 10, shuffle=False, verbose=0)
    fit(model, reusing(), verbose=0)
    same(model, expected)


def test_params_say_how_many_steps_if_that_is_known():
    for given, steps, known in ((Numbered(batches()), None, 4), (forever(), 7, 7), (iter(batches()), None, None)):
        history = fit(FakeModel(), given, steps_per_epoch=steps, verbose=0)
        assert history.params == {"verbose": 0, "epochs": 1, "steps": known}


@pytest.mark.parametrize("verbose", [1, 2])
def test_progress_of_unknown_length(verbose, capsys):
    fit(FakeModel(), OfBatches(), epochs=2, verbose=verbose)
    shown = capsys.readouterr().out
    assert "Epoch 2/2" in shown
    assert "loss" in shown
    if verbose == 1:
        assert "4/4" in shown


# ---- how many calls


def test_equal_batches_go_together_and_a_short_one_with_them(monkeypatch):
    x, y = regression(8 * 20 + 5)
    model = FakeModel(make_session(backend="jax"))
    fit(model, Numbered(batches(8, x, y)), epochs=2, shuffle=False, verbose=0)
    assert model.executor.trained == [21, 21]
    monkeypatch.setattr(reader_module, "MOST_BATCHES", 8)
    model = FakeModel(make_session(backend="jax"))
    fit(model, Numbered(batches(8, x, y)), epochs=2, shuffle=False, verbose=0)
    assert model.executor.trained == [8, 8, 5] * 2
    model = FakeModel()
    fit(model, Numbered(batches(8, x, y)), epochs=2, shuffle=False, verbose=0)
    assert sum(model.executor.trained) == 42


def test_batches_of_many_sizes_do_not_make_a_compiler_work_for_each_combination():
    sizes = 1 + np.random.default_rng(0).permutation(60)
    x, y = regression(int(sizes.sum()))
    cuts = np.cumsum([0, *sizes])
    made = [(x[a:b], y[a:b]) for a, b in pairwise(cuts)]
    model = FakeModel(make_session(backend="jax"))
    fit(model, Numbered(made), epochs=2, verbose=0)
    assert model.executor.trained[-60:] == [1] * 60


def test_a_batch_callback_sees_every_batch():
    seen = []

    class Watch(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_train_batch_end(self, batch, logs=None):
            seen.append(("end", batch))

        def on_test_batch_end(self, batch, logs=None):
            seen.append(("test", batch))

        def on_predict_batch_end(self, batch, logs=None):
            seen.append(("predict", len(logs["outputs"])))

    model = FakeModel()
    fit(model, iter(batches(20)), validation_data=Numbered(batches(20)), verbose=0, callbacks=Watch())
    predict(model, Numbered(batches(20)), verbose=0, callbacks=Watch())
    assert model.executor.trained == [1, 1]
    train = [("begin", 0), ("end", 0), ("begin", 1), ("end", 1)]
    assert seen == [*train, ("test", 0), ("test", 1), ("predict", 20), ("predict", 20)]


def test_stopping_within_an_epoch():
    model = FakeModel()
    stop = LambdaCallback(on_train_batch_end=lambda batch, logs: setattr(model, "stop_training", batch == 1))
    fit(model, forever(), epochs=5, steps_per_epoch=10, verbose=0, callbacks=[stop])
    assert model.executor.trained == [1, 1]
    assert model.history.epoch == [0]


# ---- what can go wrong


def test_a_generator_that_runs_dry_ends_training_with_a_warning():
    model = FakeModel()
    with pytest.warns(UserWarning, match=r"^x ran out of data after 4 batches, and training ends there"):
        history = fit(model, iter(batches()), epochs=5, verbose=0)
    assert history.epoch == [0]
    model = FakeModel()
    with pytest.warns(UserWarning, match=r"^x ran out of data after 4 batches") as caught:
        history = fit(model, iter(batches()), epochs=5, steps_per_epoch=3, verbose=0)
    assert len(caught) == 1
    assert history.epoch == [0, 1]
    assert model.session.iterations == 4
    with pytest.warns(UserWarning, match=r"^validation data ran out of data after 4 batches"):
        history = fit(FakeModel(), X, Y, epochs=3, validation_data=iter(batches()), validation_steps=2, verbose=0)
    assert [len(values) for values in history.history.values()] == [3, 2]
    with pytest.warns(UserWarning, match=r"ran out of data after 4 batches, and 4 of 9 batches are evaluated"):
        evaluate(model, iter(batches()), steps=9, verbose=0)


@pytest.mark.parametrize("kind", ["train", "validation", "evaluate", "predict"])
def test_an_error_of_the_generator_comes_through(kind):
    error = OwnError("broken file")

    def broken():
        yield from batches()
        raise error

    call = {
        "train": lambda: fit(FakeModel(), broken(), verbose=0),
        "validation": lambda: fit(FakeModel(), X, Y, validation_data=broken(), verbose=0),
        "evaluate": lambda: evaluate(FakeModel(), broken(), verbose=0),
        "predict": lambda: predict(FakeModel(), broken(), verbose=0),
    }[kind]
    with pytest.raises(OwnError) as caught:
        call()
    assert caught.value is error


def test_a_bad_batch_is_named():
    made = [*batches()[:2], (X[:10, :2], Y[:10])]
    with pytest.raises(ValueError, match=r"^batch 3's x must have shape \(rows, 3\), got \(10, 2\)"):
        fit(FakeModel(), iter(made), verbose=0)
    spoiled = X[:10].copy()
    spoiled[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"^validation batch 2's x must be finite, got nan in row 3, column 1"):
        fit(FakeModel(), X, Y, validation_data=iter([batches()[0], (spoiled, Y[:10])]), verbose=0)
    with pytest.raises(ValueError, match=r"^batch 1's y must have as many rows as batch 1's x, 10, got 9"):
        evaluate(FakeModel(), iter([(X[:10], Y[:9])]), verbose=0)
    with pytest.raises(TypeError, match=r"^x must bring batches \(x, y\) or \(x, y, sample_weight\), got ndarray"):
        fit(FakeModel(), iter(X), verbose=0)


def test_what_cannot_be_together():
    for settings, match in (
        ({"y": Y}, "^y must not be given when x brings batches, as generator does; let each batch be"),
        ({"sample_weight": Y}, "^sample_weight must not be given"),
        ({"validation_split": 0.5}, "^validation_split must not be given"),
        ({"class_weight": "balanced"}, "^class_weight must be a dict"),
    ):
        with pytest.raises(ValueError, match=match):
            fit(FakeModel(), forever(), verbose=0, **settings)
    with pytest.warns(UserWarning, match="^batch_size has no effect when x brings batches, as Numbered does"):
        fit(FakeModel(), Numbered(batches()), batch_size=7, verbose=0)

    class Endless(Numbered):
        num_batches = None

    for call in (lambda given: fit(FakeModel(), given), lambda given: evaluate(FakeModel(), given)):
        with pytest.raises(ValueError, match=r"^x has no end, so the number of batches must be given"):
            call(Endless(batches()))


@pytest.mark.usefixtures("python_handler")
def test_ctrl_c_is_heard_while_a_generator_keeps_waiting(monkeypatch):
    monkeypatch.setattr(prefetch_module, "PATIENCE", 0.05)
    release = threading.Event()

    def stuck():
        yield from batches()
        os.kill(os.getpid(), signal.SIGINT)
        release.wait(30)

    model, ended = FakeModel(), []
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(model, stuck(), epochs=3, verbose=0, callbacks=LambdaCallback(on_train_end=ended.append))
    finally:
        release.set()
        for thread in threading.enumerate():
            if thread.name == "fastann-prefetch":
                thread.join(5)
    assert model.history.epoch == [0]
    assert len(ended) == 1


# ---- real models


def network(backend):
    made = Sequential([layers.Dense(4, "tanh", input_shape=(3,)), layers.Dense(1)], seed=3)
    made.compile("adam", "mse", metrics=["mae"], backend=backend, precision="float64")
    return made


def test_both_backends(backend):
    rows, given, again = network(backend), network(backend), network(backend)
    x, y = regression(54)
    rows.fit(x, y, batch_size=8, epochs=3, shuffle=False, validation_data=(X, Y), verbose=0)
    data = Numbered(batches(8, x, y))
    given.fit(data, epochs=3, shuffle=False, validation_data=iter(batches()), verbose=0)
    again.fit(forever(8, x, y), epochs=3, steps_per_epoch=7, validation_data=(X, Y), verbose=0)
    for model in (given, again):
        for key, values in rows.history.history.items():
            np.testing.assert_allclose(model.history.history[key], values, rtol=1e-9, err_msg=key)
    np.testing.assert_allclose(given.predict(data, verbose=0), rows.predict(x, verbose=0), rtol=1e-9)
    np.testing.assert_allclose(given.evaluate(data, verbose=0), rows.evaluate(x, y, verbose=0), rtol=1e-9)


def test_a_model_is_built_by_its_first_batch():
    model = Sequential([layers.Dense(4, "relu"), layers.Dense(3, "softmax")], seed=3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(iter(batches(10, X.astype(np.float32), np.arange(40) % 3)), verbose=0)
    assert model.input_shape == (None, 3)
    assert list(model.history.history) == ["loss", "accuracy"]


def test_a_torch_loader():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    loader = torch.utils.data.DataLoader(data, batch_size=10)
    model, expected = FakeModel(), FakeModel()
    fit(model, loader, epochs=3, verbose=0)
    fit(expected, X, Y, 10, epochs=3, shuffle=False, verbose=0)
    same(model, expected)
    assert model.history.params["steps"] == 4
    np.testing.assert_allclose(predict(model, loader, verbose=0), predict(model, X, verbose=0), rtol=1e-12)
