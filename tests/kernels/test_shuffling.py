"""Shuffled orders of both backends against NumPy's, number by number."""

from __future__ import annotations

import numpy as np
import pytest
from fastann_kernels.backend import available_backends, get_backend

pytest.importorskip("numba")

from fastann_kernels.numba_backend import shuffling


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(1, 4))))


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("rows", [0, 1, 2, 3, 31, 32, 33, 1000, 4096, 65537])
def test_the_order_is_numpys(rows: int, backend: str) -> None:
    for seed in range(5):
        order, expected = np.full(rows, -1, np.int64), np.arange(rows)
        generator(seed).shuffle(expected)
        get_backend(backend).shuffle(generator(seed), order)
        np.testing.assert_array_equal(order, expected)
        ours = np.full(rows, -1, np.int64)
        assert shuffling.shuffled(generator(seed), ours)
        np.testing.assert_array_equal(ours, expected)


def test_only_the_generator_it_knows_is_taken() -> None:
    order = np.full(5000, -1, np.int64)
    assert shuffling.shuffle(generator(0), order.copy())
    half_used = generator(0)
    half_used.integers(0, 9, dtype=np.uint32)
    assert half_used.bit_generator.state["has_uint32"]
    for other in (half_used, np.random.Generator(np.random.SFC64(0))):
        assert not shuffling.shuffle(other, order)
    assert (order == -1).all()


def test_a_numpy_that_shuffles_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(np.random.Generator):
        def shuffle(self, x: object, axis: int = 0) -> None:
            assert isinstance(x, np.ndarray)
            x[:] = x[::-1].copy()

    monkeypatch.setattr(np.random, "Generator", Other)
    shuffling._known.cache_clear()
    try:
        order = np.full(5000, -1, np.int64)
        assert not shuffling.shuffle(np.random.Generator(np.random.PCG64(3)), order)
        get_backend("numba").shuffle(np.random.Generator(np.random.PCG64(3)), order)
        assert order.tolist() == list(range(4999, -1, -1))
    finally:
        shuffling._known.cache_clear()
