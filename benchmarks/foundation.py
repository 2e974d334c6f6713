"""Whole epochs of Adam in fastann against eager PyTorch and against a hand-written jitted scan of JAX.

    python benchmarks/foundation.py            # a table, and benchmarks/results/foundation-<cpu>.json
    python benchmarks/foundation.py --quick    # few rows and rounds: does it run?

Three networks in float32 on synthetic standardised rows. Every contender runs in a process of its own, so that no
library meets the thread pools of another; only one works at a time. First all train from the same weights in the same
order, and their losses must agree within 1e-3. Then they are timed in turn, round after round, each round starting with
another one; a measurement is whole epochs, shuffling and gathering included. The first epoch, with its compilation, is
given apart.
Contenders whose packages are not installed are left out by name.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import machine
import numpy as np
from contenders import CONTENDERS, Case
from rich.console import Console
from rich.table import Table

CASES = (
    Case((30, 16, 8, 1), 32, 20_480),
    Case((784, 128, 10), 128, 20_480),
    Case((784, 512, 256, 128, 64, 10), 1024, 20_480),
)
PACKAGES = ("fastann", "numpy", "scipy", "numba", "llvmlite", "jax", "jaxlib", "torch", "optax", "mkl")
#: Largest relative difference of the losses of the first epoch. Beyond it float32 runs of the widest network part by
#: themselves: Adam's early steps follow the signs of gradients, and in float64, too, changing the initial weights by
#: 1e-6 moves the loss of the second epoch by 4e-4. The differences of all epochs are reported.
AGREEMENT = 1e-3
EPOCHS = 20  # of a measurement, at least: what belongs to a whole `fit` is shared by its epochs
PAUSE = 0.3  # seconds between two contenders, for spinning threads to go to sleep


def serve(connection: Connection, name: str, case: Case, weights: Any) -> None:
    """Build a contender and answer calls `(method, arguments)` with `(seconds, result)` until None comes."""
    begin = time.perf_counter()
    contender = CONTENDERS[name].build(case, weights)
    connection.send((time.perf_counter() - begin, contender.about))
    while (call := connection.recv()) is not None:
        method, arguments = call
        begin = time.perf_counter()
        result = getattr(contender, method)(*arguments)
        connection.send((time.perf_counter() - begin, result))


class Remote:
    """A contender in its process."""

    def __init__(self, name: str, case: Case, weights: Any = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, name, case, weights), daemon=True)
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
def gathered(names: list[str], case: Case) -> Iterator[tuple[dict[str, Remote], list[Any]]]:
    """Start the contenders from the weights of the first; yields them with the orders of its first epochs."""
    remotes: dict[str, Remote] = {}
    try:
        remotes[names[0]] = first = Remote(names[0], case)
        weights = first.call("weights")[1]
        for name in names[1:]:
            remotes[name] = Remote(name, case, weights)
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


def timed(remotes: dict[str, Remote], case: Case, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return microseconds a step, one number a round, for each contender; each number covers `seconds` or more."""
    names = list(remotes)
    epochs = {name: max(EPOCHS, int(np.ceil(seconds / remotes[name].call("epoch")[0]))) for name in names}
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


def measure(case: Case, names: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Compare curves and take times of one case."""
    with gathered(names, case) as (remotes, orders):
        curves = same_curves(remotes, orders)
        times = timed(remotes, case, rounds, seconds)
        return {
            "widths": case.widths,
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


def table(records: list[dict[str, Any]], cases: list[Case], about: dict[str, Any]) -> Table:
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
            result.add_row(case.name, CONTENDERS[name].title, *numbers, str(entry["n"]), *ratios, *extra)
        result.add_section()
    return result


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="2,048 rows, 2 rounds, nothing written")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each contender (at least 7)")
    parser.add_argument("--seconds", type=float, default=0.5, help="least time of one measurement")
    parser.add_argument("--output", type=Path, help="the JSON file; by default named after the processor")
    chosen = parser.parse_args()
    if chosen.rounds < 7:
        parser.error("--rounds must be 7 or more: a median of fewer says little on a machine that others use")
    return chosen


def main() -> None:
    chosen, console = arguments(), Console()
    console.width = max(console.width, 140)
    names = []
    for name, entry in CONTENDERS.items():
        missing = [package for package in entry.needs if importlib.util.find_spec(package) is None]
        if missing:
            console.print(f"left out: {entry.title}, for want of {', '.join(missing)}")
        else:
            names.append(name)
    cases = [Case(c.widths, c.batch_size, 2_048) if chosen.quick else c for c in CASES]
    rounds, seconds = (2, 0.0) if chosen.quick else (chosen.rounds, chosen.seconds)
    about = machine.describe(PACKAGES)
    if about["load_before"] > 0.3 * about["cores"]:
        console.print(f"other programs are at work (load {about['load_before']:.1f}): times and ratios mean little")
    records = []
    for case in cases:
        console.print(f"{case.name}: {case.rows} rows, {case.steps} steps an epoch, {rounds} rounds")
        records.append(measure(case, names, rounds, seconds))
    console.print(table(records, cases, about))
    if chosen.quick:
        return
    path = chosen.output or Path(__file__).parent / "results" / f"foundation-{machine.slug(about['cpu'])}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": about, "cases": records}, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {path}")


if __name__ == "__main__":
    main()
