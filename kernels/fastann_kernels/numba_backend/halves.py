"""Numbers in bfloat16: the upper half of a float32, as the factors of matrix products.

Arrays of halves lie in memory that is allocated as float arrays, so that all buffers of a run are of one type.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastann_kernels.numba_backend.compiling import arrayobj, intrinsic, lean, types

_HALF, _LOWEST, _BELOW = np.uint32(16), np.uint32(1), np.uint32(0x7FFF)
_NAN = np.uint16(0x7FC0)


@intrinsic
def as_halves(typingctx: Any, array: Any) -> Any:
    """Return the memory of a one-dimensional float array as uint16."""
    kind = types.Array(types.uint16, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        given = context.make_array(signature.args[0])(context, builder, args[0])
        result = context.make_array(kind)(context, builder)
        width = context.get_constant(types.intp, 2)
        arrayobj.populate_array(
            result, data=builder.bitcast(given.data, context.get_data_type(types.uint16).as_pointer()),
            shape=[builder.sdiv(builder.mul(given.nitems, given.itemsize), width)], strides=[width], itemsize=width,
            meminfo=None,
        )  # fmt: skip
        return result._getvalue()

    return kind(array), codegen


@lean
def round_to_halves(x, out):
    """out = x rounded to the nearest bfloat16, ties to even; NaN stays NaN."""
    for i in range(x.size):
        number = np.float32(x[i])
        bits = number.view(np.uint32)
        rounded = np.uint32(bits + _BELOW + np.uint32(np.uint32(bits >> _HALF) & _LOWEST))
        out[i] = np.uint16(np.uint32(rounded >> _HALF)) if number == number else _NAN
