"""Machine code of the kernels, kept on disk and loaded by LLVM alone: a process that finds it never imports Numba.

It lies in the user's cache folder (FASTANN_CACHE_DIR chooses another one), a folder for each state of the sources, the
compilers and the processor, a file for each function that Python or the epoch loop calls.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm

import fastann_kernels.program
from fastann_kernels.machine import cache_folder
from fastann_kernels.numba_backend.early import import_numba

#: Settings of Numba that change what it compiles.
_SETTINGS = (
    "NUMBA_BOUNDSCHECK", "NUMBA_CPU_FEATURES", "NUMBA_CPU_NAME", "NUMBA_DEBUGINFO", "NUMBA_ENABLE_AVX",
    "NUMBA_LOOP_VECTORIZE", "NUMBA_OPT", "NUMBA_SLP_VECTORIZE",
)  # fmt: skip

#: Seconds after which machine code that nobody has loaded may go, when other code is kept.
_FORGOTTEN = 90 * 86400

#: What Numba's reference counting would call for an array that owns memory, which no kernel is ever given.
_NEVER_CALLED = ("NRT_Free", "NRT_MemInfo_call_dtor")

_LOCK = threading.RLock()
_addresses: dict[str, int] = {}
#: Own the machine code, whose addresses are in use for ever.
_engines: list[Any] = []


@dataclass(frozen=True)
class Code:
    """Machine code of one function and what it calls.

    Attributes:
        symbol: of the function.
        externals: names that must be known to the process.
        data: an object file.
    """

    symbol: str
    externals: tuple[str, ...]
    data: bytes


def address(name: str, build: Callable[[], Code]) -> int:
    """Return where the function called `name` lies in memory; it is loaded from disk, else built and kept there.

    The symbols that it calls must be bound before, see `blas`.
    """
    with _LOCK:
        if name not in _addresses:
            path = folder() / name
            code = _read(path)
            if code is None:
                announce()
                code = build()
                keep(code, path)
            _addresses[name] = _load(code)
        return _addresses[name]


def missing(name: str) -> bool:
    """Return whether machine code of a name is neither loaded nor, it seems, on disk."""
    return name not in _addresses and not (folder() / name).exists()


def writable() -> bool:
    """Return whether machine code can be kept on disk."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder(), os.W_OK)


@cache
def digest() -> str:
    """Return a digest of everything that the machine code depends on."""
    features = sorted(llvm.get_host_cpu_features().items())
    settings = [(name, os.environ.get(name)) for name in _SETTINGS]
    found = hashlib.sha256(
        repr((version("numba"), llvmlite.__version__, llvm.get_process_triple(), llvm.get_host_cpu_name(), features,
              settings)).encode()
    )  # fmt: skip
    for path in (*sorted(Path(__file__).parent.glob("*.py")), Path(fastann_kernels.program.__file__)):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def folder() -> Path:
    """Return where the machine code is kept; the folder need not exist."""
    return cache_folder(os.environ) / "kernels" / digest()


@cache
def announce() -> None:
    """Say, once, why it takes a while."""
    print("fastann: compiling kernels, first run only ...", file=sys.stderr, flush=True)


@cache
def _initialize() -> None:
    with suppress(RuntimeError):  # newer versions need it no more, and say so
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _load(code: Code) -> int:
    """Return where the function lies, after putting it with its relocations into memory."""
    _initialize()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    reloc = "static" if target.name.startswith("x86") else "default"  # as Numba has it
    machine = target.create_target_machine(jit=True, codemodel="jitdefault", reloc=reloc)
    module = llvm.parse_assembly(f'target triple = "{llvm.get_process_triple()}"')
    engine = llvm.create_mcjit_compiler(module, machine)  # and owns both from now on
    for name in _NEVER_CALLED:
        if llvm.address_of_symbol(name) is None:
            llvm.add_symbol(name, llvm.address_of_symbol("abort"))
    if _unknown(code):
        import_numba()  # it makes libraries of elementary functions known, where it was built with one
    if unknown := _unknown(code):
        raise RuntimeError(f"the compiled kernels call functions that this process does not have: {unknown}.")
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.data))
    engine.finalize_object()
    _engines.append(engine)
    return int(engine.get_function_address(code.symbol))


def _unknown(code: Code) -> list[str]:
    return [name for name in code.externals if llvm.address_of_symbol(name) is None]


# A file: the digest of the rest and of where it lies, a line with symbol and externals, the object file.


def _seal(path: Path, rest: bytes) -> bytes:
    return hashlib.sha256(f"{path.parent.name}/{path.name}\n".encode() + rest).hexdigest().encode()


def _read(path: Path) -> Code | None:
    """Return the code in a file, None where there is none or the file is not complete."""
    try:
        seal, _, rest = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if seal != _seal(path, rest):
        return None
    with suppress(OSError):
        os.utime(path.parent)  # it is in use
    head, _, data = rest.partition(b"\n")
    symbol, externals = json.loads(head)
    return Code(symbol, tuple(externals), data)


def keep(code: Code, path: Path) -> None:
    """Write a file beside its place and rename it into it: several processes may do so at once."""
    rest = json.dumps([code.symbol, code.externals]).encode() + b"\n" + code.data
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(_seal(path, rest) + b"\n" + rest)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        _warn(str(error))
    else:
        _forget_old(path.parent)


@cache
def _warn(reason: str) -> None:
    warnings.warn(
        f"the compiled kernels cannot be kept on disk ({reason}); every process will compile them again. "
        "Set FASTANN_CACHE_DIR to a folder that may be written.",
        RuntimeWarning,
        stacklevel=2,
    )


def _forget_old(current: Path) -> None:
    """Remove the code of sources and compilers that have not been in use for long."""
    for other in current.parent.iterdir():
        with suppress(OSError):
            if other != current and time.time() - other.stat().st_mtime > _FORGOTTEN:
                shutil.rmtree(other)
