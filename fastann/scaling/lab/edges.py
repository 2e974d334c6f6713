"""The largest learning rate that still trains, without and with warm-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastann.scaling.lab.choosing import losses_of
from fastann.scaling.lab.runs import Runner
from fastann.scaling.lab.trials import Trial

#: Halvings of the gap, in the logarithm, between a rate that trains and one that does not: 10^(1/2) becomes 10^(1/32).
_HALVINGS = 4
_MOST_GROWTH = 8
_STEP = 10**0.5
_LEAST_STEPS = 100


def find_edges(runner: Runner, seeds: Sequence[int]) -> None:
    """Find the edge of each optimizer and batch size above the base, for each seed, without and with warm-up.

    Both searches of a seed are paired: same weights, split and order. The facts they leave have kind "edge".
    """
    bench, store = runner.bench, runner.store
    for optimizer in bench.design.optimizers:
        anchor = store.fact("anchor", optimizer=optimizer)
        assert anchor is not None
        for size in (size for size in bench.sizes if size >= bench.base_batch):
            match = {"optimizer": optimizer, "batch_size": size}
            if store.fact("edge", **match) is None:
                base = float(anchor["learning_rate"])
                edges = {
                    name: _edges(runner, optimizer, size, base, list(seeds), warm)
                    for name, warm in (("without", False), ("with", True))
                }
                store.add("edge", **match, seeds=list(seeds), **edges)


def _edges(runner: Runner, optimizer: str, size: int, base: float, seeds: list[int], warm: bool) -> list[float]:
    """Return the edge for each seed; all seeds are searched side by side."""
    bench = runner.bench
    warmup = bench.epochs_in_steps(size, bench.design.warmup_epochs)
    # as many steps at the whole rate either way: a training that lost its way has as long to find back
    steps = max(_LEAST_STEPS, warmup) + (warmup if warm else 0)
    stage = f"edge of stability, {optimizer}, batch {size}"

    def trains(rates: Sequence[float], of: Sequence[int]) -> list[bool]:
        trials = [
            Trial(optimizer, size, float(f"{rate:.4g}"), steps, seed, warmup if warm else 0, base if warm else 0.0)
            for rate, seed in zip(rates, of, strict=True)
        ]
        return [trained(run) for run in runner.run(stage, trials)]

    low, high = _bracket(trains, base, seeds)
    for _ in range(_HALVINGS):
        middle = [float(np.sqrt(a * b)) for a, b in zip(low, high, strict=True)]
        good = trains(middle, seeds)
        low = [m if g else a for a, m, g in zip(low, middle, good, strict=True)]
        high = [b if g else m for b, m, g in zip(high, middle, good, strict=True)]
    return [float(f"{np.sqrt(a * b):.4g}") for a, b in zip(low, high, strict=True)]


def _bracket(trains: Any, base: float, seeds: list[int]) -> tuple[list[float], list[float]]:
    """Return, for each seed, neighbouring rates of which the lower trains and the higher does not.

    Beyond eight steps of the grid up or down the search ends as if the next one were the edge.
    """
    low, high = [0.0] * len(seeds), [0.0] * len(seeds)
    good = trains([base] * len(seeds), seeds)
    for direction in (True, False):
        places = [place for place, g in enumerate(good) if g == direction]
        rate = base
        for growth in range(_MOST_GROWTH):
            if not places:
                break
            following = rate * _STEP if direction else rate / _STEP
            results = trains([following] * len(places), [seeds[place] for place in places])
            for place, g in zip(list(places), results, strict=True):
                if g != direction or growth == _MOST_GROWTH - 1:
                    low[place], high[place] = min(rate, following), max(rate, following)
                    places.remove(place)
            rate = following
    return low, high


def trained(run: dict[str, Any]) -> bool:
    """Return whether a run got anywhere: no NaN or infinity, and a lower training loss at the end than at first."""
    losses = losses_of(run, "training_loss")
    return bool(np.isfinite(losses).all() and losses[-1] < losses[0])
