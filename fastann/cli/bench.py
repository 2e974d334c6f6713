"""`fastann bench`: measure this machine, and make one page of what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastann.cli.console import console, one_line_errors

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})

Out = Annotated[Path, typer.Option(help="Folder for the JSON file of the run; made if it is not there.")]
Networks = Annotated[list[str] | None, typer.Option("--network", help="tiny, small, pyramid, wide, deep; repeatable.")]
Batches = Annotated[list[int] | None, typer.Option("--batch", min=1, help="Batch size; repeatable.")]
Backends = Annotated[list[str] | None, typer.Option("--backend", help="numba or jax; repeatable.")]
Seconds = Annotated[float, typer.Option(min=0.0, help="Least time of one measurement.")]
Device = Annotated[
    str | None, typer.Option(help="gpu, or cpu for the same suite there: fastann.bench.gpu, JAX and its peers.")
]
FOLDER = Path("fastann-bench")


def _say(text: str) -> None:
    console().print(text, soft_wrap=True, markup=False)


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _run(
    suite: str, out: Path, measure: Callable[..., Any], settings: dict[str, Any], *, in_parts: bool = False
) -> Any:
    """Measure, write the record, say where, and return the results; `in_parts`: what is interrupted leaves a record."""
    from fastann.bench.record import write_record

    _warn_of_load()
    keep = {"keep": lambda results: write_record(out, suite, settings, results)} if in_parts else {}
    results = measure(**settings, report=_say, **keep)
    path = write_record(out, suite, settings, results)
    _say(f"written to {path.resolve()}")
    return results


def _on_device(suite: str, device: str, out: Path, **options: Sequence[str] | float | None) -> None:
    """Run a suite of `fastann.bench.gpu`."""
    from fastann.bench.gpu import main

    arguments = [suite, "--device", device, "--out", str(out)]
    for name, value in options.items():
        values = [] if value is None else value if isinstance(value, list) else [value]
        arguments += [part for each in values for part in (f"--{name}", str(each))]
    if main(arguments, _say):
        raise typer.Exit(2)


def _warn_of_load() -> None:
    from fastann_kernels.machine import usable_cores

    from fastann.bench import machine

    load, cores = machine.load(), usable_cores()
    if load > 0.3 * cores:
        _say(f"other programs are at work (load {load:.1f} on {cores} cores): times and ratios mean little")


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place == 0 else "right", no_wrap=place == 0)
    for row in rows:
        table.add_row(*row)
    return table


@app.command()
@one_line_errors
def throughput(
    out: Out = FOLDER,
    network: Networks = None,
    batch: Batches = None,
    backend: Backends = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="float32, float64, tensorfloat32 or bfloat16; repeatable.")
    ] = None,
    seconds: Seconds = 0.5,
    device: Device = None,
) -> None:
    """Samples, steps and arithmetic a second against batch size."""
    if device is not None:
        sizes, precisions = batch or [4096], precision or ["float32"]
        cases = [f"{name}:{size}:{kind}" for name in network or () for size in sizes for kind in precisions]
        return _on_device("throughput", device, out, case=cases, seconds=seconds)
    from fastann.bench.throughput import measure_throughput

    settings = _given(networks=network, batch_sizes=batch, backends=backend, precisions=precision, seconds=seconds)
    entries = _run("throughput", out, measure_throughput, settings, in_parts=True)
    rows = [
        (
            f"{e['network']}, {e['backend']}, {e['precision']}", f"{e['batch_size']:,}",
            f"{e['samples_per_second']:,.0f}", f"{e['steps_per_second']['median']:,.1f}", f"{e['gflops']:.2f}",
        )
        for e in entries
    ]  # fmt: skip
    console().print(_table("Training", ("network", "batch", "samples/s", "steps/s", "GFLOP/s"), rows))


@app.command()
@one_line_errors
def peers(
    out: Out = FOLDER,
    case: Annotated[list[str] | None, typer.Option(help="network:batch, such as tiny:32; repeatable.")] = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Every network at batch sizes from 1 to 32,768.")] = False,
    contender: Annotated[list[str] | None, typer.Option(help="Whom to compare; numba comes first.")] = None,
    rounds: Annotated[int, typer.Option(min=2, help="Measurements of each contender, in turns.")] = 7,
    seconds: Seconds = 1.0,
    device: Device = None,
) -> None:
    """The same work in other libraries: PyTorch, Keras, scikit-learn, JAX by hand."""
    if device is not None:
        return _on_device("peers", device, out, case=case, contender=contender, rounds=rounds, seconds=seconds)
    from fastann.bench.peers import SWEEP, measure_peers

    cases = None if case is None else [_case(text) for text in case]
    if sweep:
        cases = [*(cases or ()), *SWEEP]
    settings = _given(cases=cases, names=contender, rounds=rounds, seconds=seconds)
    entries = _run("peers", out, measure_peers, settings, in_parts=True)
    console().print(peers_table(entries))


def _case(text: str) -> tuple[str, int]:
    name, _, batch = text.partition(":")
    if not batch.isdigit() or int(batch) == 0:
        raise ValueError(f"case must be network:batch, such as tiny:32, got {text!r}.")
    return name, int(batch)


def peers_table(entries: Sequence[dict[str, Any]]) -> Table:
    """Return the table of a comparison: medians of a step, and how many times as fast the first contender is."""
    from fastann.bench.contenders import CONTENDERS

    rows = []
    for entry in entries:
        first = next(iter(entry["contenders"].values()))["step_us"]["median"]
        for name, found in entry["contenders"].items():
            step = found["step_us"]
            rows.append(
                (
                    f"{entry['name']} at {entry['batch_size']}", CONTENDERS[name].title, f"{step['median']:,.1f}",
                    f"{step['min']:,.1f}", f"{step['iqr']:,.1f}", f"{step['median'] / first:.2f}x",
                )
            )  # fmt: skip
    headings = ("network and batch", "contender", "step, us", "min", "IQR", "to the first")
    return _table("One step of Adam, float32", headings, rows)


@app.command()
@one_line_errors
def roofline(
    out: Out = FOLDER,
    network: Networks = None,
    batch: Batches = None,
    backend: Annotated[str, typer.Option(help="numba or jax.")] = "numba",
    seconds: Seconds = 0.3,
) -> None:
    """What bounds a step: overhead, bandwidth or arithmetic, against peaks measured here."""
    from fastann.bench.roofline import arithmetic_bound_from, measure_roofline

    settings = _given(networks=network, batch_sizes=batch, backend=backend, seconds=seconds)
    found = _run("roofline", out, measure_roofline, settings)
    peaks, entries = found["peaks"], found["entries"]
    rows = [
        (
            e["network"], f"{e['batch_size']:,}", f"{e['step_us']:,.1f}",
            *(f"{e['floors_us'][k]:,.1f}" for k in ("arithmetic", "bandwidth", "overhead")), e["bound"],
            f"{e['mfu']:.0%}",
        )
        for e in entries
    ]  # fmt: skip
    title = (
        f"Peaks: {peaks['gflops']:.0f} GFLOP/s, {peaks['gbytes']:.1f} GB/s, {peaks['overhead_us']:.2f} us an empty step"
    )
    headings = ("network", "batch", "step, us", "arithmetic", "bandwidth", "overhead", "bound by", "MFU")
    console().print(_table(title, headings, rows))
    for name in dict.fromkeys(e["network"] for e in entries):
        batch_size = arithmetic_bound_from(entries, name)
        _say(f"{name}: " + ("never" if batch_size is None else f"from batch {batch_size}") + " bound by arithmetic")


@app.command()
@one_line_errors
def latency(
    out: Out = FOLDER,
    network: Networks = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each predictor, 2,000 calls each.")] = 3,
    device: Device = None,
) -> None:
    """Predictions of 1, 8 and 64 rows: median and 99th percentile of a call."""
    if device is not None:
        cases = [f"{name}:{rows}" for name in network or () for rows in (1, 8, 64)]
        return _on_device("latency", device, out, case=cases)
    from fastann.bench.latency import PREDICTORS, measure_latency

    entries = _run("latency", out, measure_latency, _given(networks=network, rounds=rounds))
    rows = [
        (
            f"{e['network']}, {e['rows']} rows", PREDICTORS[e["predictor"]][0], f"{e['p50_us']:.1f}",
            f"{e['p99_us']:.1f}", f"{e['min_us']:.1f}",
        )
        for e in sorted(entries, key=lambda e: (e["network"], e["rows"], e["p50_us"]))
    ]  # fmt: skip
    console().print(_table("One prediction, us", ("network", "predictor", "p50", "p99", "min"), rows))


Rounds = Annotated[int, typer.Option(min=1, help="Measurements of each, in turns.")]
RowCounts = Annotated[list[int] | None, typer.Option("--rows", min=1, help="Rows of the data; repeatable.")]
Models = Annotated[int, typer.Option(min=2, help="How many models.")]


@app.command()
@one_line_errors
def threads(
    out: Out = FOLDER,
    network: Networks = None,
    rows: RowCounts = None,
    backend: Backends = None,
    models: Models = 4,
    rounds: Rounds = 7,
    seconds: Seconds = 1.0,
) -> None:
    """Models trained in Python threads, against one after the other."""
    from fastann.bench.threads import measure_threads

    settings = _given(networks=network, rows=rows, backends=backend, models=models, rounds=rounds, seconds=seconds)
    _show_at_once("fit in threads", _run("threads", out, measure_threads, settings))


@app.command()
@one_line_errors
def many(
    out: Out = FOLDER,
    network: Networks = None,
    rows: RowCounts = None,
    backend: Backends = None,
    models: Models = 16,
    rounds: Rounds = 7,
    seconds: Seconds = 1.0,
) -> None:
    """Models trained by fit_many, against one after the other."""
    from fastann.bench.threads import measure_many

    settings = _given(networks=network, rows=rows, backends=backend, models=models, rounds=rounds, seconds=seconds)
    _show_at_once("fit_many", _run("many", out, measure_many, settings))


def _show_at_once(title: str, entries: Sequence[dict[str, Any]]) -> None:
    from fastann.bench.threads import AT_ONCE_HEADINGS, at_once_cells

    rows = [at_once_cells(entry) for entry in entries]
    console().print(_table(f"One epoch of one model, {title}", AT_ONCE_HEADINGS, rows))


@app.command()
@one_line_errors
def memory(
    out: Out = FOLDER,
    network: Networks = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows of the data.")] = 60_000,
    batch: Annotated[int, typer.Option(min=1, help="Batch size.")] = 4096,
    backend: Backends = None,
) -> None:
    """Peak memory of a training against what it must hold."""
    from fastann.bench.memory import measure_memory

    settings = _given(networks=network, rows=rows, batch_size=batch, backends=backend)
    entries = _run("memory", out, measure_memory, settings)
    table = [
        (
            f"{e['network']}, {e['backend']}", f"{e['needed'] / 2**20:,.0f}", f"{e['added'] / 2**20:,.0f}",
            f"{e['ratio']:.2f}",
        )
        for e in entries
    ]  # fmt: skip
    headings = ("network", "data + 4 parameter vectors + activations, MiB", "peak, MiB", "ratio")
    console().print(_table("Memory of a training", headings, table))


@app.command()
@one_line_errors
def startup(
    out: Out = FOLDER,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each program, in turn.")] = 5,
    cold: Annotated[bool, typer.Option(help="Also a first fit that compiles every kernel.")] = True,
) -> None:
    """Seconds of whole processes: import, and a first fit."""
    from fastann.bench.startup import measure_startup

    entries = _run("startup", out, measure_startup, {"rounds": rounds, "cold": cold})
    rows = [(e["program"], f"{e['seconds']['median']:.2f}", f"{e['seconds']['min']:.2f}") for e in entries]
    console().print(_table("Seconds of a process", ("program", "median", "min"), rows))


@app.command()
@one_line_errors
def calibrate() -> None:
    """Steps of several networks, for the predictions of `explain_backend` and the choice of backend="auto"."""
    from fastann_kernels.calibration import save_costs

    from fastann.bench.calibrate import calibrate as measure

    _warn_of_load()
    found = measure(report=_say)
    for device, (unit, timed) in found.items():
        rows = [
            (
                entry.name, f"{1e6 * entry.seconds:,.1f}", f"{1e6 * entry.work.seconds(unit):,.1f}",
                f"{entry.work.seconds(unit) / entry.seconds:.2f}",
            )
            for entry in timed
        ]  # fmt: skip
        console().print(_table(f"Steps on {device}, us", ("network and batch", "measured", "predicted", "ratio"), rows))
    path = save_costs({device: unit for device, (unit, _) in found.items()})
    _say(f"written to {path}: from now on predictions and backend='auto' go by it")


@app.command()
@one_line_errors
def report(
    folder: Annotated[Path, typer.Argument(help="Folder with the JSON files of runs.")] = FOLDER,
    page: Annotated[Path | None, typer.Option(help="The page; by default report.html in the folder.")] = None,
) -> None:
    """One self-contained page of all that was measured."""
    from fastann.bench.report import write_report

    _say(f"written to {write_report(folder, page).resolve()}")
