"""What bounds a training step: overhead, memory bandwidth, or arithmetic; against rates measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastann.bench.cases import BATCH_SIZES, NETWORKS, case_of, check_networks, flops_per_sample
from fastann.bench.isolated import call_isolated
from fastann.bench.products import Products
from fastann.bench.throughput import measure_case

_REPEATS = 7
_ADAM_BYTES = 28  # a parameter: w, m, v and the gradient read, w, m and v written, 4 bytes each


def measure_roofline(
    networks: Sequence[str] = tuple(NETWORKS),
    batch_sizes: Sequence[int] = BATCH_SIZES,
    backend: str = "numba",
    seconds: float = 0.3,
    report: Callable[[str], None] = lambda what: None,
) -> dict[str, Any]:
    """Return the machine's peaks, and for each network and batch size what a step needs and what bounds it.

    The time of a step is compared with three floors: arithmetic at the best rate of a matrix product, measured in turns
    with the steps, the bytes of the optimizer and of activations at the measured bandwidth, and what a step of a
    network without work costs. The largest of the three is the bound. `mfu` is arithmetic over time times that rate.

    Args:
        networks, batch_sizes, backend: what to measure.
        seconds: least time of one measurement.
        report: told what comes next.
    """
    check_networks(networks)
    report("peaks of the machine")
    peaks = call_isolated("fastann.bench.roofline:peaks", backend=backend)
    entries: list[dict[str, Any]] = []
    for network in networks:
        report(f"{network} on {backend}")
        steps = call_isolated(
            "fastann.bench.roofline:steps",
            network=network, backend=backend, batch_sizes=list(batch_sizes), seconds=seconds,
        )  # fmt: skip
        entries += [_explained(network, entry, peaks) for entry in steps]
    # the roof of the picture: no step may be seen above it because the machine was slower before
    peaks["gflops"] = max(peaks["gflops"], *(rate for e in entries for rate in e["products_gflops"].values()))
    return {"peaks": peaks, "entries": entries}


def peaks(backend: str) -> dict[str, float]:
    """Return the best matrix product in GFLOP/s, the bandwidth in GB/s and the overhead of a step in microseconds."""
    products = Products(backend)
    for _ in range(_REPEATS):
        products.measure()
    return {"gflops": max(products.rates().values()), "gbytes": _bandwidth(), "overhead_us": _overhead(backend)}


def steps(network: str, backend: str, batch_sizes: Sequence[int], seconds: float) -> list[dict[str, Any]]:
    """Return the speed of training at each batch size with the rates of products measured in turns with it."""
    entries = []
    for batch in batch_sizes:
        products = Products(backend, seconds)
        case = case_of(network, batch)
        entry = measure_case(case, backend, "float32", seconds, _REPEATS, before=products.measure)
        entries.append({**entry, "products_gflops": products.rates()})
    return entries


def _bandwidth() -> float:
    """Return the rate of copying far more than any cache holds, bytes read and written."""
    source = np.zeros(1 << 26, np.float32)
    target = np.empty_like(source)
    rates = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        np.copyto(target, source)
        rates.append(2 * source.nbytes / (time.perf_counter() - began) / 1e9)
    return float(max(rates))


def _overhead(backend: str) -> float:
    """Return what a step of the smallest network costs."""
    from fastann.bench.cases import Case
    from fastann.bench.throughput import build

    case = Case((1, 1, 1), 1, 4_096)
    model = build(case, backend, "float32")
    x, y = case.data()
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        model.fit(x, y, batch_size=1, epochs=2, verbose=0)
        times.append(1e6 * (time.perf_counter() - began) / (2 * case.steps))
    return float(min(times))


def _explained(network: str, entry: dict[str, Any], peaks: dict[str, float]) -> dict[str, Any]:
    widths, batch = NETWORKS[network], entry["batch_size"]
    step_us = 1e6 / entry["steps_per_second"]["median"]
    parameters = sum(a * b + b for a, b in pairwise(widths))
    flops = flops_per_sample(widths) * batch
    rate = max(entry["products_gflops"].values())
    # each activation is written and read forward, and read and its gradient written backward
    moved = _ADAM_BYTES * parameters + 4 * 4 * batch * sum(widths)
    floors = {
        "arithmetic": flops / rate / 1e3,
        "bandwidth": moved / peaks["gbytes"] / 1e3,
        "overhead": peaks["overhead_us"],
    }
    shares = {
        f"layer {k + 1} ({a} x {b})": _layer_flops(a, b, k) * batch / flops for k, (a, b) in enumerate(pairwise(widths))
    }
    return {
        "network": network,
        "batch_size": batch,
        "step_us": step_us,
        "flops": flops,
        "bytes": moved,
        "floors_us": floors,
        "bound": max(floors, key=lambda name: floors[name]),
        "products_gflops": entry["products_gflops"],
        "mfu": flops / rate / 1e3 / step_us,
        "optimizer_us_at_bandwidth": _ADAM_BYTES * parameters / peaks["gbytes"] / 1e3,
        "arithmetic_by_layer": shares,
    }


def _layer_flops(a: int, b: int, place: int) -> int:
    return (4 if place == 0 else 6) * a * b


def arithmetic_bound_from(entries: Sequence[dict[str, Any]], network: str) -> int | None:
    """Return the smallest batch size from which a network is bound by arithmetic, or None if it never is."""
    bounds = sorted((e["batch_size"], e["bound"]) for e in entries if e["network"] == network)
    for place, (batch, _) in enumerate(bounds):
        if all(bound == "arithmetic" for _, bound in bounds[place:]):
            return int(batch)
    return None


def case_rows(network: str, batch: int) -> int:
    """Return the rows of a case, for tables."""
    return case_of(network, batch).rows
