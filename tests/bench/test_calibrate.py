"""Calibration: figures found again in made-up timings, real steps of a small case, the command."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from fastann_kernels.calibration import costs
from fastann_kernels.cost import KINDS, SHIPPED, Work, work_of
from fastann_kernels.program import UpdateRule
from typer.testing import CliRunner

from fastann.bench import calibrate
from fastann.bench.calibrate import Timed, fit_units, time_cases
from fastann.bench.cases import Case
from fastann.cli.app import app
from tests.programs import Chain

#: Unlike any of the shipped ones, by factors that differ.
TRUE = Work(*(shipped * factor for shipped, factor in zip(SHIPPED["numba"].amounts(), range(1, 10), strict=True)))


def works() -> list[Work]:
    """Return the work of dense networks and of convolutions, wide and narrow, at several batch sizes."""
    found = []
    for width, depth, batch in product((8, 64, 512), (1, 4), (1, 32, 1024)):
        chain = Chain(width)
        for _ in range(depth):
            chain.dense(width, "relu")
        found.append(work_of(chain.program(update=UpdateRule("adam", (0.0, 0.0))), batch, threads=2))
    for filters, batch in product((4, 32), (1, 32)):
        chain = Chain(16, 16, 3)
        chain.emit("conv2d", 0, (14, 14, filters), (chain.parameter("kernel", (3, 3, 3, filters)),))
        found.append(work_of(chain.program(update=UpdateRule("adam", (0.0, 0.0))), batch, threads=2))
    return found


def test_known_figures_are_found_again() -> None:
    timed = [Timed("", work, work.seconds(TRUE)) for work in works()]
    found = fit_units(timed, SHIPPED["numba"], prior=0.0)
    np.testing.assert_allclose(found.amounts(), TRUE.amounts(), rtol=1e-6)


def test_noise_and_the_shipped_figures_leave_predictions_near() -> None:
    rng = np.random.default_rng(0)
    timed = [Timed("", work, work.seconds(TRUE) * rng.uniform(0.95, 1.05)) for work in works()]
    found = fit_units(timed, SHIPPED["numba"])
    ratios = [entry.work.seconds(found) / entry.seconds for entry in timed]
    assert all(0.8 < ratio < 1.25 for ratio in ratios)
    assert all(amount >= 0 for amount in found.amounts())


def test_figures_are_never_negative() -> None:
    """Times that a free least squares explains with negative overheads."""
    timed = [Timed("", work, work.seconds(TRUE) ** 1.3) for work in works()]
    found = fit_units(timed, SHIPPED["numba"])
    assert all(amount >= 0 for amount in found.amounts())


def test_what_was_not_timed_stays_as_shipped() -> None:
    timed = [Timed("", replace(work, convolution_flops=0.0), 1e-3) for work in works()]
    found = fit_units(timed, SHIPPED["jax-cpu"])
    assert found.convolution_flops == pytest.approx(SHIPPED["jax-cpu"].convolution_flops)


def test_the_cases_have_every_kind_of_work() -> None:
    names = [case.name for case in calibrate.CASES]
    assert len(set(names)) == len(names) > len(KINDS)
    assert any("conv" in name for name in names)


def test_real_steps_are_timed(backend: str) -> None:
    entries = time_cases(backend, [Case((30, 16, 8, 1), 32, 320)])
    assert [entry["name"] for entry in entries] == ["30-16-8-1 at 32"]
    assert entries[0]["seconds"] > 0
    assert Work.from_dict(entries[0]["work"]).instructions == 3


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTANN_CACHE_DIR", str(tmp_path))
    timed = [Timed("made up", work, work.seconds(TRUE)) for work in works()]
    monkeypatch.setattr(calibrate, "calibrate", lambda report: {"numba": (TRUE, timed)})
    result = CliRunner().invoke(app, ["bench", "calibrate"])
    assert result.exit_code == 0, result.output
    assert "made up" in result.output
    assert str(tmp_path / "calibration.json") in result.output.replace("\n", "")
    assert costs().units["numba"] == TRUE
    monkeypatch.setenv("FASTANN_CACHE_DIR", str(tmp_path / "calibration.json"))
    result = CliRunner().invoke(app, ["bench", "calibrate"])
    assert result.exit_code == 2
    assert "set FASTANN_CACHE_DIR" in result.output
