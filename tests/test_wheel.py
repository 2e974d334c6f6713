"""What the wheel holds: the two packages, the licence and the metadata, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXTRAS = {"all", "bench", "cuda", "dev", "images", "jax", "mkl", "plots", "sklearn"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "kernels").is_dir(), reason="the source is not here, only the wheel"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as `make wheel-test` builds it."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def metadata(wheel: Path, names: list[str]) -> Message:
    (name,) = [n for n in names if n.endswith(".dist-info/METADATA")]
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(name).decode())


def test_any_platform(wheel: Path) -> None:
    assert wheel.name.startswith("fastann-")
    assert wheel.name.endswith("-py3-none-any.whl")


def test_two_packages_and_nothing_else(names: list[str]) -> None:
    top = {name.split("/")[0] for name in names}
    (information,) = [folder for folder in top if folder.endswith(".dist-info")]
    assert top == {"fastann", "fastann_kernels", information}


def test_every_module_is_there(names: list[str]) -> None:
    for package, folder in (("fastann", ROOT), ("fastann_kernels", ROOT / "kernels")):
        source = {p.relative_to(folder).as_posix() for p in (folder / package).rglob("*.py")}
        assert source <= set(names)


def test_no_tests_caches_or_compiled_kernels(names: list[str]) -> None:
    unwanted = (".pyc", ".nbi", ".nbc", ".so")
    assert [
        n for n in names if n.endswith(unwanted) or {"tests", "benchmarks", "__pycache__"} & set(n.split("/"))
    ] == []


def test_types_and_licence_are_shipped(names: list[str]) -> None:
    assert {"fastann/py.typed", "fastann_kernels/py.typed"} <= set(names)
    assert [n for n in names if n.endswith("/licenses/LICENSE")]


def test_metadata(metadata: Message) -> None:
    from fastann import __version__

    assert metadata["Name"] == "fastann"
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS


def test_the_command_is_installed(wheel: Path, names: list[str]) -> None:
    (name,) = [n for n in names if n.endswith(".dist-info/entry_points.txt")]
    with zipfile.ZipFile(wheel) as archive:
        assert "fastann = fastann.cli:main" in archive.read(name).decode()


def test_plain_install_needs_neither_jax_nor_plots(metadata: Message) -> None:
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {line.split(">")[0].strip() for line in needed}.isdisjoint(
        {"jax", "matplotlib", "scikit-learn", "optax", "mkl"}
    )
