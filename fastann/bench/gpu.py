"""`python -m fastann.bench.gpu`: the suites on a GPU from a bare checkout, with NumPy and JAX and no more installed.

    PYTHONPATH=.:kernels python -m fastann.bench.gpu peers --out results --case large:8192:bfloat16
    PYTHONPATH=.:kernels python -m fastann.bench.gpu all --device cpu --case tiny:64:float32

`all` runs every suite, each within the budget. `fastann bench peers --device gpu` does the same.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastann.bench import device_suites
from fastann.bench.contenders import DEVICE_CONTENDERS
from fastann.bench.device_suites import Named
from fastann.bench.devices import DEVICES, datasheet_tflops, device_name
from fastann.bench.latency import PREDICTORS
from fastann.bench.record import write_record

SUITES = {
    "peers": device_suites.USUAL_PEERS,
    "throughput": device_suites.USUAL_THROUGHPUT,
    "latency": device_suites.USUAL_LATENCY,
    "unroll": device_suites.USUAL_UNROLL,
}


def _print(text: str) -> None:
    print(text, flush=True)


def main(arguments: Sequence[str] | None = None, report: Callable[[str], None] = _print) -> int:
    """Run what the arguments of the command say, and return its exit status."""
    given = _parser().parse_args(arguments)
    try:
        _run(given, report)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m fastann.bench.gpu", description="Measure training on one device.")
    add = parser.add_argument
    add("suite", choices=[*SUITES, "all"])
    add("--device", choices=DEVICES, default="gpu")
    add("--out", type=Path, default=Path("fastann-bench"), help="folder for the JSON files")
    add("--case", action="append", type=_case, metavar="NETWORK:BATCH[:PRECISION]", help="repeatable")
    add("--contender", action="append", choices=list(DEVICE_CONTENDERS), help="of peers; repeatable, fastann first")
    add("--seconds", type=float, default=1.0, help="least time of one measurement")
    add("--rounds", type=int, default=5, help="measurements of each")
    add("--rows", type=int, help="about how many rows the data have")
    add("--budget", type=float, default=1500.0, help="seconds after which a suite begins no further case")
    add("--peak-tflops", type=float, help="bfloat16 peak of the device; by default that of its datasheet, if known")
    add("--gemm-size", action="append", type=int, help="of the matrices whose product is the measured peak; repeatable")
    return parser


def _case(text: str) -> Named:
    """Read "wide:4096:bfloat16"; float32 may be left out."""
    name, batch, precision = (*text.split(":"), "float32")[:3] if 2 <= text.count(":") + 1 <= 3 else ("", "", "")
    if not batch.isdigit() or int(batch) == 0:
        raise argparse.ArgumentTypeError(f"case must be network:batch[:precision], such as tiny:32, got {text!r}")
    return name, int(batch), precision


def _run(given: argparse.Namespace, report: Callable[[str], None]) -> None:
    for name, batch, precision in given.case or ():
        device_suites.device_case(name, batch, precision, given.device)  # refuses what is none before anything runs
    device = device_name(given.device)
    settings = {name: value for name, value in vars(given).items() if name != "out"}
    for suite in SUITES if given.suite == "all" else [given.suite]:
        results = _measure(suite, given, device, report)
        path = write_record(given.out, f"device-{suite}", settings, results, device)
        report("\n".join(_lines(suite, results)))
        report(f"written to {path.resolve()}")
    lacking = [name for name in ("matplotlib", "jinja2") if importlib.util.find_spec(name) is None]
    if lacking:
        report(f"left out: the page with pictures, for want of {', '.join(lacking)}")
    else:
        from fastann.bench.report import write_report

        report(f"written to {write_report(given.out).resolve()}")


def _measure(suite: str, given: argparse.Namespace, device: str | None, report: Callable[[str], None]) -> Any:
    cases = given.case or SUITES[suite]
    if suite == "latency":
        return device_suites.latency(given.device, cases, given.budget, report)
    timed = (given.device, cases, given.seconds, given.rounds, given.budget, given.rows, report)
    if suite == "peers":
        peak = given.peak_tflops or datasheet_tflops(device)
        sizes = tuple(given.gemm_size) if given.gemm_size else None
        return device_suites.peers(*timed, given.contender, peak, sizes)
    return device_suites.throughput(*timed) if suite == "throughput" else device_suites.unroll(*timed)


def _lines(suite: str, results: Any) -> list[str]:
    """Return what was measured as lines of text."""
    if suite == "peers":
        return _peers_lines(results)
    if suite == "throughput":
        return [
            f"{e['network']:>8} {e['batch_size']:>7,} {e['precision']:>13} {e['samples_per_second']:>14,.0f} samples/s "
            f"{e['steps_per_second']['median']:>11,.1f} steps/s {e['gflops'] / 1e3:>8.2f} TFLOP/s"
            for e in results
        ]
    if suite == "latency":
        return [
            f"{e['network']:>8} {e['rows']:>3} rows {PREDICTORS[e['predictor']][0]:<26} p50 {e['p50_us']:>9.1f} us "
            f"p99 {e['p99_us']:>9.1f} us"
            for e in results
        ]
    return [
        f"{e['network']:>8} {e['batch_size']:>7,} {e['precision']:>13} {e['unroll']:>3} steps a turn "
        f"{e['step_us']['median']:>9.1f} us a step"
        for e in results
    ]


def _peers_lines(results: dict[str, Any]) -> list[str]:
    lines = [f"peak of {precision} products: {rate:.1f} TFLOP/s" for precision, rate in results["peaks_tflops"].items()]
    for entry in results["entries"]:
        first = next(iter(entry["contenders"].values()), {"step_us": {"median": float("nan")}})["step_us"]["median"]
        lines.append(f"{entry['name']} at {entry['batch_size']:,}, {entry['precision']}")
        for name, found in entry["contenders"].items():
            step = found["step_us"]["median"]
            sheet = f" {found['mfu_of_datasheet']:.0%} of the datasheet" if "mfu_of_datasheet" in found else ""
            lines.append(
                f"  {DEVICE_CONTENDERS[name].title:<30} {step:>11,.1f} us {step / first:>7.2f}x "
                f"{found['tflops']:>8.2f} TFLOP/s {found['mfu']:>4.0%} of the measured peak{sheet}"
            )
    return lines


if __name__ == "__main__":
    sys.exit(main())
