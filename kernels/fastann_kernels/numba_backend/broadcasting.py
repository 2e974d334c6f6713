"""Rows whose axes of length 1 are repeated along those of a larger row.

`axes` int64[2 n] says how a small row fits a whole one: length of an axis of the whole row and whether the small row is
repeated along it, for each axis, neighbours alike merged. Rows are flat and C-ordered.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.numba_backend.elementary import like


def axes_of(shape: Sequence[int], whole: Sequence[int]) -> tuple[int, ...]:
    """Return the axes of a row of `shape` within one of shape `whole`."""
    axes: list[list[int]] = []
    for own, length in zip(shape, whole, strict=True):
        repeated = int(own == 1)
        if length > 1 and axes and axes[-1][1] == repeated:
            axes[-1][0] *= length
        elif length > 1:
            axes.append([length, repeated])
    return tuple(number for axis in axes or [[1, 0]] for number in axis)


@lean
def _start(axes, block):
    """Return where in the small row the numbers of a block begin: a block runs along the last axis."""
    last = axes.size - 2
    start, stride = 0, 1 if axes[last + 1] else axes[last]
    for axis in range(last - 2, -1, -2):
        if not axes[axis + 1]:
            start += block % axes[axis] * stride
            stride *= axes[axis]
        block //= axes[axis]
    return start


@lean
def expand(small, axes, whole):
    """whole[i] = small[place of i]."""
    length, repeated = axes[axes.size - 2], axes[axes.size - 1]
    for block in range(whole.size // length):
        start = _start(axes, block)
        part = whole[block * length : (block + 1) * length]
        if repeated:
            number = small[start]
            for j in range(length):
                part[j] = number
        else:
            own = small[start : start + length]
            for j in range(length):
                part[j] = own[j]


@lean
def collapse(whole, axes, small):
    """small[place of i] += whole[i]: the transpose of `expand`."""
    length, repeated = axes[axes.size - 2], axes[axes.size - 1]
    for block in range(whole.size // length):
        start = _start(axes, block)
        part = whole[block * length : (block + 1) * length]
        if repeated:
            total = like(whole, 0)
            for j in range(length):
                total += part[j]
            small[start] += total
        else:
            own = small[start : start + length]
            for j in range(length):
                own[j] += part[j]
