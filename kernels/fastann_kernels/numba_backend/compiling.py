"""The one decorator every kernel is compiled with, and the cache key that follows all their sources."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

# error_model="numpy": a float division that may raise blocks vectorisation. fastmath: only what lets sums be split
# over SIMD lanes and multiply-adds be fused; "nnan" and "ninf" would delete the checks for divergence.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}

# They would take half of the compile time.
_NO_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


# Without reference counts: a slice costs nothing then, where it would cost two atomic additions, and there is a third
# less to compile (a step of 30-16-8-1 at batch 32 took 7.4 microseconds with them, 4.5 without).
_LEAN: dict[str, Any] = {**OPTIONS, "_nrt": False}


def lean(function: F) -> F:
    """Compile a kernel of the epoch loop: it allocates nothing, returns no array and assigns to no slice as a whole."""
    return numba.njit(**_LEAN, **_NO_WRAPPERS)(function)


def kernel(function: F) -> F:
    """Compile a kernel that may return slices; for instructions that are compiled on their own, see `calls`."""
    return numba.njit(**OPTIONS, **_NO_WRAPPERS)(function)


def inlined(function: F) -> F:
    """Compile a scalar formula that must end up inside the loop that calls it."""
    return numba.njit(**_LEAN, **_NO_WRAPPERS, forceinline=True)(function)


def entry(function: F) -> F:
    """Compile a function that Python calls and keep the machine code on disk.

    Numba looks for a folder it may write to (beside the source, else the user's cache folder, else NUMBA_CACHE_DIR)
    and raises where there is none; then the code is compiled once a process instead.
    """
    try:
        return numba.njit(cache=True, **_LEAN)(function)
    except RuntimeError as error:
        warnings.warn(
            f"the compiled kernels cannot be kept on disk ({error}); every process will compile them again. "
            "Set NUMBA_CACHE_DIR to a folder that may be written.",
            RuntimeWarning,
            stacklevel=2,
        )
        return numba.njit(**_LEAN)(function)


def sources_digest() -> str:
    """Return a digest of this folder's sources.

    Numba's cache notices a change only in the file of the entry function. An entry that refers to this digest from
    its closure has it in its cache key, so an edit or an upgrade of any kernel compiles anew.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
