"""What the validation of advice found, as Markdown with a verdict."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: What the advice has to keep to.
MOST_REGRET = 1.25

DEFAULTS = ("batch 32", "batch 200")


@dataclass(frozen=True)
class Finding:
    """One data set: seconds to the target, medians over seeds, infinite where most seeds did not get there.

    Attributes:
        best: of the grid's best cell, with fresh seeds.
        advised: of each advice.
        probe: seconds of each probe.
        defaults: of each of `DEFAULTS`.
        failures: share of trainings as advised that did not reach the target.
        covered: share of them whose seconds lie in the interval that the advice gave.
    """

    name: str
    record: dict[str, Any]
    best: float
    advised: list[float]
    probe: list[float]
    defaults: dict[str, float]
    failures: float
    covered: float

    @property
    def regret(self) -> float:
        return float(np.median(self.advised)) / self.best

    def against(self, default: str) -> float:
        """Seconds of a training as advised and a third of the probe, over those of a default."""
        total = float(np.median([a + p / 3 for a, p in zip(self.advised, self.probe, strict=True)]))
        return 0.0 if math.isinf(self.defaults[default]) and math.isfinite(total) else total / self.defaults[default]

    def break_even(self, default: str) -> float:
        """Trainings from which on probe and advice take less time than a default."""
        saved = self.defaults[default] - float(np.median(self.advised))
        return float(np.median(self.probe)) / saved if saved > 0 else math.inf


def read(path: Path) -> Finding | None:
    """Return what a file says; None if it is not complete."""
    record = json.loads(path.read_text(encoding="utf-8"))
    if "advice" not in record:
        return None
    asked = record["advice"]
    runs = [(each["advice"]["seconds"], second) for each in asked for second in each["seconds"]]
    covered = [low["value"] is not None and low["low"] <= second <= low["high"] for low, second in runs]
    return Finding(
        name=path.stem,
        record=record,
        best=float(np.median(record["confirmed"]["grid"]["seconds"])),
        advised=[float(np.median(each["seconds"])) for each in asked],
        probe=[each["advice"]["probe_seconds"] for each in asked],
        defaults={name: float(np.median(record["confirmed"][name]["seconds"])) for name in DEFAULTS},
        failures=float(np.mean([math.isinf(second) for _, second in runs])),
        covered=float(np.mean(covered)),
    )


def summary(folder: Path, kind: str) -> str:
    """Return the page on a folder of results."""
    found = [finding for path in sorted(folder.glob("*.json")) if (finding := read(path)) is not None]
    lines = [f"# Advice on the {'development' if kind == 'dev' else 'held-out'} data sets", "", verdict(found), ""]
    lines += [
        "Milliseconds to the target, medians over seeds; probes in milliseconds of wall clock. vs 32 and vs 200",
        "are (advised + probe / 3) / default: below 1 the advice pays off when training is repeated three times; the",
        "last column is the number of trainings from which on it does, against batch 32.",
        "",
        "| data | rows | target | best of grid | advised | probe | regret | failed | in interval "
        "| vs 32 | vs 200 | pays after |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(finding) for finding in found]
    lines += ["", "## What was advised", ""]
    lines += [f"- {each.name}: {advice['text']}" for each in found for advice in each.record["advice"]]
    return "\n".join(lines) + "\n"


def verdict(found: list[Finding]) -> str:
    """Return whether the advice holds, by the rule that was fixed beforehand."""
    if not found:
        return "Nothing was run."
    regret = float(np.median([each.regret for each in found]))
    against = [float(np.median([each.against(name) for each in found])) for name in DEFAULTS]
    holds = regret <= MOST_REGRET and all(ratio < 1 for ratio in against)
    wins = [sum(each.against(name) < 1 for each in found) for name in DEFAULTS]
    failures, covered = (
        float(np.mean(values)) for values in zip(*((f.failures, f.covered) for f in found), strict=True)
    )
    return (
        f"**{'Holds' if holds else 'Refuted'}**: median regret {regret:.2f} (at most {MOST_REGRET} allowed); with a "
        f"third of the probe {against[0]:.2f} of the time of batch 32 and {against[1]:.2f} of that of min(200, n), "
        f"both at 1e-3 (below 1 required; better on {wins[0]} and {wins[1]} of {len(found)} data sets). "
        f"{100 * failures:.0f} % of the trainings as advised missed the target, {100 * covered:.0f} % were within the "
        "stated interval."
    )


def _row(found: Finding) -> str:
    def ms(seconds: float) -> str:
        return f"{1e3 * seconds:.1f}" if math.isfinite(seconds) else "missed"

    best = found.record["confirmed"]["grid"]
    return (
        f"| {found.name} | {found.record['data']['rows']:,} | {found.record['target']['target']:.4g} "
        f"| {ms(found.best)} ({best['batch_size']}, {best['rate']:g}) | {ms(float(np.median(found.advised)))} "
        f"| {ms(float(np.median(found.probe)))} | {found.regret:.2f} | {100 * found.failures:.0f} % "
        f"| {100 * found.covered:.0f} % | {found.against('batch 32'):.2f} | {found.against('batch 200'):.2f} "
        f"| {found.break_even('batch 32'):.1f} |"
    )
