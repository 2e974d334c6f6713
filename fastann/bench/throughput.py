"""How fast training runs at each batch size: samples, steps and arithmetic a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from fastann.bench.cases import BATCH_SIZES, NETWORKS, Case, case_of, check_networks, flops_per_sample
from fastann.bench.isolated import call_isolated
from fastann.bench.record import spread


def measure_throughput(
    networks: Sequence[str] = tuple(NETWORKS),
    backends: Sequence[str] = ("numba", "jax"),
    precisions: Sequence[str] = ("float32",),
    batch_sizes: Sequence[int] = BATCH_SIZES,
    seconds: float = 0.5,
    repeats: int = 5,
    report: Callable[[str], None] = lambda what: None,
    keep: Callable[[list[dict[str, Any]]], object] = lambda entries: None,
) -> list[dict[str, Any]]:
    """Return one entry for each network, backend, precision and batch size.

    Args:
        networks, backends, precisions, batch_sizes: what to measure.
        seconds: least time of one measurement; a single step may take longer.
        repeats: measurements of each.
        report: told what comes next.
        keep: given the entries so far, now and then.
    """
    check_networks(networks)
    found: list[dict[str, Any]] = []
    for network in networks:
        for backend in backends:
            for precision in precisions:
                report(f"{network}, {backend}, {precision}")
                found += call_isolated(
                    "fastann.bench.throughput:sweep",
                    network=network,
                    backend=backend,
                    precision=precision,
                    batch_sizes=list(batch_sizes),
                    seconds=seconds,
                    repeats=repeats,
                )
                keep(found)
    return found


def sweep(
    network: str, backend: str, precision: str, batch_sizes: Sequence[int], seconds: float, repeats: int
) -> list[dict[str, Any]]:
    """Measure one network on one backend at each batch size, in this process."""
    entries = []
    for batch in batch_sizes:
        measured = measure_case(case_of(network, batch), backend, precision, seconds, repeats)
        entries.append({"network": network, "backend": backend, "precision": precision, **measured})
    return entries


def measure_case(
    case: Case,
    backend: str,
    precision: str,
    seconds: float,
    repeats: int,
    before: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Return the speed of training on one case, in this process; `before` is called ahead of each measurement."""
    rates = spread([case.steps / took for took in _epochs(case, backend, precision, seconds, repeats, before)])
    samples = rates["median"] * case.batch_size
    return {
        "batch_size": case.batch_size,
        "steps_per_second": rates,
        "samples_per_second": samples,
        "gflops": samples * flops_per_sample(case.widths) / 1e9,
    }


def build(case: Case, backend: str, precision: str) -> Any:
    """Return the compiled model of a case."""
    from fastann import Sequential
    from fastann.layers import Dense, Input

    *hidden, last = case.widths[1:]
    output = Dense(last, "sigmoid" if last == 1 else "softmax")
    model = Sequential([Input((case.widths[0],)), *(Dense(units, "relu") for units in hidden), output], seed=1)
    loss = "binary_crossentropy" if last == 1 else "sparse_categorical_crossentropy"
    model.compile("adam", loss, backend=backend, precision=precision, on_nonfinite="ignore")
    return model


def _epochs(
    case: Case, backend: str, precision: str, seconds: float, repeats: int, before: Callable[[], None]
) -> list[float]:
    """Return seconds an epoch, once for each repeat, compilation left out."""
    model = build(case, backend, precision)
    x, y = case.data()
    x.flags.writeable = False  # so that it may stay on a device
    size = case.batch_size

    def run(epochs: int) -> float:
        began = time.perf_counter()
        model.fit(x, y, batch_size=size, epochs=epochs, verbose=0)
        return (time.perf_counter() - began) / epochs

    def measured(epochs: int) -> float:
        before()
        return run(epochs)

    run(1)
    first = measured(1)
    epochs = max(1, round(seconds / first))
    if first > 4 * seconds:
        return [first, *(measured(1) for _ in range(min(repeats, 3) - 1))]
    return [measured(epochs) for _ in range(repeats)]
