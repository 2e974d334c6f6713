"""Matrix multiplication inside jitted code, through whichever BLAS is bound to two symbol names.

Cached machine code refers to the symbols `fastann_sgemm` and `fastann_dgemm` by name; `bind` decides what stands
behind them, so the provider can change without compiling anything. The default is the BLAS that scipy brings
(OpenBLAS, or Accelerate on macOS), reached through the addresses that scipy publishes for Cython.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic

SYMBOLS = {"float32": "fastann_sgemm", "float64": "fastann_dgemm"}

_bound: str | None = None


def bind() -> str:
    """Bind the symbols to scipy's BLAS once and return the provider's name; must run before cached code is loaded."""
    global _bound
    if _bound is None:
        for symbol, routine in (("fastann_sgemm", "sgemm"), ("fastann_dgemm", "dgemm")):
            llvmlite.binding.add_symbol(symbol, get_cython_function_address("scipy.linalg.cython_blas", routine))
        _bound = "scipy"
    return _bound


@intrinsic
def gemm(typingctx, trans_a, trans_b, rows, columns, inner, a, lda, b, ldb, beta, c, ldc):
    """C <- op(A) op(B) + beta C for row-major matrices in one-dimensional arrays.

    op(A) is (rows, inner), op(B) (inner, columns), C (rows, columns); `trans_*` says whether a matrix is stored
    transposed, `ld*` are the distances between stored rows. beta == 0 overwrites C, NaN included.

    The routine expects Fortran order, which sees every row-major matrix transposed: C^T = op(B)^T op(A)^T, so that A
    and B change places.
    """
    sig = types.void(
        types.boolean, types.boolean, types.intp, types.intp, types.intp,
        a, types.intp, b, types.intp, a.dtype, c, types.intp,
    )  # fmt: skip
    if not (a.dtype == b.dtype == c.dtype) or str(a.dtype) not in SYMBOLS:
        raise TypeError(f"gemm takes three float32 or three float64 arrays, got {a}, {b}, {c}")
    symbol = SYMBOLS[str(a.dtype)]

    def codegen(context, builder, signature, args):
        trans_a, trans_b, rows, columns, inner, a_value, lda, b_value, ldb, beta, c_value, ldc = args
        number = context.get_value_type(signature.args[5].dtype)
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
