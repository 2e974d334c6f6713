"""The best learning rate of a batch size, by what counts under each budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.scaling.lab.crossings import best_until, crossing
from fastann.scaling.lab.fits import vertex

#: From one learning rate of the grid to the next.
STEP = 10**0.5
#: What counts for a run that never reaches the target: as many times the steps that it was given.
_NEVER = 4.0


def score(run: Mapping[str, Any], budget: str, limits: Mapping[str, float], target: float) -> float:
    """Return what is to be small: the lowest validation loss within a budget, or the steps to the target.

    Args:
        run: a run's line.
        budget: "epochs", "steps" or "target".
        limits: the steps of the first two budgets at the run's batch size.
        target: the loss to reach; infinity for the steps of a run that never does.
    """
    losses = losses_of(run)
    if budget == "target":
        return crossing(run["steps"], losses, target)
    return best_until(run["steps"], losses, limits[budget])


def losses_of(run: Mapping[str, Any], name: str = "validation_loss") -> NDArray[np.float64]:
    """Return the losses of a run, NaN where there was no number."""
    return np.array([np.nan if loss is None else loss for loss in run[name]])


def log_scores(
    runs: Sequence[Mapping[str, Any]], budget: str, limits: Mapping[str, float], target: float
) -> NDArray[np.float64]:
    """Return the logarithms of the scores of runs, infinite ones as four times the steps of the run."""
    values = [score(run, budget, limits, target) for run in runs]
    return np.log([v if np.isfinite(v) else _NEVER * r["trial"]["steps"] for v, r in zip(values, runs, strict=True)])


def best_rate(scores: NDArray[np.float64]) -> int:
    """Return the place of the rate whose median score over seeds is lowest; scores are float[rates, seeds], logs."""
    return int(np.argmin(np.median(scores, axis=1)))


def smooth_best_rate(rates: Sequence[float], scores: NDArray[np.float64]) -> float:
    """Return the rate between those tried at which the mean score over seeds is lowest, by a parabola in log rate."""
    return float(np.exp(vertex(np.log(rates), scores.mean(axis=1))))
