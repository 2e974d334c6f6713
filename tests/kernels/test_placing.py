"""Copies of arrays for XLA on a CPU: made once, never stale, gone with their arrays."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from fastann_kernels.jax_backend import placing  # noqa: E402

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="JAX has a GPU here, and copies nothing twice")

ROWS = placing.LARGE // 16 + 1  # of 4 float32 numbers


def lying(offset: int, fill: float = 1.0) -> Any:
    """Return rows whose address is `offset` bytes past a multiple of 64."""
    memory = bytearray(ROWS * 16 + 128)  # rows in it are an array of their own, no view of another
    first = -np.frombuffer(memory, np.uint8).ctypes.data % placing.ALIGNMENT + offset
    rows = np.ndarray((ROWS, 4), np.float32, buffer=memory, offset=first)
    rows[:] = fill
    return rows


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    placing._copies.clear()


def test_aligned_arrays_and_views_of_jax_are_shared() -> None:
    rows = lying(0)
    assert placing.place(rows).unsafe_buffer_pointer() == rows.ctypes.data
    own = np.asarray(jax.device_put(lying(16)))
    assert placing.place(own).unsafe_buffer_pointer() == own.ctypes.data
    assert len(placing._copies) == 0


def test_a_copy_is_made_once_and_again_when_the_rows_change() -> None:
    rows = lying(16)
    first = placing.place(rows)
    assert placing.place(rows.reshape(ROWS * 2, 2).reshape(ROWS, 4)) is first
    rows[-1, -1] = 7
    second = placing.place(rows)
    assert second is not first
    np.testing.assert_array_equal(second, rows)
    assert float(first[-1, -1]) == 1
    assert placing.place(rows) is second


def test_swapped_rows_are_another_array() -> None:
    rows = lying(16)
    rows[:] = np.arange(rows.size).reshape(rows.shape)
    placing.place(rows)
    rows[[0, 1]] = rows[[1, 0]]
    np.testing.assert_array_equal(placing.place(rows), rows)


def test_nan_and_signs_of_zero_are_told_apart() -> None:
    rows = lying(16, np.nan)
    assert placing.place(rows) is placing.place(rows)
    rows[:] = 0
    placing.place(rows)
    rows[0, 0] = -0.0
    assert np.signbit(np.asarray(placing.place(rows))[0, 0])


def test_shapes_and_types_are_told_apart() -> None:
    rows = lying(16)
    placing.place(rows)
    assert placing.place(rows.reshape(-1, 2)).shape == (ROWS * 2, 2)
    assert placing.place(rows.view(np.uint32)).dtype == np.uint32


def test_copies_go_with_their_arrays() -> None:
    rows = lying(16)
    placing.place(rows)
    assert len(placing._copies) == 1
    del rows
    gc.collect()
    assert len(placing._copies) == 0


def test_two_are_kept_at_most() -> None:
    arrays = [lying(16, fill) for fill in (1.0, 2.0, 3.0)]
    placed = [placing.place(a) for a in arrays]
    assert len(placing._copies) == 2
    assert placing.place(arrays[2]) is placed[2]
    assert placing.place(arrays[0]) is not placed[0]


def test_parts_small_arrays_and_memory_maps_are_not_kept(tmp_path: Path) -> None:
    whole = np.ones((2 * ROWS, 4), np.float32)
    np.testing.assert_array_equal(placing.place(whole[1 : ROWS + 1]), whole[:ROWS])
    placing.place(np.ones((3, 4), np.float32))
    np.save(tmp_path / "rows.npy", whole)
    np.testing.assert_array_equal(placing.place(np.load(tmp_path / "rows.npy", mmap_mode="r")), whole)
    assert len(placing._copies) == 0


def test_read_only_rows_are_taken_at_their_word(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = lying(16)
    first = placing.place(rows)
    compared: list[Any] = []
    monkeypatch.setattr(placing, "_same_bytes", lambda *both: bool(compared.append(both)))
    rows.flags.writeable = False
    assert placing.place(rows) is first
    assert placing.place(rows.reshape(-1, 2)).shape == (ROWS * 2, 2)
    assert not compared
    rows.flags.writeable = True
    placing.place(rows.reshape(-1, 2))
    assert len(compared) == 1


def test_on_another_device_arrays_that_are_read_only_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing.jax, "default_backend", lambda: "gpu")
    rows = lying(16)  # so that this CPU, which plays a GPU, shares no memory with it
    assert placing.place(rows) is not placing.place(rows)
    rows.flags.writeable = False
    first = placing.place(rows)
    assert placing.place(rows.reshape(ROWS, 4)) is first
    assert placing.place(rows.reshape(-1, 2)).shape == (ROWS * 2, 2)
    del rows
    gc.collect()
    assert len(placing._copies) == 0


def test_threads_get_their_own_rows() -> None:
    arrays = [lying(16, fill) for fill in range(4)]
    right: list[bool] = []

    def work(fill: int) -> None:
        right.extend(bool((np.asarray(placing.place(arrays[fill])) == fill).all()) for _ in range(20))

    threads = [threading.Thread(target=work, args=(fill,)) for fill in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 80


def test_a_model_trains_on_what_the_array_holds_now() -> None:
    """Two fits with a change in between are those of a model that is given new arrays each time."""
    from fastann import Sequential
    from fastann.layers import Dense, Input

    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((ROWS, 4), np.float32), rng.standard_normal((ROWS, 1), np.float32)
    found = []
    for same in (True, False):
        model = Sequential([Input((4,)), Dense(1)], seed=3)
        model.compile("sgd", "mse", backend="jax")
        given = x.copy()
        losses = []
        for factor in (1, 1, 2):
            given *= np.float32(factor)
            history = model.fit(given if same else given.copy(), y, batch_size=ROWS // 4, epochs=1, verbose=0)
            losses += history.history["loss"]
        found.append(losses)
    assert found[0] == found[1]
