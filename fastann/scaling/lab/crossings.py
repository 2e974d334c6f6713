"""When a training reaches a target, from losses that were looked at now and then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def smoothed(losses: ArrayLike) -> Array:
    """Return the running median of three, which takes out single spikes and moves nothing in time.

    Ends keep their value. NaN counts as infinite: a training that is lost is worse than any other.
    """
    values = np.asarray(losses, np.float64)
    values = np.where(np.isnan(values), np.inf, values)
    if len(values) < 3:
        return values
    middle = np.sort(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)[1]
    return np.concatenate([values[:1], middle, values[-1:]])


def crossing(steps: Sequence[int], losses: ArrayLike, target: float, hold: int = 2) -> float:
    """Return the step at which a smoothed loss falls to `target` and stays there; infinity if it never does.

    Between the last look above the target and the first one below, log(loss) is taken as linear in log(step). It stays
    if the next `hold` looks, that one included, all lie at or below the target; looks beyond the end are not asked for.

    Args:
        steps: increasing, at least 0.
        losses: float[n], one for each of them.
    """
    values = smoothed(losses)
    below = values <= target
    for place in np.flatnonzero(below).tolist():
        if not below[place : place + hold].all():
            continue
        if place == 0:
            return float(steps[0])
        return _between(steps[place - 1], steps[place], values[place - 1], values[place], target)
    return float("inf")


def _between(first: float, last: float, above: float, below: float, target: float) -> float:
    """Return the step at which the line through two looks has the height of the target."""
    if not (np.isfinite(above) and below > 0 and first > 0):
        return float(last)
    share = np.log(above / target) / np.log(above / below)
    return float(np.exp(np.log(first) + share * np.log(last / first)))


def best_until(steps: Sequence[int], losses: ArrayLike, budget: float) -> float:
    """Return the lowest smoothed loss of the looks at steps up to `budget`: what early stopping would keep."""
    within = np.asarray(steps) <= budget
    return float(smoothed(np.asarray(losses, np.float64)[within]).min())


def kaplan_meier(times: ArrayLike, reached: ArrayLike) -> tuple[Array, Array]:
    """Return the times at which somebody arrived, and the share still on the way after each (Kaplan & Meier 1958).

    S(t) = prod over arrivals t_i <= t of (1 - d_i / n_i), where d_i arrive at t_i and n_i are on the way just before.

    Args:
        times: float[n], of the arrival, or of the end of the observation where there was none.
        reached: bool[n], whether there was one.
    """
    at, arrived = np.asarray(times, np.float64), np.asarray(reached, np.bool_)
    moments = np.unique(at[arrived])
    left = np.array([1.0 - (arrived & (at == t)).sum() / (at >= t).sum() for t in moments])
    return moments, np.cumprod(left)


def median_time(times: ArrayLike, reached: ArrayLike) -> float:
    """Return the time by which half have arrived (Kaplan-Meier); infinity if fewer ever do.

    Where exactly half have arrived over a stretch of time, its middle is taken, as the median of an even number is.
    """
    moments, left = kaplan_meier(times, reached)
    places = np.flatnonzero(left <= 0.5 + 1e-12)
    if not len(places):
        return float("inf")
    first = int(places[0])
    if abs(left[first] - 0.5) < 1e-12 and first + 1 < len(moments):
        return float((moments[first] + moments[first + 1]) / 2)
    return float(moments[first])
