"""What the machine is, as far as files and the standard library say: no library is imported to find out."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path


@cache
def cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
        if sys.platform == "darwin":
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        pass
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_allowed(environ: Mapping[str, str]) -> int:
    """Return how many threads may work for this process: FASTANN_THREADS, or the cores that it may use.

    Raises:
        ValueError: FASTANN_THREADS is set to something that is not a positive whole number.
    """
    wish = environ.get("FASTANN_THREADS", "").strip()
    if not wish:
        return usable_cores()
    if not wish.isdecimal() or int(wish) < 1:
        raise ValueError(f"FASTANN_THREADS must be a positive whole number, got {wish!r}.")
    return int(wish)


def gpu_in_reach(environ: Mapping[str, str]) -> bool:
    """Guess from files and the environment alone, since importing JAX takes most of a second."""
    platforms = environ.get("JAX_PLATFORMS", "").strip().lower()
    if platforms and platforms.split(",")[0] not in ("cuda", "gpu"):
        return False
    if environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    plugins = any(find_spec(f"jax_cuda{v}_plugin") is not None for v in (12, 13))
    return plugins and (Path("/dev/nvidia0").exists() or Path("/proc/driver/nvidia/version").exists())


@cache
def versions(packages: tuple[str, ...]) -> dict[str, str | None]:
    """Return the versions of these packages, None for one that is not installed."""
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return where files may be kept that can be made again; the folder need not exist.

    FASTANN_CACHE_DIR, else the folder `fastann` in the one that the system has for such files.
    """
    wish = environ.get("FASTANN_CACHE_DIR", "").strip()
    if wish:
        return Path(wish).expanduser()
    home = Path(os.path.expanduser("~"))
    if os.name == "nt":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "fastann" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "fastann"
    return Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "fastann"
