"""Crossings, intervals and fits against synthetic data whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fastann.scaling.lab.crossings import best_until, crossing, kaplan_meier, median_time, smoothed
from fastann.scaling.lab.fits import StepTime, best_batch, fit_hyperbola, fit_step_time, slope, vertex
from fastann.scaling.lab.intervals import Regret, as_json, bootstrap, holm, interval, regret, within_margin

SIZES = 2.0 ** np.arange(11)


# ---- crossings


def test_spikes_are_smoothed_and_nothing_moves() -> None:
    assert smoothed([3.0, 9.0, 2.0, 1.0]).tolist() == [3.0, 3.0, 2.0, 1.0]
    assert smoothed([1.0, 2.0]).tolist() == [1.0, 2.0]
    assert smoothed([1.0, math.nan, math.nan]).tolist() == [1.0, math.inf, math.inf]


def test_a_power_law_is_crossed_exactly() -> None:
    """loss = 2 / sqrt(step) is a straight line in logarithms: 0.3 is crossed at (2 / 0.3)^2."""
    steps = [0, 1, 2, 4, 9, 20, 45, 90, 200]
    losses = [5.0, *(2 / math.sqrt(s) for s in steps[1:])]
    assert crossing(steps, losses, 0.3) == pytest.approx((2 / 0.3) ** 2)
    assert crossing(steps, losses, 0.1) == math.inf
    assert crossing(steps, losses, 9.0) == 0.0


def test_a_crossing_has_to_hold() -> None:
    steps = [1, 2, 3, 4, 5, 6, 7, 8]
    losses = [4.0, 4.0, 0.5, 4.0, 4.0, 0.9, 0.8, 0.7]
    found = crossing(steps, losses, 1.0)
    assert 5 < found < 6
    assert crossing(steps, [4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 0.5], 1.0) == pytest.approx(8, abs=1)
    assert crossing(steps, [4.0, math.nan, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0], 1.0) == math.inf


def test_the_best_loss_within_a_budget() -> None:
    assert best_until([0, 1, 2, 3, 4], [5.0, 4.0, 3.0, 2.0, 1.0], 3) == 2.0
    assert best_until([0, 1, 2], [5.0, 4.0, math.nan], 9) == 5.0


def test_kaplan_meier_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    times = np.ceil(rng.exponential(20, 60))
    reached = rng.random(60) < 0.7
    moments, left = kaplan_meier(times, reached)
    theirs = stats.ecdf(stats.CensoredData(uncensored=times[reached], right=times[~reached])).sf
    np.testing.assert_allclose(left, theirs.evaluate(moments))


def test_medians_with_and_without_censoring() -> None:
    assert median_time([1, 2, 3, 4], [True] * 4) == 2.5
    assert median_time([1, 2, 3], [True] * 3) == 2
    assert median_time([5, 7, 10, 10, 10], [True, True, True, False, False]) == 10
    assert median_time([5, 10, 10], [True, False, False]) == math.inf


# ---- intervals


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Means of ten: 95 of 100 intervals hold the true one; plain percentiles would hold about 90."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        found = bootstrap(np.mean, rng.normal(3.0, 1.0, 10), 300)
        covered += found.low <= 3.0 <= found.high
    assert 0.92 <= covered / 400 <= 0.985


def test_an_interval_needs_two_seeds() -> None:
    found = interval(1.0, [1.0, 1.0], 1)
    assert found.value == 1.0
    assert math.isnan(found.low)
    assert str(interval(1234.0, [1000.0, 1300.0, math.nan], 50)) == "1,234 [1,000, 1,300]"


def test_regret_by_hand_and_its_p_values_by_scipy() -> None:
    reference = np.array([1.0, 2.0, 1.5, 1.2, 0.9])
    rule = reference * np.array([1.02, 1.01, 0.99, 1.03, 1.00])
    found = regret(rule, reference, 0.05)
    logs = np.log(rule / reference)
    assert found.estimate.value == pytest.approx(math.expm1(logs.mean()))
    assert found.p_within == pytest.approx(stats.ttest_1samp(logs, math.log(1.05), alternative="less").pvalue)
    assert found.p_beyond == pytest.approx(stats.ttest_1samp(logs, math.log(1.05), alternative="greater").pvalue)
    assert found.estimate.low < found.estimate.value < found.estimate.high < 0.05


def test_equal_and_lost_runs_have_a_regret() -> None:
    same = regret([1.0, 1.0], [1.0, 1.0], 0.05)
    assert (same.estimate.value, same.p_within, same.p_beyond) == (0.0, 0.0, 1.0)
    assert regret([math.inf] * 3, [1.0] * 3, 0.05).estimate.value == pytest.approx(999)
    assert regret([math.inf] * 3, [math.inf] * 3, 0.05).estimate.value == 0.0
    with pytest.raises(ValueError, match="expected losses above 0"):
        regret([0.0, 1.0], [1.0, 1.0], 0.05)


def test_equivalence_errs_as_rarely_as_it_says() -> None:
    """A rule that is worse by exactly the margin is called good in at most 5 of 100 experiments."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(400):
        logs = rng.normal(np.log1p(0.05), 0.05, 8)
        wrong += within_margin([regret(np.exp(logs), np.ones(8), 0.05, 50)]) == ["holds"]
    assert wrong / 400 <= 0.08


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_verdicts_on_regrets() -> None:
    def of(p_within: float, p_beyond: float) -> Regret:
        return Regret(interval(0.0, [0.0], 5), p_within, p_beyond, 5)

    assert within_margin([of(0.001, 0.999), of(0.999, 0.001), of(0.5, 0.5), of(0.03, 0.97)]) == [
        "holds", "fails", "cannot tell", "cannot tell",
    ]  # fmt: skip


def test_findings_are_json() -> None:
    found = as_json({"a": interval(1.0, [1.0], 1), "b": (np.float64(2), math.inf), "c": np.int64(3)})
    assert found == {"a": {"value": 1.0, "low": None, "high": None}, "b": [2.0, None], "c": 3}


# ---- fits


def test_a_hyperbola_is_found_again() -> None:
    found = fit_hyperbola(SIZES, 20 * (1 + 130 / SIZES))
    assert found.s_min == pytest.approx(20, rel=1e-4)
    assert found.b_crit == pytest.approx(130, rel=1e-4)
    assert found.steps(130) == pytest.approx(40, rel=1e-4)


def test_a_hyperbola_is_found_in_noise_and_with_gaps() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(50):
        steps = 20 * (1 + 130 / SIZES) * np.exp(rng.normal(0, 0.1, len(SIZES)))
        steps[4] = math.inf
        found.append(fit_hyperbola(SIZES, steps).b_crit)
    assert np.median(found) == pytest.approx(130, rel=0.1)
    assert np.std(np.log(found)) < 0.4
    assert math.isnan(fit_hyperbola([1, 2, 4], [8, math.inf, 2]).b_crit)


def test_time_of_a_step_is_found_again() -> None:
    found = fit_step_time(SIZES, 4e-6 + 5e-7 * SIZES)
    assert (found.overhead, found.per_row) == pytest.approx((4e-6, 5e-7))
    assert found.b_hw == pytest.approx(8)
    assert fit_step_time([1, 2], [1e-6, 2e-6]).overhead == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="at least two batch sizes, got 1"):
        fit_step_time([1], [1e-6])


def test_the_best_batch_is_where_time_is_least() -> None:
    curve, time = fit_hyperbola(SIZES, 20 * (1 + 130 / SIZES)), StepTime(4e-6, 5e-7)
    sizes = np.geomspace(1, 1024, 20_001)
    least = sizes[np.argmin(curve.steps(sizes) * time.seconds(sizes))]
    assert best_batch(curve, time) == pytest.approx(least, rel=1e-3)


def test_slopes_are_those_of_scipy() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 9))
    assert slope(x, y) == pytest.approx(stats.linregress(x, y).slope)
    assert slope([*x, 5.0], [*y, math.inf]) == pytest.approx(slope(x, y))
    assert math.isnan(slope([1.0], [2.0]))


def test_the_vertex_of_a_parabola() -> None:
    x = np.array([0.0, 1.0, 1.7, 3.0])
    assert vertex(x, 2 * (x - 1.3) ** 2 + 1) == pytest.approx(1.3)
    assert vertex(x, x) == 0.0
    assert vertex(x, [math.inf, 1.0, 2.0, 3.0]) == 1.0
