"""`fastann info`: what is installed and what this machine offers."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from fastann_kernels.calibration import costs
from fastann_kernels.machine import cpu_name, usable_cores

from fastann.cli.console import console, one_line

if TYPE_CHECKING:
    from rich.table import Table

_PACKAGES = (
    "numpy", "scipy", "numba", "llvmlite", "jax", "jaxlib", "safetensors", "narwhals", "threadpoolctl", "mkl",
    "scikit-learn", "matplotlib",
)  # fmt: skip


def info(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Show versions, backends, devices, BLAS libraries and threads."""
    facts = collect()
    if json:
        from json import dumps

        typer.echo(dumps(facts, indent=1, default=str))
        return
    out = console()
    for title, part in facts.items():
        out.print(_table(title, part), "")


def collect() -> dict[str, dict[str, Any]]:
    """Return everything `fastann info` shows: sections of names and values."""
    import fastann

    return {
        "fastann": {
            "version": fastann.__version__,
            "python": sys.version.split()[0],
            "installed in": str(Path(fastann.__file__).parent),
        },
        "machine": _machine(),
        "backends": _backends(),
        "BLAS and thread pools": _pools(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _machine() -> dict[str, Any]:
    return {"cpu": cpu_name(), "cores": f"{usable_cores()} of {os.cpu_count()} usable", "system": platform.platform()}


def _backends() -> dict[str, Any]:
    from fastann_kernels.backend import BACKENDS, available_backends, choose_backend, get_backend

    found: dict[str, Any] = {}
    try:
        found["auto"] = str(choose_backend())
    except ValueError as error:
        found["auto"] = one_line(error)
    found["speeds"] = _speeds()
    for name in BACKENDS:
        if name not in available_backends():
            found[name] = f"not installed: pip install 'fastann[{name}]'"
            continue
        try:
            found[name] = get_backend(name).describe()
        except Exception as error:  # a broken installation is what this command is there to show
            found[name] = f"does not work: {type(error).__name__}: {one_line(error)}"
    return found


def _speeds() -> str:
    """Return where the figures come from that `auto` compares backends by."""
    known = costs()
    days = sorted(set(known.calibrated.values()))
    source = f"calibrated on {days[-1]}" if days else "shipped; fastann bench calibrate measures them here"
    return known.remark or source


def _pools() -> dict[str, Any]:
    import numpy  # noqa: F401  (threadpoolctl sees the libraries that are loaded)
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    pools = {}
    for number, pool in enumerate(threadpool_info(), 1):
        version = pool.get("version") or "of unknown version"
        pools[f"pool {number}"] = f"{pool['internal_api']} {version}, {pool['num_threads']} threads, {pool['filepath']}"
    return pools or {"pools": "none found"}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _table(title: str, part: Mapping[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 2, 0, 1)
    )
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in part.items():
        for label, text in _rows(name, value):
            table.add_row(Text(label), Text(text))
    return table


def _rows(name: str, value: Any) -> list[tuple[str, str]]:
    """Return the lines that show one value; dicts and lists of dicts take a line for each entry."""
    if isinstance(value, Mapping) and value:
        return [(f"{name}: {key}", text) for key, text in _flat(value)]
    return [(name, str(value))]


def _flat(value: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for key, entry in value.items():
        if isinstance(entry, list | tuple):
            lines += [(key, _sentence(item)) for item in entry]
        else:
            lines.append((key, _sentence(entry)))
    return lines


def _sentence(entry: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in entry.items()) if isinstance(entry, Mapping) else str(entry)
