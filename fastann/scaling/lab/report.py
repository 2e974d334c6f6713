"""One self-contained page of a lab: what held, in words; pictures; tables; what was run."""

from __future__ import annotations

import io
import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastann.optional import require
from fastann.scaling.lab.intervals import as_json
from fastann.scaling.lab.words import BUDGET_WORDS, OPTIMIZER_WORDS, RULE_WORDS, duration, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastann.scaling.lab.findings import Edges, Findings, OptimizerFindings
    from fastann.scaling.lab.verdicts import Verdict


@dataclass(frozen=True)
class Table:
    """Cells as text, the first of each row naming it."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


def write_report(
    folder: str | os.PathLike[str], page: str | os.PathLike[str] | None = None
) -> tuple[Path, list[Verdict]]:
    """Write the page of a lab, and verdicts.json beside it, and return the path of the page and the verdicts.

    Args:
        folder: of the lab.
        page: the page; by default report.html in the folder. Files are written beside and renamed into place.

    Raises:
        ImportError: matplotlib or jinja2 is not installed.
        ValueError: there is no lab, or it was stopped too early.
    """
    for module in ("matplotlib", "jinja2"):
        require(module, "the report needs")
    from fastann.scaling.lab.analysis import find
    from fastann.scaling.lab.verdicts import verdicts

    findings = find(folder)
    words = verdicts(findings)
    path = Path(folder) / "report.html" if page is None else Path(page)
    _write(path, _render(findings, words))
    numbers = {
        "targets": findings.targets, "seeds": findings.seeds, "verdicts": words,
        "critical_batches": {name: [r.b_crit for r in one.reaches] for name, one in findings.optimizers.items()},
        "exponents": {name: one.exponents for name, one in findings.optimizers.items()},
    }  # fmt: skip
    _write(path.with_name("verdicts.json"), json.dumps(as_json(numbers), indent=1) + "\n")
    return path, words


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _render(findings: Findings, words: list[Verdict]) -> str:
    from importlib.resources import files

    import jinja2
    from markupsafe import Markup

    import fastann
    from fastann.scaling.lab.pictures import PICTURES

    text = files("fastann.scaling.lab").joinpath("report.html.jinja").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    pictures = [
        (picture.title, picture.caption, Markup(_svg(picture.draw(findings), number)))
        for number, picture in enumerate(PICTURES)
    ]
    return template.render(
        title=f"Batch size and learning rate on {findings.data['name']}", verdicts=words, pictures=pictures,
        summary=_summary(findings), tables=_tables(findings), settings=_settings(findings),
        version=fastann.__version__,
    )  # fmt: skip


def _svg(figure: Figure, number: int) -> str:
    """Return a figure as an SVG element with no ids but those it refers to, which no other figure of the page has."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": f"lab-{number}"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    needed = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="p{number}-{found[1]}"' if found[1] in needed else "", svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>p{number}-", svg)


def _summary(findings: Findings) -> str:
    data, design = findings.data, findings.design
    widths = [data["columns"], *design.hidden, max(data["classes"], 1)]
    return (
        f"{data['rows']:,} rows to train on and {data['validation_rows']:,} to validate with; network "
        f"{'-'.join(map(str, widths))}; {findings.runs:,} trainings, {findings.diverged:,} of which diverged and "
        f"are kept as such. Learning rates were tuned with {design.tuning_seeds} seeds at each batch size and "
        f"compared with {findings.seeds} other seeds{_missing(findings)}. Intervals hold 95 %, over seeds: other "
        "initial weights, and another order of rows, on this one split."
    )


def _missing(findings: Findings) -> str:
    lacking = findings.design.seeds - findings.seeds
    return f"; {lacking} more were planned when the time ended" if lacking else ""


def _settings(findings: Findings) -> list[tuple[str, str]]:
    machine, design = findings.machine, findings.design
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    budget = findings.data["budget_steps"]
    return [
        ("machine", f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}"),
        ("versions", versions),
        ("date", machine["date"]),
        ("time", f"{findings.minutes:.1f} minutes in {findings.sessions} session(s); load before the last one "
                 f"{machine['load_before']:.1f}{_busy(machine)}"),
        ("backend", f"{design.backend}, float32; trainings of one thread side by side, times measured apart"),
        ("data", f"{findings.data['name']}, fingerprint {findings.data['fingerprint']}; one split, seed 0"),
        ("batch sizes", ", ".join(map(str, findings.batch_sizes)) + f"; rules start at {findings.base_batch}"),
        ("budgets", f"equal epochs: {design.epochs}; equal steps: {budget}; until the target, at most the longer of "
                    "both. Learning rates are constant, so one training serves all three."),
        ("targets", f"validation losses {', '.join(f'{t:g}' for t in findings.targets)}: what the base batch has after "
                    f"{', '.join(f'{f:.0%}' for f in design.fractions)} of the epochs, the worst optimizer's median; "
                    "fixed before any other batch size was run"),
        ("learning rates", f"{design.grid_points} a factor of sqrt(10) apart, more while the best lies at an edge (at "
                           f"most {design.most_points}), then the middles beside the best"),
        ("warm-up", f"{design.warmup_epochs} epochs from the base rate" if design.warmup_epochs else "none"),
        ("seeds", f"0 to {findings.seeds - 1} to compare, 1000 to {999 + design.tuning_seeds} to tune"),
        ("statistics", "paired bootstrap over seeds, expanded percentiles (Hesterberg 2015); steps to a target: "
                       "Kaplan-Meier medians; equivalence by one-sided t tests of log ratios, Holm over batch sizes"),
    ]  # fmt: skip


def _busy(machine: dict[str, Any]) -> str:
    busy = machine["load_before"] > 0.3 * machine["cores"]
    return " (other programs were at work: times mean little)" if busy else ""


def _tables(findings: Findings) -> list[Table]:
    tables = []
    for name, one in findings.optimizers.items():
        tables.append(_steps_table(findings, one, OPTIMIZER_WORDS[name]))
        tables.append(_rules_table(findings, one, OPTIMIZER_WORDS[name]))
        if one.edges is not None:
            tables.append(_edges_table(one.edges, OPTIMIZER_WORDS[name]))
    return tables


def _number(value: float) -> str:
    return (
        "never"
        if math.isinf(value)
        else "-"
        if math.isnan(value)
        else f"{value:,.0f}"
        if value >= 100
        else f"{value:.3g}"
    )


def _steps_table(findings: Findings, one: OptimizerFindings, name: str) -> Table:
    rows = []
    for place, size in enumerate(findings.batch_sizes):
        cells = [f"{_number(r.steps[place].value)} ({r.reached[place]} of {r.seeds[place]})" for r in one.reaches]
        seconds, real = one.seconds[place].value, one.real_seconds[place]
        rows.append(
            (f"{size:,}", f"{one.tuned['target'][place]:.3g}", *cells, duration(one.step_times[place]["seconds"]),
             duration(seconds) if math.isfinite(seconds) else _number(seconds),
             duration(real) if math.isfinite(real) else _number(real))
        )  # fmt: skip
    targets = tuple(f"steps to {target:g} (arrived)" for target in findings.targets)
    headings = ("batch", "tuned rate", *targets, "step", f"time to {findings.targets[1]:g}", "measured")
    return Table(f"{name}: steps and time to the targets", headings, rows)


def _edges_table(edges: Edges, name: str) -> Table:
    rows: list[tuple[str, ...]] = [
        (f"{size:,}", str(without), str(warmed), str(ratio))
        for size, without, warmed, ratio in zip(
            edges.batch_sizes, edges.without, edges.warmed, edges.ratios, strict=True
        )
    ]
    return Table(f"{name}: largest rate that still trains", ("batch", "without warm-up", "with", "ratio"), rows)


def _rules_table(findings: Findings, one: OptimizerFindings, name: str) -> Table:
    rules = [rule for rule in RULE_WORDS if ("epochs", rule) in one.comparisons]
    rows = []
    for budget, words in BUDGET_WORDS.items():
        for place, size in enumerate(findings.batch_sizes):
            cells = []
            for rule in rules:
                comparison = one.comparisons[budget, rule]
                found = comparison.regrets[place]
                cells.append("-" if found is None else
                             f"{percent(found.estimate.value)} [{percent(found.estimate.low)}, "
                             f"{percent(found.estimate.high)}] {comparison.verdicts[place]}")  # fmt: skip
            rows.append((f"{words}, {size:,}", *cells))
    headings = ("budget, batch", *(RULE_WORDS[rule] for rule in rules))
    return Table(f"{name}: loss, or steps to the target, above the tuned rate's", headings, rows)
