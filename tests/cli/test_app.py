"""What all commands share: help, version, one-line errors, nothing heavy at the start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fastann
from fastann.cli.app import app
from fastann.cli.console import one_line, one_line_errors, show_tracebacks

runner = CliRunner()


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=120)


def test_help_names_the_commands() -> None:
    result = runner.invoke(app, ["--help"])
    assert result.exit_code == 0
    for name in ("demo", "train", "info"):
        assert name in result.output


def test_version() -> None:
    result = runner.invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"fastann {fastann.__version__}\n"


def test_as_a_module() -> None:
    result = run_python("-m", "fastann", "--version")
    assert (result.returncode, result.stdout) == (0, f"fastann {fastann.__version__}\n")


def test_the_entry_point_loads_nothing_heavy() -> None:
    script = (
        "import sys; from fastann.cli import main; import fastann.cli.app; "
        "heavy = {'numba', 'jax', 'sklearn', 'matplotlib', 'pandas'} & set(sys.modules); assert not heavy, heavy"
    )
    result = run_python("-c", script)
    assert result.returncode == 0, result.stderr
    script = "import sys; import fastann.cli; assert 'typer' not in sys.modules"
    assert run_python("-c", script).returncode == 0


def test_an_error_is_one_line_and_code_2() -> None:
    result = runner.invoke(app, ["train", "no-such-thing"])
    assert result.exit_code == 2
    assert result.stderr.startswith("fastann: there is no file 'no-such-thing'")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_traceback_on_request() -> None:
    result = runner.invoke(app, ["--traceback", "train", "no-such-thing"])
    assert isinstance(result.exception, FileNotFoundError)
    show_tracebacks.set(False)


def test_wrong_options_are_code_2() -> None:
    for arguments in (["train"], ["train", "iris", "--epochs", "many"], ["nothing"], ["demo", "--epochs", "1"]):
        assert runner.invoke(app, arguments).exit_code == 2


def test_defects_keep_their_traceback() -> None:
    @one_line_errors
    def broken() -> None:
        raise AssertionError("a defect")

    with pytest.raises(AssertionError, match="a defect"):
        broken()


def test_one_line_of_a_long_message() -> None:
    assert one_line(ValueError("first\n  second")) == "first second"
    assert one_line(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_module_file_is_a_command(tmp_path: Path) -> None:
    result = run_python("-m", "fastann", "train", str(tmp_path))
    assert result.returncode == 2
    assert "expected the idx files" in result.stderr
    assert "Traceback" not in result.stderr
