"""What the validation of advice found, as Markdown with a verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: What the advice has to keep to.
MOST_REGRET = 1.25

DEFAULTS = ("batch 32", "batch 200")


@dataclass(frozen=True)
class Round:
    """One advice: seconds to the target, medians over seeds, infinite where most seeds did not get there.

    Attributes:
        best: of the grid's best cell.
        advised: of what was advised.
        probe: seconds of the probe.
        defaults: of each of `DEFAULTS`.
    """

    best: float
    advised: float
    probe: float
    defaults: dict[str, float]

    def against(self, default: str) -> float:
        """Seconds of a training as advised and a third of the probe, over those of a default."""
        total = self.advised + self.probe / 3
        return 0.0 if math.isinf(self.defaults[default]) and math.isfinite(total) else total / self.defaults[default]

    def break_even(self, default: str) -> float:
        """Trainings from which on probe and advice take less time than a default."""
        saved = self.defaults[default] - self.advised
        return self.probe / saved if saved > 0 else math.inf


@dataclass(frozen=True)
class Finding:
    """One data set.

    Attributes:
        failures: share of trainings that did not reach the target, of "advised", "grid" and the defaults.
        stated: share of advice that has an interval of seconds.
        covered: share of trainings by such advice whose seconds lie in it; NaN if there is none.
        samples: rows that the probe trained on, in those of a default training of batch size 32.
    """

    name: str
    record: dict[str, Any]
    confirmed: dict[str, Any]
    asked: list[dict[str, Any]]
    rounds: list[Round]
    failures: dict[str, float]
    stated: float
    covered: float
    samples: float

    def median(self, value: Callable[[Round], float]) -> float:
        return float(np.median([value(each) for each in self.rounds]))

    @property
    def regret(self) -> float:
        return self.median(lambda each: each.advised / each.best)

    def against(self, default: str) -> float:
        return self.median(lambda each: each.against(default))


def read(path: Path, block: int) -> Finding | None:
    """Return what a file says of a block of seeds; None if it is not complete."""
    record = json.loads(path.read_text(encoding="utf-8"))
    asked, confirmed = record.get(f"advice {block}"), record.get(f"confirmed {block}")
    if asked is None:
        return None
    rounds, covered = [], []
    for each in asked:
        advice, times = each["advice"], each["step_seconds"]
        old = {name: np.median(one["steps"]) * times[str(one["batch_size"])] for name, one in confirmed.items()}
        second, interval = times[str(advice["batch_size"])], advice["seconds"]
        probe, defaults = advice["probe_seconds"], {name: float(old[name]) for name in DEFAULTS}
        rounds.append(Round(float(old["grid"]), float(np.median(each["steps"]) * second), probe, defaults))
        if interval["value"] is not None:
            covered += [interval["low"] <= steps * second <= interval["high"] for steps in each["steps"]]
    steps = {"advised": [step for each in asked for step in each["steps"]]}
    steps |= {name: one["steps"] for name, one in confirmed.items()}
    default = 32 * float(np.median(confirmed["batch 32"]["steps"]))
    return Finding(
        name=path.stem, record=record, confirmed=confirmed, asked=asked, rounds=rounds,
        failures={name: float(np.mean(np.isinf(found))) for name, found in steps.items()},
        stated=float(np.mean([each["advice"]["seconds"]["value"] is not None for each in asked])),
        covered=float(np.mean(covered)) if covered else math.nan,
        samples=float(np.median([each["advice"]["probe_samples"] for each in asked])) / default,
    )  # fmt: skip


def summary(folder: Path, kind: str, block: int) -> str:
    """Return the page on a folder of results."""
    found = [finding for path in sorted(folder.glob("*.json")) if (finding := read(path, block)) is not None]
    lines = [f"# Advice on the {'development' if kind == 'dev' else 'held-out'} data sets", "", verdict(found), ""]
    lines += [
        f"Milliseconds to the target, medians over seeds (block {block}) and rounds; probes in milliseconds of wall",
        "clock, in default trainings (batch 32) of the same minutes, and, in brackets, by rows. vs 32 and vs 200 are",
        "(advised + probe / 3) / default: below 1 the advice pays off when training is repeated three times; the last",
        "column is the number of trainings from which on it does, against batch 32. Failed: trainings that missed the",
        "target as advised, in the best cell of the grid, at batch 32 and at batch 200. Covered: of the trainings by",
        "advice that states an interval of seconds, in brackets how much does.",
        "",
        "| data | rows | target | best of grid | batch 32 | batch 200 | advised | probe | in trainings | regret "
        "| failed | covered | vs 32 | vs 200 | pays after |",
        "|" + "---|" * 15,
    ]
    lines += [_row(finding) for finding in found]
    lines += ["", "## What was advised", ""]
    lines += [f"- {finding.name}: {each['text']}" for finding in found for each in finding.asked]
    return "\n".join(lines) + "\n"


def verdict(found: list[Finding]) -> str:
    """Return whether the advice holds, by the criterion of the benchmark."""
    if not found:
        return "Nothing was run."
    regret = float(np.median([each.regret for each in found]))
    against = [float(np.median([each.against(name) for each in found])) for name in DEFAULTS]
    holds = regret <= MOST_REGRET and all(ratio < 1 for ratio in against)
    wins = [sum(each.against(name) < 1 for each in found) for name in DEFAULTS]
    failed = {name: 100 * float(np.mean([each.failures[name] for each in found])) for name in found[0].failures}
    covered = [each.covered for each in found if not math.isnan(each.covered)]
    inside = f"{100 * float(np.mean(covered)):.0f} %" if covered else "none"
    return (
        f"**{'Holds' if holds else 'Refuted'}**: median regret {regret:.2f} (at most {MOST_REGRET} allowed); with a "
        f"third of the probe {against[0]:.2f} of the time of batch 32 and {against[1]:.2f} of that of min(200, n), "
        f"both at 1e-3 (below 1 required; better on {wins[0]} and {wins[1]} of {len(found)} data sets). "
        f"{failed['advised']:.0f} % of the trainings as advised missed the target (best of grid {failed['grid']:.0f} "
        f"%, batch 32 {failed['batch 32']:.0f} %, batch 200 {failed['batch 200']:.0f} %); of those by advice that "
        f"states an interval, {inside} were within it."
    )


def _row(found: Finding) -> str:
    def ms(value: Callable[[Round], float]) -> str:
        seconds = found.median(value)
        return f"{1e3 * seconds:.1f}" if math.isfinite(seconds) else "missed"

    best = found.confirmed["grid"]
    in_trainings = found.median(lambda each: each.probe / each.defaults["batch 32"])
    failed = " / ".join(f"{100 * share:.0f}" for share in found.failures.values())
    covered = "none" if math.isnan(found.covered) else f"{100 * found.covered:.0f} %"
    return (
        f"| {found.name} | {found.record['data']['rows']:,} | {found.record['target']['target']:.4g} "
        f"| {ms(lambda each: each.best)} ({best['batch_size']}, {best['rate']:g}) "
        f"| {ms(lambda each: each.defaults['batch 32'])} | {ms(lambda each: each.defaults['batch 200'])} "
        f"| {ms(lambda each: each.advised)} | {ms(lambda each: each.probe)} | {in_trainings:.2f} ({found.samples:.2f}) "
        f"| {found.regret:.2f} | {failed} % | {covered} ({100 * found.stated:.0f} %) | {found.against('batch 32'):.2f} "
        f"| {found.against('batch 200'):.2f} | {found.median(lambda each: each.break_even('batch 32')):.1f} |"
    )
