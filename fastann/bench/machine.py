"""What a measurement ran on: processor, threads, versions, date."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastann_kernels.machine import cpu_name, usable_cores


def slug(text: str) -> str:
    """Return `text` as part of a file name: lower case, one dash between words."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", "", text.lower())).strip("-")


def load() -> float:
    """Return how many processes were at work over the last minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def describe(packages: tuple[str, ...]) -> dict[str, Any]:
    """Return hardware, system, thread settings of the environment, and the versions of those packages installed."""
    versions: dict[str, str | None] = {}
    for name in packages:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    threads = {name: os.environ[name] for name in sorted(os.environ) if name.endswith("_NUM_THREADS")}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "load_before": load(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "thread_settings": threads,
        "versions": versions,
    }
