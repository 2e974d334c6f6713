"""The batch-size finder: what it returns, what it never returns, and that the model is as it was."""

from __future__ import annotations

import copy
import doctest
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastann import Sequential
from fastann.layers import BatchNormalization, Conv2D, Dense, Flatten, Input
from fastann.optimizers import SGD, Adam
from fastann.scaling import LinearScaling, batch_finder, find_batch_size, memory
from fastann.scaling.batch_finder import BatchSizeTrial, _chosen, _saturated
from fastann.scaling.memory import available_bytes, out_of_memory, training_bytes
from fastann.training.preparing import with_targets
from fastann.training.session import Session

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


def network(backend: str = "numba", optimizer: Any = "adam") -> Sequential:
    model = Sequential([Input((6,)), Dense(8, "relu"), BatchNormalization(), Dense(1, "sigmoid")], seed=3)
    model.compile(optimizer, "binary_crossentropy", backend=backend)
    return model


def find(model: Sequential, **settings: Any) -> batch_finder.BatchSizeSearch:
    return find_batch_size(model, X, Y, **{"seconds": 0.005, "verbose": 0, **settings})


def fail_from(monkeypatch: pytest.MonkeyPatch, rows: int, error: BaseException, longest: int = 10**9) -> list[int]:
    """Let calls of up to `longest` steps with batches of at least `rows` rows fail; returns the sizes that ran."""
    ran: list[int] = []
    train = Session.train

    def guarded(self: Session, data: Any, order: Any, batch_size: int, *rest: Any, **more: Any) -> Any:
        if batch_size >= rows and -(-len(order) // batch_size) <= longest:
            raise error
        ran.append(batch_size)
        return train(self, data, order, batch_size, *rest, **more)

    monkeypatch.setattr(Session, "train", guarded)
    return ran


def test_sizes_are_doubled_measured_and_the_model_is_as_it_was(backend: str) -> None:
    model = network(backend, SGD(LinearScaling(0.01, base_batch=32), momentum=0.9))
    model.fit(X, Y, verbose=0)
    twin = copy.deepcopy(model)
    search = find(model, min_batch_size=32)
    sizes = [trial.batch_size for trial in search.trials]
    assert sizes == [32, 64, 128][: len(sizes)]
    assert search.batch_size in sizes
    for trial in search.trials:
        assert trial.seconds_per_step is not None
        assert 0 < trial.seconds_per_step < 5
        assert trial.samples_per_second == trial.batch_size / trial.seconds_per_step
    assert (model.iterations, model.epochs_trained, model.learning_rate) == (5, 1, twin.learning_rate)
    for each in (model, twin):
        each.fit(X, Y, epochs=2, verbose=0)
    for mine, expected in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_a_model_that_waits_for_its_input_still_waits() -> None:
    model = Sequential([Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", backend="numba")
    find(model)
    assert not model.built


def test_memory_is_estimated_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    session, data = with_targets(copy.deepcopy(model), X, Y)
    limit = training_bytes(session, data, 32)
    ran = fail_from(monkeypatch, 10**9, MemoryError())
    search = find(model, memory_limit=limit)
    assert [trial.batch_size for trial in search.trials] == [8, 16, 32, 64]
    assert search.trials[-1].seconds_per_step is None
    assert search.trials[-1].bytes > limit == search.memory_limit
    assert max(ran) == 32
    assert search.batch_size <= 32
    assert search.reason.startswith("64 rows take about ")
    with pytest.raises(MemoryError, match="not even batches of 8 rows can be trained: 8 rows take about"):
        find(model, memory_limit=1000)


def test_the_estimate_by_hand(backend: str) -> None:
    model = network(backend)
    session, data = with_targets(model, X, Y)
    parameters = 6 * 8 + 8 + 4 * 8 + 8 + 1
    values = sum(value.size for value in session.program.values)
    assert values >= 6 + 8 + 8 + 1
    per_row = 6 + 1 + 2 * values
    expected = 4 * (150 * 7 + parameters * 7 + 32 * per_row)
    assert training_bytes(session, data, 32) == expected


@pytest.mark.parametrize("error", [MemoryError("no"), RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating")])
def test_memory_that_runs_out_ends_the_search(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    ran = fail_from(monkeypatch, 64, error)
    search = find(network())
    assert search.reason == "memory ran out with 64 rows" or search.reason.startswith("throughput")
    assert search.batch_size in ran
    assert max(ran) <= 32


def test_a_size_that_fails_in_fit_is_never_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials get through and `fit` does not: its calls alone are of two steps with the optimizer's own rate."""
    train, tried = Session.train, []

    def guarded(self: Session, data: Any, order: Any, batch_size: int, *rest: Any, **more: Any) -> Any:
        if self.learning_rate > 0:
            tried.append(batch_size)
            if batch_size > 16:
                raise MemoryError
        return train(self, data, order, batch_size, *rest, **more)

    monkeypatch.setattr(Session, "train", guarded)
    monkeypatch.setattr(batch_finder, "_GAIN", 0.0)
    search = find(network(optimizer=Adam(0.01)), share=1.0, max_batch_size=64)
    assert search.batch_size <= 16
    assert tried[-1] == search.batch_size
    for trial in search.trials:
        failed = len(tried) > 1 and trial.batch_size >= min(size for size in tried if size > 16)
        assert (trial.seconds_per_step is None) == failed
    if len(tried) > 1:
        assert search.reason.startswith("fit ran out of memory with ")


def test_other_errors_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_from(monkeypatch, 16, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        find(network())


def trials_of(*speeds: float) -> list[BatchSizeTrial]:
    return [BatchSizeTrial(8 * 2**k, 1000, 8 * 2**k / speed if speed else None) for k, speed in enumerate(speeds)]


@pytest.mark.parametrize(
    ("speeds", "saturated", "chosen"),
    [
        ((100,), False, 0),
        ((100, 101), False, 0),
        ((100, 109, 109), True, 1),
        ((100, 90, 150), False, 2),
        ((100, 200, 400, 420, 430), True, 3),
        ((100, 200, 400, 450, 460), False, 3),
        ((100, 200, 0), False, 1),
        ((0,), False, -1),
    ],
)
def test_where_throughput_is_saturated(speeds: tuple[float, ...], saturated: bool, chosen: int) -> None:
    trials = trials_of(*speeds)
    assert _saturated(trials) == saturated
    assert _chosen(trials, 0.95) == chosen


def test_bounds_of_the_search() -> None:
    model = network()
    search = find(model, min_batch_size=5, max_batch_size=12)
    assert [trial.batch_size for trial in search.trials] == [5, 10]
    assert search.reason == "larger ones were not asked for (max_batch_size=12)"
    few = find_batch_size(model, X[:3], Y[:3], seconds=0.001, verbose=0)
    assert (few.batch_size, len(few.trials)) == (3, 1)
    assert few.reason == "for more rows there are no data"


def test_the_result_reads_well() -> None:
    search = batch_finder.BatchSizeSearch(16, tuple(trials_of(100, 2000.4, 0)), "memory ran out with 32 rows", None)
    assert str(search).splitlines() == [
        "batch size     samples/s  seconds/step      memory",
        "         8           100          0.08      1000 B",
        "        16         2,000         0.008      1000 B *",
        "        32  does not fit                    1000 B",
        "batch size 16: memory ran out with 32 rows.",
    ]


def test_images_and_sample_weights() -> None:
    model = Sequential([Input((8, 8, 1)), Conv2D(2, 3), Flatten(), Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", backend="numba")
    images, labels = RNG.integers(0, 255, (20, 8, 8, 1)).astype(np.uint8), RNG.integers(0, 2, 20)
    search = find_batch_size(model, images, labels, sample_weight=np.ones(20), seconds=0.001, verbose=0)
    assert search.batch_size in (8, 16)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"min_batch_size": 0}, ValueError, "min_batch_size must be at least 1, got 0"),
        ({"max_batch_size": 4}, ValueError, "max_batch_size must be at least 8, got 4"),
        ({"share": 0}, ValueError, r"share must lie in \(0, 1\], got 0"),
        ({"memory_limit": 1.5}, TypeError, "memory_limit must be a whole number"),
        ({"seconds": 0}, ValueError, "seconds must lie in"),
        ({"verbose": 7}, ValueError, "verbose must be"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        find(network(), **settings)


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(ValueError, match="must be compiled first"):
        find(Sequential([Dense(1, input_shape=(6,))]))
    with pytest.raises(TypeError, match="x must be rows, which batches can be made of, got generator"):
        find_batch_size(network(), ((X, Y) for _ in range(3)))
    regression = Sequential([Dense(1, input_shape=(6,))])
    regression.compile("sgd", "mse", backend="numba")
    with pytest.raises(ValueError, match="the loss was not finite"):
        find_batch_size(regression, X, np.full(len(X), 1e30), verbose=0)
    with pytest.raises(ValueError, match="at least one row"):
        find_batch_size(network(), X[:0], Y[:0], verbose=0)


def test_available_memory_is_read_from_the_system(tmp_path: Path) -> None:
    free = available_bytes()
    assert free is None or free > 0
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 900 kB\nMemAvailable:     300 kB\n")
    assert available_bytes(tmp_path) == 300 * 1024
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("5\n")
    assert available_bytes(tmp_path) == 300 * 1024, "the group has no limit"
    (group / "memory.max").write_text("200000\n")
    (group / "memory.current").write_text("150000\n")
    (group / "memory.stat").write_text("anon 7\ninactive_file 1000\n")
    assert available_bytes(tmp_path) == 51_000
    older = tmp_path / "older/sys/fs/cgroup/memory"
    older.mkdir(parents=True)
    (older / "memory.limit_in_bytes").write_text("1000\n")
    (older / "memory.usage_in_bytes").write_text("1500\n")
    assert available_bytes(tmp_path / "older") == 0


def test_what_running_out_of_memory_is() -> None:
    assert out_of_memory(MemoryError())
    assert out_of_memory(RuntimeError("RESOURCE_EXHAUSTED: Out of memory"))
    assert not out_of_memory(RuntimeError("no"))
    assert not out_of_memory(ValueError("RESOURCE_EXHAUSTED"))


def test_progress_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    find(network(), max_batch_size=16, verbose=2)
    assert re.search("Batch sizes", capsys.readouterr().out)


@pytest.mark.parametrize("module", [batch_finder, memory])
def test_examples_in_docstrings(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
