"""How much memory a training takes beyond what it must hold."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from fastann.bench.cases import NETWORKS, Case, check_networks
from fastann.bench.isolated import call_isolated


def measure_memory(
    networks: Sequence[str] = ("small", "pyramid", "wide"),
    rows: int = 60_000,
    batch_size: int = 4096,
    backends: Sequence[str] = ("numba", "jax"),
    report: Callable[[str], None] = lambda what: None,
) -> list[dict[str, Any]]:
    """Return, for each network and backend, what a training adds to the peak of resident memory, in bytes.

    `needed` is data + 4 vectors of parameters (weights, gradient, Adam's two) + activations of one batch. `added` is
    the peak less what the process held once libraries, kernels and data were there, plus the data.

    Args:
        networks, backends: what to measure.
        rows, batch_size: of the training.
        report: told what comes next.
    """
    check_networks(networks)
    found = []
    for network in networks:
        for backend in backends:
            report(f"{network} on {backend}")
            found.append(
                call_isolated(
                    "fastann.bench.memory:grown", network=network, rows=rows, batch_size=batch_size, backend=backend
                )
            )
    return found


def peak_bytes() -> int:
    """Return the highest resident memory of this process so far."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def grown(network: str, rows: int, batch_size: int, backend: str) -> dict[str, Any]:
    """Train in this process and return what it needed and what it took."""
    from fastann.bench.throughput import build

    widths = NETWORKS[network]
    small = Case(widths, 32, 64)
    # libraries loaded, kernels in memory, thread pools made: with another model that is then forgotten
    build(small, backend, "float32").fit(*small.data(), batch_size=32, epochs=1, verbose=0)
    case = Case(widths, batch_size, rows)
    x, y = case.data()
    before = peak_bytes()
    model = build(case, backend, "float32")
    model.fit(x, y, batch_size=batch_size, epochs=2, verbose=0)
    data = x.nbytes + y.nbytes
    parameters = 4 * model.count_params()
    activations = 4 * batch_size * sum(widths[1:])
    needed = data + 4 * parameters + activations
    added = peak_bytes() - before + data
    return {
        "network": network, "backend": backend, "rows": rows, "batch_size": batch_size, "data": data,
        "parameters": parameters, "activations": activations, "needed": needed, "added": added,
        "ratio": added / needed,
    }  # fmt: skip
