"""What the first use costs: import, first fit with the kernel cache filled, first fit with it empty."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from fastann.bench.record import spread

_FIT = """
import numpy as np
import fastann
from fastann.layers import Dense, Input
x = np.random.default_rng(0).random((256, 30), np.float32)
model = fastann.Sequential([Input((30,)), Dense(16, "relu"), Dense(8, "relu"), Dense(1, "sigmoid")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"], backend={backend!r})
model.fit(x, (x[:, 0] > 0.5).astype(int), epochs=2, verbose=0)
"""

PROGRAMS = {
    "python": "pass",
    "numpy": "import numpy",
    "import fastann": "import numpy, fastann",
    "first fit, Numba": _FIT.format(backend="numba"),
    "first fit, JAX": _FIT.format(backend="jax"),
}


def measure_startup(
    rounds: int = 5, cold: bool = True, report: Callable[[str], None] = lambda what: None
) -> list[dict[str, Any]]:
    """Return seconds of whole processes for each program; `cold` adds a first fit that compiles every kernel.

    Args:
        rounds: runs of each program, in turn.
        cold: also with an empty kernel cache, once.
        report: told what comes next.
    """
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for name, program in PROGRAMS.items():
        report(f"{name}, to fill caches")
        _run(program)
    for round_number in range(rounds):
        report(f"round {round_number + 1} of {rounds}")
        for name, program in PROGRAMS.items():
            times[name].append(_run(program))
    found = [{"program": name, "seconds": spread(values)} for name, values in times.items()]
    if cold:
        report("first fit with an empty kernel cache")
        with tempfile.TemporaryDirectory() as folder:
            taken = _run(PROGRAMS["first fit, Numba"], {"FASTANN_CACHE_DIR": folder})
        found.append({"program": "first fit, Numba, empty cache", "seconds": spread([taken])})
    return found


def _run(program: str, environment: dict[str, str] | None = None) -> float:
    command: Sequence[str] = [sys.executable, "-c", program]
    began = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, **(environment or {})}, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began
