"""The suites on one device, a GPU above all: throughput, peers, latency, and what unrolling the loop of an epoch does.

Data lie on the device and an epoch is one program there. Peers begin with the same weights and orders and their first
losses must agree, within 1 % in float32, 2 % in tensorfloat32 and 5 % in bfloat16; then they are timed in turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastann.bench.cases import NETWORKS, Case
from fastann.bench.contenders import DEVICE_CONTENDERS
from fastann.bench.devices import measured_peaks, on_device
from fastann.bench.isolated import call_isolated
from fastann.bench.latency import calls
from fastann.bench.peers import compare
from fastann.bench.record import spread
from fastann.bench.throughput import measure_case

DEVICE_NETWORKS = {**NETWORKS, "large": (4096, 4096, 4096, 4096, 4096, 10)}
PRECISIONS = ("float32", "tensorfloat32", "bfloat16")

Report = Callable[[str], None]
Named = tuple[str, int, str]  # network, batch size, precision

#: Those that take long come last, so that a budget cuts the least.
USUAL_PEERS: tuple[Named, ...] = (
    ("large", 8192, "bfloat16"), ("tiny", 32, "float32"), ("small", 128, "float32"), ("pyramid", 1024, "float32"),
    ("wide", 4096, "float32"), ("wide", 4096, "tensorfloat32"), ("wide", 4096, "bfloat16"), ("deep", 512, "float32"),
    ("large", 16_384, "bfloat16"), ("large", 8192, "tensorfloat32"),
)  # fmt: skip
USUAL_THROUGHPUT: tuple[Named, ...] = (
    *(("large", batch, "bfloat16") for batch in (8192, 16_384, 32_768)),
    *((name, batch, "float32") for name in NETWORKS for batch in (32, 256, 2048, 16_384, 65_536)),
    *(("wide", batch, precision) for precision in PRECISIONS[1:] for batch in (256, 2048, 16_384, 65_536)),
)
USUAL_LATENCY: tuple[Named, ...] = (("tiny", 1, "float32"), ("small", 8, "float32"), ("wide", 64, "float32"))
USUAL_UNROLL: tuple[Named, ...] = (("tiny", 32, "float32"), ("small", 128, "float32"), ("deep", 512, "float32"))
UNROLLED = (1, 2, 4, 8, 16)
LATENCY_ROUNDS = 3


def device_case(name: str, batch_size: int, precision: str, device: str, rows: int | None = None) -> Case:
    """Return a case with rows for four batches or more, 60,000 unless they would be large, or about as many as said.

    Raises:
        ValueError: there is no such network or precision.
    """
    if name not in DEVICE_NETWORKS:
        raise ValueError(f"network must be one of {', '.join(DEVICE_NETWORKS)}, got {name!r}.")
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
    wanted = rows or max(16_384 if name == "large" else 60_000, 4 * batch_size)
    return Case(DEVICE_NETWORKS[name], batch_size, max(1, wanted // batch_size) * batch_size, device, precision)


def within(budget: float, cases: Iterable[Named], report: Report) -> Iterable[Named]:
    """Yield cases until so many seconds have passed; the rest is left out by name."""
    began = time.monotonic()
    for case in cases:
        title = "{} at {}, {}".format(*case)
        if time.monotonic() - began > budget:
            report(f"left out: {title}, for want of time")
            continue
        report(title)
        yield case


def throughput(
    device: str, cases: Sequence[Named], seconds: float, rounds: int, budget: float, rows: int | None, report: Report
) -> list[dict[str, Any]]:
    """Return an entry for each case, as `fastann.bench.throughput` has them."""
    found = []
    for name, batch, precision in within(budget, cases, report):
        case = device_case(name, batch, precision, device, rows)
        with on_device(device):
            entry = call_isolated(
                f"{measure_case.__module__}:{measure_case.__name__}", case=case, backend="jax", precision=precision,
                seconds=seconds, repeats=rounds,
            )  # fmt: skip
        found.append({"network": name, "backend": "jax", "precision": precision, **entry})
    return found


def peers(
    device: str,
    cases: Sequence[Named],
    seconds: float,
    rounds: int,
    budget: float,
    rows: int | None,
    report: Report,
    contenders: Sequence[str] | None = None,
    datasheet: float | None = None,
    sizes: tuple[int, ...] | None = None,
) -> dict[str, Any]:
    """Return the peaks of the device, and an entry for each case as `fastann.bench.peers` has them.

    `mfu` of a contender is its arithmetic over the best matrix product of the same run in the same precision,
    `mfu_of_datasheet` over `datasheet` TFLOP/s, for bfloat16.
    """
    report("peaks of the device")
    peaks = measured_peaks(device, tuple(dict.fromkeys(precision for _, _, precision in cases)), sizes)
    found = []
    for name, batch, precision in within(budget, cases, report):
        case = device_case(name, batch, precision, device, rows)
        with on_device(device):
            entry = compare(case, contenders or tuple(DEVICE_CONTENDERS), rounds, seconds, report)
        for measured in entry["contenders"].values():
            tflops = entry["flops_per_step"] / measured["step_us"]["median"] / 1e6
            measured |= {"tflops": tflops, "mfu": tflops / peaks[precision]}
            if datasheet is not None and precision == "bfloat16":
                measured["mfu_of_datasheet"] = tflops / datasheet
        found.append({"name": name, "precision": precision, **entry})
    return {"peaks_tflops": peaks, "datasheet_tflops": datasheet, "entries": found}


def latency(
    device: str, cases: Sequence[Named], budget: float, report: Report, predictors: Sequence[str] = ("jax", "torch")
) -> list[dict[str, Any]]:
    """Return quantiles of the microseconds of a prediction; the batch sizes are the rows of a call."""
    import importlib.util

    found = []
    for name, rows, precision in within(budget, cases, report):
        for predictor in predictors:
            if importlib.util.find_spec(predictor) is None:
                report(f"left out: {predictor}, which is not installed")
                continue
            case = device_case(name, 64, precision, device, 64)
            try:
                with on_device(device):
                    times = [
                        call_isolated(f"{calls.__module__}:calls", network=case, name=predictor, rows=[rows])[rows]
                        for _ in range(LATENCY_ROUNDS)
                    ]
            except RuntimeError as error:
                report(f"left out: {predictor}, which does not work: {str(error).strip().splitlines()[-1]}")
                continue
            p50, p99 = np.percentile(times, (50, 99))
            found.append(
                {"network": name, "rows": rows, "predictor": predictor, "calls": int(np.size(times)),
                 "p50_us": float(p50), "p99_us": float(p99), "min_us": float(np.min(times))}
            )  # fmt: skip
    return found


def unroll(
    device: str,
    cases: Sequence[Named],
    seconds: float,
    rounds: int,
    budget: float,
    rows: int | None,
    report: Report,
    turns: Sequence[int] = UNROLLED,
) -> list[dict[str, Any]]:
    """Return microseconds of a step for each case and number of steps in a turn of the loop."""
    found = []
    for name, batch, precision in within(budget, cases, report):
        case = device_case(name, batch, precision, device, rows)
        with on_device(device):
            found += call_isolated(
                "fastann.bench.device_suites:unrolled", name=name, case=case, turns=list(turns), seconds=seconds,
                rounds=rounds,
            )  # fmt: skip
    return found


def unrolled(name: str, case: Case, turns: Sequence[int], seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Measure one case in this process, the numbers of steps in turns."""
    from fastann.bench.contenders.ours import JaxOnDevice
    from fastann.training.targets import Target

    contender = JaxOnDevice(case)
    contender.epoch()
    target = Target(tuple(contender.y.shape[1:]), contender.y.dtype.kind in "biu")
    executor: Any = contender.model.prepare(contender.x.shape, [target]).executor
    epochs, took = 1, 0.0
    times: dict[int, list[float]] = {turn: [] for turn in turns}
    for round_number in range(-2, rounds):  # the first compiles, the second says how long an epoch takes
        for turn in turns:
            executor.unroll = turn
            began = time.perf_counter()
            contender.epochs(epochs)
            took = time.perf_counter() - began
            if round_number >= 0:
                times[turn].append(1e6 * took / (epochs * case.steps))
        if round_number == -1:
            epochs = max(1, round(seconds / max(took, 1e-6)))
    return [
        {"network": name, "batch_size": case.batch_size, "precision": case.precision, "unroll": turn,
         "step_us": spread(of)}
        for turn, of in times.items()
    ]  # fmt: skip
