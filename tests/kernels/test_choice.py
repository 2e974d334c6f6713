"""What backend="auto" means, with libraries and figures made up."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fastann_kernels
import pytest
from fastann_kernels import backend, machine
from fastann_kernels.backend import WORTH_COMPILING, Choice, choose_backend, predict_step
from fastann_kernels.calibration import save_costs
from fastann_kernels.cost import SHIPPED, Work
from fastann_kernels.machine import gpu_in_reach
from fastann_kernels.program import Loss, Program

from tests.programs import Chain


@pytest.fixture
def program() -> Program:
    chain = Chain(30)
    chain.dense(16, "relu")
    chain.dense(1, "sigmoid")
    return chain.program()


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "available_backends", lambda: ("numba", "jax"))
    monkeypatch.setattr("fastann_kernels.calibration.gpu_in_reach", lambda environ: "gpu" in environ)
    monkeypatch.setattr(backend, "gpu_in_reach", lambda environ: "gpu" in environ)


def calibrated(folder: Path, jax: float) -> dict[str, str]:
    """Return the environment of a calibration in which a step takes 1 s on Numba and `jax` seconds on JAX."""
    environ = {"FASTANN_CACHE_DIR": str(folder)}
    save_costs({"numba": Work(steps=1.0), "jax-cpu": Work(steps=jax)}, environ)
    return environ


@pytest.mark.parametrize(
    ("jax", "name", "reason"),
    [
        (2.0, "numba", "predicted to be faster"),
        (0.99, "numba", "does not make up for compiling"),
        (1.01 * WORTH_COMPILING, "numba", "does not make up for compiling"),
        (0.99 * WORTH_COMPILING, "jax", "predicted to be faster"),
        (0.01, "jax", "predicted to be faster"),
    ],
)
def test_the_faster_one_is_taken(jax: float, name: str, reason: str, program: Program, tmp_path: Path) -> None:
    environ = calibrated(tmp_path, jax)
    choice = choose_backend(program, environ)
    assert choice.name == name
    assert reason in str(choice)
    assert "batch size 32" in str(choice)
    assert f"jax-cpu {1e6 * jax:,.1f} us" in str(choice)
    assert choose_backend(program, environ) == choice, "the same answer every time"


def test_predictions_say_where_they_come_from(program: Program, tmp_path: Path) -> None:
    shipped = predict_step("numba", program, 64, environ={})
    assert (shipped.backend, shipped.device, shipped.batch_size, shipped.source) == ("numba", "numba", 64, "shipped")
    assert 0 < shipped.seconds < predict_step("numba", program, 640, environ={}).seconds
    assert predict_step("jax", program, 64, environ={"gpu": ""}).device == "jax-gpu"
    own = predict_step("jax", program, 64, environ=calibrated(tmp_path, 0.5))
    assert own.device == "jax-cpu"
    assert own.seconds == 0.5
    assert own.source.startswith("calibrated on")


def test_small_networks_stay_on_the_processor_beside_a_gpu(program: Program) -> None:
    assert choose_backend(program, {"gpu": ""}).name == "numba"
    chain = Chain(784)
    for units in (4096, 4096, 10):
        chain.dense(units, "relu")
    assert choose_backend(chain.program(), {"gpu": ""}).name == "jax"
    assert choose_backend(None, {"gpu": ""}).name == "jax"
    assert choose_backend(None, {}).name == "numba"


def test_one_backend_leaves_no_choice(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environ = calibrated(tmp_path, 0.01)
    monkeypatch.setattr(backend, "available_backends", lambda: ("numba",))
    assert choose_backend(program, environ).name == "numba"
    assert "JAX is not installed" in str(choose_backend(program, environ))
    monkeypatch.setattr(backend, "available_backends", lambda: ("jax",))
    assert choose_backend(program, environ) == Choice("jax", ("numba is not installed",))


def test_wishes_and_losses_come_before_predictions(program: Program, tmp_path: Path) -> None:
    environ = calibrated(tmp_path, 0.01)
    assert choose_backend(program, {**environ, "FASTANN_BACKEND": "Numba"}).name == "numba"
    with pytest.raises(ValueError, match="FASTANN_BACKEND must be 'auto' or one of 'numba', 'jax', got 'torch'"):
        choose_backend(program, {"FASTANN_BACKEND": "torch"})
    own = replace(program, losses=(Loss("callable", 2, function=lambda y, p: p),))
    assert choose_backend(own, calibrated(tmp_path, 100.0)).name == "jax"


def test_choosing_imports_neither_library() -> None:
    """In a new interpreter, with a real program and both libraries in reach."""
    script = (
        f"import sys; sys.path[:0] = {[str(Path(fastann_kernels.__file__).parents[1])]!r}\n"
        "from fastann_kernels.backend import choose_backend\n"
        "from fastann_kernels.program import Instruction, Parameter, Program, Value\n"
        "dense = Instruction('dense', (0,), 1, (0,), (('use_bias', False),))\n"
        "values = (Value((3,)), Value((2,)))\n"
        "choose_backend(Program(values, (0,), (1,), (dense,), (Parameter('w', (3, 2), 0),)))\n"
        "print(*({'numba', 'llvmlite', 'jax', 'jaxlib', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_gpu_counts_only_where_jax_would_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda name: object() if name == "jax_cuda13_plugin" else None)
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidia0")
    assert gpu_in_reach({})
    assert gpu_in_reach({"JAX_PLATFORMS": "cuda,cpu", "CUDA_VISIBLE_DEVICES": "0"})
    assert not gpu_in_reach({"JAX_PLATFORMS": "cpu"})
    assert not gpu_in_reach({"CUDA_VISIBLE_DEVICES": ""})
    assert not gpu_in_reach({"CUDA_VISIBLE_DEVICES": "-1"})
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert not gpu_in_reach({})


def test_every_device_has_shipped_figures() -> None:
    assert set(SHIPPED) == {"numba", "jax-cpu", "jax-gpu"}
