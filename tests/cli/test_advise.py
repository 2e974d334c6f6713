"""`fastann scale advise`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fastann.cli.app import app

RUNNER = CliRunner()


@pytest.fixture
def table(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 3))
    rows = ["a,b,c,goal", *(f"{a:.4f},{b:.4f},{c:.4f},{a - b:.4f}" for a, b, c in x)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def test_a_table_and_a_paragraph(table: str) -> None:
    found = RUNNER.invoke(app, ["scale", "advise", table, "--target", "goal", "--hidden", "8"])
    assert found.exit_code == 0, found.output
    assert "The probe, the best first" in found.output
    assert "evidence: " in " ".join(found.output.split())
    assert "Try: fastann train" in found.output


def test_json(table: str) -> None:
    arguments = ["scale", "advise", table, "--hidden", "8", "--backend", "numba", "--target", "goal", "--json"]
    found = RUNNER.invoke(app, [*arguments, "--loss", "0.5"])
    assert found.exit_code == 0, found.output
    read = json.loads(found.output)
    assert read["batch_range"] == [read["batch_size"] // 2, 2 * read["batch_size"]]
    assert read["target"] == 0.5
    assert len(read["evidence"]) >= 3


def test_errors_are_one_line(table: str) -> None:
    found = RUNNER.invoke(app, ["scale", "advise", table, "--target", "goal", "--seconds", "0"])
    assert found.exit_code == 2
    assert "fastann: seconds must lie in (0, inf), got 0." in found.output
