"""`fastann demo`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from fastann_kernels.backend import available_backends
from typer.testing import CliRunner

from fastann.cli import demo
from fastann.cli.app import app

pytest.importorskip("sklearn")

runner = CliRunner()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the runs few and short."""
    monkeypatch.setattr(demo, "NETWORKS", {"iris": (6,), "diabetes": (4,)})
    monkeypatch.setattr(demo, "BATCH_SIZES", (16, 64))


def test_table_and_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "new" / "folder"
    result = runner.invoke(app, ["demo", "--epochs", "3", "--out", str(out)])
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    rows = [line for line in lines if line and line[0] in ("iris", "diabetes")]
    expected = [(d, b, s) for d in ("iris", "diabetes") for b in available_backends() for s in ("16", "64")]
    assert [tuple(row[:3]) for row in rows] == expected
    for name, _, batch, rate, samples, steps, loss, metric, score in rows:
        assert float(rate) == pytest.approx(1e-3 * int(batch) / 32)
        per_second, updates = float(samples.replace(",", "")), float(steps.replace(",", ""))
        assert per_second > updates > 0
        assert 0 < float(loss) < 3
        assert metric == ("accuracy" if name == "iris" else "R2")
        assert -3 < float(score) <= 1
    for header in ("samples/s", "steps/s", "final loss", "test score", "learning rate"):
        assert header in result.stdout
    for name in ("loss_curves.png", "throughput.png"):
        assert str((out / name).resolve()) in result.stdout
        assert (out / name).stat().st_size > 10_000


def test_the_backends_agree() -> None:
    if len(available_backends()) < 2:
        pytest.skip("one backend only")
    from fastann.datasets import load

    data = load("iris")
    first, second = (demo.train_once(data, backend, 32, 3) for backend in available_backends())
    assert first.losses == pytest.approx(second.losses, rel=1e-4)
    assert len(first.losses) == 3
    assert first.score == second.score


def test_linear_rule() -> None:
    assert [demo.scaled_learning_rate(batch) for batch in (32, 64, 256)] == pytest.approx([1e-3, 2e-3, 8e-3])


def test_without_matplotlib_there_is_still_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find_spec(name))
    monkeypatch.setattr(demo, "NETWORKS", {"iris": ()})
    monkeypatch.setattr(demo, "BATCH_SIZES", (64,))
    result = runner.invoke(app, ["demo", "--epochs", "2", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "No plots: they need matplotlib, pip install 'fastann[plots]'." in result.stdout
    assert not (tmp_path / "out").exists()


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else find_spec(name))
    result = runner.invoke(app, ["demo"])
    assert result.exit_code == 2
    assert "pip install 'fastann[sklearn]'" in result.stderr


def test_a_folder_that_cannot_be_made_is_told_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = runner.invoke(app, ["demo", "--out", str(tmp_path / "file")])
    assert result.exit_code == 2
    assert "--out" in result.stderr
    assert result.stdout == ""
