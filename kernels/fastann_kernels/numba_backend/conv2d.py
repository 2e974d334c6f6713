"""Two-dimensional convolution as a matrix product of patches and kernel, a few lines of the output at a time.

Chellapilla, Puri & Simard 2006. The patches of a few hundred output positions stay in the cache between being gathered
and being multiplied; the large matrix of all patches never exists.

Arrays are flat and C-ordered: x (rows, H, W, I), kernel (kh, kw, I / groups, O), b (O,), y and delta (rows, P, Q, O).
"""

from __future__ import annotations

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend import windows as V
from fastann_kernels.numba_backend.blas import gemm
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import kernel as compiled
from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.numba_backend.elementary import copy, fill, like
from fastann_kernels.numba_backend.patches import COLUMNS, IMAGES, gather, layout_of, scatter
from fastann_kernels.numba_backend.products import small_gemm
from fastann_kernels.numba_backend.vectors import column_sums
from fastann_kernels.numba_backend.windows import geometry
from fastann_kernels.program import Instruction, Program

# The patches worked on at a time: at most so many elements, a fraction of the cache, and so many positions.
_ELEMENTS, _POSITIONS = 1 << 15, 512
#: Elements of a kernel that stay in the cache while it is read again for every 8 positions.
_CACHED = 1 << 17
# Entries of `g` behind those of the geometry: how patches lie, and how many lines of positions are taken at a time.
_LAYOUT, _LINES = 15, 16


def _encode(program: Program, instruction: Instruction) -> Encoding:
    kernel_h, kernel_w, channels, _outputs = program.parameters[instruction.params[0]].shape
    g = geometry(program, instruction, (kernel_h, kernel_w))
    width = kernel_h * kernel_w * channels
    lines = max(1, min(_POSITIONS, _ELEMENTS // width) // g[V.Q])
    return Encoding(integers=(*g, layout_of(g), lines), workspace=lines * g[V.Q] * width)


@lean
def conv2d(x, kernel, b, rows, g, y, patches):
    """y = patches of x @ kernel + b, group by group; an empty b is no bias."""
    n_in, n_out, layout = g[V.CHANNELS], g[V.OUTPUTS], g[_LAYOUT]
    channels, outputs = n_in // g[V.GROUPS], n_out // g[V.GROUPS]
    width = g[V.KERNEL_H] * g[V.KERNEL_W] * channels
    for start in range(0, rows * g[V.P], g[_LINES]):
        stop = min(rows * g[V.P], start + g[_LINES])
        begin, count = start * g[V.Q], (stop - start) * g[V.Q]
        a, ld = patches, count if layout == COLUMNS else width
        for group in range(g[V.GROUPS]):
            first = group * outputs
            if layout == IMAGES:
                a, ld = x[begin * n_in + group * channels :], n_in
            else:
                gather(x, g, layout, group, start, stop, patches)
            bias = b[first : first + outputs]
            _multiply(
                count, outputs, width, a, layout == COLUMNS, ld, kernel[first:], bias, y[begin * n_out + first :], n_out
            )


@lean
def _multiply(rows, columns, inner, a, transposed, ld, W, b, y, width):
    """y = a @ W + b for W (inner, columns) and y (rows, columns), the rows of both `width` elements apart."""
    if inner * width <= _CACHED:
        row, column = (1, ld) if transposed else (ld, 1)
        small_gemm(rows, columns, inner, a, row, column, W, width, 1, b, y, width, False)
        return
    if b.size:
        for r in range(rows):
            copy(b, y[r * width : r * width + columns])
    gemm(transposed, False, rows, columns, inner, a, ld, W, width, like(y, b.size > 0), y, width)


@lean
def conv2d_backward(x, kernel, delta, rows, g, dW, db, dx, add_W, add_b, add_x, patches):
    """dW = patches of x^T @ delta, db = sum of delta, dx = delta @ kernel^T brought back to the cells of the patches,
    each added to what is there if its flag says so.

    An empty dx asks for no gradient of the input, an empty db says that there is no bias.
    """
    n_in, n_out, layout = g[V.CHANNELS], g[V.OUTPUTS], g[_LAYOUT]
    channels, outputs = n_in // g[V.GROUPS], n_out // g[V.GROUPS]
    width = g[V.KERNEL_H] * g[V.KERNEL_W] * channels
    zero, one = like(x, 0), like(x, 1)
    _clear(dW, add_W)
    _clear(db, add_b)
    _clear(dx, add_x)
    for start in range(0, rows * g[V.P], g[_LINES]):
        stop = min(rows * g[V.P], start + g[_LINES])
        begin, count = start * g[V.Q], (stop - start) * g[V.Q]
        a, ld = patches, count if layout == COLUMNS else width
        for group in range(g[V.GROUPS]):
            first = group * outputs
            own, W = delta[begin * n_out + first :], kernel[first:]
            if layout == IMAGES:
                a, ld = x[begin * n_in + group * channels :], n_in
            else:
                gather(x, g, layout, group, start, stop, patches)
            gemm(layout != COLUMNS, False, width, outputs, count, a, ld, own, n_out, one, dW[first:], n_out)
            if dx.size and layout == IMAGES:
                into = dx[begin * n_in + group * channels :]
                gemm(False, True, count, width, outputs, own, n_out, W, n_out, one, into, n_in)
            elif dx.size:
                if layout == COLUMNS:
                    gemm(False, True, width, count, outputs, W, n_out, own, n_out, zero, patches, count)
                else:
                    gemm(False, True, count, width, outputs, own, n_out, W, n_out, zero, patches, width)
                scatter(patches, g, layout, group, start, stop, dx)
        if db.size:
            column_sums(count, n_out, delta[begin * n_out :], db, True)


@lean
def _clear(gradient, add):
    if not add:
        fill(gradient, 0)


@compiled
def _forward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    b = C.parameter(t, params, 1) if t[C.PARAMETERS] > 1 else params[:0]
    x, y, g = C.source(call, t, values, 0), C.output(call, t, values), C.own(t)
    conv2d(x, C.parameter(t, params, 0), b, call[C.ROWS], g, y, workspace)
    return 0.0


@compiled
def _backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    biased, rows, g = t[C.PARAMETERS] > 1, call[C.ROWS], C.own(t)
    x, W, delta = C.source(call, t, values, 0), C.parameter(t, params, 0), C.delta(call, t, deltas)
    dW, db = C.parameter(t, grads, 0), C.parameter(t, grads, 1) if biased else grads[:0]
    add_W, add_b = C.adds_gradient(t, 0), biased and C.adds_gradient(t, 1)
    dx, add_x = C.source_delta(call, t, deltas, 0), C.accumulates(t, 0)
    conv2d_backward(x, W, delta, rows, g, dW, db, dx, add_W, add_b, add_x, workspace)


CONV2D = Operation(_encode, _forward, _backward)
