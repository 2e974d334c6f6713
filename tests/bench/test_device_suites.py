"""The suites for a GPU, run on the CPU with small sizes: the same code, the same peers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fastann.bench import devices, gpu
from fastann.bench.cases import Case
from fastann.bench.contenders import AGREEMENT, DEVICE_CONTENDERS
from fastann.bench.device_suites import DEVICE_NETWORKS, device_case, unrolled, within
from fastann.cli.app import app

jax = pytest.importorskip("jax")

#: What a machine with a GPU need not have.
NOT_NEEDED = (
    "typer", "rich", "jinja2", "optax", "matplotlib", "numba", "llvmlite", "scipy", "sklearn", "narwhals",
    "safetensors", "threadpoolctl", "torch", "pandas",
)  # fmt: skip


def test_cases_have_whole_batches_and_enough_of_them() -> None:
    for name, widths in DEVICE_NETWORKS.items():
        case = device_case(name, 8192, "bfloat16", "gpu")
        assert case.widths == widths
        assert case.rows % 8192 == 0
        assert case.steps >= 4
    assert device_case("tiny", 32, "float32", "cpu").rows == 60_000
    assert device_case("tiny", 32, "float32", "cpu", rows=100).rows == 96
    with pytest.raises(ValueError, match=r"network must be one of tiny, .*large, got 'huge'"):
        device_case("huge", 1, "float32", "cpu")
    with pytest.raises(ValueError, match="precision must be one of float32, tensorfloat32, bfloat16, got 'float64'"):
        device_case("tiny", 1, "float64", "cpu")


def test_a_budget_leaves_cases_out_by_name() -> None:
    said: list[str] = []
    cases = [("tiny", 32, "float32"), ("wide", 64, "bfloat16")]
    assert list(within(100.0, cases, said.append)) == cases
    assert list(within(-1.0, cases, said.append)) == []
    assert said[2:] == [
        "left out: tiny at 32, float32, for want of time",
        "left out: wide at 64, bfloat16, for want of time",
    ]


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu,cuda")
    before = dict(os.environ)
    with devices.on_device("cpu"):
        assert os.environ["JAX_PLATFORMS"] == "cpu"
    with devices.on_device("gpu"):
        assert os.environ["JAX_PLATFORMS"] == "cpu,cuda"
        assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert dict(os.environ) == before
    with pytest.raises(ValueError, match="device must be one of 'cpu', 'gpu', got 'tpu'"), devices.on_device("tpu"):
        pass


@pytest.mark.parametrize(
    ("name", "rate"),
    [("NVIDIA H200", 989.0), ("NVIDIA H100 PCIe", 756.0), ("NVIDIA H100 80GB HBM3", 989.0), ("Radeon", None)],
)
def test_datasheets(name: str, rate: float | None) -> None:
    assert devices.datasheet_tflops(name) == rate


def contenders(case: Case, names: list[str]) -> dict[str, Any]:
    """Return contenders in this process, with the same weights."""
    import importlib

    found: dict[str, Any] = {}
    weights = None
    for name in names:
        entry = DEVICE_CONTENDERS[name]
        module = importlib.import_module(f"fastann.bench.contenders.{entry.module}")
        found[name] = getattr(module, str(entry.dense))(case, weights)
        weights = found[names[0]].weights()
    return found


@pytest.mark.parametrize("widths", [(6, 8, 1), (6, 16, 8, 3)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_peers_train_alike(widths: tuple[int, ...], precision: str) -> None:
    names = ["jax-device", "by-hand"]
    try:
        import torch  # noqa: F401

        names.append("torch-device")
    except ImportError:
        pass
    case = Case(widths, 16, 160, "cpu", precision)
    found = contenders(case, names)
    orders = found["jax-device"].orders(3)
    losses = {name: [contender.epoch(order) for order in orders] for name, contender in found.items()}
    for name in names[1:]:
        np.testing.assert_allclose(losses[name], losses["jax-device"], rtol=max(1e-4, AGREEMENT[precision]))
    for contender in found.values():
        contender.epochs(1)
        assert contender.about


def test_cuda_graphs_are_left_out_on_a_cpu() -> None:
    pytest.importorskip("torch")
    from fastann.bench.contenders.torch_device import Graphed, OnDevice

    with pytest.raises(RuntimeError, match="CUDA graphs are for GPUs"):
        Graphed(Case((2, 1), 4, 8), [])
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="no CUDA"):
            OnDevice(Case((2, 1), 4, 8, "gpu"), [])


def test_turns_are_measured_and_change_nothing() -> None:
    entries = unrolled("tiny", Case((3, 4, 1), 8, 64), [1, 4], 0.0, 2)
    assert [(e["unroll"], e["step_us"]["n"]) for e in entries] == [(1, 2), (4, 2)]


def test_peaks_are_those_of_products() -> None:
    from fastann.bench.contenders.products import best_products

    found = best_products([64], ["float32", "bfloat16"])
    assert set(found) == {"float32", "bfloat16"}
    assert all(0 < rate < 10 for rate in found.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["peers", "--case", "tiny"], "case must be network:batch[:precision], such as tiny:32, got 'tiny'"),
        (["peers", "--case", "tiny:0"], "case must be network:batch"),
        (["peers", "--case", "huge:32"], "network must be one of"),
        (["throughput", "--case", "tiny:32:float16"], "precision must be one of"),
        (["peers", "--contender", "caffe"], "caffe"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = gpu.main([*arguments, "--device", "cpu", "--out", str(tmp_path)])
    except SystemExit as ended:  # argparse ends the process itself
        status = int(ended.code or 0)
    assert status == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_everything_runs_from_a_checkout_without_the_rest(tmp_path: Path) -> None:
    """Every suite in processes that can import none of what a machine with a GPU need not have."""
    blocked = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in NOT_NEEDED)
    (tmp_path / "sitecustomize.py").write_text(blocked)
    root = Path(gpu.__file__).parents[2]
    places = [str(tmp_path), str(root), str(root / "kernels")]
    result = subprocess.run(
        [sys.executable, "-m", "fastann.bench.gpu", "all", "--device", "cpu", "--out", str(tmp_path / "out"),
         "--case", "tiny:32:bfloat16", "--rows", "128", "--seconds", "0", "--rounds", "2", "--gemm-size", "64"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    for text in ("left out: PyTorch, eager, fused Adam, for want of torch", "left out: torch, which is not installed",
                 "left out: the page with pictures, for want of matplotlib, jinja2"):  # fmt: skip
        assert text in result.stdout
    records = {p.name.split("-")[1]: json.loads(p.read_text()) for p in (tmp_path / "out").glob("device-*.json")}
    assert set(records) == {"peers", "throughput", "latency", "unroll"}
    peers = records["peers"]["results"]
    assert list(peers["entries"][0]["contenders"]) == ["jax-device", "by-hand"]
    by_hand = peers["entries"][0]["contenders"]["by-hand"]
    assert by_hand["relative_differences"][0] < AGREEMENT["bfloat16"]
    assert by_hand["mfu"] == pytest.approx(by_hand["tflops"] / peers["peaks_tflops"]["bfloat16"])
    assert [e["unroll"] for e in records["unroll"]["results"]] == [1, 2, 4, 8, 16]


@pytest.mark.slow
def test_the_command_reaches_the_same_suites(tmp_path: Path) -> None:
    arguments = ["bench", "throughput", "--device", "cpu", "--network", "tiny", "--batch", "1024", "--seconds", "0"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    record = json.loads(next(tmp_path.glob("device-throughput-*.json")).read_text())
    assert [(e["network"], e["batch_size"]) for e in record["results"]] == [("tiny", 1024)]
    assert "device-throughput" in result.output
