"""Where the seconds of the cost model come from: shipped figures, or a calibration of this machine kept on disk.

A calibration is a JSON file in the user's cache folder (FASTANN_CACHE_DIR chooses another one). It holds only for the
machine, settings and versions it was made with; otherwise, and where the file cannot be read, the shipped figures
are taken and the reason is kept. Nothing is measured here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastann_kernels.cost import SHIPPED, Work
from fastann_kernels.machine import cache_folder, cpu_name, gpu_in_reach, threads_allowed, usable_cores, versions

FILE = "calibration.json"
FORMAT = 1

#: What the speed of a backend depends on.
PACKAGES = ("numba", "jax", "jaxlib", "scipy", "mkl")

REMEDY = "run fastann bench calibrate"


@dataclass(frozen=True)
class Costs:
    """Seconds of a unit of each kind of work, by device ("numba", "jax-cpu", "jax-gpu").

    Attributes:
        units: for each device of `fastann_kernels.cost.SHIPPED`.
        calibrated: the day each device was calibrated, for those that were.
        remark: why a calibration on disk is not used; empty where there is none or it is used.
    """

    units: Mapping[str, Work]
    calibrated: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""

    def source(self, device: str) -> str:
        """Return where the figures of a device come from."""
        if device in self.calibrated:
            return f"calibrated on {self.calibrated[device]}"
        return "shipped, not measured" if device == "jax-gpu" else "shipped"


def device_of(backend: str, environ: Mapping[str, str]) -> str:
    """Return what a backend runs on: "numba", "jax-cpu" or, where a GPU is in reach, "jax-gpu"."""
    if backend != "jax":
        return backend
    return "jax-gpu" if gpu_in_reach(environ) else "jax-cpu"


def threads_of(device: str, environ: Mapping[str, str]) -> int:
    """Return how many threads share a step on a device; FASTANN_THREADS is for the Numba backend."""
    if device == "numba":
        with suppress(ValueError):  # the backend says what is wrong with the setting
            return threads_allowed(environ)
    return 1 if device == "jax-gpu" else usable_cores()


def identity(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what a calibration holds for: machine, settings and versions."""
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "threads": threads_of("numba", environ),
        "blas": environ.get("FASTANN_BLAS", "").strip().lower(),
        "gpu": gpu_in_reach(environ),
        **versions(PACKAGES),
    }


def costs(environ: Mapping[str, str] | None = None) -> Costs:
    """Return the calibration of this machine, or the shipped figures with the reason."""
    environment = os.environ if environ is None else environ
    path = cache_folder(environment) / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return Costs(SHIPPED)
    except (OSError, UnicodeDecodeError) as error:
        return Costs(SHIPPED, remark=f"the calibration {path} cannot be read ({error}); {REMEDY}")
    try:
        document = json.loads(text)
        made_for, date = document["identity"], str(document["date"])
        found = {str(device): Work.from_dict(numbers) for device, numbers in document["units"].items()}
        if document["format"] != FORMAT or not set(found) <= set(SHIPPED):
            raise ValueError("it is of another format")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Costs(SHIPPED, remark=f"the calibration {path} is broken ({type(error).__name__}: {error}); {REMEDY}")
    if differs := _difference(made_for, identity(environment)):
        return Costs(SHIPPED, remark=f"the calibration of {date} was made with {differs}; {REMEDY} again")
    return Costs({**SHIPPED, **found}, dict.fromkeys(found, date))


def save_costs(units: Mapping[str, Work], environ: Mapping[str, str] | None = None) -> Path:
    """Keep the calibration of these devices, from now on used by `costs`, and return its file.

    The file is written beside and renamed into place.

    Raises:
        OSError: the folder cannot be made or written to; the message names FASTANN_CACHE_DIR.
    """
    environment = os.environ if environ is None else environ
    folder = cache_folder(environment)
    document = {
        "format": FORMAT,
        "date": datetime.now(UTC).date().isoformat(),
        "identity": identity(environment),
        "units": {device: work.as_dict() for device, work in units.items()},
    }
    path, beside = folder / FILE, folder / f".{FILE}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise OSError(
            f"the calibration cannot be kept in {folder} ({error}); "
            "set FASTANN_CACHE_DIR to a folder that may be written."
        ) from error
    return path


def _difference(made_for: Any, here: Mapping[str, Any]) -> str:
    """Return the first thing in which a calibration's identity is not that of this machine; empty if none is."""
    before = made_for if isinstance(made_for, dict) else {}
    for name, value in here.items():
        if name not in before or before[name] != value:
            return f"{name} {before.get(name)!r}, here it is {value!r}"
    return ""
