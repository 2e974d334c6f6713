"""Curves through measurements: steps against batch size, time of a step, the best rate against batch size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hyperbola:
    """S(B) = S_min (1 + B_crit / B), and so (S / S_min - 1)(E / E_min - 1) = 1 with E = B S, E_min = S_min B_crit.

    McCandlish et al. 2018, "An Empirical Model of Large-Batch Training" (arXiv:1812.06162).
    """

    s_min: float
    b_crit: float

    def steps(self, batch_sizes: ArrayLike) -> Array:
        """Return S(B)."""
        return np.asarray(self.s_min * (1 + self.b_crit / np.asarray(batch_sizes, np.float64)))


def fit_hyperbola(batch_sizes: ArrayLike, steps: ArrayLike) -> Hyperbola:
    """Fit S(B) by least squares on log S; infinite steps are left out.

    Returns NaN for both numbers where fewer than three batch sizes have steps.
    """
    sizes, found = np.asarray(batch_sizes, np.float64), np.asarray(steps, np.float64)
    seen = np.isfinite(found) & (found > 0)
    if seen.sum() < 3:
        return Hyperbola(float("nan"), float("nan"))
    x, y = np.log(sizes[seen]), np.log(found[seen])

    # for a given B_crit the best S_min is a mean: one number is left to search, and no start can be wrong
    def rest(log_crit: float) -> float:
        shape = np.logaddexp(0.0, log_crit - x)
        return float(((y - shape - (y - shape).mean()) ** 2).sum())

    from scipy.optimize import minimize_scalar

    grid = np.linspace(x.min() - 4, x.max() + 4, 65)
    start = int(np.argmin([rest(point) for point in grid]))
    low, high = grid[max(start - 1, 0)], grid[min(start + 1, len(grid) - 1)]
    log_crit = float(minimize_scalar(rest, bounds=(low, high), method="bounded").x)
    log_min = float((y - np.logaddexp(0.0, log_crit - x)).mean())
    return Hyperbola(float(np.exp(log_min)), float(np.exp(log_crit)))


@dataclass(frozen=True)
class StepTime:
    """t(B) = t0 + c B in seconds: what a step costs whatever its size, and what each row adds."""

    overhead: float
    per_row: float

    def seconds(self, batch_sizes: ArrayLike) -> Array:
        """Return t(B)."""
        return np.asarray(self.overhead + self.per_row * np.asarray(batch_sizes, np.float64))

    @property
    def b_hw(self) -> float:
        """The batch size t0 / c whose rows take as long as the overhead."""
        return self.overhead / self.per_row if self.per_row > 0 else float("inf")


def fit_step_time(batch_sizes: ArrayLike, seconds: ArrayLike) -> StepTime:
    """Fit t0 and c, neither below 0, by least squares of relative errors.

    Raises:
        ValueError: there are fewer than two batch sizes.
    """
    from scipy.optimize import nnls

    sizes, times = np.asarray(batch_sizes, np.float64), np.asarray(seconds, np.float64)
    if len(sizes) < 2:
        raise ValueError(f"expected times of at least two batch sizes, got {len(sizes)}.")
    scale = sizes.max()
    (overhead, per_row), _ = nnls(np.stack([1 / times, sizes / scale / times], axis=1), np.ones(len(sizes)))
    return StepTime(float(overhead), float(per_row / scale))


def best_batch(curve: Hyperbola, time: StepTime) -> float:
    """Return B* = sqrt(B_crit B_hw), where S(B) t(B) is least: its derivative c - t0 B_crit / B^2 is 0."""
    return float(np.sqrt(curve.b_crit * time.b_hw))


def slope(x: ArrayLike, y: ArrayLike) -> float:
    """Return the slope of the least-squares line; NaN for fewer than two different x."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    seen = np.isfinite(a) & np.isfinite(b)
    a, b = a[seen], b[seen]
    spread = ((a - a.mean()) ** 2).sum() if len(a) else 0.0
    return float(((a - a.mean()) * b).sum() / spread) if spread > 0 else float("nan")


def vertex(x: ArrayLike, y: ArrayLike) -> float:
    """Return where a parabola through the lowest point and its neighbours is lowest; at an edge, the edge itself.

    Args:
        x: float[n], increasing.
        y: float[n]; infinite values count as far above the others.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    place = int(np.argmin(b))
    if not 0 < place < len(a) - 1 or not np.isfinite(b[place - 1 : place + 2]).all():
        return float(a[place])
    (x0, x1, x2), (y0, y1, y2) = a[place - 1 : place + 2], b[place - 1 : place + 2]
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    bend = (right - left) / (x2 - x0)
    if bend <= 0:
        return float(x1)
    return float(np.clip((x0 + x1) / 2 - left / (2 * bend), x0, x2))
