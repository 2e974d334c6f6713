"""XLA's two libraries for products on a CPU: when one is left out, and that it changes nothing but the time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from fastann_kernels.backend import get_backend  # noqa: E402
from fastann_kernels.jax_backend import eigen, executor  # noqa: E402
from fastann_kernels.program import Program  # noqa: E402

from fastann import Sequential  # noqa: E402
from fastann.layers import Conv2D, Dense, Flatten, Input  # noqa: E402


def program(*layers: Any) -> Program:
    model = Sequential(list(layers), seed=1)
    model.compile("adam", "mean_squared_error", backend="jax")
    found: Program = model.prepare((1, *model.input_shape[1:])).program
    return found


def dense(*widths: int) -> Program:
    return program(Input((widths[0],)), *map(Dense, widths[1:]))


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eigen, "_known", lambda: True)


@pytest.mark.parametrize(
    ("widths", "rows", "wins"),
    [
        ((784, 128, 10), 1, True),
        ((30, 16, 8, 1), 255, False),
        ((30, 16, 8, 1), 256, True),
        ((784, 512, 256, 10), 1024, False),
        ((784, 512, 256, 10), 2048, True),
        ((784, 2048, 2048, 10), 4095, False),
        ((784, 2048, 2048, 10), 4096, True),
        ((100, *(128,) * 5, 10), 64, False),
    ],
)
def test_batches_large_beside_the_layers_or_a_first_layer_that_is_nearly_all(
    widths: tuple[int, ...], rows: int, wins: bool
) -> None:
    assert eigen.eigen_wins(dense(*widths), "float32", rows) is wins
    assert not eigen.eigen_wins(dense(*widths), "bfloat16", rows)


def test_a_convolution_is_left_to_xla() -> None:
    convolutional = program(Input((6, 6, 1)), Conv2D(2, 3), Flatten(), Dense(1))
    assert not eigen.eigen_wins(convolutional, "float32", 4096)


@pytest.mark.parametrize("broken", [True, False])
def test_without_the_option_it_is_not_used(broken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    if broken:
        monkeypatch.setattr(eigen, "EIGEN", {"xla_cpu_no_such_option": "1"})
    eigen._known.cache_clear()
    try:
        found = eigen._known()
    finally:
        eigen._known.cache_clear()
    assert not (broken and found)
    if not broken and jax.default_backend() == "cpu" and jax.__version__.startswith("0.10."):
        assert found


def test_both_train_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    if get_backend("jax").describe()["platform"] != "cpu":
        pytest.skip("the option is for CPUs")
    monkeypatch.undo()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 20)), rng.standard_normal((300, 3))
    weights = []
    for wins in (True, False):
        monkeypatch.setattr(executor, "eigen_wins", lambda *_, wins=wins: wins and eigen._known())
        model = Sequential([Input((20,)), Dense(32, "relu"), Dense(3)], seed=2)
        model.compile("sgd", "mean_squared_error", backend="jax")
        model.fit(x, y, batch_size=50, epochs=3, verbose=0)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-6)
