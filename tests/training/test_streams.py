"""What counts as data in batches, in which order it is read, and reading ahead in a thread."""

from __future__ import annotations

import threading
import time

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fastann.training.prefetch import Prefetcher
from fastann.training.streams import is_stream, make_stream, unpack, unpack_inputs
from fastann.utils import PyDataset, Sequence

BATCHES = [(np.full((2, 3), float(i)), np.full(2, float(i))) for i in range(5)]


class Numbered(PyDataset):
    def __init__(self, batches, **settings):
        super().__init__(**settings)
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


class Plain:
    """A sequence of batches that knows nothing of `PyDataset`."""

    def __len__(self):
        return len(BATCHES)

    def __getitem__(self, index):
        return BATCHES[index]


class Loader:
    """Batches that can be iterated over again and again, as a PyTorch DataLoader has them."""

    def __iter__(self):
        return iter(BATCHES)


class Rewound(Loader):
    """An iterator that `iter` sets back to the beginning."""

    def __iter__(self):
        self.position = 0
        return self

    def __next__(self):
        if self.position == len(BATCHES):
            raise StopIteration
        self.position += 1
        return BATCHES[self.position - 1]


def generator():
    yield from BATCHES


@pytest.mark.parametrize(
    "given",
    [generator(), iter(BATCHES), zip([1], [2], strict=True), map(len, BATCHES), Numbered(BATCHES), Plain(), Loader()],
)
def test_what_brings_batches(given):
    assert is_stream(given)


@pytest.mark.parametrize(
    "given",
    [
        None, 3.5, "x", b"x", [1, 2], (1, 2), range(3), {"x": 1}, {1, 2}, np.ones(3), np.float64(1), memoryview(b"x"),
        pd.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}), pd.Series([1]), object(), len, list, PyDataset, np,
    ],
)  # fmt: skip
def test_what_does_not(given):
    assert not is_stream(given)


def numbers(batches):
    return [int(x[0, 0]) for x, _ in batches]


@pytest.mark.parametrize("given", [Numbered(BATCHES), Plain(), Loader(), Rewound()])
def test_passes_can_be_repeated(given):
    stream = make_stream(given, "x")
    assert numbers([stream.first()]) == [0]
    for _ in range(2):
        assert stream.ready()
        assert numbers(stream.batches(range)) == [0, 1, 2, 3, 4]


def test_only_numbered_batches_are_put_in_order():
    assert numbers(make_stream(Plain(), "x").batches(lambda n: reversed(range(n)))) == [4, 3, 2, 1, 0]
    assert numbers(make_stream(Loader(), "x").batches(lambda n: reversed(range(n)))) == [0, 1, 2, 3, 4]


def test_a_generator_comes_once_and_nothing_of_it_is_lost():
    stream = make_stream(generator(), "x")
    assert numbers([stream.first(), stream.first()]) == [0, 0]
    passing = stream.batches(range)
    assert numbers([next(passing), next(passing)]) == [0, 1]
    assert stream.ready()
    assert numbers(stream.batches(range)) == [2, 3, 4]
    assert not stream.ready()


def test_lengths():
    assert make_stream(Numbered(BATCHES), "x").length == 5
    assert make_stream(Plain(), "x").length == 5
    assert make_stream(generator(), "x").length is None
    assert make_stream(Loader(), "x").length is None

    class Endless(Numbered):
        num_batches = None

    assert make_stream(Endless(BATCHES), "x").endless
    assert not make_stream(Numbered(BATCHES), "x").endless


@pytest.mark.parametrize("given", [iter([]), Numbered([])])
def test_no_batches_at_all(given):
    with pytest.raises(ValueError, match=r"^x must bring at least one batch, got none"):
        make_stream(given, "x").first()


def test_parts_of_batches():
    assert unpack((1, 2), "x") == (1, 2, None)
    assert unpack([1, 2, 3], "x") == (1, 2, 3)
    for wrong in (np.ones((2, 3)), (1,), (1, 2, 3, 4), {"x": 1}, None):
        with pytest.raises(TypeError, match=r"^x must bring batches \(x, y\)"):
            unpack(wrong, "x")
    x = np.ones((2, 3))
    rows = [[1.0, 2.0], [3.0, 4.0]]
    assert unpack_inputs(x) is unpack_inputs((x,)) is unpack_inputs((x, 1)) is unpack_inputs([x, 1]) is x
    assert unpack_inputs(rows) is rows


def test_py_dataset_as_base():
    data = Numbered(BATCHES, workers=4, max_queue_size=3)
    assert (data.workers, data.use_multiprocessing, data.max_queue_size, data.num_batches) == (4, False, 3, 5)
    assert numbers(data) == [0, 1, 2, 3, 4]
    assert Sequence is PyDataset
    with pytest.raises(NotImplementedError, match="__getitem__"):
        PyDataset()[0]
    with pytest.raises(NotImplementedError, match="__len__"):
        _ = PyDataset().num_batches


# ---- reading ahead


def test_items_come_in_order_and_the_thread_ends():
    reader = Prefetcher(iter(range(1, 100)), 4)
    assert [reader.get() for _ in range(99)] == list(range(1, 100))
    assert reader.get() is None
    reader.close()
    assert not reader._thread.is_alive()


def test_no_more_is_read_ahead_than_there_is_room_for():
    read = []
    reader = Prefetcher((read.append(i) or i for i in range(1, 100)), 3)
    for taken in range(1, 4):
        assert reader.get() == taken
        deadline = time.monotonic() + 5
        while len(read) < taken + 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)
        assert len(read) == taken + 3
    reader.close()
    assert not reader._thread.is_alive()
    assert len(read) == 6


class OwnError(Exception):
    pass


def test_an_error_is_raised_as_it_is_after_the_items_before_it():
    error = OwnError("broken file")

    def broken():
        yield 1
        yield 2
        raise error

    reader = Prefetcher(broken(), 10)
    assert [reader.get(), reader.get()] == [1, 2]
    with pytest.raises(OwnError) as caught:
        reader.get()
    assert caught.value is error
    assert any(entry.name == "broken" for entry in caught.traceback)
    assert reader.get() is None
    reader.close()


def test_waiting_ends_when_somebody_says_so():
    release = threading.Event()

    def slow():
        release.wait(10)
        yield 1

    reader = Prefetcher(slow(), 1)
    assert reader.get(wait=False) is None
    assert reader.get(stop=lambda: True) is None
    release.set()
    assert reader.get() == 1
    reader.close()
