"""Convolution of every channel on its own: y[p, q, c M + m] = b[c M + m] + sum_{i, j} W[i, j, c, m] x[..., c].

There is no matrix product in it: innermost loops run over channels. With M = 1 three neighbouring taps are taken
together, because a sum that is read and written for every tap costs more than the multiplications.

Arrays are flat and C-ordered: x (rows, H, W, I), kernel (kh, kw, I, M), b (I M,), y and delta (rows, P, Q, I M).
"""

from __future__ import annotations

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend import windows as V
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import kernel as compiled
from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.numba_backend.elementary import copy, fill
from fastann_kernels.numba_backend.vectors import column_sums
from fastann_kernels.numba_backend.windows import geometry, span
from fastann_kernels.program import Instruction, Program


def _encode(program: Program, instruction: Instruction) -> Encoding:
    kernel_h, kernel_w, _channels, _multiple = program.parameters[instruction.params[0]].shape
    return Encoding(integers=geometry(program, instruction, (kernel_h, kernel_w)))


@lean
def _multiply_add(x, W, y):
    """y[c M + m] += x[c] W[c M + m]."""
    multiple = y.size // x.size
    if multiple == 1:
        for c in range(y.size):
            y[c] += x[c] * W[c]
        return
    for c in range(x.size):
        out, w = y[c * multiple : (c + 1) * multiple], W[c * multiple : (c + 1) * multiple]
        for m in range(multiple):
            out[m] += x[c] * w[m]


@lean
def _three(x, step, W, y):
    """y += x W, summed over three pairs of n elements, n = y.size, those of x `step` apart."""
    n = y.size
    x0, x1, x2 = x[:n], x[step : step + n], x[2 * step : 2 * step + n]
    w0, w1, w2 = W[:n], W[n : 2 * n], W[2 * n : 3 * n]
    for c in range(n):
        y[c] += x0[c] * w0[c] + x1[c] * w1[c] + x2[c] * w2[c]


@lean
def depthwise_conv2d(x, kernel, b, rows, g, y):
    """y = the sum of the definition; an empty b is no bias."""
    channels, outputs, step = g[V.CHANNELS], g[V.OUTPUTS], g[V.DILATION_W] * g[V.CHANNELS]
    for place in range(rows * g[V.P]):
        up = place % g[V.P] * g[V.STRIDE_H] - g[V.TOP]
        above, below = span(g[V.KERNEL_H], g[V.DILATION_H], up, g[V.H])
        for q in range(g[V.Q]):
            w = q * g[V.STRIDE_W] - g[V.LEFT]
            left, right = span(g[V.KERNEL_W], g[V.DILATION_W], w, g[V.W])
            threes = left + (right - left) // 3 * 3 if channels == outputs else left
            out = y[(place * g[V.Q] + q) * outputs : (place * g[V.Q] + q + 1) * outputs]
            fill(out, 0)
            copy(b, out[: b.size])
            for i in range(above, below):
                line = (place // g[V.P] * g[V.H] + up + i * g[V.DILATION_H]) * g[V.W] + w
                for j in range(left, threes, 3):
                    taps = kernel[(i * g[V.KERNEL_W] + j) * outputs :]
                    _three(x[line * channels + j * step :], step, taps, out)
                for j in range(threes, right):
                    cell, tap = line * channels + j * step, (i * g[V.KERNEL_W] + j) * outputs
                    _multiply_add(x[cell : cell + channels], kernel[tap : tap + outputs], out)


@lean
def depthwise_conv2d_backward(x, kernel, delta, rows, g, dW, db, dx, add_W, add_b, add_x):
    """The gradients, each added to what is there if its flag says so.

    An empty dx asks for no gradient of the input, an empty db says that there is no bias.
    """
    if not add_W:
        fill(dW, 0)
    if not add_x:
        fill(dx, 0)
    if db.size:
        column_sums(rows * g[V.P] * g[V.Q], g[V.OUTPUTS], delta, db, add_b)
    for place in range(rows * g[V.P]):
        line = delta[place * g[V.Q] * g[V.OUTPUTS] : (place + 1) * g[V.Q] * g[V.OUTPUTS]]
        for i in range(g[V.KERNEL_H]):
            h = place % g[V.P] * g[V.STRIDE_H] + i * g[V.DILATION_H] - g[V.TOP]
            if h < 0 or h >= g[V.H]:
                continue
            start = (place // g[V.P] * g[V.H] + h) * g[V.W] * g[V.CHANNELS]
            for j in range(g[V.KERNEL_W]):
                offset = j * g[V.DILATION_W] - g[V.LEFT]
                begin, end = span(g[V.Q], g[V.STRIDE_W], offset, g[V.W])
                first = start + (begin * g[V.STRIDE_W] + offset) * g[V.CHANNELS]
                tap = (i * g[V.KERNEL_W] + j) * g[V.OUTPUTS]
                own = line[begin * g[V.OUTPUTS] : end * g[V.OUTPUTS]]
                if begin < end:
                    _line_backward(x, kernel[tap : tap + g[V.OUTPUTS]], own, first, g, dW[tap : tap + g[V.OUTPUTS]], dx)


@lean
def _line_backward(x, W, delta, first, g, dW, dx):
    """Add to dW and dx what one tap brings to a line of positions; the first of them sees the cell at `first`."""
    channels, outputs, step = g[V.CHANNELS], g[V.OUTPUTS], g[V.STRIDE_W] * g[V.CHANNELS]
    count = delta.size // outputs
    threes = count // 3 * 3 if channels == outputs else 0
    for q in range(0, threes, 3):
        _three(x[first + q * step :], step, delta[q * outputs :], dW)
    for q in range(threes, count):
        cell = first + q * step
        _multiply_add(x[cell : cell + channels], delta[q * outputs : (q + 1) * outputs], dW)
    if dx.size:
        for q in range(count):
            cell = first + q * step
            _sum_products(delta[q * outputs : (q + 1) * outputs], W, dx[cell : cell + channels])


@lean
def _sum_products(delta, W, dx):
    """dx[c] += sum over m of delta[c M + m] W[c M + m]."""
    multiple = delta.size // dx.size
    if multiple == 1:
        for c in range(dx.size):
            dx[c] += delta[c] * W[c]
        return
    for c in range(dx.size):
        d, w = delta[c * multiple : (c + 1) * multiple], W[c * multiple : (c + 1) * multiple]
        total = dx[c]
        for m in range(multiple):
            total += d[m] * w[m]
        dx[c] = total


@compiled
def _forward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    b = C.parameter(t, params, 1) if t[C.PARAMETERS] > 1 else params[:0]
    x, y = C.source(call, t, values, 0), C.output(call, t, values)
    depthwise_conv2d(x, C.parameter(t, params, 0), b, call[C.ROWS], C.own(t), y)
    return 0.0


@compiled
def _backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    biased = t[C.PARAMETERS] > 1
    db = C.parameter(t, grads, 1) if biased else grads[:0]
    depthwise_conv2d_backward(
        C.source(call, t, values, 0), C.parameter(t, params, 0), C.delta(call, t, deltas), call[C.ROWS], C.own(t),
        C.parameter(t, grads, 0), db, C.source_delta(call, t, deltas, 0), C.adds_gradient(t, 0),
        biased and C.adds_gradient(t, 1), C.accumulates(t, 0),
    )  # fmt: skip


DEPTHWISE_CONV2D = Operation(_encode, _forward, _backward)
