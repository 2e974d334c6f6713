"""The lab from its first run to its last: time, tune, fix the targets, search, compare, look for the edge."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from fastann.datasets import Dataset
from fastann.scaling.lab.arms import arm_trial, arms_of, noise_on_the_way, rounded
from fastann.scaling.lab.choosing import STEP, best_rate, log_scores, losses_of, score
from fastann.scaling.lab.crossings import best_until
from fastann.scaling.lab.design import BUDGETS, Design
from fastann.scaling.lab.edges import find_edges
from fastann.scaling.lab.runs import OutOfTime, Report, Runner, one_thread_a_run
from fastann.scaling.lab.store import Store
from fastann.scaling.lab.timing import measure_steps, time_training
from fastann.scaling.lab.trials import Trial
from fastann.scaling.lab.workbench import Workbench

#: Where the search at the base batch begins.
_FIRST_RATE = {"sgd": 10**-1.0, "nesterov": 10**-1.5, "adam": 10**-2.5}
#: Seeds of the search; those of the comparison count from 0.
TUNING = 1000
#: Seeds of the real times, and of the noise scale.
_REAL_SEEDS = 5
_PACKAGES = ("fastann", "numpy", "scipy", "numba", "llvmlite", "jax", "scikit-learn")


def run_lab(
    design: Design,
    folder: str | os.PathLike[str],
    *,
    minutes: float | None = None,
    dataset: Dataset | None = None,
    report: Report = lambda stage, done, total: None,
) -> bool:
    """Run what is missing of a lab, and return whether it is complete.

    Every run is kept as it ends, in lab.jsonl of the folder: a lab that was killed, interrupted or out of time goes on
    where it was when called again.

    Args:
        design: what to run.
        folder: of the lab; made if it is not there.
        minutes: after which nothing new begins; None to run to the end.
        dataset: in place of the data that the design names.
        report: told the stage at work, its runs that are done, and how many there are.

    Raises:
        ValueError: the design does not fit the data, or the folder holds another lab.
        KeyboardInterrupt: Ctrl-C; what had been run is kept.
    """
    from fastann.bench.machine import describe

    began = perf_counter()
    bench = Workbench(design, dataset)
    store = Store(folder, design)
    deadline = float("inf") if minutes is None else began + 60 * minutes
    known = store.fact("data")
    if known is not None and known["fingerprint"] != bench.fingerprint:
        raise ValueError(f"{store.path} holds a lab of other data; choose another folder.")
    if known is None:
        store.add("data", name=bench.dataset.name, fingerprint=bench.fingerprint, rows=bench.rows,
                  validation_rows=len(bench.dataset.x) - bench.rows, columns=int(bench.dataset.x.shape[1]),
                  classes=bench.dataset.classes, batch_sizes=list(bench.sizes), base_batch=bench.base_batch,
                  budget_steps=bench.budget_steps)  # fmt: skip
    runner = Runner(store, bench, deadline, report)
    store.add("session", machine=describe(_PACKAGES), workers=runner.workers)
    try:
        _Stages(runner).all()
        return True
    except OutOfTime:
        return False
    finally:
        store.add("session_end", seconds=round(perf_counter() - began, 1), runs=runner.ran)


class _Stages:
    """The stages of a lab; each looks up what is there and runs the rest."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.store, self.bench = runner, runner.store, runner.bench
        self.design = runner.bench.design

    def all(self) -> None:
        """Run every stage."""
        self._warm()
        self._time_steps()
        self._anchors()
        self._fix_targets()
        for optimizer in self.design.optimizers:
            for size in self.bench.sizes:
                self._search(optimizer, size)
        self._compare()
        self._real_times()
        self._noise()
        if self.design.warmup_epochs:
            find_edges(self.runner, list(self._tuning_seeds()))

    # ---- stages

    def _warm(self) -> None:
        """Have every kernel compiled before anything is measured."""
        from fastann.scaling.lab.trials import run_trial

        with one_thread_a_run():
            for optimizer in self.design.optimizers:
                run_trial(Trial(optimizer, self.bench.base_batch, 1e-6, 1, 0, noise=True), self.bench)

    def _time_steps(self) -> None:
        for done, optimizer in enumerate(self.design.optimizers):
            if self.store.fact("step_times", optimizer=optimizer) is None:
                self.runner.report("time of a step", done, len(self.design.optimizers))
                entries = measure_steps(self.bench, optimizer, check=lambda: self.runner.check("time of a step"))
                self.store.add("step_times", optimizer=optimizer, entries=entries)

    def _anchors(self) -> None:
        """Tune the learning rate at the base batch: what every rule starts from."""
        for optimizer in self.design.optimizers:
            if self.store.fact("anchor", optimizer=optimizer) is None:
                rates = self._tuned(optimizer, self.bench.base_batch, _FIRST_RATE[optimizer], ("epochs",))
                self.store.add("anchor", optimizer=optimizer, learning_rate=rates["epochs"])

    def _fix_targets(self) -> None:
        """Choose three validation losses: what the base batch has after shares of its epochs, the worst optimizer's."""
        if self.store.fact("targets") is not None:
            return
        size, losses = self.bench.base_batch, []
        for optimizer in self.design.optimizers:
            trials = [self._trial(optimizer, size, self.anchor(optimizer), seed) for seed in self._tuning_seeds()]
            runs = self.runner.run(f"targets, {optimizer}", trials)
            ends = [self.bench.epochs_in_steps(size, share * self.design.epochs) for share in self.design.fractions]
            losses.append([np.median([best_until(r["steps"], losses_of(r), end) for r in runs]) for end in ends])
        values = [float(f"{value:.3g}") for value in np.max(losses, axis=0)]
        self.store.add("targets", losses=values)

    def _search(self, optimizer: str, size: int) -> None:
        """Tune the learning rate of a batch size, under each budget."""
        if self.store.fact("tuned", optimizer=optimizer, batch_size=size) is None:
            anchor = self.anchor(optimizer)
            # between what the square root and what the linear rule says, on the grid through the anchor
            power = round(0.75 * np.log(size / self.bench.base_batch) / np.log(STEP))
            rates = self._tuned(optimizer, size, anchor * STEP**power, BUDGETS)
            self.store.add("tuned", optimizer=optimizer, batch_size=size, rates=rates)

    def _compare(self) -> None:
        """Run every rule and the tuned rates on fresh seeds, seed by seed, so that a stop leaves whole seeds."""
        arms = [arm for optimizer in self.design.optimizers for arm in self._arms(optimizer)]
        for arm in arms:
            match = {name: arm[name] for name in ("optimizer", "batch_size", "arm")}
            if self.store.fact("arm", **match) is None:
                self.store.add("arm", **arm)
        trials = [arm_trial(arm, self.bench, seed) for seed in range(self.design.seeds) for arm in arms]
        self.runner.run("rules against tuned rates", trials)

    def _real_times(self) -> None:
        """Train alone, with all threads, for as many steps as took each seed to the middle target, with a clock."""
        arms = self.store.facts("arm", arm="tuned:target")
        for done, arm in enumerate(arms):
            match = {"optimizer": arm["optimizer"], "batch_size": arm["batch_size"]}
            self.runner.report("real times to the target", done, len(arms))
            if self.store.fact("real_time", **match) is not None:
                continue
            self.runner.check("real times to the target")
            seconds: list[float | None] = []
            for seed in range(min(_REAL_SEEDS, self.design.seeds)):
                run = self.runner.find(arm_trial(arm, self.bench, seed))
                assert run is not None
                steps = score(run, "target", {}, self._middle_target())
                seconds.append(
                    time_training(self.bench, arm["optimizer"], arm["batch_size"], arm["learning_rate"], seed,
                                  max(1, round(steps))) if np.isfinite(steps) else None
                )  # fmt: skip
            self.store.add("real_time", **match, seconds=seconds)

    def _noise(self) -> None:
        trials = [
            self._trial(optimizer, self.bench.base_batch, self.anchor(optimizer), seed, noise=True)
            for optimizer in self.design.optimizers
            for seed in range(min(_REAL_SEEDS, self.design.seeds))
        ]
        self.runner.run("noise scale", trials)

    # ---- pieces

    def _arms(self, optimizer: str) -> list[dict[str, Any]]:
        """Return what is compared, of all batch sizes."""
        noise, arms = None, []
        if "saturating" in self.design.rules:
            trials = [self._trial(optimizer, self.bench.base_batch, self.anchor(optimizer), seed, noise=True)
                      for seed in self._tuning_seeds()]  # fmt: skip
            noise = noise_on_the_way(self.runner.run("noise scale of a rule", trials), self._middle_target())
        for size in self.bench.sizes:
            tuned = self.store.fact("tuned", optimizer=optimizer, batch_size=size)
            assert tuned is not None
            arms += arms_of(self.bench, optimizer, size, self.anchor(optimizer), tuned["rates"], noise)
        return arms

    def anchor(self, optimizer: str) -> float:
        """Return the tuned learning rate of the base batch."""
        fact = self.store.fact("anchor", optimizer=optimizer)
        assert fact is not None
        return float(fact["learning_rate"])

    def _tuning_seeds(self) -> Iterable[int]:
        return range(TUNING, TUNING + self.design.tuning_seeds)

    def _trial(self, optimizer: str, size: int, rate: float, seed: int, noise: bool = False) -> Trial:
        return Trial(optimizer, size, rate, self.bench.longest(size), seed, noise=noise)

    def _tuned(self, optimizer: str, size: int, centre: float, budgets: Sequence[str]) -> dict[str, float]:
        """Return the best rate under each budget: a grid that grows while the best lies at an edge, then midpoints.

        A grid ends where it has the most points that the design allows.
        """
        half = self.design.grid_points // 2
        powers = set(range(-half, self.design.grid_points - half))
        stage = f"learning rates, {optimizer}, batch {size}"
        while True:
            found = self._best(stage, optimizer, size, centre, sorted(powers), budgets)
            wanted = {edge - 1 if edge == min(powers) else edge + 1
                      for edge in found.values() if edge in (min(powers), max(powers))}  # fmt: skip
            if not wanted or len(powers) >= self.design.most_points:
                break
            powers |= {int(power) for power in wanted}
        fine = sorted(powers | {best + by for best in found.values() for by in (-0.5, 0.5)})
        found = self._best(stage, optimizer, size, centre, fine, budgets)
        return {budget: rounded(centre * STEP**power) for budget, power in found.items()}

    def _best(
        self, stage: str, optimizer: str, size: int, centre: float, powers: Sequence[float], budgets: Sequence[str]
    ) -> dict[str, float]:
        seeds = list(self._tuning_seeds())
        rates = [rounded(centre * STEP**power) for power in powers]
        trials = [self._trial(optimizer, size, rate, seed) for seed in seeds for rate in rates]
        runs = self.runner.run(stage, trials)
        by_rate = [runs[place :: len(rates)] for place in range(len(rates))]
        limits, target = limits_of(self.bench, size), self._middle_target()
        best = {}
        for budget in budgets:
            scores = np.array([log_scores(of, budget, limits, target) for of in by_rate])
            best[budget] = powers[best_rate(scores)]
        return best

    def _middle_target(self) -> float:
        fact = self.store.fact("targets")
        return float("nan") if fact is None else float(fact["losses"][1])


def limits_of(bench: Workbench, size: int) -> dict[str, float]:
    """Return the steps of the budgets of equal epochs and of equal steps at a batch size."""
    return {"epochs": bench.epochs_in_steps(size), "steps": bench.budget_steps}
