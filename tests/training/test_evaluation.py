"""`evaluate` and `predict` on a backend that notes every call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from fastann_kernels.backend import Record

from fastann import Input, Sequential
from fastann.callbacks import LambdaCallback
from fastann.layers import BatchNormalization, Dense
from fastann.training import data as data_module
from fastann.training import pieces
from fastann.training import source as source_module
from fastann.training.logs import Tally
from fastann.training.loop import evaluate, fit, predict, test_on_batch, train_on_batch
from fastann.training.session import MetricEntry
from tests.training.fakes import FakeModel, LargestError, StreamedMetric, make_session, regression

X, Y = regression(1000)
ENTRIES = (MetricEntry("mae", StreamedMetric()), MetricEntry("largest", LargestError()))
test_on_batch.__test__ = False  # type: ignore[attr-defined]


def calls(model, name):
    return [call[1:] for call in model.executor.calls if call[0] == name]


def test_small_data_is_one_call_with_larger_batches_than_asked_for():
    model = FakeModel(make_session(ENTRIES))
    assert evaluate(model, X, Y, verbose=0) == pytest.approx([(Y**2).mean(), np.abs(Y).mean(), np.abs(Y).max()])
    assert calls(model, "evaluate") == [(1000, 256)]
    predict(model, X[:7], verbose=0)
    assert calls(model, "predict") == [(7, 7)]
    evaluate(model, X, Y, batch_size=500, verbose=0)
    assert calls(model, "evaluate")[1] == (1000, 500)


def test_large_data_is_cut_so_that_interrupts_are_served(monkeypatch):
    monkeypatch.setattr(pieces, "step_seconds", lambda program, rows: 1.0)
    monkeypatch.setattr(pieces, "ROWS_TOGETHER", {"numba": 100})
    model = FakeModel(make_session(ENTRIES))
    results = evaluate(model, X, Y, verbose=0)
    assert calls(model, "evaluate") == [(200, 100)] * 5
    assert results == pytest.approx([(Y**2).mean(), np.abs(Y).mean(), np.abs(Y).max()])
    assert predict(model, X, verbose=0).shape == (1000, 1)
    assert calls(model, "predict") == [(200, 100)] * 5


def test_memory_maps_of_another_type_are_converted_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(data_module, "copy_limit", lambda: 100)
    monkeypatch.setattr(source_module, "PIECE_BYTES", 300 * 3 * 8)
    np.save(tmp_path / "x.npy", X.astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    model = FakeModel(make_session(ENTRIES))
    model.set_weights([np.ones((3, 1))])
    error = mapped.astype(float).sum(axis=1) - Y
    expected = [(error**2).mean(), np.abs(error).mean(), np.abs(error).max()]
    assert evaluate(model, mapped, Y, verbose=0) == pytest.approx(expected)
    assert calls(model, "evaluate") == [(256, 256)] * 3 + [(232, 232)]
    np.testing.assert_allclose(predict(model, mapped, verbose=0)[:, 0], mapped.astype(float).sum(axis=1))
    # one batch is one batch, whatever its size
    assert test_on_batch(model, mapped, Y) == pytest.approx(expected)
    assert train_on_batch(model, mapped, Y) == pytest.approx(expected)


def test_batches_are_those_asked_for_when_somebody_listens():
    model = FakeModel(make_session(ENTRIES))
    seen = []
    watch = LambdaCallback(
        on_test_begin=lambda logs: seen.append("begin"),
        on_test_batch_end=lambda batch, logs: seen.append((batch, sorted(logs))),
        on_test_end=lambda logs: seen.append(sorted(logs)),
    )
    evaluate(model, X, Y, batch_size=400, verbose=0, callbacks=watch)
    keys = ["largest", "loss", "mae"]
    assert seen == ["begin", (0, keys), (1, keys), (2, keys), keys]
    assert calls(model, "evaluate") == [(400, 400), (400, 400), (200, 200)]


def test_evaluation_can_be_stopped():
    model = FakeModel()

    def stop(batch, logs):
        model.stop_evaluating = True

    loss = evaluate(model, X, Y, batch_size=100, verbose=0, callbacks=LambdaCallback(on_test_batch_end=stop))
    assert loss == pytest.approx((Y[:100] ** 2).mean())


def test_evaluating_inside_a_training_disturbs_nothing():
    def inside(batch, logs):
        evaluate(model, X[:100], -Y[:100], verbose=0)
        predict(model, X[:10], verbose=0)

    model, plain = FakeModel(make_session(ENTRIES)), FakeModel(make_session(ENTRIES))
    settings = {"batch_size": 100, "epochs": 2, "verbose": 0, "validation_split": 0.1}
    history = fit(model, X, Y, callbacks=LambdaCallback(on_train_batch_end=inside), **settings)
    expected = fit(plain, X, Y, **settings)
    for key, values in expected.history.items():
        np.testing.assert_allclose(history.history[key], values, rtol=1e-12)


def test_validation_uses_what_was_placed_once():
    model = FakeModel()
    fit(model, X, Y, epochs=5, verbose=0, validation_split=0.1)
    assert len(model.executor.puts) == 2


def test_a_weight_of_zero_everywhere_gives_metrics_of_zero():
    tally = Tally(make_session((MetricEntry("mae", StreamedMetric(), weighted=True),)))
    assert tally.empty
    assert np.isnan(tally.logs()["loss"])
    assert tally.logs()["mae"] == 0.0


def test_means_do_not_show_how_many_steps_a_call_took():
    rng = np.random.default_rng(0)
    rows = np.array([16] * 99 + [5])
    sums, weights = rng.random((2, 100, 1)) * rows[:, None]
    record = Record(rng.random(100), rows, sums, weights, np.zeros((100, 0)))

    def logs(*cuts: int) -> dict[str, float]:
        tally = Tally(make_session((MetricEntry("mae", StreamedMetric(), weighted=True),)))
        for first, last in pairwise((0, *cuts, 100)):
            whole = (record.losses, record.rows, record.metric_sums, record.metric_weights, record.parts)
            tally.add(Record(*(array[first:last] for array in whole)))
        return dict(tally.logs())

    expected = logs()
    assert expected["loss"] == pytest.approx(np.average(record.losses, weights=rows))
    assert expected["mae"] == pytest.approx(sums.sum() / weights.sum())
    assert all(logs(cut) == expected for cut in range(1, 100))
    assert logs(*range(1, 100)) == expected


@pytest.mark.parametrize("rows", [1, 7, 64, 65, 200])
def test_predictions_of_few_rows_are_those_of_many(backend: str, rows: int) -> None:
    model = Sequential([Input((5,)), Dense(6, "tanh"), BatchNormalization(), Dense(3, "softmax")], seed=1)
    model.compile(backend=backend, precision="float64")
    x = np.random.default_rng(0).normal(size=(200, 5))
    many = model.predict(x, batch_size=200, verbose=0)
    np.testing.assert_allclose(model.predict(x[:rows], verbose=0), many[:rows], rtol=1e-12)
    np.testing.assert_allclose(model.predict(x[:rows], verbose=2), many[:rows], rtol=1e-12)
    whole = (x[:rows] * 10).astype(np.uint8)
    np.testing.assert_allclose(
        model.predict(whole, verbose=0), model.predict(whole.astype(float), verbose=0), rtol=1e-12
    )


def test_threads_predict_at_once(backend: str) -> None:
    model = Sequential([Input((5,)), Dense(16, "relu"), Dense(3)], seed=1)
    model.compile(backend=backend, precision="float64")
    x = np.random.default_rng(0).normal(size=(64, 5))
    expected = model.predict(x, verbose=0)

    def work(first: int) -> bool:
        return all(
            np.allclose(model.predict(x[first : first + n], verbose=0), expected[first : first + n], rtol=1e-12)
            for n in (1, 3, 8)
            for _ in range(20)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(0, 56, 4)))


def test_few_rows_are_checked_as_many_are() -> None:
    model = Sequential([Input((5,)), Dense(3)], seed=1)
    with pytest.raises(ValueError, match="x must be finite, got nan in row 0, column 2"):
        model.predict(np.array([[0, 1, np.nan, 0, 0]]), verbose=0)
    with pytest.raises(ValueError, match=r"x must have shape \(rows, 5\), got \(1, 4\)"):
        model.predict(np.zeros((1, 4)), verbose=0)
