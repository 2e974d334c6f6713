"""Other libraries at the same work: a process each, in turns, after their losses have been seen to agree.

First all train from the same weights in the same order, and the losses of the first epoch must agree. Then they are
timed in turn, round after round, each round starting with another one; a measurement is whole epochs, shuffling and
gathering included. The first epoch, with its compilation, is given apart. A contender whose package is missing, that
does not start, or that trains differently is left out by name, with the reason.
"""

from __future__ import annotations

import importlib
import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from fastann.bench.cases import NETWORKS, Case, case_of, check_networks, flops_per_sample
from fastann.bench.contenders import AGREEMENT, CONTENDERS, ENTRIES, missing
from fastann.bench.images import ImageCase
from fastann.bench.record import spread

PAUSE = 0.3  # seconds between two contenders, for spinning threads to go to sleep

#: Batches that the comparison is made at, by network.
USUAL: tuple[tuple[str, int], ...] = (
    ("tiny", 32), ("tiny", 1024), ("small", 32), ("small", 128), ("small", 512), ("pyramid", 128), ("pyramid", 1024),
    ("pyramid", 4096), ("wide", 4096), ("images", 64), ("images", 128),
)  # fmt: skip

#: Every network from one row a batch to more than most data sets have, to see where another library is faster.
SWEEP: tuple[tuple[str, int], ...] = tuple(
    (name, batch_size) for name in NETWORKS for batch_size in (1, 8, 64, 512, 4096, 32_768)
)

#: An epoch has no more steps than this, and no more than pass in about a second at the rates below.
_MOST_STEPS, _FLOPS, _PARAMETERS = 640, 2e11, 5e8


def usual_case(name: str, batch_size: int) -> Case:
    """Return the case of a network at a batch size, with rows for at least four batches."""
    if name == "images":
        return ImageCase(batch_size=batch_size, rows=max(1, 3_200 // batch_size) * batch_size)
    case = case_of(name, batch_size, max(20_480, 4 * batch_size))
    parameters = sum(a * b + b for a, b in pairwise(case.widths))
    step = flops_per_sample(case.widths) * batch_size / _FLOPS + parameters / _PARAMETERS
    return replace(case, rows=min(case.steps, _MOST_STEPS, max(5, int(1 / step))) * batch_size)


def measure_peers(
    cases: Sequence[tuple[str, int]] = USUAL,
    names: Sequence[str] | None = None,
    rounds: int = 7,
    seconds: float = 1.0,
    report: Callable[[str], None] = lambda what: None,
    keep: Callable[[list[dict[str, Any]]], object] = lambda entries: None,
) -> list[dict[str, Any]]:
    """Return one entry for each case: the times of a step of each contender, in microseconds.

    Args:
        cases: networks of `fastann.bench.cases.NETWORKS`, or "images", each with a batch size.
        names: of the contenders; by default all that are installed. The first one gives weights and orders.
        rounds: measurements of each contender.
        seconds: least time of one measurement.
        report: told what comes next, and who is left out why.
        keep: given the entries so far after each case.
    """
    for contender in names or ():
        if contender not in CONTENDERS:
            raise ValueError(f"contender must be one of {', '.join(CONTENDERS)}, got {contender!r}.")
    check_networks([name for name, _ in cases if name != "images"])
    found = []
    for name, batch in cases:
        case = usual_case(name, batch)
        report(f"{name} at {batch}: {case.rows} rows, {case.steps} steps an epoch")
        found.append({"name": name, **compare(case, names, rounds, seconds, report)})
        keep(found)
    return found


def _installed(case: Case, names: Sequence[str] | None, report: Callable[[str], None]) -> list[str]:
    chosen = []
    for name in CONTENDERS if names is None else names:
        entry = ENTRIES[name]
        if (entry.images if isinstance(case, ImageCase) else entry.dense) is None:
            continue
        lacking = missing(entry)
        if lacking:
            report(f"left out: {entry.title}, for want of {', '.join(lacking)}")
        else:
            chosen.append(name)
    return chosen


def _serve(connection: Connection, name: str, case: Case, weights: Any) -> None:
    """Build a contender and answer calls `(method, arguments)` with `(seconds, result)` until None comes."""
    entry = ENTRIES[name]
    try:
        module = importlib.import_module(f"fastann.bench.contenders.{entry.module}")
        kind = entry.images if isinstance(case, ImageCase) else entry.dense
        contender = getattr(module, str(kind))(case, weights)
        connection.send((0.0, contender.about))
        while (call := connection.recv()) is not None:
            method, arguments = call
            begin = time.perf_counter()
            result = getattr(contender, method)(*arguments)
            connection.send((time.perf_counter() - begin, result))
    except Exception:  # it is said in the report, and the others go on
        connection.send((-1.0, traceback.format_exc().strip().splitlines()[-1]))


class _Failed(Exception):
    """A contender does not work here."""


class _Remote:
    """A contender in its process."""

    def __init__(self, name: str, case: Case, weights: Any = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, name, case, weights), daemon=True)
        self._process.start()
        other.close()
        self.about = self._answer()[1]

    def call(self, method: str, *arguments: Any) -> tuple[float, Any]:
        """Return (seconds, result) of a method of the contender."""
        self._connection.send((method, arguments))
        return self._answer()

    def _answer(self) -> tuple[float, Any]:
        try:
            seconds, result = self._connection.recv()
        except EOFError:
            raise _Failed("its process died") from None
        if seconds < 0:
            raise _Failed(result)
        return float(seconds), result

    def close(self) -> None:
        """End the process."""
        if self._process.is_alive():
            self._connection.send(None)
        self._process.join(10)


@contextmanager
def _gathered(
    names: Sequence[str], case: Case, report: Callable[[str], None]
) -> Iterator[tuple[dict[str, _Remote], list[Any]]]:
    """Start the contenders from the weights of the first; yields them with the orders of its first epochs."""
    remotes: dict[str, _Remote] = {}
    try:
        remotes[names[0]] = first = _Remote(names[0], case)
        weights = first.call("weights")[1]
        for name in names[1:]:
            try:
                remotes[name] = _Remote(name, case, weights)
            except _Failed as error:
                report(f"left out: {ENTRIES[name].title}, which does not start: {error}")
        yield remotes, first.call("orders", 3)[1]
    finally:
        for remote in remotes.values():
            remote.close()


def _same_curves(
    remotes: dict[str, _Remote], orders: list[Any], case: Case, report: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Train each contender in the given orders; returns its losses and the seconds of the first epoch."""
    found: dict[str, dict[str, Any]] = {}
    expected: Any = None
    for name, remote in list(remotes.items()):
        try:
            calls = [remote.call("epoch", order) for order in orders]
        except _Failed as error:
            report(f"left out: {ENTRIES[name].title}, which does not train: {error}")
            remotes.pop(name).close()
            continue
        losses = np.array([loss for _, loss in calls])
        expected = losses if expected is None else expected
        differences = np.abs(losses / expected - 1)
        if not differences[0] < max(ENTRIES[name].agreement, AGREEMENT[case.precision]):
            report(f"left out: {ENTRIES[name].title}, which trains differently: {losses} against {expected}")
            remotes.pop(name).close()
            continue
        found[name] = {
            "losses": losses.tolist(),
            "relative_differences": differences.tolist(),
            "first_epoch_s": calls[0][0],
        }
    return found


def _timed(remotes: dict[str, _Remote], case: Case, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return microseconds a step, one number a round, for each contender; each number covers `seconds` or more."""
    names = list(remotes)
    epochs = {name: max(1, int(np.ceil(seconds / remotes[name].call("epoch")[0]))) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for round_number in range(rounds):
        turn = round_number % len(names)
        for name in names[turn:] + names[:turn]:
            time.sleep(PAUSE)
            took, _ = remotes[name].call("epochs", epochs[name])
            times[name].append(1e6 * took / (epochs[name] * case.steps))
    return times


def compare(
    case: Case, chosen: Sequence[str] | None, rounds: int, seconds: float, report: Callable[[str], None]
) -> dict[str, Any]:
    """Compare curves and take times of one case; see `measure_peers`."""
    names = _installed(case, chosen, report)
    with _gathered(names, case, report) as (remotes, orders):
        curves = _same_curves(remotes, orders, case, report)
        times = _timed(remotes, case, rounds, seconds)
        contenders = {
            name: {"step_us": spread(times[name]), **curves[name], "about": remotes[name].about} for name in remotes
        }
    flops = flops_per_sample(case.widths) * case.batch_size if case.widths else None
    return {
        "network": case.network,
        "batch_size": case.batch_size,
        "rows": case.rows,
        "flops_per_step": flops,
        "contenders": contenders,
    }
