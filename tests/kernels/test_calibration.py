"""Calibrations on disk: kept, found again, and left alone where they do not hold."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastann_kernels import calibration
from fastann_kernels.calibration import FILE, costs, device_of, identity, save_costs, threads_of
from fastann_kernels.cost import SHIPPED, Work
from fastann_kernels.machine import cache_folder, usable_cores

MEASURED = replace(SHIPPED["numba"], steps=0.1, flops=1e-12)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"FASTANN_CACHE_DIR": str(tmp_path / "cache")}


def test_without_a_calibration_the_shipped_figures_hold(environ: dict[str, str]) -> None:
    known = costs(environ)
    assert known.units == SHIPPED
    assert known.remark == ""
    assert known.source("numba") == "shipped"
    assert known.source("jax-gpu") == "shipped, not measured"
    assert costs({"FASTANN_CACHE_DIR": os.devnull}) == known


def test_a_calibration_is_found_again(environ: dict[str, str]) -> None:
    path = save_costs({"numba": MEASURED}, environ)
    known = costs(environ)
    assert path == Path(environ["FASTANN_CACHE_DIR"]) / FILE
    assert known.units == {**SHIPPED, "numba": MEASURED}
    assert known.source("numba").startswith("calibrated on 2")
    assert known.source("jax-cpu") == "shipped"
    assert [file.name for file in path.parent.iterdir()] == [FILE], "nothing is left beside it"
    save_costs({"jax-cpu": MEASURED}, environ)
    assert costs(environ).units == {**SHIPPED, "jax-cpu": MEASURED}


def _with(document: dict[str, Any], **changes: Any) -> str:
    return json.dumps({**document, **changes})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: "{",
        lambda d: "[" * 100_000,
        lambda d: "[1]",
        lambda d: "null",
        lambda d: "{}",
        lambda d: _with(d, format=2),
        lambda d: _with(d, units=[]),
        lambda d: _with(d, units={"abacus": d["units"]["numba"]}),
        lambda d: _with(d, units={"numba": {**d["units"]["numba"], "flops": -1.0}}),
        lambda d: _with(d, units={"numba": {**d["units"]["numba"], "flops": float("nan")}}),
        lambda d: _with(d, units={"numba": {"steps": 1.0}}),
        lambda d: _with(d, units={"numba": 3}),
    ],
)
def test_a_broken_file_is_left_out_with_the_reason(spoil: Any, environ: dict[str, str]) -> None:
    path = save_costs({"numba": MEASURED}, environ)
    path.write_text(spoil(json.loads(path.read_text())))
    known = costs(environ)
    assert known.units == SHIPPED
    assert str(path) in known.remark
    assert "is broken" in known.remark
    assert "fastann bench calibrate" in known.remark


def test_a_file_that_is_no_text(environ: dict[str, str]) -> None:
    save_costs({"numba": MEASURED}, environ).write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in costs(environ).remark


def test_another_machine_or_version_is_left_out_with_the_reason(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_costs({"numba": MEASURED}, environ)
    document = json.loads(path.read_text())
    for made_for in ({**document["identity"], "numba": "0.1"}, {}, None):
        path.write_text(_with(document, identity=made_for))
        assert costs(environ).units == SHIPPED
        assert "run fastann bench calibrate again" in costs(environ).remark
    path.write_text(_with(document, identity={**document["identity"], "numba": "0.1"}))
    assert "was made with numba '0.1', here it is" in costs(environ).remark
    path.write_text(json.dumps(document))
    assert costs(environ).remark == ""
    assert "threads" in costs({**environ, "FASTANN_THREADS": str(usable_cores() + 1)}).remark
    assert "blas" in costs({**environ, "FASTANN_BLAS": "mkl"}).remark
    monkeypatch.setattr(calibration, "cpu_name", lambda: "abacus")
    assert "here it is 'abacus'" in costs(environ).remark


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="set FASTANN_CACHE_DIR to a folder that may be written"):
        save_costs({"numba": MEASURED}, {"FASTANN_CACHE_DIR": str(tmp_path / "file")})


def test_what_runs_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "gpu_in_reach", lambda environ: "gpu" in environ)
    assert [device_of(name, {}) for name in ("numba", "jax")] == ["numba", "jax-cpu"]
    assert [device_of(name, {"gpu": ""}) for name in ("numba", "jax")] == ["numba", "jax-gpu"]
    assert threads_of("numba", {"FASTANN_THREADS": "7"}) == 7
    assert threads_of("numba", {"FASTANN_THREADS": "many"}) == usable_cores()
    assert threads_of("jax-cpu", {"FASTANN_THREADS": "7"}) == usable_cores()
    assert threads_of("jax-gpu", {}) == 1
    assert identity({"FASTANN_THREADS": "7"})["threads"] == 7


def test_the_folder_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder({"FASTANN_CACHE_DIR": "/a"}) == Path("/a")
    assert cache_folder({"FASTANN_CACHE_DIR": "~/a"}) == Path("~/a").expanduser()
    assert cache_folder({}).name in ("fastann", "Cache")
    if os.name == "posix":
        assert tmp_path in cache_folder({}).parents


def test_numbers_are_kept_as_they_are(environ: dict[str, str]) -> None:
    unit = Work(*(1 / 3**k for k in range(1, 10)))
    save_costs({"jax-gpu": unit}, environ)
    assert costs(environ).units["jax-gpu"] == unit
    assert costs(environ).source("jax-gpu").startswith("calibrated")
