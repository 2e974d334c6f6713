"""Matrix multiplication inside jitted code, through whichever BLAS is bound to two symbol names.

Cached machine code refers to the symbols `fastann_sgemm` and `fastann_dgemm` by name; `bind` decides what stands behind
them, so the provider can change without compiling anything. MKL is taken where it is installed (the extra
`fastann[mkl]`), but for AMD's processors without AVX-512, where it is slower; else the BLAS that scipy brings
(OpenBLAS, or Accelerate on macOS), reached through the addresses that scipy publishes for Cython. The environment
variable FASTANN_BLAS (mkl, scipy) chooses otherwise.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from fastann_kernels.numba_backend.compiling import cgutils, intrinsic, types
from fastann_kernels.numba_backend.early import published_by_scipy
from fastann_kernels.numba_backend.vectors import VECTOR_BYTES

SYMBOLS = {"float32": "fastann_sgemm", "float64": "fastann_dgemm"}
HALVES = "fastann_hgemm"  # factors in bfloat16 (uint16), result in float32
PROVIDERS = ("mkl", "scipy")

_ROUTINES = {"fastann_sgemm": "sgemm", "fastann_dgemm": "dgemm"}
_HALF_ROUTINE = "gemm_bf16bf16f32"
#: Instructions without which MKL multiplies numbers in bfloat16 slower than in float32.
_HALF_INSTRUCTIONS = ("amx-bf16", "avx512bf16")
# MKL's constant for its layer without threads, which can only be chosen before the first product. The team has threads
# of its own, and MKL's would spin beside them (measured: 420 against 250 microseconds a step of 784-128-10 at batch
# 128). A process that has loaded MKL before keeps its layer.
_SEQUENTIAL = 1
_bound: str | None = None


def bind() -> str:
    """Bind the symbols once and return the provider's name; must run before cached code is loaded.

    Raises:
        ValueError: FASTANN_BLAS names no provider, or MKL, which is not installed.
    """
    global _bound
    if _bound is None:
        wish = os.environ.get("FASTANN_BLAS", "").strip().lower()
        if wish not in ("", *PROVIDERS):
            raise ValueError(f"FASTANN_BLAS must be one of {', '.join(map(repr, PROVIDERS))}, got {wish!r}.")
        library = None if wish == "scipy" or (not wish and mkl_is_slow()) else _mkl()
        if wish == "mkl" and library is None:
            raise ValueError("FASTANN_BLAS asks for MKL, which is not installed: pip install 'fastann[mkl]'.")
        for symbol, routine in _ROUTINES.items():
            llvmlite.binding.add_symbol(symbol, _scipy_address(routine) if library is None else library[routine])
        # without MKL nobody calls it, but cached code wants the symbol
        llvmlite.binding.add_symbol(HALVES, _scipy_address("sgemm") if library is None else library[_HALF_ROUTINE])
        _bound = "scipy" if library is None else "mkl"
    return _bound


def mkl_is_slow() -> bool:
    """Return whether this is a processor on which MKL is slower than OpenBLAS: AMD's before AVX-512 (measured on one of
    two cores: 131 against 160 to 186 GFLOP/s in large products)."""
    return VECTOR_BYTES < 64 and llvmlite.binding.get_host_cpu_name().startswith(("znver", "bdver"))


def why_no_halves() -> str | None:
    """Return why there are no products of bfloat16 here; None if there are."""
    features = llvmlite.binding.get_host_cpu_features()
    if not any(features.get(name) for name in _HALF_INSTRUCTIONS):
        return "this processor has no instructions for them (AVX512-BF16 or AMX)"
    if bind() != "mkl":
        return "they need Intel's MKL (pip install 'fastann[mkl]', and FASTANN_BLAS not 'scipy')"
    return None


def _scipy_address(routine: str) -> int:
    """Return the address of a routine that scipy publishes for Cython."""
    published = published_by_scipy().__pyx_capi__[routine]
    name, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer(published, name(published)))


def _mkl() -> dict[str, int] | None:
    """Return the addresses of MKL's routines (32-bit integers), or None where the package is not installed."""
    try:
        files = importlib.metadata.files("mkl") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name.startswith(("libmkl_rt.", "mkl_rt.")) and Path(str(file.locate())).exists():
            loaded = bool(ThreadpoolController().select(internal_api="mkl").lib_controllers)
            library = ctypes.CDLL(str(file.locate()))
            if not loaded:
                library.MKL_Set_Threading_Layer(_SEQUENTIAL)
            addresses = {
                routine: ctypes.cast(library[routine], ctypes.c_void_p).value
                for routine in (*_ROUTINES.values(), _HALF_ROUTINE)
            }
            return {routine: address for routine, address in addresses.items() if address is not None}
    return None


def multiply(a: NDArray[np.float32], b: NDArray[np.float32], out: NDArray[np.float32], threads: int) -> None:
    """out <- a b for C-contiguous matrices, by the routine bound here, each thread with its share of the rows of a."""
    bind()
    address = llvmlite.binding.address_of_symbol(SYMBOLS["float32"])
    routine = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(address)
    letter, one, zero = ctypes.c_char(b"N"), ctypes.c_float(1.0), ctypes.c_float(0.0)
    inner, columns = (ctypes.c_int32(length) for length in b.shape)

    def share(member: int) -> None:
        part = slice(len(a) * member // threads, len(a) * (member + 1) // threads)
        rows = ctypes.c_int32(part.stop - part.start)
        n, m, k = map(ctypes.addressof, (columns, rows, inner))
        kind = ctypes.addressof(letter)
        # Fortran's order: out^T <- b^T a^T
        routine(
            kind, kind, n, m, k, ctypes.addressof(one), b.ctypes.data, n, a[part].ctypes.data, k,
            ctypes.addressof(zero), out[part].ctypes.data, n,
        )  # fmt: skip

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(share, range(threads)))


@intrinsic
def gemm(typingctx, trans_a, trans_b, rows, columns, inner, a, lda, b, ldb, beta, c, ldc):
    """C <- op(A) op(B) + beta C for row-major matrices in one-dimensional arrays.

    op(A) is (rows, inner), op(B) (inner, columns), C (rows, columns); `trans_*` says whether a matrix is stored
    transposed, `ld*` are the distances between stored rows. beta == 0 overwrites C, NaN included. A and B of uint16 are
    numbers in bfloat16, C is float32 then.

    The routine expects Fortran order, which sees every row-major matrix transposed: C^T = op(B)^T op(A)^T, so that A
    and B change places.
    """
    sig = types.void(
        types.boolean, types.boolean, types.intp, types.intp, types.intp,
        a, types.intp, b, types.intp, c.dtype, c, types.intp,
    )  # fmt: skip
    halves = a.dtype == b.dtype == types.uint16
    if not (halves or a.dtype == b.dtype == c.dtype) or str(c.dtype) not in SYMBOLS:
        raise TypeError(f"gemm takes three arrays of one type, or bfloat16 factors of float32, got {a}, {b}, {c}")
    symbol = HALVES if halves else SYMBOLS[str(c.dtype)]

    def codegen(context, builder, signature, args):
        trans_a, trans_b, rows, columns, inner, a_value, lda, b_value, ldb, beta, c_value, ldc = args
        number = context.get_value_type(signature.args[10].dtype)
        int32, char = ir.IntType(32), ir.IntType(8)

        def boxed(value: Any, kind: Any) -> Any:
            return cgutils.alloca_once_value(builder, value, name="gemm") if value.type == kind else boxed_int(value)

        def boxed_int(value: Any) -> Any:
            return cgutils.alloca_once_value(builder, builder.trunc(value, int32))

        def letter(flag: Any) -> Any:
            choice = builder.select(builder.trunc(flag, ir.IntType(1)), char(ord("T")), char(ord("N")))
            return cgutils.alloca_once_value(builder, choice)

        def data(index: int, value: Any) -> Any:
            return context.make_array(signature.args[index])(context, builder, value).data

        arguments = [
            letter(trans_b), letter(trans_a), boxed_int(columns), boxed_int(rows), boxed_int(inner),
            boxed(number(1.0), number), data(7, b_value), boxed_int(ldb), data(5, a_value), boxed_int(lda),
            boxed(beta, number), data(10, c_value), boxed_int(ldc),
        ]  # fmt: skip
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, symbol), arguments)
        return context.get_dummy_value()

    return sig, codegen
