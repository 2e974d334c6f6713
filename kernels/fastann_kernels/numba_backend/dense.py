"""The dense layer: z = x W + b, y = f(z), and its backward pass.

Arrays are flat and C-ordered: x (B, I), W (I, O), b (O,), y, z and delta (B, O).
"""

from __future__ import annotations

from fastann_kernels.numba_backend.activations import LINEAR, activate_backward, activate_in_place
from fastann_kernels.numba_backend.blas import gemm
from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.numba_backend.elementary import copy, like
from fastann_kernels.numba_backend.vectors import column_sums, small_gemm

#: Elements of a kernel that stay in the cache while it is read again for every 8 rows.
_CACHED = 1 << 17
#: Columns below which most lanes of a vector would be idle.
_NARROW = 6


@lean
def add_bias(b, z):
    """z[r, :] += b for every row."""
    width = b.size
    for r in range(z.size // width):
        row = z[r * width : (r + 1) * width]
        for j in range(width):
            row[j] += b[j]


@lean
def dense(x, W, b, rows, fan_in, fan_out, code, alpha, y, z, small):
    """y = f(x W + b); z, unless empty, receives the input of f, which its derivative will need.

    Products of at most `small` multiplications take the kernel for small matrices.
    """
    if fan_out >= _NARROW and rows * fan_in * fan_out <= small and fan_in * fan_out <= _CACHED:
        small_gemm(rows, fan_out, fan_in, x, fan_in, 1, W, fan_out, b, y, fan_out, False)
    else:
        gemm(False, False, rows, fan_out, fan_in, x, fan_in, W, fan_out, like(x, 0), y, fan_out)
        if b.size:
            add_bias(b, y)
    if z.size:
        copy(y, z)
    if code != LINEAR:
        activate_in_place(code, alpha, y)


@lean
def dense_backward(x, W, y, z, delta, rows, fan_in, fan_out, code, alpha, dW, db, dx, add_W, add_b, add_x):
    """From delta = dL/dy, which is turned into dL/dz in place: dW = x^T delta, db = sum of rows, dx = delta W^T,
    each added to what is there if its flag says so.

    An empty dx asks for no gradient of the input, an empty db says that the layer has no bias.
    """
    if code != LINEAR:
        activate_backward(code, alpha, y, z, fan_out, delta)
    gemm(True, False, fan_in, fan_out, rows, x, fan_in, delta, fan_out, like(x, add_W), dW, fan_out)
    if db.size:
        column_sums(rows, fan_out, delta, db, add_b)
    if dx.size:
        gemm(False, True, rows, fan_in, fan_out, delta, fan_out, W, fan_out, like(x, add_x), dx, fan_in)
