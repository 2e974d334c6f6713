"""`fastann train`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fastann import load_model
from fastann.cli.app import app
from fastann.cli.train import units
from fastann.datasets import load, split
from fastann.models import Model

runner = CliRunner()

QUICK = ["--epochs", "3", "--verbose", "0", "--backend", "numba"]


def run(*arguments: str | Path, code: int = 0) -> Result:
    result = runner.invoke(app, ["train", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def score(result: Result, name: str) -> float:
    found = re.search(rf"{name} (-?[\d.]+)", result.stdout)
    assert found, result.stdout
    return float(found[1])


def test_classification_prints_a_table(backend: str) -> None:
    pytest.importorskip("sklearn")
    result = run("iris", "--epochs", "40", "--verbose", "0", "--backend", backend, "--learning-rate", "0.01")
    assert "iris, classification: 150 flowers" in result.stdout
    assert (
        "network 4-64-32-3 (2,499 weights), adam at learning rate 0.01; 108 rows to train, 12 to validate, 30 to test"
        in (result.stdout)
    )
    assert "40 epochs in " in result.stdout
    assert f" s on {backend}\n" in result.stdout
    assert score(result, "accuracy") > 0.8
    rows = [line.split() for line in result.stdout.splitlines()]
    for name in ("setosa", "versicolor", "virginica"):
        (row,) = [row for row in rows if row and row[0] == name]
        assert row[-1] == "10"
        assert all(0 <= float(cell) <= 1 for cell in row[1:4])


def test_the_backends_print_the_same() -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("jax")
    first, second = (
        run("wine", "--epochs", "4", "--dropout", "0.2", "--verbose", "0", "--backend", name)
        for name in ("numba", "jax")
    )
    assert first.stdout.split("Test on")[1] == second.stdout.split("Test on")[1]


def test_regression_in_the_units_of_the_target(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal([100, 0.001], [20, 0.0002], (300, 2))
    y = 5000 + 30 * x[:, 0] - 1e6 * x[:, 1]
    np.savez(tmp_path / "d.npz", x=x, y=y)
    save = tmp_path / "m.fastann"
    result = run(
        tmp_path / "d.npz", "--hidden", "", "--epochs", "200", "--verbose", "0", "--learning-rate", "0.05",
        "--save", save, "--backend", "numba",
    )  # fmt: skip
    assert score(result, "R2") > 0.999
    assert score(result, "MAE") < 0.05 * y.std()
    assert f"Saved to {save}" in result.stdout
    np.testing.assert_allclose(load_model(save).predict(x, verbose=0)[:, 0], y, atol=0.05 * y.std())


def test_the_saved_model_takes_raw_columns(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    result = run("breast_cancer", *QUICK, "--save", tmp_path / "m", "--seed", "4")
    _, test = split(load("breast_cancer"), 0.2, 4)
    outputs = load_model(tmp_path / "m").predict(test.x, verbose=0)
    accuracy = ((outputs[:, 0] > 0.5) == test.y).mean()
    assert accuracy == pytest.approx(score(result, "accuracy"), abs=0.01)
    assert accuracy > 0.85


def test_options_reach_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text("a,b,c\n" + "".join(f"{i},{i * i % 7},{'pq'[i % 2]}\n" for i in range(60)))
    seen = {}
    fit = Model.fit

    def spy(model: Model, x, y, **arguments):
        seen.update(arguments, model=model, rows=len(x))
        return fit(model, x, y, **arguments)

    monkeypatch.setattr(Model, "fit", spy)
    run(
        tmp_path / "t.csv", "--target", "c", "--hidden", "7", "--activation", "elu", "--epochs", "2", "--batch-size",
        "8", "--optimizer", "rmsprop", "--learning-rate", "0.02", "--precision", "float64", "--seed", "9", "--test",
        "0.5", "--validation", "0", "--dropout", "0.5", "--l2", "0.125", "--verbose", "0", "--backend", "numba",
    )  # fmt: skip
    model = seen["model"]
    assert (seen["epochs"], seen["batch_size"], seen["rows"], seen["validation_data"]) == (2, 8, 30, None)
    assert [layer.class_name for layer in model.layers] == ["Dense", "Dropout", "Dense"]
    assert model.layers[0].spec.activation.name == "elu"
    assert model.layers[0].spec.kernel_regularizer.l2 == 0.125
    assert model.optimizer.learning_rate == 0.02
    assert model.compile_spec.precision == "float64"
    assert model.seed == 9


def test_early_stopping(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.normal(size=(200, 5)), y=rng.integers(0, 2, 200))
    result = run(
        tmp_path / "d.npz", "--epochs", "500", "--early-stopping", "2", "--learning-rate", "0.05", "--verbose", "0",
        "--backend", "numba", "--validation", "0.2",
    )  # fmt: skip
    found = re.search(r"(\d+) epochs in", result.stdout)
    assert found
    assert int(found[1]) < 100


def test_images_in_two_parts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 4
    images = (rng.integers(0, 100, (80, 3, 3)) + 50 * (labels == 1)[:, None, None]).astype(np.uint8)
    for part, rows in (("train", slice(0, 60)), ("t10k", slice(60, 80))):
        for kind, array in (("images-idx3", images[rows]), ("labels-idx1", labels[rows].astype(np.uint8))):
            header = bytes((0, 0, 8, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            (tmp_path / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    result = run(tmp_path, *QUICK)
    assert "54 rows to train, 6 to validate, 20 to test" in result.stdout
    assert "Test on 20 rows" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hidden", "3,x"], "--hidden must be whole numbers such as '128,64', got '3,x'"),
        (["--hidden", "3,0"], "--hidden must be positive whole numbers"),
        (["--activation", "blub"], "activation"),
        (["--optimizer", "blub"], "optimizer"),
        (["--backend", "torch"], "backend must be one of"),
        (["--precision", "float8"], "precision must be one of"),
        (["--learning-rate", "-1"], "learning_rate"),
        (["--dropout", "1"], "rate must"),
        (["--l2", "-1"], "l2 must"),
        (["--test", "0"], "the fraction to test on must be between 0 and 1"),
        (["--validation", "1"], "must be between 0 and 1"),
        (["--early-stopping", "2", "--validation", "0"], "--early-stopping watches the validation loss"),
        (["--save", "/no/such/folder/m"], "--save: the folder '/no/such/folder' does not exist"),
        (["--target", "3"], "target is for tables"),
        (["--task", "clustering"], "task must be"),
        (["--seed", str(2**64)], "seed must"),
        (["--learning-rate", "1e30", "--epochs", "2"], "the loss must stay finite"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40) % 2)
    result = run(tmp_path / "d.npz", "--verbose", "0", *arguments, code=2)
    assert result.stderr.startswith("fastann: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_hidden_layers_from_text() -> None:
    assert [units(text) for text in ("128,64", "5", " 7 , 8 ", "")] == [(128, 64), (5,), (7, 8), ()]
    for text in (",", "3,", "a", "1.5"):
        with pytest.raises(ValueError, match="--hidden"):
            units(text)


def test_an_interrupted_training_is_tested_and_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40) % 2)
    fit = Model.fit

    def interrupted(model: Model, x, y, **arguments):
        fit(model, x, y, **{**arguments, "epochs": 2})
        raise KeyboardInterrupt

    monkeypatch.setattr(Model, "fit", interrupted)
    result = run(tmp_path / "d.npz", "--backend", "numba", "--save", tmp_path / "m", "--verbose", "0", code=130)
    assert "2 epochs in" in result.stdout
    assert "interrupted" in result.stdout
    assert "Test on 8 rows" in result.stdout
    assert load_model(tmp_path / "m").count_params() > 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_in_a_real_process(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(size=(400, 3)), y=np.arange(400) % 2)
    command = [
        sys.executable, "-m", "fastann", "train", "d.npz", "--epochs", "100000000", "--backend", "numba", "--save", "m",
        "--verbose", "2",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("Epoch 3/"):
                break
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert "interrupted" in rest
    assert "Saved to m" in rest
    assert load_model(tmp_path / "m").count_params() > 0
