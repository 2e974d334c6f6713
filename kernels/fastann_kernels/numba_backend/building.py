"""Compiling several functions at once, in processes: Numba compiles one at a time in each.

A worker is told the name of a function, keeps its machine code on disk and answers with the name. What it did not make,
for whatever reason, this process makes itself, and says what went wrong if it does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from fastann_kernels.machine import threads_allowed
from fastann_kernels.numba_backend import machine_code, units

#: A worker needs a second to start and some 300 MB.
_MOST_WORKERS = 3

#: What takes longest, in that order: it is to be begun first.
_LONGEST = ("forward", "backward", "run", "follow", "loss", "metric", "update")

_SERVE = "from fastann_kernels.numba_backend.building import serve; serve()"


#: One thread compiles; others that want the same wait for it.
_LOCK = threading.Lock()


def addresses(names: Iterable[str]) -> dict[str, int]:
    """Return where each function lies in memory, but for empty names; those that are missing are compiled."""
    wanted = [name for name in dict.fromkeys(names) if name]
    with _LOCK:
        absent = [name for name in wanted if machine_code.missing(name)]
        if len(absent) > 1 and (workers := _workers(len(absent))):
            machine_code.announce()
            _build_together(absent, workers)
        return {name: machine_code.address(name, partial(units.build, name)) for name in wanted}


def serve() -> None:
    """Build what is asked for on standard input, a name a line, and answer each with its name."""
    for line in sys.stdin:
        name = line.strip()
        machine_code.keep(units.build(name), machine_code.folder() / name)
        print(name, flush=True)


def _workers(functions: int) -> int:
    """Return how many processes may help this one."""
    # where Python is part of another program, sys.executable may be that program
    plain = Path(sys.executable or "").stem.lower().startswith("python") and not getattr(sys, "frozen", False)
    return (
        min(threads_allowed(os.environ), functions, 1 + _MOST_WORKERS) - 1 if plain and machine_code.writable() else 0
    )


def _build_together(names: list[str], workers: int) -> None:
    """Build functions in this process and others."""
    order = {what: place for place, what in enumerate(_LONGEST)}
    waiting = deque(sorted(names, key=lambda name: order.get(name.split(".")[0], len(order))))
    helpers: list[tuple[subprocess.Popen[str], threading.Thread]] = []
    try:
        with suppress(OSError):  # it goes without them
            for _ in range(workers):
                helper = _helper()
                helpers.append((helper, threading.Thread(target=_feed, args=(helper, waiting), daemon=True)))
                helpers[-1][1].start()
        with suppress(IndexError):
            while True:
                name = waiting.popleft()
                machine_code.address(name, partial(units.build, name))
        for _, thread in helpers:
            thread.join()
    finally:
        for helper, _ in helpers:
            helper.kill()
        for helper, thread in helpers:
            thread.join()
            helper.communicate()


def _helper() -> subprocess.Popen[str]:
    """Start a worker, which finds the same packages, and none in the current folder."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, text=True,
    )  # fmt: skip


def _feed(helper: subprocess.Popen[str], waiting: deque[str]) -> None:
    """Give a worker one name after another, as long as it answers."""
    assert helper.stdin is not None
    assert helper.stdout is not None
    with suppress(IndexError, OSError):
        while True:
            name = waiting.popleft()
            helper.stdin.write(f"{name}\n")
            helper.stdin.flush()
            if not helper.stdout.readline():
                break
