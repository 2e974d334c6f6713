"""Fixtures that every test module may use."""

from __future__ import annotations

import importlib
import io
import os
import signal
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path

import pytest
from fastann_kernels.backend import available_backends

if "PYTEST_XDIST_WORKER" in os.environ:
    # each worker has a core to itself; teams of threads are tested with sizes of their own
    os.environ.setdefault("FASTANN_THREADS", "1")

# a calibration of the machine, if somebody made one, must not decide what "auto" means in tests; kernels are kept
os.environ["FASTANN_CACHE_DIR"] = str(Path(__file__).parent.parent / ".pytest_cache" / "fastann")


@pytest.fixture(scope="session", autouse=True)
def announced() -> None:
    """Have it said that kernels are compiled, which a process says once.

    Which test is the first to use one, and has the line among what it looks at, depends on their order and on what is
    kept.
    """
    if "numba" in available_backends():
        machine_code = importlib.import_module("fastann_kernels.numba_backend.machine_code")
        with redirect_stderr(io.StringIO()):
            machine_code.announce()


@pytest.fixture(params=["numba", "jax"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend in turn; one that is not installed is skipped by name."""
    if request.param not in available_backends():
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture
def rounding(backend: str) -> str:
    """A backend that has products of bfloat16 here."""
    if backend == "numba":
        reason = importlib.import_module("fastann_kernels.numba_backend.blas").why_no_halves()
        if reason is not None:
            pytest.skip(f"the Numba backend has no products of bfloat16: {reason}")
    return backend


@pytest.fixture
def python_handler() -> Iterator[None]:
    """Have Python's own handler for SIGINT, which a process in the background may have been told to ignore, and see
    that it is there again afterwards."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    found = signal.signal(signal.SIGINT, before)
    assert found is signal.default_int_handler


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets that FASTANN_DATA names; tests that want it skip where there is none."""
    folder = os.environ.get("FASTANN_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FASTANN_DATA names no folder of data sets")
    return Path(folder)
