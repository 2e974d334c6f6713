"""Losses: the weighted sum of a batch and, for training, its gradient.

Targets y and sample weights come as flat, gathered batches (B, columns). A prediction p (or its logits z) is (R, K)
with R = B * positions rows; row r belongs to sample r // positions. `scale` turns the derivative of one row's loss
into that of the batch's: loss weight / R. With `delta` empty only the value is computed.
"""

from __future__ import annotations

import math

from fastann_kernels.numba_backend.activations import shifted_exponentials
from fastann_kernels.numba_backend.compiling import inlined, lean
from fastann_kernels.numba_backend.elementary import exp, like, log1p_unit
from fastann_kernels.program import LOSSES

(
    MSE, MAE, MAPE, MSLE, HALF, HUBER, LOG_COSH, BINARY, CATEGORICAL, SPARSE, HINGE, SQUARED_HINGE, CATEGORICAL_HINGE,
    KL, POISSON, COSINE,
) = range(len(LOSSES))  # fmt: skip

EPSILON = 1e-7  # what Keras keeps probabilities away from 0 and 1 by


@inlined
def _sign(x):
    return 1.0 if x > 0 else (-1.0 if x < 0 else 0.0)


@inlined
def _clipped(p):
    """Return p clipped to [eps, 1 - eps] and the derivative of doing so."""
    if p < EPSILON:
        return EPSILON, 0.0
    if p > 1 - EPSILON:
        return 1 - EPSILON, 0.0
    return p, 1.0


@inlined
def _hinge_label(y):
    """Labels 0 and 1 stand for -1 and 1."""
    return -1.0 if y == 0 else y


@lean
def pointwise(op, y, p, delta, smoothing):
    """Return value and derivative of the losses that are a mean (KL: a sum) over the entries of a row."""
    e = p - y
    if op == MSE:
        return e * e, 2 * e
    if op == MAE:
        return abs(e), _sign(e)
    if op == HALF:
        return 0.5 * e * e, e
    if op == HUBER:
        return (0.5 * e * e, e) if abs(e) <= delta else (delta * abs(e) - 0.5 * delta * delta, delta * _sign(e))
    if op == LOG_COSH:
        size = abs(e)
        return size + math.log1p(math.exp(-2 * size)) - math.log(2.0), math.tanh(e)
    if op == MAPE:
        size = max(abs(y), EPSILON)
        return 100 * abs(e) / size, 100 * _sign(e) / size
    if op == MSLE:
        inside = p if p > EPSILON else (EPSILON if p <= EPSILON else p)
        e = math.log1p(inside) - math.log1p(max(y, EPSILON))
        return e * e, (2 * e / (1 + inside) if p > EPSILON else 0.0)
    if op == BINARY:
        y = y * (1 - smoothing) + 0.5 * smoothing
        q, slope = _clipped(p)
        return -(y * math.log(q) + (1 - y) * math.log(1 - q)), slope * ((1 - y) / (1 - q) - y / q)
    if op == HINGE or op == SQUARED_HINGE:
        y = _hinge_label(y)
        margin = 1 - y * p
        if margin <= 0:
            return 0.0, 0.0
        return (margin, -y) if op == HINGE else (margin * margin, -2 * margin * y)
    if op == POISSON:
        return p - y * math.log(p + EPSILON), 1 - y / (p + EPSILON)
    if op == KL:
        y = min(max(y, EPSILON), 1.0)
        q, slope = (p, 1.0)
        if p < EPSILON:
            q, slope = EPSILON, 0.0
        elif p > 1:
            q, slope = 1.0, 0.0
        return y * math.log(y / q), -slope * y / q
    return math.nan, math.nan


@lean
def _pointwise_rows(op, y, stride, p, width, weights, positions, factor, smoothing, scale, delta):
    total = 0.0
    share = 1.0 if op == KL else 1.0 / width
    for r in range(p.size // width):
        w = weights[r // positions] if weights.size else 1.0
        row = 0.0
        start = (r // positions) * stride + (r % positions) * width
        for j in range(width):
            value, slope = pointwise(op, float(y[start + j]), float(p[r * width + j]), factor, smoothing)
            row += value
            if delta.size:
                delta[r * width + j] += scale * w * share * slope
        total += w * row * share
    return total


@lean
def _squared_errors(y, stride, p, width, scale, delta):
    """The mean squared error of an unweighted (B, K) prediction, in loops that vectorise."""
    total = 0.0
    slope = like(p, 2 * scale / width)
    for r in range(p.size // width):
        target, row = y[r * stride : r * stride + width], p[r * width : (r + 1) * width]
        for j in range(width):
            e = row[j] - target[j]
            total += e * e
        if delta.size:
            d = delta[r * width : (r + 1) * width]
            for j in range(width):
                d[j] += slope * (row[j] - target[j])
    return total / width


@lean
def _binary_logits(y, stride, z, p, width, weights, positions, smoothing, scale, delta):
    """max(z, 0) - z y + log(1 + e^-|z|), derivative sigmoid(z) - y; p = sigmoid(z) is written on the way."""
    total = 0.0
    zero, one = like(z, 0), like(z, 1)
    keep, half = like(z, 1 - smoothing), like(z, 0.5 * smoothing)
    write = p.size > 0
    for r in range(z.size // width):
        w = like(z, weights[r // positions] if weights.size else 1.0)
        start = (r // positions) * stride + (r % positions) * width
        slope = like(z, scale / width) * w
        row = zero
        for j in range(width):
            x = z[r * width + j]
            target = y[start + j] * keep + half
            e = exp(-abs(x))
            q = (one if x >= zero else e) / (one + e)
            row += (x if x > zero else zero * x) - x * target + log1p_unit(e)
            if write:
                p[r * width + j] = q
            if delta.size:
                delta[r * width + j] += slope * (q - target)
        total += w * row
    return total / width


@lean
def _binary_logits_single(y, z, p, smoothing, scale, delta):
    """As above for one column, contiguous targets and no weights: one flat loop that vectorises."""
    total = 0.0
    zero, one = like(z, 0), like(z, 1)
    keep, half, slope = like(z, 1 - smoothing), like(z, 0.5 * smoothing), like(z, scale)
    for r in range(z.size):
        x = z[r]
        e = exp(-abs(x))
        p[r] = (one if x >= zero else e) / (one + e)
        total += (x if x > zero else zero * x) - x * (y[r] * keep + half) + log1p_unit(e)
    if delta.size:
        for r in range(z.size):
            delta[r] += slope * (p[r] - (y[r] * keep + half))
    return total


@lean
def _softmax_logits(sparse, y, stride, z, p, width, weights, positions, smoothing, scale, delta, top):
    """sum_k y_k (log sum e^z - z_k), derivative p sum(y) - y; p = softmax(z) is written on the way."""
    shifted_exponentials(z, width, p, top)
    total = 0.0
    for r in range(z.size // width):
        w = weights[r // positions] if weights.size else 1.0
        row, q = z[r * width : (r + 1) * width], p[r * width : (r + 1) * width]
        normaliser = like(z, 0)
        for j in range(width):
            normaliser += q[j]
        inverse = like(z, 1) / normaliser
        for j in range(width):
            q[j] *= inverse
        log_normaliser = float(top[r]) + math.log(normaliser)
        slope = like(z, scale * w)
        if sparse:
            label = int(y[(r // positions) * stride + r % positions])
            total += w * (log_normaliser - row[label])
            if delta.size:
                d = delta[r * width : (r + 1) * width]
                for j in range(width):
                    d[j] += slope * q[j]
                d[label] -= slope
            continue
        start = (r // positions) * stride + (r % positions) * width
        mass = 0.0
        value = 0.0
        for j in range(width):
            target = y[start + j] * (1 - smoothing) + smoothing / width
            mass += target
            value += target * (log_normaliser - row[j])
        total += w * value
        if delta.size:
            for j in range(width):
                target = y[start + j] * (1 - smoothing) + smoothing / width
                delta[r * width + j] += slope * like(z, q[j] * mass - target)
    return total


@lean
def _categorical_probabilities(sparse, y, stride, p, width, weights, positions, smoothing, scale, delta):
    """-sum_k y_k log(clip(p_k / sum p)); the derivative goes through clipping and rescaling."""
    total = 0.0
    for r in range(p.size // width):
        w = weights[r // positions] if weights.size else 1.0
        sample, place = r // positions, r % positions
        mass = 0.0
        for j in range(width):
            mass += p[r * width + j]
        inner = 0.0
        for j in range(width):
            if sparse:
                target = 1.0 if j == int(y[sample * stride + place]) else 0.0
            else:
                target = y[sample * stride + place * width + j] * (1 - smoothing) + smoothing / width
            share = p[r * width + j] / mass
            q, slope = _clipped(share)
            total -= w * target * math.log(q)
            inner += slope * target / q * share
        if delta.size:
            for j in range(width):
                if sparse:
                    target = 1.0 if j == int(y[sample * stride + place]) else 0.0
                else:
                    target = y[sample * stride + place * width + j] * (1 - smoothing) + smoothing / width
                q, slope = _clipped(p[r * width + j] / mass)
                delta[r * width + j] += scale * w * (inner - slope * target / q) / mass
    return total


@lean
def _categorical_hinge(y, stride, p, width, weights, positions, scale, delta):
    """max(0, max((1 - y) p) - sum(y p) + 1)."""
    total = 0.0
    for r in range(p.size // width):
        w = weights[r // positions] if weights.size else 1.0
        start = (r // positions) * stride + (r % positions) * width
        right, wrong, worst = 0.0, -math.inf, 0
        for j in range(width):
            right += y[start + j] * p[r * width + j]
            candidate = (1.0 - y[start + j]) * p[r * width + j]
            if candidate > wrong or candidate != candidate:
                wrong, worst = candidate, j
        value = wrong - right + 1
        if value > 0 or value != value:
            total += w * value
            if delta.size:
                for j in range(width):
                    delta[r * width + j] -= scale * w * y[start + j]
                delta[r * width + worst] += scale * w * (1.0 - y[start + worst])
    return total


@lean
def _cosine(y, stride, p, width, weights, positions, scale, delta):
    """-sum(y p) / (|y| |p|), each norm not below 1e-7, as Keras normalises."""
    total = 0.0
    for r in range(p.size // width):
        w = weights[r // positions] if weights.size else 1.0
        start = (r // positions) * stride + (r % positions) * width
        yy, pp, yp = 0.0, 0.0, 0.0
        for j in range(width):
            a, b = float(y[start + j]), float(p[r * width + j])
            yy += a * a
            pp += b * b
            yp += a * b
        y_norm = math.sqrt(max(yy, 1e-14))
        free = pp > 1e-14
        p_norm = math.sqrt(pp if free else 1e-14)
        cosine = yp / (y_norm * p_norm) if pp == pp else pp
        total -= w * cosine
        if delta.size:
            for j in range(width):
                pull = y[start + j] / (y_norm * p_norm)
                turn = cosine * p[r * width + j] / pp if free else 0.0
                delta[r * width + j] -= scale * w * (pull - turn)
    return total


@lean
def _pointwise(op, y, stride, z, p, width, weights, positions, factor, smoothing, scale, delta, top):
    if op == MSE and weights.size == 0 and positions == 1:
        return _squared_errors(y, stride, p, width, scale, delta)
    return _pointwise_rows(op, y, stride, p, width, weights, positions, factor, smoothing, scale, delta)


@lean
def _binary(op, y, stride, z, p, width, weights, positions, factor, smoothing, scale, delta, top):
    if width == 1 and positions == 1 and stride == 1 and weights.size == 0:
        return _binary_logits_single(y, z, p, smoothing, scale, delta)
    return _binary_logits(y, stride, z, p, width, weights, positions, smoothing, scale, delta)


@lean
def _softmax(op, y, stride, z, p, width, weights, positions, factor, smoothing, scale, delta, top):
    return _softmax_logits(op == SPARSE, y, stride, z, p, width, weights, positions, smoothing, scale, delta, top)


@lean
def _probabilities(op, y, stride, z, p, width, weights, positions, factor, smoothing, scale, delta, top):
    return _categorical_probabilities(op == SPARSE, y, stride, p, width, weights, positions, smoothing, scale, delta)


@lean
def _hinge_of_categories(op, y, stride, z, p, width, weights, positions, factor, smoothing, scale, delta, top):
    return _categorical_hinge(y, stride, p, width, weights, positions, scale, delta)


@lean
def _cosine_similarity(op, y, stride, z, p, width, weights, positions, factor, smoothing, scale, delta, top):
    return _cosine(y, stride, p, width, weights, positions, scale, delta)


#: Functions that return sum_r w_r l_r and add its gradient, times `scale`, to `delta` (unless that is empty). Of
#: y there are the targets from the loss's first column on, `stride` columns a sample. z are logits, from which p is
#: then written, else p is read. weights: a weight a sample, or empty. factor: Huber's threshold. top: scratch of one
#: number a row.
KINDS = {
    "pointwise": _pointwise,
    "binary_logits": _binary,
    "softmax_logits": _softmax,
    "probabilities": _probabilities,
    "categorical_hinge": _hinge_of_categories,
    "cosine": _cosine_similarity,
}


def kind(op: str, from_logits: bool) -> str:
    """Return which of the `KINDS` computes a loss."""
    code = LOSSES.index(op)
    if from_logits:
        return "binary_logits" if code == BINARY else "softmax_logits"
    others = {CATEGORICAL: "probabilities", SPARSE: "probabilities", CATEGORICAL_HINGE: "categorical_hinge"}
    return "cosine" if code == COSINE else others.get(code, "pointwise")
