"""`fastann info`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fastann_kernels import backend as backends
from typer.testing import CliRunner

import fastann
from fastann.cli import info
from fastann.cli.app import app

runner = CliRunner()


def test_json_has_every_section() -> None:
    result = runner.invoke(app, ["info", "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert list(facts) == ["fastann", "machine", "backends", "BLAS and thread pools", "packages"]
    assert facts["fastann"]["version"] == fastann.__version__
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["machine"]["cpu"]
    for name in backends.available_backends():
        assert facts["backends"][name][name]
    assert facts["backends"]["auto"].startswith("backend '")
    assert any("threads" in pool for pool in facts["BLAS and thread pools"].values())


def test_tables_show_the_same() -> None:
    result = runner.invoke(app, ["info"])
    assert result.exit_code == 0, result.output
    for word in ("fastann", "machine", "backends", "BLAS", "packages", np.__version__, "numba: cache"):
        assert word in result.stdout


def test_a_backend_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "available_backends", lambda: ("numba",))
    assert info.collect()["backends"]["jax"] == "not installed: pip install 'fastann[jax]'"


def test_a_backend_that_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> object:
        raise RuntimeError("no such\nsymbol")

    monkeypatch.setattr(backends, "get_backend", broken)
    assert info.collect()["backends"]["numba"] == "does not work: RuntimeError: no such symbol"


def test_a_wish_that_cannot_be_met_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTANN_BACKEND", "torch")
    assert info.collect()["backends"]["auto"].startswith("FASTANN_BACKEND must be")
