"""The random streams of a run: pure functions of the seed, independent of NumPy's global generator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastann.random import (
    check_seed,
    epoch_order,
    epoch_orders,
    next_seed,
    root_key,
    set_random_seed,
    weight_generator,
)
from fastann.utils import set_random_seed as exported
from fastann.utils import to_categorical

FIRST_INTEGERS = [2923495736, 3786224714, 164597319]  # recorded with NumPy 2.4
FIRST_ORDER = [0, 4, 1, 2, 3, 5]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 10**6), rows=st.integers(0, 200))
def test_an_order_is_a_permutation_and_a_function_of_seed_and_epoch(seed: int, epoch: int, rows: int) -> None:
    order = epoch_order(seed, epoch, rows)
    assert order.dtype == np.int64
    assert order.flags.c_contiguous
    assert sorted(order) == list(range(rows))
    np.testing.assert_array_equal(order, epoch_order(seed, epoch, rows))


def test_orders_differ_between_epochs_and_seeds() -> None:
    orders = [epoch_order(seed, epoch, 50).tolist() for seed in (0, 1, 2**64 - 1) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_every_position_of_an_order_is_equally_likely() -> None:
    firsts = np.bincount([epoch_order(3, epoch, 8)[0] for epoch in range(4000)], minlength=8)
    chi_square = ((firsts - 500) ** 2 / 500).sum()
    assert chi_square < 24.3  # 99.9 % point with 7 degrees of freedom


def test_streams_of_one_seed_are_independent() -> None:
    draws = [weight_generator(7, i).normal(size=2000) for i in range(4)]
    correlations = np.corrcoef(draws) - np.eye(4)
    assert np.abs(correlations).max() < 0.1
    assert not np.array_equal(weight_generator(7, 0).permutation(100), epoch_order(7, 0, 100))


def test_the_first_numbers_of_a_stream_stay_what_they_are() -> None:
    """Saved runs resume with these; a change of NumPy or of the streams must not pass unseen."""
    np.testing.assert_array_equal(weight_generator(1, 0).integers(0, 2**32, 3), FIRST_INTEGERS)
    np.testing.assert_array_equal(epoch_order(1, 0, 6), FIRST_ORDER)


def test_root_key_is_the_two_words_of_the_seed() -> None:
    assert root_key(0x0123456789ABCDEF) == (0x01234567, 0x89ABCDEF)
    assert root_key(5) == (0, 5)


def test_set_random_seed_repeats_the_sequence_of_seeds() -> None:
    assert exported is set_random_seed
    set_random_seed(11)
    first = [next_seed() for _ in range(5)]
    set_random_seed(11)
    assert [next_seed() for _ in range(5)] == first
    set_random_seed(12)
    assert next_seed() != first[0]
    assert len(set(first)) == 5
    assert all(0 <= seed < 2**64 for seed in first)


def test_the_global_generator_is_left_alone() -> None:
    np.random.seed(3)  # noqa: NPY002 - the legacy generator is what is looked at
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    set_random_seed(1)
    epoch_order(next_seed(), 0, 10)
    weight_generator(next_seed(), 0).normal()
    assert np.random.random() == expected  # noqa: NPY002


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=r"seed must lie between 0 and 2\*\*64 - 1"):
        set_random_seed(seed)


@pytest.mark.parametrize("seed", [True, 1.5, "7", None])
def test_a_seed_that_is_no_whole_number_is_refused(seed: object) -> None:
    with pytest.raises(TypeError, match="seed must be a whole number"):
        check_seed(seed)


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        ([0, 2, 1], None, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
        ([[1], [0]], 2, [[0, 1], [1, 0]]),
        (np.array([1.0, 0.0]), 3, [[0, 1, 0], [1, 0, 0]]),
        ([[0, 1], [1, 1]], 2, [[[1, 0], [0, 1]], [[0, 1], [0, 1]]]),
        (1, 2, [0, 1]),
    ],
)
def test_to_categorical(labels: object, classes: int | None, expected: list[object]) -> None:
    encoded = to_categorical(labels, classes)
    assert encoded.dtype == np.float64
    np.testing.assert_array_equal(encoded, np.array(expected, float))


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 3], 3, "labels from 0 to 2, got 0 to 3"),
        ([-1, 1], None, "got -1 to 1"),
        ([0.5], None, "whole numbers"),
        (["a"], None, "whole numbers"),
        ([], None, "num_classes"),
    ],
)
def test_to_categorical_refuses(labels: object, classes: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_categorical(labels, classes)


@pytest.mark.parametrize(("count", "rows"), [(0, 5), (1, 7), (3, 50), (3, 40_000), (4, 20_001)])
def test_orders_of_several_epochs_are_those_of_each(count: int, rows: int) -> None:
    orders = epoch_orders(11, 5, count, rows)
    assert orders.dtype == np.int64
    np.testing.assert_array_equal(
        orders.reshape(count, rows), [epoch_order(11, 5 + e, rows) for e in range(count)] or np.zeros((0, rows))
    )
