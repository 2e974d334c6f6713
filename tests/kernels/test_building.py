"""Several processes compile at once; what one of them does not make is made in the end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastann_kernels.backend import available_backends

if "numba" not in available_backends():
    pytest.skip("numba is not installed", allow_module_level=True)

from fastann_kernels.numba_backend import building, units

from tests.kernels.test_machine_code import build, call, finished, forget, run  # noqa: F401

NAMES = [
    f"activation.{name}.{way}.float64" for name in ("relu", "tanh", "elu", "selu") for way in ("forward", "backward")
]

PROGRAM = """
from fastann_kernels.numba_backend import building, machine_code, units
from tests.kernels.test_building import NAMES
made, own = units.build, []
units.build = lambda name: own.append(name) or made(name)
found = building.addresses([*NAMES, "", NAMES[0]])
assert list(found) == NAMES and all(found.values())
assert sorted(path.name for path in machine_code.folder().iterdir()) == sorted(NAMES)
print(len(own))
"""


@pytest.mark.parametrize(("threads", "alone"), [("1", True), ("2", False)])
def test_processes_divide_the_work(tmp_path: Path, threads: str, alone: bool) -> None:
    # each of the two begins with one of the functions, and takes the next when that is made
    out, err = finished(run(PROGRAM, FASTANN_CACHE_DIR=str(tmp_path), FASTANN_THREADS=threads))
    assert err == "fastann: compiling kernels, first run only ...\n"
    assert int(out) == len(NAMES) if alone else 0 < int(out) < len(NAMES)


@pytest.fixture
def started(forget: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:  # noqa: F811
    """The workers that were started; functions are simple, and two threads are allowed."""
    found: list[subprocess.Popen[str]] = []
    start = building._helper

    def keep() -> subprocess.Popen[str]:
        found.append(start())
        return found[-1]

    monkeypatch.setattr(building, "_helper", keep)
    monkeypatch.setattr(units, "build", lambda name: build())
    monkeypatch.setenv("FASTANN_THREADS", "2")
    return found


@pytest.mark.parametrize("program", ["raise SystemExit", "import sys; sys.stdin.readline(); raise OSError"])
def test_a_worker_that_fails_is_done_without(
    started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(building, "_SERVE", program)
    found = building.addresses(["one", "two", "three"])
    assert [call(address) for address in found.values()] == [42] * 3
    assert [worker.poll() is not None for worker in started] == [True]


def test_workers_end_with_an_interruption(
    started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(building, "_SERVE", "import time; time.sleep(600)")
    monkeypatch.setattr(units, "build", interrupt)
    with pytest.raises(KeyboardInterrupt):
        building.addresses(["one", "two", "three"])
    assert [worker.poll() is not None for worker in started] == [True]


def no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTANN_CACHE_DIR", str(tmp_path / "file"))


def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)


def within_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/editor")


def one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTANN_THREADS", "1")


@pytest.mark.filterwarnings("ignore:the compiled kernels cannot be kept")
@pytest.mark.parametrize("change", [no_folder, frozen, within_another_program, one_thread])
def test_where_no_worker_could_help_none_is_started(
    started: list[subprocess.Popen[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    change(tmp_path, monkeypatch)
    assert [call(address) for address in building.addresses(["one", "two"]).values()] == [42, 42]
    assert started == []
