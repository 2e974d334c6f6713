"""Batch normalisation and layer normalisation: y = gamma (x - mean) / sqrt(var + epsilon) + beta.

Ioffe & Szegedy 2015; Ba, Kiros & Hinton 2016. Matrices are (rows, C), where all leading axes count as rows.
"""

from __future__ import annotations

import math
from math import prod

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import kernel, lean
from fastann_kernels.numba_backend.elementary import copy, fill, like
from fastann_kernels.numba_backend.team import wait_for_all
from fastann_kernels.program import Instruction, Program

#: Rows that are summed before the sum is added to the total: rounding then grows with the root of the rows, about.
_BLOCK = 256

# Own integers of batch_norm, and its numbers.
_CHANNELS, _SCALE, _CENTER, _FROZEN, _MEAN = range(5)
_EPSILON, _MOMENTUM = range(2)
# Own integers of layer_norm: elements that are normalised together, then as above. Its first number is epsilon.
_WIDTH = 0
# Arrays of C elements that each member has in `shared`: mean of its rows, sum of squares about it, then of the backward
# pass sum of delta and of delta * x_hat.
_MEANS, _SQUARES, _DELTAS, _PRODUCTS = range(4)


def _encode_batch_norm(program: Program, instruction: Instruction) -> Encoding:
    channels = program.values[instruction.output].shape[-1]
    scale, center = bool(instruction.get("scale")), bool(instruction.get("center"))
    return Encoding(
        integers=(channels, int(scale), int(center), int(instruction.get("frozen")), int(scale) + int(center)),
        numbers=(float(instruction.get("epsilon")), float(instruction.get("momentum"))),
        workspace=4 * channels,
        shared=4 * channels,
    )


@lean
def _column_moments(x, columns, block, mean, squares):
    """mean[c] = mean of column c of x, squares[c] = sum of squares about it.

    Blocks of rows, each read twice while it is in the cache, are put together as in `_batch_statistics`.
    """
    rows = x.size // columns
    fill(mean, 0)
    fill(squares, 0)
    for start in range(0, rows, _BLOCK):
        stop = min(start + _BLOCK, rows)
        fill(block, 0)
        for r in range(start, stop):
            for c in range(columns):
                block[c] += x[r * columns + c]
        count, part = like(x, stop - start), like(x, (stop - start) / stop)
        for c in range(columns):
            block[c] = block[c] / count - mean[c]
            squares[c] += block[c] * block[c] * part * like(x, start)
            mean[c] += block[c]
        for r in range(start, stop):
            for c in range(columns):
                d = x[r * columns + c] - mean[c]
                squares[c] += d * d
        # the last loop was about the mean of this block alone
        for c in range(columns):
            mean[c] += block[c] * (part - like(x, 1))


@lean
def _column_gradients(x, delta, columns, mean, inverse, block, sums, products):
    """sums[c] = sum over rows of delta, products[c] = sum of delta (x - mean) inverse; block: 2 columns elements."""
    rows = x.size // columns
    fill(sums, 0)
    fill(products, 0)
    first, second = block[:columns], block[columns : 2 * columns]
    for start in range(0, rows, _BLOCK):
        fill(block, 0)
        for r in range(start, min(rows, start + _BLOCK)):
            for c in range(columns):
                d = delta[r * columns + c]
                first[c] += d
                second[c] += d * (x[r * columns + c] - mean[c])
        for c in range(columns):
            sums[c] += first[c]
            products[c] += second[c] * inverse[c]


@kernel
def _share(call, t, shared, member, array, channels):
    """Return one of a member's arrays in `shared`."""
    start = t[C.SHARED] * call[C.MEMBERS] + (4 * member + array) * channels
    return shared[start : start + channels]


@kernel
def _rows_of(call, member):
    """Return how many rows of the batch a member has."""
    size, members = call[C.BATCH_ROWS], call[C.MEMBERS]
    return size * (member + 1) // members - size * member // members


@kernel
def _positions(t, channels):
    """Return how many rows of the matrix one row of the batch is."""
    return t[C.OUT_SIZE] // channels


@kernel
def _batch_statistics(call, t, shared, channels, mean, variance):
    """Put the members' statistics together (Chan, Golub & LeVeque 1983): mean and biased variance of the batch."""
    fill(mean, 0)
    fill(variance, 0)
    seen = 0
    for member in range(call[C.MEMBERS]):
        count = _rows_of(call, member)
        if count == 0:
            continue
        means = _share(call, t, shared, member, _MEANS, channels)
        squares = _share(call, t, shared, member, _SQUARES, channels)
        part = like(mean, count / (seen + count))
        for c in range(channels):
            d = means[c] - mean[c]
            mean[c] += d * part
            variance[c] += d * d * part * like(mean, seen) + squares[c] / like(mean, _positions(t, channels))
        seen += count
    for c in range(channels):
        variance[c] /= like(mean, seen)


@kernel
def _statistics(call, t, numbers, params, shared, training, mean, inverse):
    """Fill mean and 1 / sqrt(var + epsilon): of the batch in training, else the moving ones."""
    own = C.own(t)
    channels = own[_CHANNELS]
    if training:
        _batch_statistics(call, t, shared, channels, mean, inverse)
    else:
        copy(C.parameter(t, params, own[_MEAN]), mean)
        copy(C.parameter(t, params, own[_MEAN] + 1), inverse)
    for c in range(channels):
        inverse[c] = like(mean, 1.0 / math.sqrt(inverse[c] + numbers[_EPSILON]))


@kernel
def _batch_norm(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    own = C.own(t)
    n = own[_CHANNELS]
    x, y = C.source(call, t, values, 0), C.output(call, t, values)
    mean, inverse, shift = workspace[:n], workspace[n : 2 * n], workspace[2 * n : 3 * n]
    training = call[C.TRAINING] != 0 and own[_FROZEN] == 0
    if training:
        means = _share(call, t, shared, call[C.MEMBER], _MEANS, n)
        squares = _share(call, t, shared, call[C.MEMBER], _SQUARES, n)
        _column_moments(x, n, mean, means, squares)
        wait_for_all(barrier, call[C.MEMBERS])
    _statistics(call, t, numbers, params, shared, training, mean, inverse)
    if own[_SCALE]:
        gamma = C.parameter(t, params, 0)
        for c in range(n):
            inverse[c] *= gamma[c]
    fill(shift, 0)
    if own[_CENTER]:
        copy(C.parameter(t, params, own[_SCALE]), shift)
    for r in range(x.size // n):
        for c in range(n):
            y[r * n + c] = (x[r * n + c] - mean[c]) * inverse[c] + shift[c]
    return 0.0


@kernel
def _batch_norm_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    own = C.own(t)
    n = own[_CHANNELS]
    x, delta, dx = C.source(call, t, values, 0), C.delta(call, t, deltas), C.source_delta(call, t, deltas, 0)
    mean, inverse = workspace[:n], workspace[n : 2 * n]
    sums, products = workspace[2 * n : 3 * n], workspace[3 * n : 4 * n]
    training = call[C.TRAINING] != 0 and own[_FROZEN] == 0
    _statistics(call, t, numbers, params, shared, training, mean, inverse)
    own_sums = _share(call, t, shared, call[C.MEMBER], _DELTAS, n)
    own_products = _share(call, t, shared, call[C.MEMBER], _PRODUCTS, n)
    _column_gradients(x, delta, n, mean, inverse, workspace[2 * n : 4 * n], own_sums, own_products)
    if own[_SCALE]:
        C.put(own_products, C.parameter(t, grads, 0), C.adds_gradient(t, 0))
    if own[_CENTER]:
        C.put(own_sums, C.parameter(t, grads, own[_SCALE]), C.adds_gradient(t, own[_SCALE]))
    fill(sums, 0)
    fill(products, 0)
    if training:
        # the batch's statistics depend on every row, so every member needs everybody's sums
        wait_for_all(barrier, call[C.MEMBERS])
        total = like(x, 1.0 / (call[C.BATCH_ROWS] * _positions(t, n)))
        for member in range(call[C.MEMBERS]):
            for c in range(n):
                sums[c] += _share(call, t, shared, member, _DELTAS, n)[c] * total
                products[c] += _share(call, t, shared, member, _PRODUCTS, n)[c] * total
    for c in range(n):
        # delta - mean(delta) - x_hat mean(delta x_hat), with x_hat = (x - mean) inverse
        products[c] *= inverse[c]
    if own[_SCALE]:
        gamma = C.parameter(t, params, 0)
        for c in range(n):
            inverse[c] *= gamma[c]
    add = C.accumulates(t, 0)
    for r in range(dx.size // n):
        for c in range(n):
            i = r * n + c
            g = (delta[i] - sums[c] - (x[i] - mean[c]) * products[c]) * inverse[c]
            dx[i] = dx[i] + g if add else g


@kernel
def _batch_norm_commit(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    """moving <- momentum moving + (1 - momentum) batch."""
    own = C.own(t)
    n = own[_CHANNELS]
    if own[_FROZEN]:
        return
    mean, variance = workspace[:n], workspace[n : 2 * n]
    _batch_statistics(call, t, shared, n, mean, variance)
    moving_mean, moving_variance = C.parameter(t, params, own[_MEAN]), C.parameter(t, params, own[_MEAN] + 1)
    momentum = like(mean, numbers[_MOMENTUM])
    rest = like(mean, 1.0 - numbers[_MOMENTUM])
    for c in range(n):
        moving_mean[c] = momentum * moving_mean[c] + rest * mean[c]
        moving_variance[c] = momentum * moving_variance[c] + rest * variance[c]


def _encode_layer_norm(program: Program, instruction: Instruction) -> Encoding:
    whole = program.values[instruction.output]
    width = prod(whole.shape[len(whole.shape) - int(instruction.get("axes", 1)) :])
    return Encoding(
        integers=(width, int(instruction.get("scale")), int(instruction.get("center"))),
        numbers=(float(instruction.get("epsilon")),),
        scratch=2 * (whole.size // width),
        workspace=3 * width,
    )


@lean
def _mean_and_inverse(x, epsilon):
    """Return mean and 1 / sqrt(var + epsilon) of x."""
    total, squares = like(x, 0), like(x, 0)
    for j in range(x.size):
        total += x[j]
    mean = total / like(x, x.size)
    for j in range(x.size):
        d = x[j] - mean
        squares += d * d
    return mean, like(x, 1.0 / math.sqrt(squares / x.size + epsilon))


@kernel
def _gamma(t, params, space):
    """Return gamma, or ones in `space`."""
    if C.own(t)[_SCALE]:
        return C.parameter(t, params, 0)
    fill(space, 1)
    return space


@kernel
def _beta(t, params, space):
    """Return beta, or zeros in `space`."""
    own = C.own(t)
    if own[_CENTER]:
        return C.parameter(t, params, own[_SCALE])
    fill(space, 0)
    return space


@kernel
def _layer_norm(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    n = C.own(t)[_WIDTH]
    x, y = C.source(call, t, values, 0), C.output(call, t, values)
    gamma, beta = _gamma(t, params, workspace[:n]), _beta(t, params, workspace[n : 2 * n])
    kept = C.kept(call, t, scratch, 2 * (t[C.OUT_SIZE] // n))
    for r in range(x.size // n):
        row, out = x[r * n : (r + 1) * n], y[r * n : (r + 1) * n]
        mean, inverse = _mean_and_inverse(row, numbers[_EPSILON])
        kept[2 * r], kept[2 * r + 1] = mean, inverse
        for j in range(n):
            out[j] = (row[j] - mean) * inverse * gamma[j] + beta[j]
    return 0.0


@lean
def _layer_norm_row(x, delta, mean, inverse, gamma, d_gamma, d_beta):
    """Add one row's share to d_gamma and d_beta; delta <- gradient of the input."""
    sums, products, size = like(x, 0), like(x, 0), like(x, x.size)
    for j in range(x.size):
        x_hat = (x[j] - mean) * inverse
        d_gamma[j] += delta[j] * x_hat
        d_beta[j] += delta[j]
        g = delta[j] * gamma[j]
        sums += g
        products += g * x_hat
    sums, products = sums / size, products / size
    for j in range(x.size):
        delta[j] = (delta[j] * gamma[j] - sums - (x[j] - mean) * inverse * products) * inverse


@kernel
def _layer_norm_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    own = C.own(t)
    n = own[_WIDTH]
    x, delta, dx = C.source(call, t, values, 0), C.delta(call, t, deltas), C.source_delta(call, t, deltas, 0)
    gamma, d_gamma, d_beta = _gamma(t, params, workspace[:n]), workspace[n : 2 * n], workspace[2 * n : 3 * n]
    kept = C.kept(call, t, scratch, 2 * (t[C.OUT_SIZE] // n))
    fill(d_gamma, 0)
    fill(d_beta, 0)
    for r in range(x.size // n):
        part = delta[r * n : (r + 1) * n]
        _layer_norm_row(x[r * n : (r + 1) * n], part, kept[2 * r], kept[2 * r + 1], gamma, d_gamma, d_beta)
    if own[_SCALE]:
        C.put(d_gamma, C.parameter(t, grads, 0), C.adds_gradient(t, 0))
    if own[_CENTER]:
        C.put(d_beta, C.parameter(t, grads, own[_SCALE]), C.adds_gradient(t, own[_SCALE]))
    C.put(delta, dx, C.accumulates(t, 0))


LAYER_NORM = Operation(_encode_layer_norm, _layer_norm, _layer_norm_backward)
BATCH_NORM = Operation(_encode_batch_norm, _batch_norm, _batch_norm_backward, _batch_norm_commit)
