"""Penalties, clipping and the update rules, each one loop over stretches of the flat vectors.

A row of `spans` is a stretch of parameters: (offset, size, trainable, decay). `coefficients` is one row of
`Steps.coefficients`. The formulas are Keras 3's, as listed at `program.UpdateRule`.
"""

from __future__ import annotations

import math
from typing import Any

from fastann_kernels.numba_backend import arguments as A
from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend import frame as F
from fastann_kernels.numba_backend.compiling import inlined, lean
from fastann_kernels.numba_backend.elementary import like
from fastann_kernels.program import COMMON_COEFFICIENTS, UPDATES

#: Bits of the flags of an update rule.
FLAGS = {
    name: 1 << i
    for i, name in enumerate(
        ("amsgrad", "centered", "clipnorm", "clipvalue", "decay", "ema", "global_clipnorm", "momentum", "nesterov")
    )
}
AMSGRAD, CENTERED, CLIPNORM, CLIPVALUE, DECAY, EMA, GLOBAL_CLIPNORM, MOMENTUM, NESTEROV = FLAGS.values()
CLIP_FLAGS = CLIPNORM | CLIPVALUE | GLOBAL_CLIPNORM

_DECAY, _CLIPVALUE, _CLIPNORM, _GLOBAL_CLIPNORM, _EMA_MOMENTUM, _EMA_OVERWRITE = range(len(COMMON_COEFFICIENTS))
_FIRST = len(COMMON_COEFFICIENTS)


#: What decays below it is taken as 0.
_LEAST = 1e-33


@inlined
def _settled(x, least):
    """Return x, or 0 where |x| < least; NaN stays.

    What is multiplied by 0.9 at each step, such as the momentum of a unit that no longer gets a gradient, ends among
    the subnormal numbers and stays there, rounded up again and again; arithmetic on those takes ten times as long.
    """
    return x - x if abs(x) < least else x


@lean
def penalty(w, l1, l2):
    """Return l1 sum|w| + l2 sum w^2."""
    sizes, squares = 0.0, 0.0
    for i in range(w.size):
        sizes += abs(w[i])
        squares += w[i] * w[i]
    return l1 * sizes + l2 * squares


@lean
def penalty_gradient(w, l1, l2, g):
    """g += l1 sign(w) + 2 l2 w, with sign(0) = 0."""
    first, second, zero = like(w, l1), like(w, 2 * l2), like(w, 0)
    for i in range(w.size):
        sign = first if w[i] > zero else (-first if w[i] < zero else zero)
        g[i] += sign + second * w[i]


@lean
def _sum_of_squares(g):
    total = 0.0
    for i in range(g.size):
        total += g[i] * g[i]
    return total


@lean
def _rescale(g, norm, limit):
    if norm > limit:
        factor = like(g, limit / norm)
        for i in range(g.size):
            g[i] *= factor


@lean
def clip(flags, coefficients, tensors, g):
    """Clip the gradient in place: by the norm of each tensor, by the norm of all, or by value."""
    if flags & CLIPNORM:
        for i in range(tensors.shape[0]):
            if tensors[i, 2]:
                part = g[tensors[i, 0] : tensors[i, 0] + tensors[i, 1]]
                _rescale(part, math.sqrt(_sum_of_squares(part)), coefficients[_CLIPNORM])
    if flags & GLOBAL_CLIPNORM:
        total = 0.0
        for i in range(tensors.shape[0]):
            if tensors[i, 2]:
                total += _sum_of_squares(g[tensors[i, 0] : tensors[i, 0] + tensors[i, 1]])
        _rescale(g, math.sqrt(total), coefficients[_GLOBAL_CLIPNORM])
    if flags & CLIPVALUE:
        limit = like(g, coefficients[_CLIPVALUE])
        for i in range(g.size):
            g[i] = -limit if g[i] < -limit else (limit if g[i] > limit else g[i])


@lean
def sgd(w, g, v, flags, lr, momentum, carried):
    """v <- carried v - lr g; w <- w + v, or w + momentum v - lr g (Nesterov), or w - lr g without momentum."""
    lr, momentum, carried, least = like(w, lr), like(w, momentum), like(w, carried), like(w, _LEAST)
    if not flags & MOMENTUM:
        for i in range(w.size):
            w[i] -= lr * g[i]
    elif flags & NESTEROV:
        for i in range(w.size):
            v[i] = _settled(carried * v[i] - lr * g[i], least)
            w[i] += momentum * v[i] - lr * g[i]
    else:
        for i in range(w.size):
            v[i] = _settled(carried * v[i] - lr * g[i], least)
            w[i] += v[i]


@lean
def rmsprop(w, g, v, buffer, average, flags, lr, rho, momentum, epsilon):
    """v <- rho v + (1 - rho) g^2; u = lr g / sqrt(v [- average^2] + eps); w <- w - u, or through a momentum buffer."""
    lr, momentum, epsilon, least = like(w, lr), like(w, momentum), like(w, epsilon), like(w, _LEAST)
    rest, rho = like(w, 1 - rho), like(w, rho)
    for i in range(w.size):
        v[i] = rho * v[i] + rest * g[i] * g[i]
        d = v[i] + epsilon
        if flags & CENTERED:
            average[i] = rho * average[i] + rest * g[i]
            d -= average[i] * average[i]
        u = lr * g[i] / like(w, math.sqrt(d))
        if flags & MOMENTUM:
            buffer[i] = _settled(momentum * buffer[i] + u, least)
            u = buffer[i]
        w[i] -= u


@lean
def adagrad(w, g, a, lr, epsilon):
    """a <- a + g^2; w <- w - lr g / sqrt(a + eps). Duchi, Hazan & Singer 2011."""
    lr, epsilon = like(w, lr), like(w, epsilon)
    for i in range(w.size):
        a[i] += g[i] * g[i]
        w[i] -= lr * g[i] / like(w, math.sqrt(a[i] + epsilon))


@lean
def adam(w, g, m, v, alpha, beta1, beta2, eps):
    """m <- m + (1 - beta1)(g - m); v <- v + (1 - beta2)(g^2 - v); w <- w - alpha m / (sqrt(v) + eps).

    Kingma & Ba 2015, the form before section 2.1: alpha holds both bias corrections.
    """
    alpha, rest1, rest2, eps = like(w, alpha), like(w, 1 - beta1), like(w, 1 - beta2), like(w, eps)
    least = like(w, _LEAST)
    for i in range(w.size):
        m[i] = _settled(m[i] + rest1 * (g[i] - m[i]), least)
        v[i] += rest2 * (g[i] * g[i] - v[i])
        w[i] -= alpha * m[i] / (like(w, math.sqrt(v[i])) + eps)


@lean
def amsgrad(w, g, m, v, v_hat, alpha, beta1, beta2, eps):
    """Adam with the largest v so far in place of v. Reddi, Kale & Kumar 2018, algorithm 2."""
    alpha, rest1, rest2, eps = like(w, alpha), like(w, 1 - beta1), like(w, 1 - beta2), like(w, eps)
    least = like(w, _LEAST)
    for i in range(w.size):
        m[i] = _settled(m[i] + rest1 * (g[i] - m[i]), least)
        v[i] += rest2 * (g[i] * g[i] - v[i])
        v_hat[i] = v[i] if v[i] > v_hat[i] else v_hat[i]
        w[i] -= alpha * m[i] / (like(w, math.sqrt(v_hat[i])) + eps)


@lean
def nadam(w, g, m, v, lr, beta1, beta2, eps, m_scale, g_scale, v_scale):
    """Adam with Nesterov momentum: w <- w - lr (m_scale m + g_scale g) / (sqrt(v_scale v) + eps). Dozat 2016."""
    rest1, rest2, eps, least = like(w, 1 - beta1), like(w, 1 - beta2), like(w, eps), like(w, _LEAST)
    lr, m_scale, g_scale, v_scale = like(w, lr), like(w, m_scale), like(w, g_scale), like(w, v_scale)
    for i in range(w.size):
        m[i] = _settled(m[i] + rest1 * (g[i] - m[i]), least)
        v[i] += rest2 * (g[i] * g[i] - v[i])
        w[i] -= lr * (m_scale * m[i] + g_scale * g[i]) / (like(w, math.sqrt(v_scale * v[i])) + eps)


@lean
def adamax(w, g, m, u, alpha, beta1, beta2, eps):
    """m as Adam; u <- max(beta2 u, |g|); w <- w - alpha m / (u + eps). Kingma & Ba 2015, section 7.1."""
    alpha, rest1, beta2, eps = like(w, alpha), like(w, 1 - beta1), like(w, beta2), like(w, eps)
    least = like(w, _LEAST)
    for i in range(w.size):
        m[i] = _settled(m[i] + rest1 * (g[i] - m[i]), least)
        old, new = beta2 * u[i], abs(g[i])
        u[i] = old if old > new else new
        w[i] -= alpha * m[i] / (u[i] + eps)


@lean
def lion(w, g, m, lr, beta1, beta2):
    """w <- w - lr sign(beta1 m + (1 - beta1) g); m <- beta2 m + (1 - beta2) g. Chen et al. 2023."""
    lr, zero, least = like(w, lr), like(w, 0), like(w, _LEAST)
    rest1, rest2, beta1, beta2 = like(w, 1 - beta1), like(w, 1 - beta2), like(w, beta1), like(w, beta2)
    for i in range(w.size):
        c = beta1 * m[i] + rest1 * g[i]
        w[i] -= lr if c > zero else (-lr if c < zero else zero)
        m[i] = _settled(beta2 * m[i] + rest2 * g[i], least)


@lean
def _sgd(flags, w, g, slots, start, stop, c):
    sgd(w, g, slots[0, start:stop] if flags & MOMENTUM else w[:0], flags, c[0], c[1], c[2])


@lean
def _rmsprop(flags, w, g, slots, start, stop, c):
    buffer = slots[1, start:stop] if flags & MOMENTUM else w[:0]
    place = 2 if flags & MOMENTUM else 1
    average = slots[place, start:stop] if flags & CENTERED else w[:0]
    rmsprop(w, g, slots[0, start:stop], buffer, average, flags, c[0], c[1], c[2], c[3])


@lean
def _adagrad(flags, w, g, slots, start, stop, c):
    adagrad(w, g, slots[0, start:stop], c[0], c[1])


@lean
def _adam(flags, w, g, slots, start, stop, c):
    m, v = slots[0, start:stop], slots[1, start:stop]
    if flags & AMSGRAD:
        amsgrad(w, g, m, v, slots[2, start:stop], c[0], c[1], c[2], c[3])
    else:
        adam(w, g, m, v, c[0], c[1], c[2], c[3])


@lean
def _nadam(flags, w, g, slots, start, stop, c):
    nadam(w, g, slots[0, start:stop], slots[1, start:stop], c[0], c[1], c[2], c[3], c[4], c[5], c[6])


@lean
def _adamax(flags, w, g, slots, start, stop, c):
    adamax(w, g, slots[0, start:stop], slots[1, start:stop], c[0], c[1], c[2], c[3])


@lean
def _lion(flags, w, g, slots, start, stop, c):
    lion(w, g, slots[0, start:stop], c[0], c[1], c[2])


@lean
def gather_gradients(grads, start, stop):
    """grads[0, start:stop] <- sum over the members of the team."""
    total = grads[0, start:stop]
    for member in range(1, grads.shape[0]):
        part = grads[member, start:stop]
        for i in range(total.size):
            total[i] += part[i]


@lean
def add_penalty_gradients(tensors, penalties, params, start, stop, g):
    """g[start:stop] += the gradient of the penalties; g is float[P]."""
    for i in range(tensors.shape[0]):
        if penalties[i, 0] != 0 or penalties[i, 1] != 0:
            first, last = max(start, tensors[i, 0]), min(stop, tensors[i, 0] + tensors[i, 1])
            if first < last:
                penalty_gradient(params[first:last], penalties[i, 0], penalties[i, 1], g[first:last])


@lean
def gradient_square(spans, start, stop, g):
    """Return sum g^2 over the trainable parameters in start..stop; g is float[P]."""
    total = 0.0
    for i in range(spans.shape[0]):
        first, last = max(start, spans[i, 0]), min(stop, spans[i, 0] + spans[i, 1])
        if spans[i, 2] and first < last:
            total += _sum_of_squares(g[first:last])
    return total


@lean
def _follow_average(coefficients, w, average):
    """average <- momentum average + (1 - momentum) w, and w <- average where the step asks for it."""
    keep, rest = like(w, coefficients[_EMA_MOMENTUM]), like(w, 1 - coefficients[_EMA_MOMENTUM])
    for j in range(w.size):
        average[j] = keep * average[j] + rest * w[j]
    if coefficients[_EMA_OVERWRITE] != 0:
        for i in range(w.size):
            w[i] = average[i]


def _update(rule: Any) -> Any:
    """Return the unit of a rule, given what runs it on one stretch with the rule's own coefficients."""

    @lean
    def unit(frame, start, stop):
        """Decay, apply the rule and follow the moving average on parameters start..stop, in place; the gradients are
        clipped."""
        spans, params, g, slots = F.spans(frame), F.params(frame), F.grads(frame)[0], F.slots(frame)
        flags, coefficients = F.arguments(frame)[A.FLAGS], F.coefficients(frame)[F.call(frame)[C.STEP]]
        for i in range(spans.shape[0]):
            first, last = max(start, spans[i, 0]), min(stop, spans[i, 0] + spans[i, 1])
            if not spans[i, 2] or first >= last:
                continue
            w = params[first:last]
            if flags & DECAY and spans[i, 3]:
                keep = like(w, 1 - coefficients[_DECAY])
                for j in range(w.size):
                    w[j] *= keep
            rule(flags, w, g[first:last], slots, first, last, coefficients[_FIRST:])
            if flags & EMA:
                _follow_average(coefficients, w, slots[slots.shape[0] - 1, first:last])
        return 0.0

    return unit


#: Units of the rules, by name.
RULES = {
    name: _update(rule)
    for name, rule in zip(UPDATES, (_sgd, _rmsprop, _adagrad, _adam, _nadam, _adamax, _lion), strict=True)
}
