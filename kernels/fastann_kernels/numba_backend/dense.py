"""The dense layer: z = x W + b, y = f(z), and its backward pass.

Arrays are flat and C-ordered: x (B, I), W (I, O), b (O,), y, z and delta (B, O).
"""

from __future__ import annotations

from fastann_kernels.numba_backend.activations import LINEAR, activate, activate_backward
from fastann_kernels.numba_backend.blas import gemm
from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.numba_backend.elementary import fill, like


@lean
def add_bias(b, z):
    """z[r, :] += b for every row."""
    width = b.size
    for r in range(z.size // width):
        row = z[r * width : (r + 1) * width]
        for j in range(width):
            row[j] += b[j]


@lean
def sum_rows(delta, out, add):
    """out[j] = sum over rows of delta[:, j], added to what is there if `add`."""
    width = out.size
    if not add:
        fill(out, 0)
    for r in range(delta.size // width):
        row = delta[r * width : (r + 1) * width]
        for j in range(width):
            out[j] += row[j]


@lean
def dense(x, W, b, rows, fan_in, fan_out, code, alpha, y, z):
    """y = f(x W + b); z receives the input of f where its derivative will need it, and is y itself elsewhere."""
    gemm(False, False, rows, fan_out, fan_in, x, fan_in, W, fan_out, like(x, 0), z, fan_out)
    if b.size:
        add_bias(b, z)
    if code != LINEAR:
        activate(code, alpha, z, fan_out, y, y)


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
        sum_rows(delta, db, add_b)
    if dx.size:
        gemm(False, True, rows, fan_in, fan_out, delta, fan_out, W, fan_out, like(x, add_x), dx, fan_in)
