"""Devices to measure on: the environment of processes that work on one, its name, and its peaks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastann.bench.isolated import call_isolated

DEVICES = ("cpu", "gpu")

#: Dense bfloat16 TFLOP/s that makers state, by part of the device's name; the first that fits.
DATASHEET = {
    "B200": 2250.0,
    "H200": 989.0,
    "GH200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "RTX 4090": 165.0,
}

#: Matrices whose product is taken for the peak.
_SIZES = {"cpu": (1024, 2048), "gpu": (4096, 8192)}


@contextmanager
def on_device(device: str) -> Iterator[None]:
    """Let processes that start meanwhile run JAX on `device`; on a GPU each takes memory only as it needs it.

    Raises:
        ValueError: there is no such device.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(map(repr, DEVICES))}, got {device!r}.")
    wanted = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} | ({"JAX_PLATFORMS": "cpu"} if device == "cpu" else {})
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def describe() -> dict[str, Any]:
    """Return what JAX says of itself in this process."""
    from fastann_kernels.backend import get_backend

    return get_backend("jax").describe()


def device_name(device: str) -> str | None:
    """Return the name of the GPU, or None for the CPU.

    Raises:
        ValueError: JAX finds no GPU.
    """
    with on_device(device):
        found = call_isolated("fastann.bench.devices:describe")
    if device == "cpu":
        return None
    if found["platform"] == "cpu":
        raise ValueError("device 'gpu' needs a GPU that JAX can use, got a CPU: install fastann[cuda], or say cpu.")
    name: str = found["devices"][0]
    return name[name.index("(") + 1 : name.rindex(")")]


def datasheet_tflops(name: str | None) -> float | None:
    """Return the stated bfloat16 peak of a device in TFLOP/s, if it is known.

    >>> datasheet_tflops("NVIDIA H200")
    989.0
    """
    return next((rate for part, rate in DATASHEET.items() if name is not None and part in name), None)


def measured_peaks(device: str, precisions: tuple[str, ...], sizes: tuple[int, ...] | None = None) -> dict[str, float]:
    """Return TFLOP/s of the best matrix product, by precision."""
    with on_device(device):
        rates: dict[str, float] = call_isolated(
            "fastann.bench.contenders.products:best_products", sizes=sizes or _SIZES[device], precisions=precisions
        )
    return rates
