"""Arrays on their way to the device.

On a CPU XLA works on an array where it lies if that is a multiple of 64 bytes, which NumPy's large arrays never are:
they begin 16 bytes into a page. So they are copied, which takes as long as an epoch or two of a small network, and the
copy is kept while the array lives: another training on the same rows compares instead, a fraction of the time.

Arrays that are read-only (`x.flags.writeable = False`) are taken at their word and not compared. Elsewhere only those
stay on the device: comparing would take as long as bringing the array there again.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from fastann_kernels.at_once import both
from fastann_kernels.owners import Known, is_whole, said_to_stay

Array = NDArray[Any]

#: Bytes that the address of an array must be a multiple of for XLA to share it.
ALIGNMENT = 64

#: Bytes below which copying is nothing.
LARGE = 1 << 20

#: Of the C library. NumPy's own comparison takes twice as long: it writes a byte for every number.
_MEMCMP = (ctypes.cdll.msvcrt if os.name == "nt" else ctypes.CDLL(None)).memcmp
_MEMCMP.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_MEMCMP.restype = ctypes.c_int


class _Copy(NamedTuple):
    """What was made of an array: the device's array, and on a CPU the copy that it shares the memory of."""

    host: Array | None
    placed: jax.Array


#: Copies of the rows of a training, and of those it is validated on or its targets.
_copies = Known[_Copy](most=2)


def place(values: Array) -> jax.Array:
    """Return C-contiguous `values` on the default device; see `Executor.put_data` for what may be shared."""
    on_cpu = jax.default_backend() == "cpu"
    stays = said_to_stay(values)
    worth_keeping = values.ctypes.data % ALIGNMENT != 0 if on_cpu else stays
    if values.nbytes < LARGE or not worth_keeping:
        return _put(values)
    known = _copies.get(values)
    if known is not None and _still_good(known, values, stays):
        return known.placed
    host = aligned_copy(values) if on_cpu else None
    placed = _put(values if host is None else host)
    if is_whole(values):
        _copies.keep(values, _Copy(host, placed))
    return placed


def _put(values: Array) -> jax.Array:
    placed: jax.Array = jax.device_put(values)
    return placed


def aligned_copy(values: Array) -> Array:
    """Return a copy at an address that XLA can share."""
    memory = np.empty(values.nbytes + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    copy: Array = memory[first : first + values.nbytes].view(values.dtype).reshape(values.shape)
    np.copyto(copy, values)
    return copy


def _still_good(known: _Copy, values: Array, stays: bool) -> bool:
    """Return whether a copy has the shape and type of C-contiguous `values`, and their bytes where those may change."""
    if known.placed.shape != values.shape or known.placed.dtype != values.dtype:
        return False
    return stays or (known.host is not None and _same_bytes(known.host, values))


def _same_bytes(one: Array, other: Array) -> bool:
    """Return whether two contiguous arrays of one shape and type hold the same bytes."""
    middle = one.nbytes // 2

    def same(first: int, last: int) -> bool:
        return not _MEMCMP(one.ctypes.data + first, other.ctypes.data + first, last - first)

    return all(both(lambda: same(0, middle), lambda: same(middle, one.nbytes)))
