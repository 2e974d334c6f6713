"""What is known of arrays goes by who owns the memory, and with it."""

from __future__ import annotations

import gc
import mmap
import threading
from pathlib import Path

import numpy as np
import pytest
from fastann_kernels.owners import Known, is_whole, said_to_stay


def test_views_of_all_are_whole_and_parts_are_not() -> None:
    array = np.zeros((6, 4))
    assert is_whole(array)
    assert is_whole(array.reshape(3, 8)[:])
    assert is_whole(array.T)
    assert not is_whole(array[1:])


def test_only_a_read_only_owner_says_that_it_stays() -> None:
    array = np.zeros((6, 4))
    view = array.reshape(-1)
    view.flags.writeable = False
    assert not said_to_stay(view)  # others may write to `array`
    array.flags.writeable = False
    assert said_to_stay(array)
    assert said_to_stay(view)
    assert not said_to_stay(array[1:])


def test_views_that_numpy_itself_makes_read_only_promise_nothing() -> None:
    series = np.zeros((6, 4))
    windows = np.lib.stride_tricks.sliding_window_view(series, 1, axis=0)
    assert not windows.flags.writeable
    assert is_whole(windows)
    assert not said_to_stay(windows)  # the series may change
    assert not said_to_stay(np.broadcast_to(series, series.shape))
    series.flags.writeable = False
    assert said_to_stay(windows)


@pytest.mark.parametrize("way", ["memmap", "frombuffer"])
def test_what_lies_in_a_file_may_change(tmp_path: Path, way: str) -> None:
    path = tmp_path / "rows"
    path.write_bytes(bytes(64))
    if way == "memmap":
        array = np.memmap(path, np.float32, "r")
    else:
        with path.open("rb") as file:
            array = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.float32)
    assert not array.flags.writeable
    assert not said_to_stay(array)


def test_known_by_any_view_until_the_array_is_no_more() -> None:
    known = Known[str](most=2)
    array = np.zeros((6, 4))
    assert known.get(array) is None
    known.keep(array[1:], "found")
    assert known.get(array.T) == "found"
    known.keep(array, "found again")
    assert known.get(array) == "found again"
    assert len(known) == 1
    del array
    gc.collect()
    assert len(known) == 0


def test_the_oldest_goes_first() -> None:
    known = Known[int](most=2)
    arrays = [np.zeros(3) for _ in range(3)]
    for i, array in enumerate(arrays):
        known.keep(array, i)
    assert [known.get(array) for array in arrays] == [None, 1, 2]
    known.clear()
    assert [known.get(array) for array in arrays] == [None] * 3


def test_threads_know_their_own_arrays() -> None:
    known = Known[int](most=4)
    wrong: list[int | None] = []

    def work(number: int) -> None:
        for _ in range(2_000):
            array = np.zeros(3)
            known.keep(array, number)
            if (found := known.get(array)) not in (number, None):  # None: the others' have taken its place
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    gc.collect()
    assert len(known) == 0
