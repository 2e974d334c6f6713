"""From the lines of a lab to numbers with intervals."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.scaling.lab.choosing import log_scores, losses_of, score, smooth_best_rate
from fastann.scaling.lab.crossings import median_time
from fastann.scaling.lab.design import BUDGETS, MARGIN, Design
from fastann.scaling.lab.fits import Hyperbola, StepTime, fit_hyperbola, fit_step_time, slope
from fastann.scaling.lab.intervals import Estimate, Regret, bootstrap, interval, regret, resamples, within_margin
from fastann.scaling.lab.stages import TUNING
from fastann.scaling.lab.store import Store

Run = Mapping[str, Any]
Array = NDArray[np.float64]

#: Share by which each budget may be missed: of the loss, or of the steps to the target (the 20 % of Zhang et al. 2024).
MARGINS = {"epochs": MARGIN, "steps": MARGIN, "target": 0.2}
_FITS = 500


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
        slope_small, slope_large: of log S against log B, where B <= B_crit / 4 and where B >= 2 B_crit; None where fewer
            than three, or two, batch sizes lie there.
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


def find(folder: str | os.PathLike[str]) -> Findings:
    """Read a lab's folder and work everything out.

    Raises:
        ValueError: there is no lab, or it was stopped before the comparison of rules had two seeds of some optimizer.
    """
    store = Store(folder)
    optimizers = {}
    for name in store.design.optimizers:
        reader = _Reader(store, name)
        if reader.complete_seeds >= 2:
            optimizers[name] = reader.findings()
    if not optimizers:
        raise ValueError(f"the lab in {os.fspath(folder)!r} was stopped too early for a report; run it again to go on.")
    data, targets = store.fact("data"), store.fact("targets")
    assert data is not None
    assert targets is not None
    sessions, ends = store.facts("session"), store.facts("session_end")
    return Findings(
        store.design, data, sessions[-1]["machine"], data["batch_sizes"], targets["losses"],
        min(_Reader(store, name).complete_seeds for name in optimizers), len(store.runs),
        sum(run["diverged_at"] is not None for run in store.runs.values()),
        len(sessions), sum(end["seconds"] for end in ends) / 60, optimizers,
    )  # fmt: skip


def _as_share(logs: Array) -> float:
    """Return the geometric mean of ratios, less 1."""
    return float(np.expm1(logs.mean()))


class _Reader:
    """The runs of one optimizer, by what they were for."""

    def __init__(self, store: Store, optimizer: str) -> None:
        self.store, self.name = store, optimizer
        self.data: dict[str, Any] = store.fact("data") or {"batch_sizes": [], "budget_steps": 1, "rows": 1}
        self.sizes: list[int] = self.data["batch_sizes"]
        self.targets: list[float] = (store.fact("targets") or {"losses": []})["losses"]
        self._search: dict[int, dict[float, list[Run]]] = defaultdict(lambda: defaultdict(list))
        self._runs: dict[tuple[int, float, int, int], Run] = {}
        self._noise: list[Run] = []
        for run in store.runs.values():
            if run["trial"]["optimizer"] == optimizer:
                self._sort(run)
        self.arms = {(arm["batch_size"], arm["arm"]): arm for arm in store.facts("arm", optimizer=optimizer)}
        self.complete_seeds = self._complete()

    def _sort(self, run: Run) -> None:
        trial = run["trial"]
        size = trial["batch_size"]
        if trial["noise"]:
            self._noise.append(run)
        elif trial["seed"] < TUNING:
            self._runs[size, trial["learning_rate"], trial["warmup_steps"], trial["seed"]] = run
        elif trial["warmup_steps"] == 0 and trial["steps"] == self._longest(size):
            self._search[size][trial["learning_rate"]].append(run)

    def _longest(self, size: int) -> int:
        return int(max(self.data["budget_steps"], self._limits(size)["epochs"]))

    def _limits(self, size: int) -> dict[str, float]:
        per_epoch = -(-self.data["rows"] // size)
        return {"epochs": max(1, round(self.store.design.epochs * per_epoch)), "steps": self.data["budget_steps"]}

    def _complete(self) -> int:
        if len({size for size, _ in self.arms}) < len(self.sizes):
            return 0
        for seed in range(self.store.design.seeds):
            if any(self._find(arm, seed) is None for arm in self.arms.values()):
                return seed
        return self.store.design.seeds

    def _find(self, arm: Mapping[str, Any], seed: int) -> Run | None:
        return self._runs.get((arm["batch_size"], arm["learning_rate"], arm["warmup_steps"], seed))

    def _of(self, size: int, arm: str) -> list[Run]:
        """Return the runs of an arm, one a complete seed."""
        return [self._runs[size, a["learning_rate"], a["warmup_steps"], seed]
                for a in (self.arms[size, arm],) for seed in range(self.complete_seeds)]  # fmt: skip

    # ---- everything

    def findings(self) -> OptimizerFindings:
        anchor = self.store.fact("anchor", optimizer=self.name)
        times = self.store.fact("step_times", optimizer=self.name)
        assert anchor is not None
        assert times is not None
        entries = times["entries"]
        reaches = [self._reach(target) for target in self.targets]
        time = fit_step_time([e["batch_size"] for e in entries], [e["seconds"] for e in entries])
        best, exponents = self._best_rates(reaches[1].b_crit.value)
        steps = reaches[1].steps
        return OptimizerFindings(
            self.name, float(anchor["learning_rate"]), reaches,
            {b: [self.arms[size, f"tuned:{b}"]["learning_rate"] for size in self.sizes] for b in BUDGETS},
            best, exponents, self._comparisons(), self._ratios(),
            {b: [self._loss(size, b) for size in self.sizes] for b in ("epochs", "steps")},
            {b: [self._gap(size, b) for size in self.sizes] for b in BUDGETS},
            self._heat(), entries, time,
            [Estimate(*(v * e["seconds"] for v in (s.value, s.low, s.high)))
             for s, e in zip(steps, entries, strict=True)],
            [self._real_seconds(size) for size in self.sizes], self._edges(), self._noise_scale(),
        )  # fmt: skip

    def _scores(self, size: int, arm: str, budget: str, target: float | None = None) -> Array:
        goal = self.targets[1] if target is None else target
        return np.array([score(run, budget, self._limits(size), goal) for run in self._of(size, arm)])

    def _counted(self, size: int, arm: str, budget: str) -> Array:
        """Return scores in which a run that never reaches the target counts as in the search."""
        return np.exp(log_scores(self._of(size, arm), budget, self._limits(size), self.targets[1]))

    # ---- steps to a target

    def _reach(self, target: float) -> Reach:
        sizes = np.array(self.sizes)
        steps = np.stack([self._scores(size, "tuned:target", "target", target) for size in self.sizes], axis=1)
        ends = np.array([self._longest(size) for size in self.sizes], np.float64)

        def medians(of: Array) -> Array:
            return np.array([median_time(np.minimum(column, end), np.isfinite(column))
                             for column, end in zip(of.T, ends, strict=True)])  # fmt: skip

        draws = np.array([medians(steps[places]) for places in resamples(len(steps), _FITS)])
        middle = medians(steps)
        curve, fits = fit_hyperbola(sizes, middle), [fit_hyperbola(sizes, draw) for draw in draws]
        estimate = partial(interval, seeds=len(steps))
        seen = np.isfinite(middle)
        known = bool(np.isfinite(curve.b_crit))
        rest = np.log(middle[seen] / curve.steps(sizes[seen])) if known else np.array([np.nan])
        small = tuple(int(b) for b in sizes[seen & (sizes <= curve.b_crit / 4)]) if known else ()
        large = tuple(int(b) for b in sizes[seen & (sizes >= 2 * curve.b_crit)]) if known else ()
        return Reach(
            target, [estimate(float(m), d) for m, d in zip(middle, draws.T, strict=True)],
            [int(n) for n in np.isfinite(steps).sum(axis=0)], [len(steps)] * len(sizes), curve,
            estimate(curve.s_min, [f.s_min for f in fits]), estimate(curve.b_crit, [f.b_crit for f in fits]),
            float(np.sqrt((rest**2).mean())), self._slope(middle, draws, small, 3), self._slope(middle, draws, large, 2),
            small, large,
        )  # fmt: skip

    def _slope(self, middle: Array, draws: Array, sizes: Sequence[int], least: int) -> Estimate | None:
        if len(sizes) < least:
            return None
        places = [self.sizes.index(size) for size in sizes]
        x = np.log(sizes)
        with np.errstate(invalid="ignore"):
            found = [slope(x, np.log(draw[places])) for draw in draws]
        return interval(slope(x, np.log(middle[places])), found, self.complete_seeds)

    # ---- learning rates

    def _grid(self, size: int) -> dict[float, list[Run]]:
        """Return the runs of the search by rate, in its order, of rates that every seed was run with."""
        seeds = self.store.design.tuning_seeds
        by_rate = {
            rate: sorted(runs, key=lambda run: int(run["trial"]["seed"])) for rate, runs in self._search[size].items()
        }
        return {rate: by_rate[rate] for rate in sorted(by_rate) if len(by_rate[rate]) == seeds}

    def _best_rates(self, b_crit: float) -> tuple[dict[str, list[Estimate]], dict[str, Estimate | None]]:
        """Return the best rate of each size under each budget, and its exponents below and above the critical batch."""
        seeds = self.store.design.tuning_seeds
        draws = resamples(seeds, _FITS)
        found: dict[str, list[Estimate]] = {}
        exponents: dict[str, Estimate | None] = {}
        for budget in BUDGETS:
            values, drawn = [], []
            for size in self.sizes:
                grid = self._grid(size)
                rates = list(grid)
                scores = np.array([log_scores(runs, budget, self._limits(size), self.targets[1])
                                   for runs in grid.values()])  # fmt: skip
                values.append(smooth_best_rate(rates, scores))
                drawn.append([smooth_best_rate(rates, scores[:, places]) for places in draws])
            found[budget] = [interval(v, d, seeds) for v, d in zip(values, drawn, strict=True)]
            x, y, many = np.log(self.sizes), np.log(values), np.log(drawn).T
            for side, chosen in (("below", x <= np.log(b_crit)), ("above", x >= np.log(b_crit))):
                enough = chosen.sum() >= 3
                exponents[f"{budget} {side}"] = (
                    interval(slope(x[chosen], y[chosen]), [slope(x[chosen], row[chosen]) for row in many], seeds)
                    if enough else None
                )  # fmt: skip
        return found, exponents

    def _heat(self) -> HeatMap:
        grids = {size: self._grid(size) for size in self.sizes}
        rates = sorted({rate for grid in grids.values() for rate in grid})
        loss, diverged = np.full((2, len(rates), len(self.sizes)), np.nan)
        for column, size in enumerate(self.sizes):
            for rate, runs in grids[size].items():
                values = [score(run, "epochs", self._limits(size), np.nan) for run in runs]
                loss[rates.index(rate), column] = np.median(values)
                diverged[rates.index(rate), column] = np.mean([run["diverged_at"] is not None for run in runs])
        return HeatMap(rates, loss, diverged)

    # ---- rules

    def _comparisons(self) -> dict[tuple[str, str], Comparison]:
        found = {}
        names = list(dict.fromkeys(arm for _, arm in self.arms if not arm.startswith("tuned")))
        base = self.data["base_batch"]
        for budget in BUDGETS:
            for name in names:
                regrets = [
                    regret(self._counted(size, name, budget), self._counted(size, f"tuned:{budget}", budget),
                           MARGINS[budget]) if size != base and (size, name) in self.arms else None
                    for size in self.sizes
                ]  # fmt: skip
                words = iter(within_margin([r for r in regrets if r is not None]))
                found[budget, name] = Comparison(regrets, ["" if r is None else next(words) for r in regrets])
        return found

    def _ratios(self) -> dict[tuple[str, str], Estimate]:
        """Return by what share losses of paired seeds differ.

        The square root's from the linear rule's, and with warm-up from without: at equal epochs, the mean of log ratios
        over batch sizes above, below or on both sides of the base. The largest batch's from the base's at tuned rates:
        under each budget.
        """
        base = self.data["base_batch"]
        sides = {"above": [s for s in self.sizes if s > base], "below": [s for s in self.sizes if s < base],
                 "all": [s for s in self.sizes if s != base]}  # fmt: skip
        pairs = {"sqrt/linear": ("sqrt", "linear"), "warmup/linear": ("linear+warmup", "linear")}
        found = {}
        for name, (first, second) in pairs.items():
            for side, sizes in sides.items():
                sizes = [s for s in sizes if (s, first) in self.arms and (s, second) in self.arms]
                if sizes:
                    logs = np.stack([np.log(self._scores(s, first, "epochs") / self._scores(s, second, "epochs"))
                                     for s in sizes], axis=1)  # fmt: skip
                    found[name, side] = bootstrap(_as_share, logs)
        for budget in ("epochs", "steps"):
            last, first = (self._scores(s, f"tuned:{budget}", budget) for s in (self.sizes[-1], base))
            found["largest/base", budget] = bootstrap(_as_share, np.log(last / first))
        return found

    def _loss(self, size: int, budget: str) -> Estimate:
        return bootstrap(np.mean, self._scores(size, f"tuned:{budget}", budget), _FITS)

    def _gap(self, size: int, budget: str) -> Estimate:
        """Return validation loss minus training loss at the look with the lowest validation loss within a budget.

        Until the target: at the first look at or below it; seeds that never get there are left out.
        """
        gaps = []
        for run in self._of(size, f"tuned:{budget}"):
            held, trained = losses_of(run), losses_of(run, "training_loss")
            if budget == "target":
                places = np.flatnonzero(held <= self.targets[1])
                if not len(places):
                    continue
                place = int(places[0])
            else:
                within = np.where(np.asarray(run["steps"]) <= self._limits(size)[budget], held, np.nan)
                place = int(np.nanargmin(within))
            gaps.append(held[place] - trained[place])
        return bootstrap(np.mean, gaps, _FITS) if gaps else Estimate(np.nan, np.nan, np.nan)

    # ---- the rest

    def _real_seconds(self, size: int) -> float:
        fact = self.store.fact("real_time", optimizer=self.name, batch_size=size)
        return float(np.median([np.inf if s is None else s for s in fact["seconds"]])) if fact else float("nan")

    def _edges(self) -> Edges | None:
        facts = self.store.facts("edge", optimizer=self.name)
        if not facts:
            return None
        logs = {name: [np.log(fact[name]) for fact in facts] for name in ("without", "with")}

        def mean(of: Array) -> float:
            return float(np.exp(of.mean()))

        ratios = [b - a for a, b in zip(logs["without"], logs["with"], strict=True)]
        return Edges(
            [fact["batch_size"] for fact in facts],
            *([bootstrap(mean, of, _FITS) for of in group] for group in (logs["without"], logs["with"], ratios)),
            bootstrap(mean, np.stack(ratios, axis=1), _FITS),
        )

    def _noise_scale(self) -> list[tuple[int, Estimate]]:
        """Return the noise scale at the base batch: ratios of means over seeds, never means of ratios."""
        traces = [dict((step, (trace, square)) for step, trace, square in run["noise"]) for run in self._noise]
        shared = sorted(set.intersection(*(set(trace) for trace in traces))) if traces else []

        def ratio(of: Array) -> float:
            return float(of[:, 0].mean() / of[:, 1].mean())

        return [(step, bootstrap(ratio, [trace[step] for trace in traces], _FITS)) for step in shared]


