"""What the callback `NoiseScale` costs: epochs of 784-128-10 with and without it, in turn.

    python benchmarks/noise_scale_overhead.py [--backend numba] [--batch 128] [--every 1] [--epochs 15] [--out FOLDER]

Two models of one seed train side by side, an epoch each at a time, the first to go changing with every epoch. As the
callback changes no weight, both do the same arithmetic, and each pair of epochs gives a ratio of its own. Wall-clock
seconds are what a user waits; CPU seconds of the process say more on a machine that does other things, too.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np

from fastann import Sequential
from fastann.bench.record import spread, write_record
from fastann.layers import Dense
from fastann.scaling import NoiseScale

#: Epochs before any that counts: compilation, and the search for the length of calls.
WARM_UP = 2


def rows(count: int) -> tuple[Any, Any]:
    """Return images of ten noisy patterns and their labels."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, count)
    x = 0.3 * rng.random((10, 784))[y] + rng.random((count, 784))
    return x.astype(np.float32), y


def network(backend: str) -> Sequential:
    model = Sequential([Dense(128, "relu", input_shape=(784,)), Dense(10, "softmax")], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend)
    return model


def measure(backend: str, batch: int, every: int | None, epochs: int, count: int) -> dict[str, Any]:
    """Return seconds of every epoch with and without the callback, and the ratios of the pairs."""
    x, y = rows(count)
    noise = NoiseScale(every)
    contenders = {"without": (network(backend), []), "with": (network(backend), [noise])}
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    for epoch in range(WARM_UP + epochs):
        for name in sorted(contenders, reverse=epoch % 2 == 1):
            model, callbacks = contenders[name]
            began, used = time.perf_counter(), time.process_time()
            model.fit(x, y, batch_size=batch, verbose=0, callbacks=callbacks)
            if epoch >= WARM_UP:
                cpu[name].append(time.process_time() - used)
                wall[name].append(time.perf_counter() - began)
    ratios = {
        kind: [one / other for one, other in zip(times["with"], times["without"], strict=True)]
        for kind, times in (("wall", wall), ("cpu", cpu))
    }
    return {
        "backend": backend, "batch": batch, "every": every, "rows": count, "measured_steps": noise.estimates[0].steps,
        "wall_seconds": {name: spread(times) for name, times in wall.items()},
        "cpu_seconds": {name: spread(times) for name, times in cpu.items()},
        "ratio": {kind: spread(values) for kind, values in ratios.items()},
    }  # fmt: skip


def main() -> None:
    """Measure, print a line for each case, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", default=["numba", "jax"], choices=["numba", "jax"])
    parser.add_argument("--batch", nargs="+", type=int, default=[32, 128])
    parser.add_argument("--every", type=int, default=None, help="as for NoiseScale; its default by default")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--rows", type=int, default=12800)
    parser.add_argument("--out", default="benchmarks/results")
    given = parser.parse_args()
    results = []
    for backend in given.backend:
        for batch in given.batch:
            found = measure(backend, batch, given.every, given.epochs, given.rows)
            results.append(found)
            wall, cpu = found["ratio"]["wall"]["median"], found["ratio"]["cpu"]["median"]
            print(
                f"{backend}, batch {batch}, {found['measured_steps']} of {-(-given.rows // batch)} steps measured: "
                f"{100 * (wall - 1):+.1f} % wall clock, {100 * (cpu - 1):+.1f} % CPU",
                flush=True,
            )
    settings = {
        "network": "784-128-10",
        "epochs": given.epochs,
        "warm_up": WARM_UP,
        "threads": os.environ.get("FASTANN_THREADS"),
    }
    print(write_record(given.out, "noise-scale-overhead", settings, results))


if __name__ == "__main__":
    main()
