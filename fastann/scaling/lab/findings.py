"""What a lab finds: numbers with intervals, by optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.scaling.lab.design import MARGIN, Design
from fastann.scaling.lab.fits import Hyperbola, StepTime
from fastann.scaling.lab.intervals import Estimate, Regret

Array = NDArray[np.float64]

#: Share by which each budget may be missed: of the loss, or of the steps to the target (the 20 % of Zhang et al. 2024).
MARGINS = {"epochs": MARGIN, "steps": MARGIN, "target": 0.2}


@dataclass(frozen=True)
class Reach:
    """Steps to one target at the tuned rates, against batch size.

    Attributes:
        target: validation loss.
        steps: Kaplan-Meier medians over seeds, infinite where fewer than half arrive.
        reached, seeds: how many arrive, of how many.
        curve: the hyperbola through the medians; NaN where there are too few.
        s_min, b_crit: its numbers with intervals.
        residual: root mean square of log S about the curve.
        slope_small, slope_large: of log S against log B, where B <= B_crit / 4 and where B >= 2 B_crit; None where
            fewer than two batch sizes lie there.
        small, large: those batch sizes.
    """

    target: float
    steps: list[Estimate]
    reached: list[int]
    seeds: list[int]
    curve: Hyperbola
    s_min: Estimate
    b_crit: Estimate
    residual: float
    slope_small: Estimate | None
    slope_large: Estimate | None
    small: tuple[int, ...]
    large: tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """A rule against the tuned rate under one budget: regrets by batch size, and what they amount to.

    `verdicts` are "holds", "fails", "cannot tell", or "" at the base batch, where every rule says the same.
    """

    regrets: list[Regret | None]
    verdicts: list[str]


@dataclass(frozen=True)
class HeatMap:
    """Median loss, float[rates, sizes], of the search within the budget of epochs, and the share that diverged."""

    rates: list[float]
    loss: Array
    diverged: Array


@dataclass(frozen=True)
class Edges:
    """Largest stable rates of seeds by batch size, without and with warm-up, and their ratio (with / without)."""

    batch_sizes: list[int]
    without: list[Estimate]
    warmed: list[Estimate]
    ratios: list[Estimate]
    overall: Estimate


@dataclass(frozen=True)
class OptimizerFindings:
    """All that was found for one optimizer; lists go with `Findings.batch_sizes` unless they say otherwise."""

    name: str
    anchor: float
    reaches: list[Reach]
    tuned: dict[str, list[float]]
    best_rates: dict[str, list[Estimate]]
    exponents: dict[str, Estimate | None]
    comparisons: dict[tuple[str, str], Comparison]
    ratios: dict[tuple[str, str], Estimate]
    losses: dict[str, list[Estimate]]
    gaps: dict[str, list[Estimate]]
    heat: HeatMap
    step_times: list[dict[str, float]]
    step_time: StepTime
    seconds: list[Estimate]
    real_seconds: list[float]
    edges: Edges | None
    noise: list[tuple[int, Estimate]]


@dataclass(frozen=True)
class Findings:
    """What a lab found.

    Attributes:
        seeds: complete ones, of the comparison.
    """

    design: Design
    data: dict[str, Any]
    machine: dict[str, Any]
    batch_sizes: list[int]
    targets: list[float]
    seeds: int
    runs: int
    diverged: int
    sessions: int
    minutes: float
    optimizers: dict[str, OptimizerFindings]

    @property
    def base_batch(self) -> int:
        """Where the rules are anchored."""
        return int(self.data["base_batch"])
