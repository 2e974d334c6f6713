"""How long a prediction of a few rows takes, call by call."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastann.bench.cases import Case, case_of, check_networks
from fastann.bench.contenders import CONTENDERS, missing
from fastann.bench.isolated import call_isolated

ROWS = (1, 8, 64)
_CALLS = 2_000

#: Who predicts: fastann on its backends, PyTorch, and ONNX Runtime on the same weights.
PREDICTORS = {
    "numba": ("fastann, Numba", ("numba",)),
    "jax": ("fastann, JAX", ("jax",)),
    "torch": ("PyTorch, inference_mode", ("torch",)),
    "onnxruntime": ("ONNX Runtime", ("onnxruntime", "onnx")),
}


def measure_latency(
    networks: Sequence[str] = ("tiny", "small", "pyramid"),
    rows: Sequence[int] = ROWS,
    rounds: int = 3,
    report: Callable[[str], None] = lambda what: None,
) -> list[dict[str, Any]]:
    """Return, for each network, number of rows and predictor, the quantiles of the time of a call in microseconds.

    Args:
        networks: of `fastann.bench.cases.NETWORKS`.
        rows: of a call.
        rounds: how often each predictor has its turn; quantiles are of all calls.
        report: told what comes next, and who is left out.
    """
    import importlib.util

    check_networks(networks)
    found: list[dict[str, Any]] = []
    for network in networks:
        report(network)
        times: dict[tuple[str, int], list[float]] = {}
        for round_number in range(rounds):
            for name, (title, needs) in PREDICTORS.items():
                lacking = [package for package in needs if importlib.util.find_spec(package) is None]
                if lacking:
                    if round_number == 0:
                        report(f"left out: {title}, for want of {', '.join(lacking)}")
                    continue
                taken = call_isolated("fastann.bench.latency:calls", network=network, name=name, rows=list(rows))
                for count, values in taken.items():
                    times.setdefault((name, count), []).extend(values)
        for (name, count), values in times.items():
            p50, p99 = np.percentile(values, (50, 99))
            found.append(
                {"network": network, "rows": count, "predictor": name, "calls": len(values), "p50_us": float(p50),
                 "p99_us": float(p99), "min_us": float(min(values))}
            )  # fmt: skip
    return found


def calls(network: str | Case, name: str, rows: Sequence[int]) -> dict[int, list[float]]:
    """Return the microseconds of many calls of one predictor, for each number of rows."""
    case = case_of(network, 64, 64) if isinstance(network, str) else network
    predict = {"numba": _ours, "jax": _ours, "torch": _torch, "onnxruntime": _onnx}[name](case, name)
    x = case.data()[0]
    found = {}
    for count in rows:
        part = np.ascontiguousarray(x[:count])
        for _ in range(_CALLS // 10):
            predict(part)
        taken = []
        for _ in range(_CALLS):
            began = time.perf_counter()
            predict(part)
            taken.append(1e6 * (time.perf_counter() - began))
        found[count] = taken
    return found


def _ours(case: Case, backend: str) -> Callable[[Any], Any]:
    from fastann.bench.throughput import build

    model = build(case, backend, case.precision)
    return lambda x: model.predict(x, verbose=0)


def _weights(case: Case) -> list[Any]:
    rng = np.random.default_rng(0)
    shapes = [shape for a, b in pairwise(case.widths) for shape in ((a, b), (b,))]
    return [(rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32) for shape in shapes]


def _torch(case: Case, name: str) -> Callable[[Any], Any]:
    import torch

    from fastann.bench.contenders.torch import Eager

    library: Any = torch
    library.set_num_threads(1)
    device = "cuda" if case.device == "gpu" else "cpu"
    library.set_float32_matmul_precision("high" if case.precision == "tensorfloat32" else "highest")
    network = Eager(case, _weights(case)).network.to(device)

    def predict(x: Any) -> Any:
        with library.inference_mode(), library.autocast(device, library.bfloat16, case.precision == "bfloat16"):
            return network(library.from_numpy(x).to(device)).float().cpu().numpy()

    return predict


def _onnx(case: Case, name: str) -> Callable[[Any], Any]:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    weights, nodes, stored = _weights(case), [], []
    value = "x"
    last = len(weights) // 2 - 1
    for k, (kernel, bias) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        stored += [numpy_helper.from_array(kernel, f"w{k}"), numpy_helper.from_array(bias, f"b{k}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{k}", f"b{k}"], [f"z{k}"]))
        kind = "Relu" if k < last else ("Sigmoid" if case.widths[-1] == 1 else "Softmax")
        nodes.append(helper.make_node(kind, [f"z{k}"], [f"a{k}"]))
        value = f"a{k}"
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, case.widths[0]])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, [None, case.widths[-1]])],
        stored,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]


def left_out() -> list[str]:
    """Return contenders that are not installed, by title."""
    return [entry.title for entry in CONTENDERS.values() if missing(entry)]
