"""The dense layer: z = x W + b, y = f(z), and its backward pass.

Arrays are flat and C-ordered: x (B, I), W (I, O), b (O,), y, z and delta (B, O). Where the factors of products are
bfloat16, `half_W` holds W in it, and `half_x` and `half_delta` take x and delta; else all three are empty.
"""

from __future__ import annotations

from fastann_kernels.numba_backend.blas import gemm
from fastann_kernels.numba_backend.by_address import call_activation
from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.numba_backend.elementary import copy, fill, like
from fastann_kernels.numba_backend.halves import round_to_halves
from fastann_kernels.numba_backend.products import small_gemm
from fastann_kernels.numba_backend.vectors import column_sums

#: Elements of a matrix that stay in the cache while one loop after another goes over them.
_BLOCK = 1 << 15
#: Columns below which most lanes of a vector would be idle, and multiplications up to which that costs less than
#: calling a library.
_NARROW, _FEW = 6, 1 << 10


@lean
def add_bias(b, z):
    """z[r, :] += b for every row."""
    width = b.size
    for r in range(z.size // width):
        row = z[r * width : (r + 1) * width]
        for j in range(width):
            row[j] += b[j]


@lean
def _suits(rows, columns, inner, small):
    """Return whether a product with so many columns is one for `small_gemm`."""
    multiplications = rows * columns * inner
    return multiplications <= (small if columns >= _NARROW else _FEW)


@lean
def multiply(x, W, b, rows, fan_in, fan_out, begin, end, y, small):
    """y = x[:, begin:end] W[begin:end], plus b if that comes at no cost, which is returned.

    Products of at most `small` multiplications take the kernel for small matrices.
    """
    inner = end - begin
    if fan_out == 1 and _suits(rows, 1, inner, small):
        # y^T = W^T x^T, whose rows fill vectors
        small_gemm(1, rows, inner, W[begin:], inner, 1, x[begin:], 1, fan_in, b[:0], y, rows, False)
    elif _suits(rows, fan_out, inner, small):
        small_gemm(rows, fan_out, inner, x[begin:], fan_in, 1, W[begin * fan_out :], fan_out, 1, b, y, fan_out, False)
        return True
    else:
        gemm(
            False, False, rows, fan_out, inner, x[begin:], fan_in, W[begin * fan_out :], fan_out, like(x, 0), y,
            fan_out,
        )  # fmt: skip
    return False


@lean
def dense(x, W, b, rows, fan_in, fan_out, f, alpha, y, z, small, half_x, half_W):
    """y = f(x W + b), f at an address, 0 where it is linear; z, unless empty, receives the input of f, which its
    derivative will need. `small` as for `multiply`.
    """
    biased = False
    if half_W.size:
        round_to_halves(x, half_x)
        gemm(False, False, rows, fan_out, fan_in, half_x, fan_in, half_W, fan_out, like(x, 0), y, fan_out)
    else:
        biased = multiply(x, W, b, rows, fan_in, fan_out, 0, fan_in, y, small)
    finish(b[:0] if biased else b, rows, fan_out, f, alpha, y, z)


@lean
def finish(b, rows, fan_out, f, alpha, y, z):
    """y = f(y + b), where b is not empty; f and z as for `dense`."""
    height = max(1, _BLOCK // fan_out)
    for start in range(0, rows, height):
        block = y[start * fan_out : min(rows, start + height) * fan_out]
        if b.size:
            add_bias(b, block)
        if z.size:
            copy(block, z[start * fan_out : start * fan_out + block.size])
        if f:
            call_activation(f, block, block, block, block.size, fan_out, alpha)


@lean
def dense_backward(W, y, z, delta, rows, fan_in, fan_out, f, alpha, db, dx, add_b, add_x, small, half_W, half_delta):
    """From delta = dL/dy, which f, at an address, turns into dL/dz in place: db = sum of rows, dx = delta W^T, each
    added to what is there if its flag says so.

    An empty dx asks for no gradient of the input, an empty db says that the layer has no bias. `small` is as for
    `dense`.
    """
    if not add_b:
        fill(db, 0)  # a member of a team may have no rows
    height = max(1, _BLOCK // fan_out)
    for start in range(0, rows, height):
        stop = min(rows, start + height)
        first, last = start * fan_out, stop * fan_out
        block = delta[first:last]
        if f:
            call_activation(f, y[first:last], z[first:last], block, block.size, fan_out, alpha)
        if db.size:
            column_sums(stop - start, fan_out, block, db, True)
        if half_W.size:
            round_to_halves(block, half_delta[first:last])
    if dx.size and half_W.size:
        gemm(False, True, rows, fan_in, fan_out, half_delta, fan_out, half_W, fan_out, like(W, add_x), dx, fan_in)
    elif dx.size:
        input_gradient(delta, W, rows, fan_in, fan_out, 0, fan_in, dx, add_x, small)


@lean
def input_gradient(delta, W, rows, fan_in, fan_out, begin, end, dx, add, small):
    """dx[:, begin:end] = delta W[begin:end]^T, from delta = dL/dz, or added to what is there."""
    columns, kernel, part = end - begin, W[begin * fan_out :], dx[begin:]
    if _suits(rows, columns, fan_out, small):
        small_gemm(rows, columns, fan_out, delta, fan_out, 1, kernel, 1, fan_out, W[:0], part, fan_in, add != 0)
    else:
        gemm(False, True, rows, columns, fan_out, delta, fan_out, kernel, fan_out, like(W, add), part, fan_in)


@lean
def kernel_gradient(x, delta, rows, fan_in, fan_out, begin, end, dW, add, small, half_x, half_delta):
    """dW[begin:end] = (x^T delta)[begin:end], from delta = dL/dz, or added to what is there; dW is (I, O), flat.

    `small` is as for `multiply`, `half_x` and `half_delta` as `dense` and `dense_backward` have left them.
    """
    part, height = dW[begin * fan_out :], end - begin
    if half_x.size:
        gemm(
            True, False, height, fan_out, rows, half_x[begin:], fan_in, half_delta, fan_out, like(dW, add), part,
            fan_out,
        )  # fmt: skip
    elif fan_out == 1 and _suits(height, 1, rows, small):
        # dW^T = delta^T x
        small_gemm(1, height, rows, delta, rows, 1, x[begin:], fan_in, 1, x[:0], part, height, add != 0)
    elif _suits(height, fan_out, rows, small):
        small_gemm(height, fan_out, rows, x[begin:], 1, fan_in, delta, fan_out, 1, x[:0], part, fan_out, add != 0)
    else:
        gemm(True, False, height, fan_out, rows, x[begin:], fan_in, delta, fan_out, like(dW, add), part, fan_out)


@lean
def example_squares(x, delta, rows, fan_in, fan_out, kernel, bias):
    """Return sum_r (kernel |x_r|^2 + bias) |delta_r|^2, the squared norms of the gradients of single rows, added up.

    From delta = dL/dz; kernel and bias are 1 where such a parameter is trained, else 0. Goodfellow 2015,
    arXiv:1510.01799.
    """
    total = 0.0
    for r in range(rows):
        length = 0.0
        if kernel:
            length = _square(x[r * fan_in : (r + 1) * fan_in])
        total += (length + bias) * _square(delta[r * fan_out : (r + 1) * fan_out])
    return total


@lean
def _square(row):
    """Return |row|^2, added up in the type of the row, which vectorises."""
    total = like(row, 0)
    for j in range(row.size):
        total += row[j] * row[j]
    return float(total)
