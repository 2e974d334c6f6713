"""The runs of one optimizer, found by what they were for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.scaling.lab.choosing import log_scores, score
from fastann.scaling.lab.stages import TUNING
from fastann.scaling.lab.store import Store

Run = Mapping[str, Any]
Array = NDArray[np.float64]


class Lookup:
    """The runs of one optimizer, by what they were for."""

    def __init__(self, store: Store, optimizer: str) -> None:
        self.store, self.name = store, optimizer
        self.data: dict[str, Any] = store.fact("data") or {"batch_sizes": [], "budget_steps": 1, "rows": 1}
        self.sizes: list[int] = self.data["batch_sizes"]
        self.targets: list[float] = (store.fact("targets") or {"losses": []})["losses"]
        self._search: dict[int, dict[float, list[Run]]] = defaultdict(lambda: defaultdict(list))
        self._runs: dict[tuple[int, float, int, int | None, int], Run] = {}
        self.noise: list[Run] = []
        for run in store.runs.values():
            if run["trial"]["optimizer"] == optimizer:
                self._sort(run)
        self.arms = {(arm["batch_size"], arm["arm"]): arm for arm in store.facts("arm", optimizer=optimizer)}
        self.complete_seeds = self._complete()

    def _sort(self, run: Run) -> None:
        trial = run["trial"]
        size = trial["batch_size"]
        if trial["noise"]:
            if trial["seed"] < TUNING:
                self.noise.append(run)
        elif trial["seed"] < TUNING:
            self._runs[_place(trial, trial["seed"])] = run
        elif trial["warmup_steps"] == 0 and trial["steps"] == self.longest(size):
            self._search[size][trial["learning_rate"]].append(run)

    def longest(self, size: int) -> int:
        """Return the steps of a run."""
        return int(max(self.data["budget_steps"], self.limits(size)["epochs"]))

    def limits(self, size: int) -> dict[str, float]:
        """Return the steps of the budgets of equal epochs and of equal steps."""
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
        return self._runs.get(_place(arm, seed))

    def of(self, size: int, arm: str) -> list[Run]:
        """Return the runs of an arm, one a complete seed."""
        return [self._runs[_place(self.arms[size, arm], seed)] for seed in range(self.complete_seeds)]

    def scores(self, size: int, arm: str, budget: str, target: float | None = None) -> Array:
        """Return what counts under a budget for each seed; by default until the middle target."""
        goal = self.targets[1] if target is None else target
        return np.array([score(run, budget, self.limits(size), goal) for run in self.of(size, arm)])

    def counted(self, size: int, arm: str, budget: str) -> Array:
        """Return scores in which a run that never reaches the target counts as in the search."""
        return np.exp(log_scores(self.of(size, arm), budget, self.limits(size), self.targets[1]))

    def grid(self, size: int) -> dict[float, list[Run]]:
        """Return the runs of the search by rate, in its order, of rates that every seed was run with."""
        seeds = self.store.design.tuning_seeds
        by_rate = {
            rate: sorted(runs, key=lambda run: int(run["trial"]["seed"])) for rate, runs in self._search[size].items()
        }
        return {rate: by_rate[rate] for rate in sorted(by_rate) if len(by_rate[rate]) == seeds}


def _place(entries: Mapping[str, Any], seed: int) -> tuple[int, float, int, int | None, int]:
    """Return what tells the runs of arms apart, from the entries of an arm or a trial."""
    warmup, scaled_from = entries["warmup_steps"], entries.get("scaled_from")
    return entries["batch_size"], entries["learning_rate"], warmup, scaled_from, seed
