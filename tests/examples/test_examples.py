"""Every program of the folder `examples` runs and reaches what it is there to show."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")

FOLDER = Path(__file__).parents[2] / "examples"
if not FOLDER.is_dir():
    pytest.skip("the examples are not part of the wheel", allow_module_level=True)

#: What the results of each program must be, by its name.
SHOWN: dict[str, Callable[[dict[str, float]], bool]] = {
    "breast_cancer": lambda r: r["accuracy"] > 0.92 and r["ROC area"] > 0.97,
    "convolution": lambda r: min(r.values()) > 0.85,
    "one_hidden_layer": lambda r: r["error"] < 0.25 and r["binary"] > 0.9 and r["multiclass"] > 0.9,
    "optimizers": lambda r: min(v for k, v in r.items() if k != "suggested rate") > 0.9 and r["suggested rate"] > 1e-3,
    "perceptron_and_xor": lambda r: r["AND"] == r["OR"] == r["network on XOR"] == 1 and r["XOR"] < 1,
    "regularization": lambda r: min(r.values()) > 0.93,
    "several_inputs_and_outputs": lambda r: r["accuracy"] > 0.95 and r["ink error"] < 0.1 and r["variance kept"] > 0.75,
    "single_neuron": lambda r: r["R2"] > 0.35 and r["accuracy"] > 0.93,
    "vanishing_gradients": lambda r: (
        r["sigmoid: accuracy"] < 0.15
        and r["residual: accuracy"] > 0.9
        and r["sigmoid: gradient of the first layer over that of the last"] < 1e-9
        and r["residual: gradient of the first layer over that of the last"] > 1e-2
    ),
}


def test_every_example_is_tested() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    results = module.main()
    assert SHOWN[name](results), results
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["perceptron_and_xor", "single_neuron", "one_hidden_layer", "several_inputs_and_outputs"]
)
def test_examples_on_jax(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    pytest.importorskip("jax")
    monkeypatch.setenv("FASTANN_BACKEND", "jax")
    test_examples(name, tmp_path, monkeypatch, capsys)
