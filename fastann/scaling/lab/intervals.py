"""How sure a number is: bootstrap over paired seeds, equivalence within a margin, several questions at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A number with the interval that holds the true one in 95 of 100 experiments."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{_short(self.value)} [{_short(self.low)}, {_short(self.high)}]"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def resamples(seeds: int, count: int = RESAMPLES, seed: int = 0) -> NDArray[np.int64]:
    """Return int64[count, seeds]: places drawn with replacement.

    Everything that was run with one seed is drawn together, so that differences between paired runs keep their small
    spread.
    """
    return np.random.default_rng(seed).integers(0, seeds, (count, seeds))


def interval(value: float, draws: ArrayLike, seeds: int, level: float = 0.95) -> Estimate:
    """Return a bootstrap interval from the values of resamples; NaN draws, where a fit failed, are left out.

    Percentiles, at the levels Phi(-sqrt(n / (n - 1)) t) in place of (1 - level) / 2, t being Student's quantile with
    n - 1 degrees of freedom: plain percentiles are too narrow for few seeds. Hesterberg 2015, "What Teachers Should
    Know About the Bootstrap" (the expanded percentile interval).
    """
    found = np.asarray(draws, np.float64)
    found = found[~np.isnan(found)]
    if seeds < 2 or not len(found) or np.isnan(value):
        return Estimate(value, float("nan"), float("nan"))
    tail = _expanded((1 - level) / 2, seeds)
    low, high = np.quantile(found, (tail, 1 - tail), method="closest_observation")
    return Estimate(value, float(low), float(high))


def bootstrap(statistic: Callable[[Array], float], values: ArrayLike, count: int = RESAMPLES) -> Estimate:
    """Return a statistic of float[seeds, ...] with its interval over seeds."""
    array = np.asarray(values, np.float64)
    draws = [statistic(array[places]) for places in resamples(len(array), count)]
    return interval(statistic(array), draws, len(array))


def _expanded(tail: float, seeds: int) -> float:
    from scipy import stats

    return float(stats.norm.cdf(np.sqrt(seeds / (seeds - 1)) * stats.t.ppf(tail, seeds - 1)))


@dataclass(frozen=True)
class Regret:
    """How much worse a rule is than what it is compared with: the mean of log(rule / reference), as a share.

    Attributes:
        estimate: 0.05 stands for 5 % worse.
        p_within: of the hypothesis that the rule is worse by the margin or more; small where it is as good.
        p_beyond: of the hypothesis that it is worse by less than the margin; small where it fails.
        seeds: pairs.
    """

    estimate: Estimate
    p_within: float
    p_beyond: float
    seeds: int


def regret(rule: ArrayLike, reference: ArrayLike, margin: float, count: int = RESAMPLES) -> Regret:
    """Compare positive losses of paired seeds, the lower the better; infinite ones count as a thousand times worse.

    Args:
        rule, reference: float[seeds].
        margin: the share up to which a rule counts as good.

    Raises:
        ValueError: a loss is not above 0.
    """
    first, second = np.asarray(rule, np.float64), np.asarray(reference, np.float64)
    if not (first > 0).all() or not (second > 0).all():
        raise ValueError("expected losses above 0 for a comparison by ratio, got one at or below it.")
    with np.errstate(invalid="ignore"):
        ratios = np.log(first) - np.log(second)
    ratios = np.clip(np.where(np.isnan(ratios), 0.0, ratios), -np.log(1000), np.log(1000))
    means = ratios[resamples(len(ratios), count)].mean(axis=1)
    found = interval(float(np.expm1(ratios.mean())), np.expm1(means), len(ratios))
    edge = float(np.log1p(margin))
    return Regret(found, _p_value(edge - ratios), _p_value(ratios - edge), len(ratios))


def _p_value(values: Array) -> float:
    """Return the p-value of the hypothesis that the mean is not above 0: Student's t, one-sided."""
    from scipy import stats

    if len(values) < 2:
        return 1.0
    error = values.std(ddof=1) / np.sqrt(len(values))
    if error == 0:
        return 0.0 if values[0] > 0 else 1.0
    return float(stats.t.sf(values.mean() / error, len(values) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that may be read together (Holm 1979): max over j <= i of (m - j) p_(j), sorted, at most 1."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, place in enumerate(order):
        running = max(running, (len(p_values) - rank) * p_values[place])
        adjusted[place] = min(1.0, running)
    return adjusted


def within_margin(regrets: Sequence[Regret], level: float = 0.05) -> list[str]:
    """Return "holds", "fails" or "cannot tell" for each of several regrets, Holm over all of them.

    "holds" is equivalence, shown (an upper bound below the margin), never the mere lack of a difference.
    """
    good, bad = holm([r.p_within for r in regrets]), holm([r.p_beyond for r in regrets])
    return ["holds" if g < level else "fails" if b < level else "cannot tell" for g, b in zip(good, bad, strict=True)]


def as_json(value: Any) -> Any:
    """Return dataclasses, arrays and non-finite numbers as what JSON knows."""
    from dataclasses import fields, is_dataclass

    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(key): as_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(entry) for entry in value]
    if isinstance(value, np.generic):
        return as_json(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
