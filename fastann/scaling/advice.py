"""What `advise` recommends, and what that rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fastann.scaling.line import fit_line
from fastann.scaling.noise import Interval


@dataclass(frozen=True)
class ProbeRun:
    """One short training of the race.

    Attributes:
        batch_size, learning_rate: what it ran with.
        steps: updates made.
        seconds: that so many steps of this size take alone.
        loss: the lowest seen on the rows held out; infinite if it was not finite.
        seconds_to_target: of training; None where the target was not seen.
    """

    batch_size: int
    learning_rate: float
    steps: int
    seconds: float
    loss: float
    seconds_to_target: float | None


@dataclass(frozen=True)
class Advice:
    """The batch size and learning rate that get to a target soonest; `str` of it is a paragraph.

    Attributes:
        batch_size: the winner's; `batch_range` is half and twice as much, where theory says that at most an eighth more
            time is spent.
        learning_rate: the winner's, of `optimizer`.
        rule: how learning rates were carried over to other batch sizes: "sqrt", "linear", or "given".
        check: by half and twice the learning rate at the same batch size, what became of it: "slower" or "diverged";
            empty if neither was raced.
        target: loss on the rows held out.
        reached: whether the race saw the target.
        seconds: expected until the target, evaluations left out, with an interval: as the winner took, or, if it was
            not there yet, where a straight line of log loss over log steps leads; NaN if it leads nowhere.
        b_crit: critical batch size with an interval, by steps to one loss in the race; else the noise scale.
        b_simple: the noise scale tr(Sigma) / |G|^2 at the anchor's weights; NaN where it was refused.
        b_hw: t0 / c, the batch size whose rows take as long as the rest of a step; infinite where rows cost nothing.
        b_star: sqrt(b_crit b_hw) as the theory had it before the race, with b_simple for b_crit.
        t0, c: seconds of a step, t(B) = t0 + c B.
        step_seconds: measured, by batch size.
        evidence: runs of the race, the best first.
        probe_seconds, probe_samples: what the probe cost: wall clock, compilation included, and rows trained on.
        backend, optimizer: names.
    """

    batch_size: int
    learning_rate: float
    rule: str
    check: Mapping[float, str]
    target: float
    reached: bool
    seconds: Interval
    b_crit: Interval
    b_simple: Interval
    b_hw: float
    b_star: float
    t0: float
    c: float
    step_seconds: Mapping[int, float]
    evidence: tuple[ProbeRun, ...]
    probe_seconds: float
    probe_samples: int
    backend: str
    optimizer: str

    @property
    def batch_range(self) -> tuple[int, int]:
        """[B / 2, 2 B]."""
        return max(1, self.batch_size // 2), 2 * self.batch_size

    def __str__(self) -> str:
        low, high = self.batch_range
        checked = ", ".join(f"{rate:.3g} {outcome}" for rate, outcome in self.check.items()) or "no neighbour raced"
        goal = f"to a validation loss of {self.target:.4g}"
        expected = f"expected {_seconds(self.seconds)} {goal}"
        if not self.reached:
            expected = f"the probe did not get {goal}"
            if math.isfinite(self.seconds.value):
                expected += f", expected after {_seconds(self.seconds)}"
        hardware = f"B_hw {self.b_hw:.3g}" if math.isfinite(self.b_hw) else "a step as fast at every size"
        return (
            f"batch {low}-{high} (best {self.batch_size}), {self.optimizer} at learning rate {self.learning_rate:.3g} "
            f"({self.rule} rule; checked: {checked}); {expected}; B_crit {_rows(self.b_crit)}, {hardware}, "
            f"a step takes {1e6 * self.t0:.3g} us + {1e6 * self.c:.3g} us a row on {self.backend}; "
            f"evidence: {len(self.evidence)} probe runs, {self.probe_seconds:.2g} s, {self.probe_samples:,} samples."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data; numbers that are not finite are None."""
        found: dict[str, Any] = _plain(asdict(self) | {"batch_range": self.batch_range})
        return found


def critical_batch(steps: Mapping[int, float]) -> float:
    """Return B_crit of S(B) = S_min (1 + B_crit / B), given steps to one loss by batch size; infinite if S_min is 0.

    McCandlish et al. 2018, arXiv:1812.06162, equation 2.11.

    >>> round(critical_batch({50: 300.0, 100: 200.0, 200: 150.0}), 6)
    100.0
    """
    line = fit_line([1 / size for size in steps], list(steps.values()))
    return line.b / line.a if line.a > 1e-6 * max(steps.values()) else math.inf


def _seconds(interval: Interval) -> str:
    return f"{interval.value:.2g} s [{interval.low:.2g}, {interval.high:.2g}]"


def _rows(interval: Interval) -> str:
    if math.isnan(interval.value):
        return "unknown"
    return f"{interval.value:.3g} [{interval.low:.3g}, {interval.high:.3g}]"


def _plain(value: Any) -> Any:
    """Return numbers, lists and dicts only."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
