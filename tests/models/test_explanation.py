"""`explain_backend`: the choice, predictions, and what the last fit took."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from fastann_kernels.backend import WORTH_COMPILING, available_backends
from fastann_kernels.calibration import save_costs
from fastann_kernels.cost import Work

from fastann import Sequential
from fastann.layers import Dense
from tests.models.small import small

X, Y = np.random.default_rng(0).random((100, 3), np.float32), np.zeros((100, 2), np.float32)


@pytest.fixture(autouse=True)
def no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTANN_BACKEND", raising=False)


def test_before_training(backend: str) -> None:
    model = small()
    model.compile("sgd", "mse", backend=backend)
    explained = model.explain_backend()
    assert explained.name == backend
    assert explained.reasons == ("compile was told to use it",)
    assert explained.batch_size == 32
    assert explained.measured is explained.expected is None
    assert [p.backend for p in explained.predictions] == list(available_backends())
    assert all(p.batch_size == 32 and p.seconds > 0 for p in explained.predictions)
    lines = str(explained).splitlines()
    assert lines[:2] == [f"backend {backend!r}: compile was told to use it", "predicted at batch size 32:"]
    assert lines[2].split() == ["backend", "us/step", "samples/s", "figures"]
    for line, found in zip(lines[3:], explained.predictions, strict=False):
        device, step, rate, *source = line.split()
        assert (device, " ".join(source)) == (found.device, found.source)
        assert float(step.replace(",", "")) == pytest.approx(1e6 * found.seconds, abs=0.06)
        assert float(rate.replace(",", "")) == pytest.approx(32 / found.seconds, rel=1e-3)


def test_after_training(backend: str) -> None:
    model = small()
    model.compile("sgd", "mse", backend=backend)
    model.fit(X, Y, batch_size=25, epochs=3, verbose=0)
    explained = model.explain_backend()
    assert explained.batch_size == 25
    measured, expected = explained.measured, explained.expected
    assert measured is not None
    assert expected is not None
    assert (measured.batch_size, expected.batch_size, expected.backend) == (25, 25, backend)
    # JAX compiles in the first of three epochs, which are a call each
    assert (measured.steps, measured.compiled) == ({"numba": 12, "jax": 8}[backend], False)
    assert measured.seconds > 0
    text = str(explained)
    assert f"at batch size 25 on {backend}, over {measured.steps} steps" in text
    assert f"{measured.seconds / expected.seconds:.2f} times the prediction" in text
    other = model.explain_backend(batch_size=1000)
    assert other.batch_size == other.predictions[0].batch_size == 1000
    assert (other.measured, other.expected) == (measured, expected)


def test_one_epoch_holds_the_compilation(backend: str) -> None:
    model = small()
    model.compile("sgd", "mse", backend=backend)
    model.fit(X, Y, epochs=1, verbose=0)
    measured = model.explain_backend().measured
    assert measured is not None
    assert measured.compiled == (backend == "jax")
    assert ("with compiling" in str(model.explain_backend())) == measured.compiled
    assert ("times the prediction" in str(model.explain_backend())) != measured.compiled
    model.fit(X, Y, epochs=1, verbose=0)
    measured = model.explain_backend().measured
    assert measured is not None
    assert not measured.compiled
    assert measured.steps == 4, "of the last fit alone"


def test_what_was_measured_belongs_to_a_program(backend: str) -> None:
    model = small()
    model.compile("sgd", "mse", backend=backend)
    model.fit(X, Y, verbose=0)
    assert pickle.loads(pickle.dumps(model)).explain_backend().measured is None
    model.compile("adam", "mse", backend=backend)
    assert model.explain_backend().measured is None


@pytest.mark.parametrize(
    ("batch_size", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError), ("32", TypeError)]
)
def test_a_batch_size_is_a_positive_number(batch_size: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"batch_size must be .*got"):
        small().explain_backend(batch_size)  # type: ignore[arg-type]


def test_without_a_shape_there_is_nothing_to_predict() -> None:
    model = Sequential([Dense(4), Dense(1)])
    model.compile("sgd", "mse")
    explained = model.explain_backend()
    assert explained.predictions == ()
    assert len(str(explained).splitlines()) == 1
    model.build((None, 3))
    assert model.explain_backend().predictions


@pytest.fixture
def calibrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A calibration in which a step takes 1 s on Numba, and on JAX 1.5 s and less the larger the batch."""
    for library in ("numba", "jax"):
        if library not in available_backends():
            pytest.skip(f"{library} is not installed")
    monkeypatch.setenv("FASTANN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    return save_costs({"numba": Work(steps=1.0, gathered_bytes=1e-3), "jax-cpu": Work(steps=1.8)})


def test_a_calibration_decides(calibrated: Path) -> None:
    """A row of 3 columns is 24 bytes gathered: 1.77 s at batch size 32, less than JAX takes."""
    model = small()
    model.compile("sgd", "mse")
    explained = model.explain_backend()
    assert explained.name == "numba"
    assert [p.seconds for p in explained.predictions] == pytest.approx([1.768, 1.8])
    assert all(p.source.startswith("calibrated on") for p in explained.predictions)
    assert "compile(backend='jax')" not in str(explained)
    larger = model.explain_backend(batch_size=1000)
    assert larger.name == "numba", "the choice is made for batch size 32"
    assert larger.predictions[1].seconds < WORTH_COMPILING * larger.predictions[0].seconds
    assert "predicted to be faster at this batch size: jax-cpu, with compile(backend='jax')" in str(larger)
    save_costs({"numba": Work(steps=9.0), "jax-cpu": Work(steps=1.8)})
    assert model.explain_backend().name == "jax"


def test_a_model_stays_on_the_backend_it_started_on(calibrated: Path) -> None:
    model = small()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    save_costs({"numba": Work(steps=9.0), "jax-cpu": Work(steps=1.8)})
    assert model.explain_backend().name == model.session.backend == "numba"
    model.compile("sgd", "mse")
    assert model.explain_backend().name == "jax"


def test_a_broken_calibration_is_mentioned(calibrated: Path) -> None:
    calibrated.write_text("{")
    explained = small().explain_backend()
    assert explained.predictions[0].source == "shipped"
    assert str(explained).splitlines()[-1] == explained.remark
    assert "is broken" in explained.remark
