"""How much memory a training takes, and how much there is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastann.training.source import PIECE_BYTES

if TYPE_CHECKING:
    from fastann.training.data import Dataset
    from fastann.training.session import Session

#: What a control group without a limit of its own says in version 1 of their files: about the largest int64.
_UNLIMITED = 1 << 60


def data_bytes(session: Session, data: Dataset) -> int:
    """Return the bytes of the rows, as a backend holds them."""
    item = 1 if data.x.dtype == np.uint8 else session.dtype.itemsize
    inputs = data.rows * session.program.input_columns * item
    if data.deferred:
        inputs = min(inputs, PIECE_BYTES)
    return inputs + sum(array.nbytes for array in (data.y, data.weights) if array is not None)


def training_bytes(session: Session, data: Dataset, batch_size: int) -> int:
    """Return about how many bytes a training takes: data, parameters and what one batch leaves on its way.

    data + P (2 (1 + S) + 1) numbers, for weights and S slots before and after a step and the gradient, + batch_size
    times the row of inputs and targets, every value of the network and its gradient. A backend may need less, where it
    uses a place again, or more, where its library works on copies.

    Args:
        session: what trains.
        data: the rows.
        batch_size: rows of a step.
    """
    program = session.program
    slots = 0 if program.update is None else len(program.update.slots)
    columns = program.input_columns + program.target_columns + 2 * sum(value.size for value in program.values)
    numbers = program.parameter_count * (2 * (1 + slots) + 1) + batch_size * columns
    return data_bytes(session, data) + numbers * session.dtype.itemsize


def available_bytes(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process may still take without swapping; None where the system does not say.

    On Linux the smaller of what is available in the machine and in the control group (a container); elsewhere the free
    pages, or half of all pages.

    Args:
        root: where the system's files are.
    """
    found = [free for free in (_machine(root), _group(root)) if free is not None]
    if found:
        return min(found)
    for name, share in (("SC_AVPHYS_PAGES", 1), ("SC_PHYS_PAGES", 2)):
        try:
            return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") // share
        except (AttributeError, OSError, ValueError):
            continue
    return None


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on the host or on a device of JAX."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error))


def readable(size: int) -> str:
    """Return a number of bytes as people read it.

    >>> readable(512), readable(1536), readable(3 * 2**30)
    ('512 B', '1.5 KiB', '3.0 GiB')
    """
    number, units = float(size), ("B", "KiB", "MiB", "GiB", "TiB")
    power = 0
    while number >= 1024 and power < len(units) - 1:
        number, power = number / 1024, power + 1
    return f"{number:.0f} B" if power == 0 else f"{number:.1f} {units[power]}"


def _machine(root: Path) -> int | None:
    """Return what Linux calls available: free, or given back when it is needed."""
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _group(root: Path) -> int | None:
    """Return what the control group has left; files in its cache are given back when it is needed."""
    folder = root / "sys/fs/cgroup"
    versions = (
        (folder, "memory.max", "memory.current"),
        (folder / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    )
    for place, limit, used in versions:
        most, taken = _number(place / limit), _number(place / used)
        if most is not None and taken is not None and most < _UNLIMITED:
            cached = _lines(place / "memory.stat")
            files = [int(line.split()[1]) for line in cached if line.startswith("inactive_file ")]
            return max(0, most - taken + sum(files))
    return None


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
