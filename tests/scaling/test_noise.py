"""The estimates against moments known by construction, SciPy's quantiles and a search for Fieller's bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fastann.scaling.noise import (
    Interval,
    estimate_noise,
    mean_interval,
    ratio_interval,
    sampling_factor,
    student_quantile,
    unbiased,
)
from fastann.training.gradient_squares import GradientSquares

Array = np.ndarray[Any, np.dtype[np.float64]]


def measured(gradients: Array, batches: Array, small_rows: int, population: int | None) -> GradientSquares:
    """Return what batches (n, B) of rows of gradients (N, P) give; small ones are the pieces of the large."""
    chosen = gradients[batches]
    pieces = batches.shape[1] // small_rows
    parts = chosen[:, : pieces * small_rows].reshape(len(batches), pieces, small_rows, 5).mean(axis=2)
    return GradientSquares(
        small=(parts**2).sum(-1).mean(axis=1), large=(chosen.mean(axis=1) ** 2).sum(-1), small_rows=small_rows,
        large_rows=batches.shape[1], population=population, method="per-example" if small_rows == 1 else "two-batch",
    )  # fmt: skip


def moments(gradients: Array) -> tuple[float, float]:
    mean = gradients.mean(axis=0)
    return float(((gradients - mean) ** 2).sum(-1).mean()), float(mean @ mean)


@pytest.fixture
def gradients() -> Array:
    return np.random.default_rng(0).normal(0.3, 1, (30, 5))


@pytest.mark.parametrize("small_rows", [1, 5])
def test_estimates_have_no_bias_where_a_batch_is_most_of_the_data(gradients: Array, small_rows: int) -> None:
    """20 of 30 rows: over very many batches the averages are the moments; without the correction they are far off."""
    rng = np.random.default_rng(1)
    batches = np.array([rng.permutation(30)[:20] for _ in range(20000)])
    variance, signal = moments(gradients)
    squares = measured(gradients, batches, small_rows, 30)
    noise, square = unbiased(squares)
    assert noise.mean() == pytest.approx(variance, rel=0.01)
    assert square.mean() == pytest.approx(signal, rel=0.02)
    wrong = unbiased(measured(gradients, batches, small_rows, None))[1].mean()
    assert abs(wrong - signal) > 10 * abs(square.mean() - signal)


def test_draws_with_replacement_need_no_correction(gradients: Array) -> None:
    batches = np.random.default_rng(1).integers(0, 30, (20000, 10))
    variance, signal = moments(gradients)
    noise, square = unbiased(measured(gradients, batches, 2, None))
    assert noise.mean() == pytest.approx(variance, rel=0.01)
    assert square.mean() == pytest.approx(signal, rel=0.02)


def test_sampling_factor() -> None:
    assert sampling_factor(1, 50) == 1
    assert sampling_factor(50, 50) == 0
    assert sampling_factor(10, None) == 0.1
    assert sampling_factor(10, 50) == pytest.approx(40 / 490)


def test_a_batch_of_all_rows_is_exact(gradients: Array) -> None:
    found = estimate_noise(measured(gradients, np.arange(30)[None], 1, 30))
    variance, signal = moments(gradients)
    for interval, value in ((found.variance, variance), (found.signal, signal), (found.scale, variance / signal)):
        assert interval.low == interval.value == interval.high == pytest.approx(value)


def test_the_scale_is_a_ratio_of_averages(gradients: Array) -> None:
    rng = np.random.default_rng(2)
    squares = measured(gradients, np.array([rng.permutation(30)[:8] for _ in range(200)]), 1, 30)
    noise, signal = unbiased(squares)
    found = estimate_noise(squares)
    assert found.refused is None
    assert found.scale.value == pytest.approx(noise.mean() / signal.mean())
    assert found.scale.value != pytest.approx(np.mean(noise / signal), rel=0.05)
    assert found.scale.low < moments(gradients)[0] / moments(gradients)[1] < found.scale.high
    assert found.steps == 200


def test_no_ratio_where_the_signal_may_be_zero() -> None:
    centred = np.random.default_rng(0).normal(size=(1000, 5))
    centred -= centred.mean(axis=0)
    rng = np.random.default_rng(3)
    found = estimate_noise(measured(centred, np.array([rng.permutation(1000)[:10] for _ in range(50)]), 1, 1000))
    assert 0 in found.signal
    assert math.isnan(found.scale.value)
    assert math.isnan(found.scale.low)
    assert found.refused is not None
    assert "cannot be told from 0" in found.refused
    assert moments(centred)[0] in found.variance


@pytest.mark.parametrize(
    ("batches", "reason"),
    [(np.zeros((0, 4), int), "no full batch"), (np.array([[0, 1, 2, 3]]), "one measurement")],
)
def test_too_little_is_refused(gradients: Array, batches: Array, reason: str) -> None:
    found = estimate_noise(measured(gradients, batches, 1, 30))
    assert found.refused is not None
    assert reason in found.refused
    assert math.isnan(found.variance.value)


def test_batches_of_one_row_are_refused(gradients: Array) -> None:
    found = estimate_noise(measured(gradients, np.arange(30)[:, None], 1, 30))
    assert found.refused is not None
    assert "one row" in found.refused


def test_fieller_bounds_are_where_the_difference_is_t_standard_errors() -> None:
    rng = np.random.default_rng(4)
    above, below, t = rng.normal(8, 2, 40), rng.normal(2, 1.5, 40), 2.02
    interval = ratio_interval(above, below, t)
    assert interval is not None
    for bound in (interval.low, interval.high):
        difference = above - bound * below
        assert abs(difference.mean()) == pytest.approx(t * difference.std(ddof=1) / math.sqrt(40))
    assert interval.value == pytest.approx(above.mean() / below.mean())


def test_fieller_is_refused_exactly_where_the_denominator_may_be_zero() -> None:
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(200):
        above, below = rng.normal(5, 1, 10), rng.normal(0.5, 1, 10)
        assert (ratio_interval(above, below, 2.26) is None) == (mean_interval(below, 2.26).low <= 0)
        refused += ratio_interval(above, below, 2.26) is None
    assert 0 < refused < 200


def test_student_quantiles() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3, 4, 5, 10, 30, 500):
        assert student_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=0.01)


def test_an_interval_reads_well() -> None:
    assert str(Interval(312.44, 240, 420)) == "312.4 [240, 420]"
