"""How contenders are measured: a process each, the same work, in turns.

First all train from the same weights in the same order, and their losses must agree. Then they are timed in turn, round
after round, each round starting with another one; a measurement is whole epochs, shuffling and gathering included. The
first epoch, with its compilation, is given apart. Contenders whose packages are not installed are left out by name.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import multiprocessing
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import machine
import numpy as np
from contenders import Case, Entry
from rich.console import Console
from rich.table import Table

PACKAGES = ("fastann", "numpy", "scipy", "numba", "llvmlite", "jax", "jaxlib", "torch", "optax", "mkl")
#: Largest relative difference of the losses of the first epoch. Beyond it float32 runs of the widest network part by
#: themselves: Adam's early steps follow the signs of gradients, and in float64, too, changing the initial weights by
#: 1e-6 moves the loss of the second epoch by 4e-4. The differences of all epochs are reported.
AGREEMENT = 1e-3
PAUSE = 0.3  # seconds between two contenders, for spinning threads to go to sleep


def serve(connection: Connection, module: str, name: str, case: Case, weights: Any) -> None:
    """Build a contender and answer calls `(method, arguments)` with `(seconds, result)` until None comes."""
    begin = time.perf_counter()
    contender = importlib.import_module(module).CONTENDERS[name].build(case, weights)
    connection.send((time.perf_counter() - begin, contender.about))
    while (call := connection.recv()) is not None:
        method, arguments = call
        begin = time.perf_counter()
        result = getattr(contender, method)(*arguments)
        connection.send((time.perf_counter() - begin, result))


class Remote:
    """A contender in its process."""

    def __init__(self, module: str, name: str, case: Case, weights: Any = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, module, name, case, weights), daemon=True)
        self._process.start()
        other.close()
        self.about = self._connection.recv()[1]

    def call(self, method: str, *arguments: Any) -> tuple[float, Any]:
        """Return (seconds, result) of a method of the contender."""
        self._connection.send((method, arguments))
        seconds, result = self._connection.recv()
        return float(seconds), result

    def close(self) -> None:
        self._connection.send(None)
        self._process.join()


@contextmanager
def gathered(module: str, names: list[str], case: Case) -> Iterator[tuple[dict[str, Remote], list[Any]]]:
    """Start the contenders from the weights of the first; yields them with the orders of its first epochs."""
    remotes: dict[str, Remote] = {}
    try:
        remotes[names[0]] = first = Remote(module, names[0], case)
        weights = first.call("weights")[1]
        for name in names[1:]:
            remotes[name] = Remote(module, name, case, weights)
        yield remotes, first.call("orders", 3)[1]
    finally:
        for remote in remotes.values():
            remote.close()


def same_curves(remotes: dict[str, Remote], orders: list[Any]) -> dict[str, dict[str, Any]]:
    """Train each contender in the given orders; returns its losses and the seconds of the first epoch.

    Raises:
        SystemExit: a loss of the first epoch differs by more than `AGREEMENT` from that of the first contender.
    """
    found = {}
    for name, remote in remotes.items():
        calls = [remote.call("epoch", order) for order in orders]
        found[name] = {"losses": [loss for _, loss in calls], "first_epoch_s": calls[0][0]}
    expected = np.array(next(iter(found.values()))["losses"])
    for name, entry in found.items():
        differences = np.abs(np.array(entry["losses"]) / expected - 1)
        entry["relative_differences"] = differences.tolist()
        if not differences[0] < AGREEMENT:
            raise SystemExit(f"{name} trains differently: losses {entry['losses']} against {expected.tolist()}")
    return found


def timed(remotes: dict[str, Remote], case: Case, rounds: int, seconds: float, least: int) -> dict[str, list[float]]:
    """Return microseconds a step, one number a round, for each contender.

    Each number covers `seconds` or more, and at least so many epochs: what belongs to a whole `fit` is shared by them.
    """
    names = list(remotes)
    epochs = {name: max(least, int(np.ceil(seconds / remotes[name].call("epoch")[0]))) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for round_number in range(rounds):
        turn = round_number % len(names)
        for name in names[turn:] + names[:turn]:
            time.sleep(PAUSE)
            took, _ = remotes[name].call("epochs", epochs[name])
            times[name].append(1e6 * took / (epochs[name] * case.steps))
    return times


def summarised(times: list[float]) -> dict[str, Any]:
    low, median, high = np.percentile(times, (25, 50, 75))
    return {"median_us": median, "min_us": min(times), "iqr_us": high - low, "n": len(times), "times_us": times}


def measure(module: str, case: Case, names: list[str], rounds: int, seconds: float, least: int) -> dict[str, Any]:
    """Compare curves and take times of one case."""
    with gathered(module, names, case) as (remotes, orders):
        curves = same_curves(remotes, orders)
        times = timed(remotes, case, rounds, seconds, least)
        return {
            "network": case.network,
            "batch_size": case.batch_size,
            "rows": case.rows,
            "contenders": {
                name: {**summarised(times[name]), **curves[name], "about": remotes[name].about} for name in names
            },
        }


def ratio(record: dict[str, Any], name: str, against: str) -> str:
    """How many times as fast `name` is as `against`, by medians."""
    found = record["contenders"]
    return f"{found[against]['median_us'] / found[name]['median_us']:.2f}x" if against in found else "-"


def table(
    records: list[dict[str, Any]], cases: list[Any], about: dict[str, Any], contenders: Mapping[str, Entry]
) -> Table:
    title = f"Adam, float32, microseconds a step: {about['cpu']}, {about['cores']} cores"
    result = Table(title=title, title_justify="left")
    result.add_column("network and batch", no_wrap=True)
    result.add_column("contender", no_wrap=True)
    for heading in ("median", "min", "IQR", "n", "x PyTorch", "x scan", "first epoch, s", "losses differ"):
        result.add_column(heading, justify="right")
    for case, record in zip(cases, records, strict=True):
        for name, entry in record["contenders"].items():
            numbers = [f"{entry[key]:.1f}" for key in ("median_us", "min_us", "iqr_us")]
            ratios = [ratio(record, name, against) for against in ("torch", "scan")]
            extra = [f"{entry['first_epoch_s']:.2f}", f"{entry['relative_differences'][0]:.0e}"]
            result.add_row(case.name, contenders[name].title, *numbers, str(entry["n"]), *ratios, *extra)
        result.add_section()
    return result


def arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="2,048 rows, 2 rounds, nothing written")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each contender (at least 7)")
    parser.add_argument("--seconds", type=float, default=0.5, help="least time of one measurement")
    parser.add_argument("--output", type=Path, help="the JSON file; by default named after the processor")
    chosen = parser.parse_args()
    if chosen.rounds < 7:
        parser.error("--rounds must be 7 or more: a median of fewer says little on a machine that others use")
    return chosen


def main(title: str, name: str, module: str, cases: list[Any], epochs: int) -> None:
    """Run a benchmark from its command line.

    Args:
        title: what --help says.
        name: of the result file.
        module: holds `CONTENDERS`.
        cases: with all their rows; --quick takes fewer.
        epochs: of a measurement, at least.
    """
    chosen, console = arguments(title), Console()
    console.width = max(console.width, 140)
    contenders: Mapping[str, Entry] = importlib.import_module(module).CONTENDERS
    names = []
    for key, entry in contenders.items():
        missing = [package for package in entry.needs if importlib.util.find_spec(package) is None]
        if missing:
            console.print(f"left out: {entry.title}, for want of {', '.join(missing)}")
        else:
            names.append(key)
    cases = [case.smaller() for case in cases] if chosen.quick else cases
    rounds, seconds, least = (2, 0.0, 1) if chosen.quick else (chosen.rounds, chosen.seconds, epochs)
    about = machine.describe(PACKAGES)
    if about["load_before"] > 0.3 * about["cores"]:
        console.print(f"other programs are at work (load {about['load_before']:.1f}): times and ratios mean little")
    records = []
    for case in cases:
        console.print(f"{case.name}: {case.rows} rows, {case.steps} steps an epoch, {rounds} rounds")
        records.append(measure(module, case, names, rounds, seconds, least))
    console.print(table(records, cases, about, contenders))
    if chosen.quick:
        return
    path = chosen.output or Path(__file__).parent / "results" / f"{name}-{machine.slug(about['cpu'])}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": about, "cases": records}, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {path}")
