"""Pooling: the largest cell of each window, or the mean of its cells, those outside the image left out.

Arrays are flat and C-ordered: x and dx (rows, H, W, C), y and delta (rows, P, Q, C). Innermost loops run over channels,
which lie side by side.
"""

from __future__ import annotations

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend import windows as V
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import kernel, lean
from fastann_kernels.numba_backend.elementary import copy, fill, like
from fastann_kernels.numba_backend.patches import add
from fastann_kernels.numba_backend.windows import geometry
from fastann_kernels.program import Instruction, Program


def _encode(program: Program, instruction: Instruction) -> Encoding:
    window = int(instruction.get("pool_h")), int(instruction.get("pool_w"))
    g = geometry(program, instruction, window)
    return Encoding(integers=g, workspace=g[V.CHANNELS])


@lean
def _cut(place, stride, padding, window, cells):
    """Return begin and end of the cells inside the image that the window at an output position sees, on one axis."""
    first = place * stride - padding
    return max(0, first), min(cells, first + window)


@lean
def _raise(x, y):
    """y = max(x, y), NaN where either is."""
    for c in range(y.size):
        y[c] = x[c] if x[c] > y[c] or x[c] != x[c] else y[c]


@lean
def _largest_of_four(x, below, y):
    """y = the largest of two neighbours in each of two lines."""
    n = y.size
    x0, x1, x2, x3 = x[:n], x[n : 2 * n], below[:n], below[n : 2 * n]
    for c in range(n):
        upper = x1[c] if x1[c] > x0[c] or x1[c] != x1[c] else x0[c]
        lower = x3[c] if x3[c] > x2[c] or x3[c] != x3[c] else x2[c]
        y[c] = lower if lower > upper or lower != lower else upper


@lean
def max_pool2d(x, rows, g, y):
    """y[p, q, c] = the largest cell of the window; NaN if one of them is."""
    channels, line = g[V.CHANNELS], g[V.W] * g[V.CHANNELS]
    for place in range(rows * g[V.P]):
        top, bottom = _cut(place % g[V.P], g[V.STRIDE_H], g[V.TOP], g[V.KERNEL_H], g[V.H])
        for q in range(g[V.Q]):
            left, right = _cut(q, g[V.STRIDE_W], g[V.LEFT], g[V.KERNEL_W], g[V.W])
            first = (place // g[V.P] * g[V.H] + top) * line + left * channels
            out = y[(place * g[V.Q] + q) * channels : (place * g[V.Q] + q + 1) * channels]
            if bottom - top == 2 and right - left == 2:
                _largest_of_four(x[first:], x[first + line :], out)
                continue
            copy(x[first : first + channels], out)
            for h in range(bottom - top):
                for w in range(right - left):
                    _raise(x[first + h * line + w * channels :], out)


@lean
def _pass(x, y, delta, dx):
    """Add delta to dx where x is the maximum y, and leave none of it there."""
    zero = like(x, 0)
    for c in range(y.size):
        # so written, the gradient of a NaN goes to the first cell
        found, d = not (x[c] < y[c]), delta[c]
        dx[c] += d if found else zero
        delta[c] = zero if found else d


@lean
def max_pool2d_backward(x, y, delta, rows, g, dx, add_x, rest):
    """dx = delta at the first largest cell of each window in reading order, added up where windows overlap.

    `rest` has an element a channel: what has not found its cell yet.
    """
    channels, line = g[V.CHANNELS], g[V.W] * g[V.CHANNELS]
    for place in range(rows * g[V.P]):
        image = place // g[V.P] * g[V.H] * line
        if not add_x and place % g[V.P] == 0:
            fill(dx[image : image + g[V.H] * line], 0)
        top, bottom = _cut(place % g[V.P], g[V.STRIDE_H], g[V.TOP], g[V.KERNEL_H], g[V.H])
        for q in range(g[V.Q]):
            left, right = _cut(q, g[V.STRIDE_W], g[V.LEFT], g[V.KERNEL_W], g[V.W])
            begin = (place * g[V.Q] + q) * channels
            largest = y[begin : begin + channels]
            copy(delta[begin : begin + channels], rest[:channels])
            for h in range(top, bottom):
                for w in range(left, right):
                    cell = image + h * line + w * channels
                    _pass(x[cell:], largest, rest[:channels], dx[cell:])


@lean
def average_pool2d(x, rows, g, y):
    """y[p, q, c] = mean of the cells of the window that lie inside the image."""
    channels, line = g[V.CHANNELS], g[V.W] * g[V.CHANNELS]
    for place in range(rows * g[V.P]):
        top, bottom = _cut(place % g[V.P], g[V.STRIDE_H], g[V.TOP], g[V.KERNEL_H], g[V.H])
        for q in range(g[V.Q]):
            left, right = _cut(q, g[V.STRIDE_W], g[V.LEFT], g[V.KERNEL_W], g[V.W])
            out = y[(place * g[V.Q] + q) * channels : (place * g[V.Q] + q + 1) * channels]
            fill(out, 0)
            for h in range(top, bottom):
                for w in range(left, right):
                    add(x[(place // g[V.P] * g[V.H] + h) * line + w * channels :], out)
            share = like(x, 1.0 / ((bottom - top) * (right - left)))
            for c in range(channels):
                out[c] *= share


@lean
def _add_share(x, share, out):
    """out += share x."""
    for c in range(out.size):
        out[c] += share * x[c]


@lean
def average_pool2d_backward(delta, rows, g, dx, add_x):
    """dx = delta / (cells of the window) at each of its cells, added up where windows overlap."""
    channels, line = g[V.CHANNELS], g[V.W] * g[V.CHANNELS]
    for place in range(rows * g[V.P]):
        image = place // g[V.P] * g[V.H] * line
        if not add_x and place % g[V.P] == 0:
            fill(dx[image : image + g[V.H] * line], 0)
        top, bottom = _cut(place % g[V.P], g[V.STRIDE_H], g[V.TOP], g[V.KERNEL_H], g[V.H])
        for q in range(g[V.Q]):
            left, right = _cut(q, g[V.STRIDE_W], g[V.LEFT], g[V.KERNEL_W], g[V.W])
            own = delta[(place * g[V.Q] + q) * channels : (place * g[V.Q] + q + 1) * channels]
            share = like(dx, 1.0 / ((bottom - top) * (right - left)))
            for h in range(top, bottom):
                for w in range(left, right):
                    cell = image + h * line + w * channels
                    _add_share(own, share, dx[cell : cell + channels])


@kernel
def _max_pool2d(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    max_pool2d(C.source(call, t, values, 0), call[C.ROWS], C.own(t), C.output(call, t, values))
    return 0.0


@kernel
def _max_pool2d_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    dx = C.source_delta(call, t, deltas, 0)
    if dx.size:
        x, y, delta = C.source(call, t, values, 0), C.output(call, t, values), C.delta(call, t, deltas)
        max_pool2d_backward(x, y, delta, call[C.ROWS], C.own(t), dx, C.accumulates(t, 0), workspace)


@kernel
def _average_pool2d(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    average_pool2d(C.source(call, t, values, 0), call[C.ROWS], C.own(t), C.output(call, t, values))
    return 0.0


@kernel
def _average_pool2d_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    dx = C.source_delta(call, t, deltas, 0)
    if dx.size:
        average_pool2d_backward(C.delta(call, t, deltas), call[C.ROWS], C.own(t), dx, C.accumulates(t, 0))


MAX_POOL2D = Operation(_encode, _max_pool2d, _max_pool2d_backward)
AVERAGE_POOL2D = Operation(_encode, _average_pool2d, _average_pool2d_backward)
