"""The gradient noise scale from squared norms of gradients, with intervals.

With g_i the gradients of N rows, G their mean and tr(Sigma) = mean |g_i|^2 - |G|^2, the mean gradient g_B of B rows
drawn without replacement has

    E |g_B|^2 = |G|^2 + c(B) tr(Sigma),  c(B) = (N - B) / (B (N - 1)),

which tends to 1 / B as N grows. Two batch sizes b < B give two equations, and so unbiased estimates of both unknowns:

    tr(Sigma) = (|g_b|^2 - |g_B|^2) / (c(b) - c(B))
    |G|^2     = (c(b) |g_B|^2 - c(B) |g_b|^2) / (c(b) - c(B))

b = 1 where the norms of single rows are known. The simple noise scale tr(Sigma) / |G|^2 is the batch size at which
noise and signal are alike; it is the ratio of averages over steps, never an average of ratios.

McCandlish et al. 2018, "An empirical model of large-batch training", arXiv:1812.06162, appendix A; c(B) is the variance
of a mean in sampling without replacement (Cochran 1977, "Sampling techniques", theorem 2.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastann.training.gradient_squares import GradientSquares

Array = NDArray[np.float64]

#: Probability with which an interval holds the true value.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % confidence interval; NaN where it was refused."""

    value: float
    low: float
    high: float

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


UNKNOWN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class NoiseEstimate:
    """What some steps tell of the noise of gradients.

    Attributes:
        variance: tr(Sigma), the variance of the gradient of one row, all parameters added up.
        signal: |G|^2, the squared norm of the gradient of the mean loss.
        scale: tr(Sigma) / |G|^2 in rows, not below 0. All NaN where |G|^2 cannot be told from 0.
        steps: measurements that went in.
        refused: why there is no scale; None if there is one.
    """

    variance: Interval
    signal: Interval
    scale: Interval
    steps: int
    refused: str | None = None


def estimate_noise(squares: GradientSquares) -> NoiseEstimate:
    """Estimate noise, signal and their ratio from what was measured in the steps of an epoch.

    Intervals of the two averages are Student's, that of the ratio is Fieller's: unlike the delta method it keeps its
    level where the denominator is uncertain, and it is unbounded exactly where the interval of the denominator holds 0;
    then no ratio is given. They take the steps for independent. The batches of one epoch do not overlap, which makes
    averages over many of them more certain than that, so at constant weights the intervals are on the wide side.
    A batch of all the data has no sampling error.
    """
    steps = len(squares.large)
    if squares.large_rows <= squares.small_rows:
        return _refusal(steps, "batches of one row do not tell noise from signal; train with larger batches")
    if steps == 0:
        return _refusal(steps, "no full batch with finite gradients was measured; train for more steps")
    noise, signal = unbiased(squares)
    whole = sampling_factor(squares.large_rows, squares.population) == 0 and squares.small_rows == 1
    if steps == 1 and not whole:
        return _refusal(steps, "one measurement has no interval; train for more steps, or measure more often")
    t = 0.0 if whole else student_quantile(0.5 + CONFIDENCE / 2, steps - 1)
    variance, square = mean_interval(noise, t), mean_interval(signal, t)
    scale = ratio_interval(noise, signal, t)
    if scale is None:
        reason = f"|G|^2 cannot be told from 0, {square} in {steps} steps; measure more steps or larger batches"
        return NoiseEstimate(variance, square, UNKNOWN, steps, reason)
    return NoiseEstimate(variance, square, scale, steps)


def sampling_factor(rows: int, population: int | None) -> float:
    """Return c(B) = (N - B) / (B (N - 1)), the part of tr(Sigma) that is left in a mean of B of N rows."""
    if population is None:
        return 1 / rows
    return 0.0 if population <= rows else (population - rows) / (rows * (population - 1))


def unbiased(squares: GradientSquares) -> tuple[Array, Array]:
    """Return estimates of tr(Sigma) and |G|^2, one each a step, both without bias."""
    small = sampling_factor(squares.small_rows, squares.population)
    large = sampling_factor(squares.large_rows, squares.population)
    noise = (squares.small - squares.large) / (small - large)
    signal = (small * squares.large - large * squares.small) / (small - large)
    return noise, signal


def mean_interval(values: Array, t: float) -> Interval:
    """Return the mean +- t standard errors; t = 0 for values without a sampling error."""
    mean = float(values.mean())
    reach = t * math.sqrt(float(values.var(ddof=1)) / len(values)) if t else 0.0
    return Interval(mean, mean - reach, mean + reach)


def ratio_interval(above: Array, below: Array, t: float) -> Interval | None:
    """Return mean(above) / mean(below) with Fieller's interval, cut at 0; None unless mean(below) is surely positive.

    The interval holds the r for which mean(above - r below) is within t standard errors of 0:

        (x^2 - t^2 s_xx) - 2 r (x y - t^2 s_xy) + r^2 (y^2 - t^2 s_yy) <= 0

    Fieller 1954, "Some problems in interval estimation", J. R. Statist. Soc. B 16, 175-185.
    """
    x, y = float(above.mean()), float(below.mean())
    if t == 0:
        return Interval(max(0.0, x / y), max(0.0, x / y), max(0.0, x / y)) if y > 0 else None
    s = np.cov(above, below) / len(above)
    a, b, c = (float(v) for v in (y * y - t * t * s[1, 1], x * y - t * t * s[0, 1], x * x - t * t * s[0, 0]))
    if y <= 0 or a <= 0:
        return None
    reach = math.sqrt(max(0.0, b * b - a * c))
    return Interval(max(0.0, x / y), max(0.0, (b - reach) / a), max(0.0, (b + reach) / a))


def student_quantile(p: float, freedom: int) -> float:
    """Return the p-quantile of Student's t distribution: exact for 1 and 2 degrees of freedom, else to 1 %.

    Abramowitz & Stegun 1964, formula 26.7.5.
    """
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p)))
    z, n = NormalDist().inv_cdf(p), float(freedom)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / n ** (k + 1) for k, term in enumerate(terms))


def _refusal(steps: int, reason: str) -> NoiseEstimate:
    return NoiseEstimate(UNKNOWN, UNKNOWN, UNKNOWN, steps, reason)
