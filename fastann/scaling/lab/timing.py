"""How long a step takes at each batch size, measured apart from the trainings."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from fastann.scaling.lab.workbench import Workbench, make_optimizer
from fastann.training.passes import Passes
from fastann.training.preparing import with_targets

BLOCKS = 5
#: Seconds of trainings after which no more are timed.
_SHORT = 0.3


def measure_steps(
    bench: Workbench, optimizer: str, seconds: float = 0.1, check: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """Return for each batch size the seconds a step: median and quartiles of blocks.

    Everything runs alone, with all threads and warm kernels; the blocks of all batch sizes are taken in turns, in
    random order, so that a slow moment of the machine falls on all of them.

    Args:
        bench: data and network.
        optimizer: its name; the rate is so small that nothing is learnt.
        seconds: least time of a block.
        check: called before each block.
    """
    blocks = {size: _Block(bench, optimizer, size, seconds) for size in bench.sizes}
    times: dict[int, list[float]] = {size: [] for size in bench.sizes}
    rng = np.random.default_rng(0)
    for _ in range(BLOCKS):
        for place in rng.permutation(len(bench.sizes)):
            check()
            size = bench.sizes[place]
            times[size].append(blocks[size].run())
    entries = []
    for size, found in times.items():
        low, median, high = (float(q) for q in np.percentile(found, (25, 50, 75)))
        entries.append({"batch_size": size, "seconds": median, "low": low, "high": high})
    return entries


def time_training(bench: Workbench, optimizer: str, size: int, rate: float, seed: int, steps: int) -> float:
    """Return the seconds of a training of so many steps, alone and with nothing to look at on the way.

    The median of five where they are shorter than a block: a moment of another program would be most of one.
    """
    found: list[float] = []
    while not found or (len(found) < BLOCKS and sum(found) < _SHORT):
        found.append(_one_training(bench, optimizer, size, rate, seed, steps))
    return float(np.median(found))


def _one_training(bench: Workbench, optimizer: str, size: int, rate: float, seed: int, steps: int) -> float:
    session, data = with_targets(bench.model(make_optimizer(optimizer, rate), seed), bench.parts.x, bench.parts.y)
    placed, passes = session.put(data.x, data.y), Passes(session, len(bench.parts.x), size, True)
    began, left = perf_counter(), steps
    while left:
        stretch = passes.take(left)
        session.train(placed, stretch.order, size)
        left -= stretch.steps
    return perf_counter() - began


class _Block:
    """Steps at one batch size, as many as take the time of a block."""

    def __init__(self, bench: Workbench, optimizer: str, size: int, seconds: float) -> None:
        parts = bench.parts
        self._session, data = with_targets(bench.model(make_optimizer(optimizer, 1e-6), 0), parts.x, parts.y)
        self._placed = self._session.put(data.x, data.y)
        self._passes = Passes(self._session, data.rows, size, True)
        self._size, self._steps = size, 1
        self.run()
        while self._steps * (took := self.run()) < seconds / 4:
            self._steps *= 4
        self._steps = max(1, round(seconds / took))

    def run(self) -> float:
        """Return the seconds a step of one block."""
        began, left = perf_counter(), self._steps
        while left:
            stretch = self._passes.take(left)
            self._session.train(self._placed, stretch.order, self._size)
            left -= stretch.steps
        return (perf_counter() - began) / self._steps
