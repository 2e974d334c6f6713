"""What a measurement leaves: numbers with their spread, and one JSON file a run."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastann.bench import machine

PACKAGES = (
    "fastann", "numpy", "scipy", "numba", "llvmlite", "jax", "jaxlib", "mkl", "torch", "optax", "keras", "scikit-learn",
    "onnxruntime",
)  # fmt: skip


def spread(times: Sequence[float]) -> dict[str, Any]:
    """Return n, min, median and interquartile range of measurements, and all of them."""
    low, median, high = np.percentile(times, (25, 50, 75))
    return {
        "n": len(times),
        "min": float(min(times)),
        "median": float(median),
        "iqr": float(high - low),
        "times": [float(time) for time in times],
    }


def write_record(
    folder: str | os.PathLike[str], suite: str, settings: dict[str, Any], results: Any, device: str | None = None
) -> Path:
    """Write one run of a suite, with the machine it ran on, and return the file: <suite>-<processor>.json.

    `device` is the processor's name where it is not the machine's own, such as a GPU. Of files and folders that results
    name, such as libraries, the last part is kept. The file is written beside and renamed into place.
    """
    about = machine.describe(PACKAGES)
    if device is not None:
        about["device"] = device
    path = Path(folder) / f"{suite}-{machine.slug(device or about['cpu'])}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"suite": suite, "machine": about, "settings": settings, "results": without_folders(results)}
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)
    return path


def without_folders(value: Any) -> Any:
    """Return JSON-like data with absolute paths cut to their last part: where things lie is nobody's business.

    >>> without_folders({"blas": ["/opt/lib/libblas.so", 2]})
    {'blas': ['libblas.so', 2]}
    """
    if isinstance(value, dict):
        return {key: without_folders(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(part) for part in value]
    return Path(value).name if isinstance(value, str) and os.path.isabs(value) else value


def read_records(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the records of a folder, one a file, by name of suite.

    Raises:
        ValueError: there is none, or a file is no record.
    """
    found = []
    for path in sorted(Path(folder).glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not {"suite", "machine", "results"} <= set(record):
            raise ValueError(f"{path} is no record of a benchmark; move it out of the folder.")
        found.append(record)
    if not found:
        raise ValueError(f"there is no record in {os.fspath(folder)!r}; run fastann bench first.")
    return found
