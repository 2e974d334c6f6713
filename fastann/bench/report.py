"""One self-contained page of all records of a folder: tables, and pictures as SVG."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastann.bench.contenders import CONTENDERS, ENTRIES
from fastann.bench.latency import PREDICTORS
from fastann.bench.record import read_records
from fastann.bench.threads import AT_ONCE_HEADINGS, at_once_cells
from fastann.optional import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Row:
    """Cells of a row; `lost` if fastann is slower there than somebody else."""

    cells: tuple[str, ...]
    lost: bool = False


@dataclass
class Section:
    """What is said of one suite."""

    title: str
    text: str
    about: str
    headings: tuple[str, ...]
    rows: list[Row]
    pictures: list[Any] = field(default_factory=list)


def write_report(folder: str | os.PathLike[str], page: str | os.PathLike[str] | None = None) -> Path:
    """Write the page of a folder's records and return its path.

    Args:
        folder: with the JSON files of runs.
        page: the page; by default report.html in the folder. It is written beside and renamed into place.

    Raises:
        ImportError: matplotlib or jinja2 is not installed.
        ValueError: the folder has no records.
    """
    from importlib.resources import files

    for module in ("matplotlib", "jinja2"):
        require(module, "the report needs")
    import jinja2
    from markupsafe import Markup

    import fastann

    sections = [_SECTIONS[record["suite"]](record) for record in read_records(folder) if record["suite"] in _SECTIONS]
    for section in sections:
        section.pictures = [Markup(_svg(figure)) for figure in section.pictures]
    text = files("fastann.bench").joinpath("report.html.jinja").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    path = Path(folder) / "report.html" if page is None else Path(page)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(template.render(sections=sections, version=fastann.__version__), encoding="utf-8")
    beside.replace(path)
    return path


def _svg(figure: Figure) -> str:
    """Return a figure as an SVG element."""
    text = io.StringIO()
    figure.savefig(text, format="svg")
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def _about(record: dict[str, Any]) -> str:
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    device = f"{machine['device']}; " if "device" in machine else ""
    return f"{device}{machine['cpu']}, {machine['cores']} cores, {machine['system']}, {machine['date']}; {versions}"


def _throughput(record: dict[str, Any]) -> Section:
    from fastann.plots.throughput import Speed, throughput

    entries = record["results"]
    panels: dict[str, list[Any]] = {}
    for network in dict.fromkeys(e["network"] for e in entries):
        mine = [e for e in entries if e["network"] == network]
        for label in dict.fromkeys(f"{e['backend']}, {e['precision']}" for e in mine):
            of = [e for e in mine if f"{e['backend']}, {e['precision']}" == label]
            speeds = [e["samples_per_second"] for e in of]
            panels.setdefault(network, []).append(Speed(label, [e["batch_size"] for e in of], speeds))
    rows = [
        Row((f"{e['network']}, {e['backend']}, {e['precision']}", f"{e['batch_size']:,}",
             f"{e['samples_per_second']:,.0f}", f"{e['steps_per_second']['median']:,.1f}", f"{e['gflops']:.2f}"))
        for e in entries
    ]  # fmt: skip
    return Section(
        "Throughput",
        "Whole epochs of Adam through fit, shuffling and gathering included.",
        _about(record),
        ("network", "batch", "samples/s", "steps/s", "GFLOP/s"),
        rows,
        [throughput(panels, "Training speed against batch size")],
    )


def _peers(record: dict[str, Any]) -> Section:
    from fastann.plots.speedups import speedups

    rows, bars = [], {}
    for entry in record["results"]:
        contenders = entry["contenders"]
        steps = {name: found["step_us"]["median"] for name, found in contenders.items()}
        first = next(iter(steps))
        title = f"{entry['name']} at {entry['batch_size']}"
        others = {name: step / steps[first] for name, step in steps.items() if name != first}
        bars[title] = {CONTENDERS[name].title: factor for name, factor in others.items()}
        for name, found in contenders.items():
            step = found["step_us"]
            rows.append(
                Row((title, CONTENDERS[name].title, f"{step['median']:,.1f}", f"{step['min']:,.1f}",
                     f"{step['iqr']:,.1f}", f"{steps[name] / steps[first]:.2f}x"), name != first and others[name] < 1)
            )  # fmt: skip
    return Section(
        "Other libraries at the same work",
        "One step of Adam in float32, whole epochs, each library in a process of its own, in turns; losses were seen "
        "to agree first. The last column is the time of a step over that of fastann on Numba.",
        _about(record),
        ("network and batch", "contender", "step, us", "min", "IQR", "to fastann, Numba"),
        rows,
        [speedups(bars, "How many times as fast fastann on Numba is")],
    )


def _device_peers(record: dict[str, Any]) -> Section:
    results = record["results"]
    rows = []
    for entry in results["entries"]:
        title = f"{entry['name']} at {entry['batch_size']:,}, {entry['precision']}"
        first = next((found["step_us"]["median"] for found in entry["contenders"].values()), 0.0)
        for name, found in entry["contenders"].items():
            step = found["step_us"]["median"]
            sheet = f"{found['mfu_of_datasheet']:.0%}" if "mfu_of_datasheet" in found else ""
            cells = (title, ENTRIES[name].title, f"{step:,.1f}", f"{step / first:.2f}x", f"{found['tflops']:.2f}",
                     f"{found['mfu']:.0%}", sheet)  # fmt: skip
            rows.append(Row(cells, step < first))
    peaks = ", ".join(f"{rate:.1f} in {precision}" for precision, rate in results["peaks_tflops"].items())
    return Section(
        "Other libraries at the same work, on one device",
        "One step of Adam, data on the device, whole epochs, in turns; losses were seen to agree first. Peaks of "
        f"matrix products in the same run, TFLOP/s: {peaks}.",
        _about(record),
        ("case", "contender", "step, us", "to fastann", "TFLOP/s", "of the peak", "of the datasheet"),
        rows,
    )


def _roofline(record: dict[str, Any]) -> Section:
    from fastann.plots.roofline import roofline

    peaks, entries = record["results"]["peaks"], record["results"]["entries"]
    rows = [
        Row((e["network"], f"{e['batch_size']:,}", f"{e['step_us']:,.1f}",
             *(f"{e['floors_us'][k]:,.1f}" for k in ("arithmetic", "bandwidth", "overhead")), e["bound"],
             f"{e['mfu']:.0%}"))
        for e in entries
    ]  # fmt: skip
    return Section(
        "Roofline",
        f"Peaks measured in the same run: {peaks['gflops']:.0f} GFLOP/s of a matrix product, {peaks['gbytes']:.1f} "
        f"GB/s, {peaks['overhead_us']:.2f} us for a step without work. Floors in microseconds; MFU is the share of the "
        "rate of products made in turns with the steps.",
        _about(record),
        ("network", "batch", "step, us", "arithmetic", "bandwidth", "overhead", "bound by", "MFU"),
        rows,
        [roofline(entries, peaks["gflops"], peaks["gbytes"])],
    )


def _latency(record: dict[str, Any]) -> Section:
    entries = sorted(record["results"], key=lambda e: (e["network"], e["rows"], e["p50_us"]))
    best = {(e["network"], e["rows"]): e["p50_us"] for e in reversed(entries)}
    rows = [
        Row((f"{e['network']}, {e['rows']} rows", PREDICTORS[e["predictor"]][0], f"{e['p50_us']:.1f}",
             f"{e['p99_us']:.1f}"), e["predictor"] == "numba" and e["p50_us"] > best[e["network"], e["rows"]])
        for e in entries
    ]  # fmt: skip
    text = "One call of predict, microseconds: median and 99th percentile."
    return Section("Latency", text, _about(record), ("network", "predictor", "p50", "p99"), rows)


def _memory(record: dict[str, Any]) -> Section:
    rows = [
        Row((f"{e['network']}, {e['backend']}", f"{e['needed'] / 2**20:,.0f}", f"{e['added'] / 2**20:,.0f}",
             f"{e['ratio']:.2f}"))
        for e in record["results"]
    ]  # fmt: skip
    text = "What a training adds to resident memory, against data + 4 parameter vectors + the activations of one batch."
    return Section("Memory", text, _about(record), ("network", "needed, MiB", "peak, MiB", "ratio"), rows)


def _startup(record: dict[str, Any]) -> Section:
    rows = [
        Row((e["program"], f"{e['seconds']['median']:.2f}", f"{e['seconds']['min']:.2f}")) for e in record["results"]
    ]
    text = "Seconds of whole processes, the interpreter included."
    return Section("Startup", text, _about(record), ("program", "median", "min"), rows)


def _at_once(record: dict[str, Any]) -> Section:
    rows = [Row(at_once_cells(entry), entry["ratio"] < 1) for entry in record["results"]]
    many = record["suite"] == "many"
    return Section(
        "Many models by fit_many" if many else "Models in threads",
        "Medians of the time of an epoch of one model, all of them one after the other and all at once, in turns.",
        _about(record),
        AT_ONCE_HEADINGS,
        rows,
    )


_SECTIONS: dict[str, Callable[[dict[str, Any]], Section]] = {
    "throughput": _throughput,
    "peers": _peers,
    "roofline": _roofline,
    "latency": _latency,
    "memory": _memory,
    "startup": _startup,
    "device-throughput": _throughput,
    "device-peers": _device_peers,
    "device-latency": _latency,
    "threads": _at_once,
    "many": _at_once,
}


def markdown_table(entries: Sequence[dict[str, Any]]) -> str:
    """Return a comparison as a table for a README: microseconds a step, in bold the best of each row in float32, and
    the best with products of bfloat16."""
    names = list(dict.fromkeys(name for entry in entries for name in entry["contenders"]))
    lines = ["| network, batch | " + " | ".join(CONTENDERS[name].title for name in names) + " |"]
    lines.append("|---" * (len(names) + 1) + "|")
    for entry in entries:
        steps = {name: found["step_us"]["median"] for name, found in entry["contenders"].items()}
        best = {rounded: min((v for k, v in steps.items() if _rounds(k) == rounded), default=0.0) for rounded in (0, 1)}
        cells = [_cell(steps.get(name), best[_rounds(name)]) for name in names]
        lines.append(f"| {entry['name']}, {entry['batch_size']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rounds(name: str) -> bool:
    """Return whether a contender multiplies in bfloat16."""
    return name.endswith("bf16")


def _cell(step: float | None, best: float) -> str:
    if step is None:
        return "-"
    text = f"{step:.1f}" if step < 100 else f"{step:,.0f}"
    return f"**{text}**" if step == best else text
