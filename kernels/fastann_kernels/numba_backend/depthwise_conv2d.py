"""Convolution of every channel on its own: y[p, q, c M + m] = b[c M + m] + sum_{i, j} W[i, j, c, m] x[..., c].

There is no matrix product in it: each tap multiplies a stretch of a line of cells, element by element, with its weights
repeated as often as there are positions in the stretch. So the innermost loops are long whatever the channels.

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

#: Elements of a stretch: the weights of all taps, so often repeated, stay in the inner caches.
_STRETCH = 1024
# Entry of `g` behind those of the geometry: positions of a stretch.
_POSITIONS = 15


def _encode(program: Program, instruction: Instruction) -> Encoding:
    kernel_h, kernel_w, channels, multiple = program.parameters[instruction.params[0]].shape
    g = geometry(program, instruction, (kernel_h, kernel_w))
    positions = max(1, min(g[V.Q], _STRETCH // (channels * multiple)))
    # repeated weights and their gradients, biases, and a stretch to spread cells in
    stretches = 2 * kernel_h * kernel_w + 2
    return Encoding(integers=(*g, positions), workspace=stretches * positions * channels * multiple)


@lean
def _multiply_add(a, b, out):
    """out += a b, element by element."""
    for k in range(out.size):
        out[k] += a[k] * b[k]


@lean
def _repeat(rows, width, times, out):
    """out[r, t, :] = rows[r, :] for every t < times."""
    for r in range(rows.size // width):
        for t in range(times):
            start = (r * times + t) * width
            copy(rows[r * width : (r + 1) * width], out[start : start + width])


@lean
def _spread(x, step, multiple, channels, out):
    """out[q, c, m] = x[q step + c]."""
    k = 0
    for q in range(out.size // (channels * multiple)):
        cell = x[q * step : q * step + channels]
        for c in range(channels):
            for _ in range(multiple):
                out[k] = cell[c]
                k += 1


@lean
def _collect(products, step, multiple, channels, dx):
    """dx[q step + c] += sum over m of products[q, c, m]."""
    k = 0
    for q in range(products.size // (channels * multiple)):
        cell = dx[q * step : q * step + channels]
        for c in range(channels):
            for _ in range(multiple):
                cell[c] += products[k]
                k += 1


@lean
def _visible(g, i, j, place, first, last):
    """Return begin and end of the positions of a stretch of line `place` that see a cell through tap (i, j), and where
    the channels of the first such cell begin.
    """
    h = place % g[V.P] * g[V.STRIDE_H] + i * g[V.DILATION_H] - g[V.TOP]
    if h < 0 or h >= g[V.H]:
        return first, first, 0
    offset = j * g[V.DILATION_W] - g[V.LEFT]
    begin, end = span(g[V.Q], g[V.STRIDE_W], offset, g[V.W])
    begin, end = max(begin, first), min(end, last)
    cell = (place // g[V.P] * g[V.H] + h) * g[V.W] + begin * g[V.STRIDE_W] + offset
    return begin, end, cell * g[V.CHANNELS]


@lean
def depthwise_conv2d(x, kernel, b, rows, g, y, workspace):
    """y = the sum of the definition; an empty b is no bias."""
    channels, outputs, positions = g[V.CHANNELS], g[V.OUTPUTS], g[_POSITIONS]
    stretch, step, multiple = positions * outputs, g[V.STRIDE_W] * channels, outputs // channels
    taps = g[V.KERNEL_H] * g[V.KERNEL_W]
    weights, biases = workspace[: taps * stretch], workspace[taps * stretch : (taps + 1) * stretch]
    seen = workspace[(taps + 1) * stretch :]
    _repeat(kernel, outputs, positions, weights)
    fill(biases, 0)
    _repeat(b, outputs, positions, biases)
    for place in range(rows * g[V.P]):
        for first in range(0, g[V.Q], positions):
            last = min(g[V.Q], first + positions)
            out = y[(place * g[V.Q] + first) * outputs : (place * g[V.Q] + last) * outputs]
            copy(biases[: out.size], out)
            for tap in range(taps):
                begin, end, cell = _visible(g, tap // g[V.KERNEL_W], tap % g[V.KERNEL_W], place, first, last)
                if begin >= end:
                    continue
                W, sums = weights[tap * stretch :], out[(begin - first) * outputs : (end - first) * outputs]
                if step == channels == outputs:
                    _multiply_add(x[cell:], W, sums)
                else:
                    _spread(x[cell:], step, multiple, channels, seen[: sums.size])
                    _multiply_add(seen, W, sums)


@lean
def depthwise_conv2d_backward(x, kernel, delta, rows, g, dW, db, dx, add_W, add_b, add_x, workspace):
    """The gradients, each added to what is there if its flag says so.

    An empty dx asks for no gradient of the input, an empty db says that there is no bias.
    """
    channels, outputs, positions = g[V.CHANNELS], g[V.OUTPUTS], g[_POSITIONS]
    stretch, step, multiple = positions * outputs, g[V.STRIDE_W] * channels, outputs // channels
    taps = g[V.KERNEL_H] * g[V.KERNEL_W]
    weights, gradients = workspace[: taps * stretch], workspace[taps * stretch : 2 * taps * stretch]
    seen = workspace[2 * taps * stretch :]
    _repeat(kernel, outputs, positions, weights)
    fill(gradients, 0)
    if not add_x:
        fill(dx, 0)
    for place in range(rows * g[V.P]):
        for first in range(0, g[V.Q], positions):
            last = min(g[V.Q], first + positions)
            for tap in range(taps):
                begin, end, cell = _visible(g, tap // g[V.KERNEL_W], tap % g[V.KERNEL_W], place, first, last)
                if begin >= end:
                    continue
                own = delta[(place * g[V.Q] + begin) * outputs : (place * g[V.Q] + end) * outputs]
                W, slopes = weights[tap * stretch :], gradients[tap * stretch : tap * stretch + own.size]
                if step == channels == outputs:
                    _multiply_add(x[cell:], own, slopes)
                    _multiply_add(own, W, dx[cell : cell + own.size] if dx.size else dx)
                    continue
                _spread(x[cell:], step, multiple, channels, seen[: own.size])
                _multiply_add(seen, own, slopes)
                if dx.size:
                    for k in range(own.size):
                        seen[k] = own[k] * W[k]
                    _collect(seen[: own.size], step, multiple, channels, dx[cell:])
    for tap in range(taps):
        column_sums(positions, outputs, gradients[tap * stretch :], dW[tap * outputs :], add_W)
    if db.size:
        column_sums(rows * g[V.P] * g[V.Q], outputs, delta, db, add_b)


@compiled
def _forward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    b = C.parameter(t, params, 1) if t[C.PARAMETERS] > 1 else params[:0]
    x, y = C.source(call, t, values, 0), C.output(call, t, values)
    depthwise_conv2d(x, C.parameter(t, params, 0), b, call[C.ROWS], C.own(t), y, workspace)
    return 0.0


@compiled
def _backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    biased = t[C.PARAMETERS] > 1
    db = C.parameter(t, grads, 1) if biased else grads[:0]
    depthwise_conv2d_backward(
        C.source(call, t, values, 0), C.parameter(t, params, 0), C.delta(call, t, deltas), call[C.ROWS], C.own(t),
        C.parameter(t, grads, 0), db, C.source_delta(call, t, deltas, 0), C.adds_gradient(t, 0),
        biased and C.adds_gradient(t, 1), C.accumulates(t, 0), workspace,
    )  # fmt: skip


DEPTHWISE_CONV2D = Operation(_encode, _forward, _backward)
