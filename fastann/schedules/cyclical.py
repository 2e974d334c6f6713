"""Learning rates that go up and down between two bounds, again and again (Smith 2017) or once (Smith & Topin 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastann.schedules.base import Formula, steps
from fastann.spec import bounded, label, register

MODES = ("triangular", "triangular2", "exp_range")
ANNEALINGS = ("cosine", "linear")


@register("schedules")
@dataclass(frozen=True)
class CyclicalLearningRate(Formula):
    """Straight lines between two rates; a cycle, up and down, lasts 2 step_size steps.

    rate = base + (max - base) h s, where h in [0, 1] is the height in the cycle and s

        triangular     1
        triangular2    1 / 2^k in cycle k = 0, 1, ...
        exp_range      gamma^step

    Smith 2017, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186.

    >>> [CyclicalLearningRate(0.1, 0.5, step_size=4)(step) for step in (0, 4, 8, 12)]
    [0.1, 0.5, 0.1, 0.5]

    Args:
        base_learning_rate: the lower bound, where every cycle begins.
        max_learning_rate: the upper bound, at least the lower one.
        step_size: steps of half a cycle; Smith recommends 2 to 10 epochs.
        mode: as above.
        gamma: of exp_range, in (0, 1].

    Raises:
        ValueError, TypeError: a setting is out of bounds.
    """

    base_learning_rate: float
    max_learning_rate: float
    step_size: float
    mode: str = "triangular"
    gamma: float = 1.0
    name: str | None = "CyclicalLearningRate"

    def __post_init__(self) -> None:
        base = bounded(self.base_learning_rate, "base_learning_rate")
        self._set(
            base_learning_rate=base,
            max_learning_rate=bounded(self.max_learning_rate, "max_learning_rate", base),
            step_size=steps(self.step_size, "step_size"),
            gamma=bounded(self.gamma, "gamma", 0.0, 1.0, above=True),
            name=label(self.name, "name"),
        )
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(map(repr, MODES))}, got {self.mode!r}.")

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the learning rates at steps float64[n]."""
        cycle = np.floor(at / (2 * self.step_size))
        height = 1 - np.abs(at / self.step_size - 2 * cycle - 1)
        scale = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**at}[self.mode]
        reach = self.max_learning_rate - self.base_learning_rate
        return np.asarray(self.base_learning_rate + reach * np.maximum(height, 0) * scale)


@register("schedules")
@dataclass(frozen=True)
class OneCycle(Formula):
    """Up to a high rate in the first part of the training, down to almost nothing in the rest.

    The rate begins at max / initial_divisor, is max after warmup_fraction total_steps updates and ends, with update
    number total_steps, at the first rate / final_divisor, where it stays. Smith & Topin 2018, "Super-Convergence",
    arXiv:1708.07120; defaults as in PyTorch's OneCycleLR. The momentum, which they move the other way, is left alone.

    >>> schedule = OneCycle(1.0, total_steps=100, warmup_fraction=0.2, initial_divisor=10, annealing="linear")
    >>> round(schedule(0), 6), round(schedule(19), 6), round(schedule(99), 6)
    (0.1, 1.0, 1e-05)

    Args:
        max_learning_rate: the highest rate.
        total_steps: updates of the whole training: epochs * ceil(rows / batch_size).
        warmup_fraction: of the steps, for the way up; in (0, 1).
        initial_divisor, final_divisor: as above, at least 1.
        annealing: "cosine" or "linear", the form of both ways.

    Raises:
        ValueError, TypeError: a setting is out of bounds.
    """

    max_learning_rate: float
    total_steps: float
    warmup_fraction: float = 0.3
    initial_divisor: float = 25.0
    final_divisor: float = 1e4
    annealing: str = "cosine"
    name: str | None = "OneCycle"

    def __post_init__(self) -> None:
        self._set(
            max_learning_rate=bounded(self.max_learning_rate, "max_learning_rate"),
            total_steps=steps(self.total_steps, "total_steps"),
            warmup_fraction=bounded(self.warmup_fraction, "warmup_fraction", 0.0, 1.0, above=True, below=True),
            initial_divisor=bounded(self.initial_divisor, "initial_divisor", 1.0),
            final_divisor=bounded(self.final_divisor, "final_divisor", 1.0),
            name=label(self.name, "name"),
        )
        if self.annealing not in ANNEALINGS:
            raise ValueError(f"annealing must be 'cosine' or 'linear', got {self.annealing!r}.")
        if self.total_steps * self.warmup_fraction <= 1:
            raise ValueError(
                f"total_steps must leave more than one step for the way up, got {self.total_steps} steps, of which "
                f"{self.warmup_fraction:g}; give more steps or a larger warmup_fraction."
            )

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the learning rates at steps float64[n]."""
        top, last = self.warmup_fraction * self.total_steps - 1, self.total_steps - 1
        first = self.max_learning_rate / self.initial_divisor
        up = self._between(first, self.max_learning_rate, at / top)
        down = self._between(self.max_learning_rate, first / self.final_divisor, (at - top) / (last - top))
        return np.asarray(np.where(at <= top, up, down))

    def _between(self, start: float, end: float, share: NDArray[np.float64]) -> NDArray[np.float64]:
        share = np.clip(share, 0, 1)
        if self.annealing == "cosine":
            share = 0.5 * (1 - np.cos(math.pi * share))
        return start * (1 - share) + end * share
