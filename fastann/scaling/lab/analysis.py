"""From the lines of a lab to its findings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastann.scaling.lab.choosing import log_scores, losses_of, score, smooth_best_rate
from fastann.scaling.lab.crossings import median_time
from fastann.scaling.lab.design import BUDGETS
from fastann.scaling.lab.findings import (
    MARGINS,
    Comparison,
    Edges,
    Findings,
    HeatMap,
    OptimizerFindings,
    Reach,
)
from fastann.scaling.lab.fits import fit_hyperbola, fit_step_time, slope
from fastann.scaling.lab.intervals import Estimate, bootstrap, interval, regret, resamples, within_margin
from fastann.scaling.lab.lookup import Lookup
from fastann.scaling.lab.store import Store

Array = NDArray[np.float64]

_FITS = 500


def find(folder: str | os.PathLike[str]) -> Findings:
    """Read a lab's folder and work everything out.

    Raises:
        ValueError: there is no lab, or it was stopped before the comparison of rules had two seeds of some optimizer.
    """
    store = Store(folder)
    optimizers = {}
    for name in store.design.optimizers:
        look = Lookup(store, name)
        if look.complete_seeds >= 2:
            optimizers[name] = _Analysis(look).findings()
    if not optimizers:
        raise ValueError(f"the lab in {os.fspath(folder)!r} was stopped too early for a report; run it again to go on.")
    data, targets = store.fact("data"), store.fact("targets")
    assert data is not None
    assert targets is not None
    sessions, ends = store.facts("session"), store.facts("session_end")
    return Findings(
        store.design, data, sessions[-1]["machine"], data["batch_sizes"], targets["losses"],
        min(Lookup(store, name).complete_seeds for name in optimizers), len(store.runs),
        sum(run["diverged_at"] is not None for run in store.runs.values()),
        len(sessions), sum(end["seconds"] for end in ends) / 60, optimizers,
    )  # fmt: skip


def _as_share(logs: Array) -> float:
    """Return the geometric mean of ratios, less 1."""
    return float(np.expm1(logs.mean()))


class _Analysis:
    """All that is worked out for one optimizer."""

    def __init__(self, look: Lookup) -> None:
        self.look = look

    def findings(self) -> OptimizerFindings:
        anchor = self.look.store.fact("anchor", optimizer=self.look.name)
        times = self.look.store.fact("step_times", optimizer=self.look.name)
        assert anchor is not None
        assert times is not None
        entries = times["entries"]
        reaches = [self._reach(target) for target in self.look.targets]
        time = fit_step_time([e["batch_size"] for e in entries], [e["seconds"] for e in entries])
        best, exponents = self._best_rates(reaches[1].b_crit.value)
        steps = reaches[1].steps
        return OptimizerFindings(
            self.look.name, float(anchor["learning_rate"]), reaches,
            {b: [self.look.arms[size, f"tuned:{b}"]["learning_rate"] for size in self.look.sizes] for b in BUDGETS},
            best, exponents, self._comparisons(), self._ratios(),
            {b: [self._loss(size, b) for size in self.look.sizes] for b in ("epochs", "steps")},
            {b: [self._gap(size, b) for size in self.look.sizes] for b in BUDGETS},
            self._heat(), entries, time,
            [Estimate(*(v * e["seconds"] for v in (s.value, s.low, s.high)))
             for s, e in zip(steps, entries, strict=True)],
            [self._real_seconds(size) for size in self.look.sizes], self._edges(), self._noise_scale(),
        )  # fmt: skip

    # ---- steps to a target

    def _reach(self, target: float) -> Reach:
        sizes = np.array(self.look.sizes)
        steps = np.stack([self.look.scores(size, "tuned:target", "target", target) for size in self.look.sizes], axis=1)
        ends = np.array([self.look.longest(size) for size in self.look.sizes], np.float64)

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
            float(np.sqrt((rest**2).mean())), self._slope(middle, draws, small),
            self._slope(middle, draws, large), small, large,
        )  # fmt: skip

    def _slope(self, middle: Array, draws: Array, sizes: Sequence[int]) -> Estimate | None:
        if len(sizes) < 2:
            return None
        places = [self.look.sizes.index(size) for size in sizes]
        x = np.log(sizes)
        with np.errstate(invalid="ignore"):
            found = [slope(x, np.log(draw[places])) for draw in draws]
        return interval(slope(x, np.log(middle[places])), found, self.look.complete_seeds)

    # ---- learning rates

    def _best_rates(self, b_crit: float) -> tuple[dict[str, list[Estimate]], dict[str, Estimate | None]]:
        """Return the best rate of each size under each budget, and its exponents below and above the critical batch."""
        seeds = self.look.store.design.tuning_seeds
        draws = resamples(seeds, _FITS)
        found: dict[str, list[Estimate]] = {}
        exponents: dict[str, Estimate | None] = {}
        for budget in BUDGETS:
            values, drawn = [], []
            for size in self.look.sizes:
                grid = self.look.grid(size)
                rates = list(grid)
                scores = np.array([log_scores(runs, budget, self.look.limits(size), self.look.targets[1])
                                   for runs in grid.values()])  # fmt: skip
                values.append(smooth_best_rate(rates, scores))
                drawn.append([smooth_best_rate(rates, scores[:, places]) for places in draws])
            found[budget] = [interval(v, d, seeds) for v, d in zip(values, drawn, strict=True)]
            x, y, many = np.log(self.look.sizes), np.log(values), np.log(drawn).T
            for side, chosen in (("below", x <= np.log(b_crit)), ("above", x >= np.log(b_crit))):
                enough = chosen.sum() >= 3
                exponents[f"{budget} {side}"] = (
                    interval(slope(x[chosen], y[chosen]), [slope(x[chosen], row[chosen]) for row in many], seeds)
                    if enough else None
                )  # fmt: skip
        return found, exponents

    def _heat(self) -> HeatMap:
        grids = {size: self.look.grid(size) for size in self.look.sizes}
        rates = sorted({rate for grid in grids.values() for rate in grid})
        loss, diverged = np.full((2, len(rates), len(self.look.sizes)), np.nan)
        for column, size in enumerate(self.look.sizes):
            for rate, runs in grids[size].items():
                values = [score(run, "epochs", self.look.limits(size), np.nan) for run in runs]
                loss[rates.index(rate), column] = np.median(values)
                diverged[rates.index(rate), column] = np.mean([run["diverged_at"] is not None for run in runs])
        return HeatMap(rates, loss, diverged)

    # ---- rules

    def _comparisons(self) -> dict[tuple[str, str], Comparison]:
        found = {}
        names = list(dict.fromkeys(arm for _, arm in self.look.arms if not arm.startswith("tuned")))
        base = self.look.data["base_batch"]
        for budget in BUDGETS:
            for name in names:
                regrets = [
                    regret(self.look.counted(size, name, budget), self.look.counted(size, f"tuned:{budget}", budget),
                           MARGINS[budget]) if size != base and (size, name) in self.look.arms else None
                    for size in self.look.sizes
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
        base = self.look.data["base_batch"]
        sides = {"above": [s for s in self.look.sizes if s > base], "below": [s for s in self.look.sizes if s < base],
                 "all": [s for s in self.look.sizes if s != base]}  # fmt: skip
        pairs = {"sqrt/linear": ("sqrt", "linear"), "warmup/linear": ("linear+warmup", "linear")}
        found = {}
        for name, (first, second) in pairs.items():
            for side, sizes in sides.items():
                sizes = [s for s in sizes if (s, first) in self.look.arms and (s, second) in self.look.arms]
                if sizes:
                    losses = [[self.look.scores(s, arm, "epochs") for s in sizes] for arm in (first, second)]
                    logs = np.log(losses[0]) - np.log(losses[1])
                    found[name, side] = bootstrap(_as_share, logs.T)
        for budget in ("epochs", "steps"):
            ends = [self.look.scores(size, f"tuned:{budget}", budget) for size in (self.look.sizes[-1], base)]
            found["largest/base", budget] = bootstrap(_as_share, np.log(ends[0] / ends[1]))
        return found

    def _loss(self, size: int, budget: str) -> Estimate:
        return bootstrap(np.mean, self.look.scores(size, f"tuned:{budget}", budget), _FITS)

    def _gap(self, size: int, budget: str) -> Estimate:
        """Return validation loss minus training loss at the look with the lowest validation loss within a budget.

        Until the target: at the first look at or below it; seeds that never get there are left out.
        """
        gaps = []
        for run in self.look.of(size, f"tuned:{budget}"):
            held, trained = losses_of(run), losses_of(run, "training_loss")
            if budget == "target":
                places = np.flatnonzero(held <= self.look.targets[1])
                if not len(places):
                    continue
                place = int(places[0])
            else:
                within = np.where(np.asarray(run["steps"]) <= self.look.limits(size)[budget], held, np.nan)
                place = int(np.nanargmin(within))
            gaps.append(held[place] - trained[place])
        return bootstrap(np.mean, gaps, _FITS) if gaps else Estimate(np.nan, np.nan, np.nan)

    # ---- the rest

    def _real_seconds(self, size: int) -> float:
        fact = self.look.store.fact("real_time", optimizer=self.look.name, batch_size=size)
        return float(np.median([np.inf if s is None else s for s in fact["seconds"]])) if fact else float("nan")

    def _edges(self) -> Edges | None:
        facts = self.look.store.facts("edge", optimizer=self.look.name)
        if not facts:
            return None
        logs = {name: [np.log(fact[name]) for fact in facts] for name in ("without", "with")}

        def mean(of: Array) -> float:
            return float(np.exp(of.mean()))

        ratios = [b - a for a, b in zip(logs["without"], logs["with"], strict=True)]
        without, warmed, gained = (
            [bootstrap(mean, of, _FITS) for of in group] for group in (logs["without"], logs["with"], ratios)
        )
        overall = bootstrap(mean, np.stack(ratios, axis=1), _FITS)
        return Edges([fact["batch_size"] for fact in facts], without, warmed, gained, overall)

    def _noise_scale(self) -> list[tuple[int, Estimate]]:
        """Return the noise scale at the base batch: ratios of means over seeds, never means of ratios."""
        traces = [{step: (trace, square) for step, trace, square in run["noise"]} for run in self.look.noise]
        shared = sorted(set.intersection(*(set(trace) for trace in traces))) if traces else []

        def ratio(of: Array) -> float:
            return float(of[:, 0].mean() / of[:, 1].mean())

        return [(step, bootstrap(ratio, [trace[step] for trace in traces], _FITS)) for step in shared]
