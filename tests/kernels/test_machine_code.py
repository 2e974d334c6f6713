"""Machine code is kept on disk and loaded without Numba; what is on disk is never trusted further than its seal."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastann_kernels.backend import available_backends

if "numba" not in available_backends():
    pytest.skip("numba is not installed", allow_module_level=True)

from fastann_kernels.numba_backend import machine_code
from fastann_kernels.numba_backend.compiling import compiled, lean, types
from fastann_kernels.numba_backend.machine_code import Code

from fastann import Sequential
from fastann.layers import BatchNormalization, Conv2D, Dense, Flatten, Input

NAME = "add_seven"


def build() -> Code:
    """Compile a function that adds 7."""

    @lean
    def add_seven(x):  # type: ignore[no-untyped-def]
        return x + 7

    return compiled(add_seven, (types.int64,))


def never() -> Code:
    raise AssertionError("it was compiled once more")


def call(address: int) -> int:
    """Return what the function at an address makes of 35."""
    result, error = ctypes.c_int64(), ctypes.c_void_p()
    kind = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    assert kind(address)(ctypes.addressof(result), ctypes.addressof(error), 35) == 0
    return result.value


@pytest.fixture
def forget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """An empty folder for machine code, and what makes the process forget what it has loaded."""
    monkeypatch.setenv("FASTANN_CACHE_DIR", str(tmp_path))

    def forget() -> None:
        monkeypatch.setattr(machine_code, "_addresses", {})
        machine_code.announce.cache_clear()
        machine_code._warn.cache_clear()

    forget()
    return forget


def test_code_is_compiled_once(forget: Callable[[], None], capfd: pytest.CaptureFixture[str]) -> None:
    address = machine_code.address(NAME, build)
    assert call(address) == 42
    assert capfd.readouterr().err == "fastann: compiling kernels, first run only ...\n"
    assert machine_code.address(NAME, never) == address
    forget()
    assert call(machine_code.address(NAME, never)) == 42
    assert capfd.readouterr().err == ""
    assert [path.name for path in machine_code.folder().iterdir()] == [NAME]


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_byte_changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_another_function(path: Path) -> None:
    other = path.with_name("other")
    machine_code.keep(build(), other)
    other.replace(path)


@pytest.mark.parametrize(
    "damage",
    [halved, one_byte_changed, of_another_function, lambda path: path.write_bytes(b""), lambda path: path.unlink()],
    ids=["halved", "changed", "foreign", "empty", "gone"],
)
def test_a_file_that_is_not_whole_is_made_anew(forget: Callable[[], None], damage: Callable[[Path], None]) -> None:
    machine_code.address(NAME, build)
    damage(machine_code.folder() / NAME)
    forget()
    built = []

    def again() -> Code:
        built.append(1)
        return build()

    assert call(machine_code.address(NAME, again)) == 42
    assert built
    forget()
    assert call(machine_code.address(NAME, never)) == 42


def test_without_a_folder_there_is_one_warning(
    forget: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTANN_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="Set FASTANN_CACHE_DIR to a folder that may be written"):
        assert call(machine_code.address(NAME, build)) == 42
    assert call(machine_code.address("another", build)) == 42  # a second warning would be an error


def test_what_goes_wrong_is_raised_each_time(forget: Callable[[], None]) -> None:
    def fail() -> Code:
        raise MemoryError("no room")

    for _ in range(2):
        with pytest.raises(MemoryError, match="no room"):
            machine_code.address(NAME, fail)
    assert call(machine_code.address(NAME, build)) == 42


def test_functions_that_the_process_does_not_have_are_named(forget: Callable[[], None]) -> None:
    code = build()
    with pytest.raises(RuntimeError, match="fastann_no_such_function"):
        machine_code.address(NAME, lambda: Code(code.symbol, ("fastann_no_such_function",), code.data))


def test_code_that_was_not_used_for_long_goes(forget: Callable[[], None]) -> None:
    old, young = (machine_code.folder().with_name(name) for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / NAME).touch()
    os.utime(old, (0, 0))
    machine_code.address(NAME, build)
    assert not old.exists()
    assert young.exists()


def run(program: str, **environment: str) -> subprocess.Popen[str]:
    """Start a program in a new interpreter that finds the same packages."""
    places = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": places, **environment},
    )  # fmt: skip


def finished(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return what a program has printed; it must have ended well."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out, err


TOGETHER = """
from fastann_kernels.numba_backend import machine_code
from tests.kernels.test_machine_code import NAME, build, call
assert call(machine_code.address(NAME, build)) == 42
import numba, numpy
# Numba's own functions must work in a process where it has compiled kernels first
assert numba.njit(lambda n: numpy.arange(n).sum() + len([n, n]))(3) == 5
"""


def test_two_processes_may_compile_at_once(tmp_path: Path) -> None:
    for process in [run(TOGETHER, FASTANN_CACHE_DIR=str(tmp_path)) for _ in range(2)]:
        finished(process)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [NAME]


WARM = """
import sys
from tests.kernels.test_machine_code import use
use({name!r})
print("numba" in sys.modules, "scipy.linalg" in sys.modules)
"""

NETWORKS: dict[str, tuple[Any, ...]] = {
    "dense": (Input((8,)), Dense(4, "gelu"), Dense(3, "softmax")),
    "convolutional": (
        Input((6, 6, 2)), Conv2D(3, 3, activation="relu"), BatchNormalization(), Flatten(), Dense(3, "softmax"),
    ),
}  # fmt: skip


def use(name: str) -> None:
    """Train, evaluate and predict."""
    model = Sequential(list(NETWORKS[name]))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend="numba")
    x, y = np.random.default_rng(0).random((200, *NETWORKS[name][0].shape[1:])), np.arange(200) % 3
    model.fit(x, y, batch_size=16, verbose=0)
    model.evaluate(x, y, verbose=0)
    for rows in (1, 200):
        model.predict(x[:rows], verbose=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_process_that_finds_its_code_does_not_import_numba(name: str) -> None:
    use(name)  # whoever is first compiles
    out, err = finished(run(WARM.format(name=name)))
    assert out.split() == ["False", "False"]
    assert "compiling" not in err
