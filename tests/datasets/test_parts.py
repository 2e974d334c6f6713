"""Splitting and scaling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastann.datasets import Dataset, Scaling, split, standardise
from fastann.datasets.dataset import make_dataset


def classes(counts: list[int]) -> Dataset:
    y = np.repeat(np.arange(len(counts)), counts)
    x = np.arange(len(y), dtype=float)[:, None]
    return Dataset("d", x, y, "classification", ("x",), tuple(map(str, range(len(counts)))))


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.sampled_from([0.1, 0.2, 0.33, 0.5]), st.integers(0, 9))
def test_split_is_a_stratified_partition(counts: list[int], fraction: float, seed: int) -> None:
    data = classes(counts)
    if not 0 < round(len(data.x) * fraction) < len(data.x):
        return
    train, test = split(data, fraction, seed)
    assert sorted([*train.x[:, 0], *test.x[:, 0]]) == sorted(data.x[:, 0])
    for part in (train, test):
        np.testing.assert_array_equal(part.y, data.y[part.x[:, 0].astype(int)])
    kept = np.bincount(train.y, minlength=len(counts))
    assert kept.min() >= 1
    for count, left in zip(counts, kept, strict=True):
        share = count * round(len(data.x) * fraction) / len(data.x)
        assert abs((count - left) - share) < 1 or left == 1


def test_split_is_a_function_of_the_seed() -> None:
    data = classes([30, 30])
    first, again, other = split(data, seed=1)[1], split(data, seed=1)[1], split(data, seed=2)[1]
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)
    assert not np.array_equal(np.sort(first.y), first.y), "rows come shuffled, not class by class"


def test_split_of_a_regression() -> None:
    data = make_dataset("d", np.arange(50.0)[:, None], np.arange(50) / 3)
    train, test = split(data, 0.1)
    assert (len(train.x), len(test.x)) == (45, 5)
    assert sorted([*train.x[:, 0], *test.x[:, 0]]) == list(range(50))


def test_split_keeps_the_makers_test_part() -> None:
    x, y = np.arange(8.0)[:, None], np.arange(8) % 2
    data = make_dataset("d", x, y, test=(x[:3] + 10, y[:3]))
    train, test = split(data, 0.9)
    np.testing.assert_array_equal(train.x, x)
    np.testing.assert_array_equal(test.x, x[:3] + 10)
    assert train.test is None


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_split_refuses_other_fractions(fraction: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        split(classes([5, 5]), fraction)


def test_split_refuses_empty_parts() -> None:
    with pytest.raises(ValueError, match="2 rows cannot be divided"):
        split(classes([1, 1]), 0.1)


def test_standardise_uses_the_training_part_only() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal([1e6, -3, 0.1], [10, 2, 1e-8], (200, 3))
    data = make_dataset("d", x, np.arange(200) / 7)
    train, test = split(data, 0.25, seed=3)
    small, other = standardise(train, test)
    assert small.x.dtype == np.float32
    np.testing.assert_allclose(small.x.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(small.x.std(axis=0), 1, rtol=1e-4)
    expected = (test.x - train.x.mean(axis=0)) / train.x.std(axis=0)
    np.testing.assert_allclose(other.x, expected, rtol=1e-5, atol=1e-5)


def test_scaling_can_be_undone() -> None:
    x = np.random.default_rng(0).normal(5, 3, (40, 2))
    scaling = Scaling.fit(x)
    np.testing.assert_allclose(scaling.undo(scaling.apply(x)), x, rtol=1e-5)
    np.testing.assert_allclose(scaling.undo(np.zeros((1, 2))), x.mean(axis=0, keepdims=True))


def test_constant_columns_are_only_centred() -> None:
    x = np.full((50, 2), [0.1, 1e9])
    scaled = Scaling.fit(x).apply(x + np.array([0.5, 2.0]))
    np.testing.assert_allclose(scaled, np.full((50, 2), [0.5, 2.0]), rtol=1e-6)


def test_pixels_go_to_the_unit_interval() -> None:
    x = np.array([[0, 255], [51, 0]], np.uint8)
    scaled = Scaling.fit(x).apply(x)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [[0, 1], [0.2, 0]], rtol=1e-6)
