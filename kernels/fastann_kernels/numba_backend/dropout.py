"""Dropout masks from threefry-2x32, the counter-based generator of JAX, written again as a loop that vectorises.

Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3": 20 rounds, a key injection every
four. The bits of element i come from counter (0, i) and are the exclusive or of the two output words, as
`jax.random.bits` makes them.
"""

from __future__ import annotations

import numpy as np

from fastann_kernels.numba_backend.calls import KEY_0, KEY_1
from fastann_kernels.numba_backend.compiling import inlined, lean
from fastann_kernels.numba_backend.elementary import like

_PARITY = np.uint32(0x1BD11BDA)


@inlined
def _mix(x0, x1, rotation):
    x0 = np.uint32(x0 + x1)
    x1 = np.uint32(np.uint32(x1 << rotation) | np.uint32(x1 >> (32 - rotation)))
    return x0, np.uint32(x1 ^ x0)


@inlined
def _four_rounds(x0, x1, a, b, c, d):
    x0, x1 = _mix(x0, x1, a)
    x0, x1 = _mix(x0, x1, b)
    x0, x1 = _mix(x0, x1, c)
    return _mix(x0, x1, d)


@inlined
def threefry(k0, k1, c0, c1):
    """Return the two words that threefry-2x32 makes of key (k0, k1) and counter (c0, c1), all uint32."""
    k2 = np.uint32(k0 ^ k1 ^ _PARITY)
    x0, x1 = np.uint32(c0 + k0), np.uint32(c1 + k1)
    x0, x1 = _four_rounds(x0, x1, 13, 15, 26, 6)
    x0, x1 = np.uint32(x0 + k1), np.uint32(x1 + k2 + 1)
    x0, x1 = _four_rounds(x0, x1, 17, 29, 16, 24)
    x0, x1 = np.uint32(x0 + k2), np.uint32(x1 + k0 + 2)
    x0, x1 = _four_rounds(x0, x1, 13, 15, 26, 6)
    x0, x1 = np.uint32(x0 + k0), np.uint32(x1 + k1 + 3)
    x0, x1 = _four_rounds(x0, x1, 17, 29, 16, 24)
    x0, x1 = np.uint32(x0 + k1), np.uint32(x1 + k2 + 4)
    x0, x1 = _four_rounds(x0, x1, 13, 15, 26, 6)
    return np.uint32(x0 + k2), np.uint32(x1 + k0 + 5)


@lean
def stream_key(call, stream):
    """Return the key of a random stream in this step: the step's key with the number of the stream folded in."""
    return threefry(np.uint32(call[KEY_0]), np.uint32(call[KEY_1]), np.uint32(0), np.uint32(stream))


@lean
def dropout(x, rate, k0, k1, first, y, mask):
    """mask = 1 / (1 - rate) where bits >= rate * 2^32, else 0; y = x * mask. x[0] is element `first` of the batch."""
    threshold = np.uint32(rate * 4294967296.0)
    keep, drop = like(x, 1.0 / (1.0 - rate)), like(x, 0)
    for i in range(x.size):
        x0, x1 = threefry(k0, k1, np.uint32(0), np.uint32(first + i))
        mask[i] = keep if np.uint32(x0 ^ x1) >= threshold else drop
    for i in range(x.size):
        y[i] = x[i] * mask[i]


@lean
def dropout_backward(delta, mask, dx, accumulate):
    """dx = delta * mask, added to dx where it holds something already."""
    if accumulate:
        for i in range(delta.size):
            dx[i] += delta[i] * mask[i]
    else:
        for i in range(delta.size):
            dx[i] = delta[i] * mask[i]
