"""What `advise` recommends, and what that rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fastann.scaling.noise import Interval


@dataclass(frozen=True)
class ProbeRun:
    """One short training of the probe.

    Attributes:
        batch_size, learning_rate: what it ran with.
        steps: updates made.
        seconds: that so many steps of this size take alone.
        loss: of batches before their update, the median over the last half of the steps; infinite if one was not.
    """

    batch_size: int
    learning_rate: float
    steps: int
    seconds: float
    loss: float


@dataclass(frozen=True)
class Advice:
    """The batch size and learning rate that should get to a target soonest; `str` of it is a paragraph.

    Attributes:
        batch_size: `batch_range` is half and twice as much, where by theory at most an eighth more time is spent.
        learning_rate: of `optimizer`, between those tried by a parabola.
        rule: how learning rates are carried over to other batch sizes: "sqrt", "linear", or "given".
        check: by the other learning rates tried, what became of them: "slower" or "diverged".
        target: loss on the rows held out; NaN if none was given and nothing was trained.
        reached: whether the probe saw the target.
        seconds: expected until the target, evaluations left out, with an interval: as the best run of the probe took,
            or, if it was not there yet, where a power law of its loss leads; NaN if nowhere or if nothing was trained.
        b_crit: critical batch size with an interval, taken to be the noise scale tr(Sigma) / |G|^2; NaN where refused.
        b_hw: t0 / c, the batch size whose rows take as long as the rest of a step; infinite where rows cost nothing.
        b_star: sqrt(b_crit b_hw), within bounds.
        t0, c: seconds of a step, t(B) = t0 + c B: of the cost model, scaled to the steps of the probe.
        step_seconds: by batch size; measured in the probe, or t(B).
        evidence: runs of the probe, the best first; none where it would have cost as much as the training itself.
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
        checked = ", ".join(f"{rate:.3g} {outcome}" for rate, outcome in self.check.items()) or "no other tried"
        goal = "" if math.isnan(self.target) else f" to a validation loss of {self.target:.4g}"
        expected = f"expected {_seconds(self.seconds)}{goal}"
        if not self.evidence:
            expected = "no training was tried"
        elif not self.reached:
            expected = f"the probe did not get{goal or ' to any loss'}"
            if math.isfinite(self.seconds.value):
                expected += f", expected after {_seconds(self.seconds)}"
        hardware = f"B_hw {self.b_hw:.3g}" if math.isfinite(self.b_hw) else "a step as fast at every size"
        evidence = (
            f"{len(self.evidence)} probe runs"
            if self.evidence
            else "none, a probe of so few rows costs as much as a training"
        )
        return (
            f"batch {low}-{high} (best {self.batch_size}), {self.optimizer} at learning rate {self.learning_rate:.3g} "
            f"({self.rule} rule; checked: {checked}); {expected}; B_crit {_rows(self.b_crit)}, {hardware}, "
            f"a step takes {1e6 * self.t0:.3g} us + {1e6 * self.c:.3g} us a row on {self.backend}; "
            f"evidence: {evidence}, {self.probe_seconds:.2g} s, {self.probe_samples:,} samples."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data; numbers that are not finite are None."""
        found: dict[str, Any] = _plain(asdict(self) | {"batch_range": self.batch_range})
        return found


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
