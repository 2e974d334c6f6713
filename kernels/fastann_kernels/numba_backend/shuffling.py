"""Shuffled orders of rows: what `numpy.random.Generator.shuffle` makes, in a part of its time.

NumPy calls its generator through a pointer for every number and mispredicts every other rejection; beside the epochs of
a small network that was a fifth of the time. Fisher-Yates with numbers below a mask, where those beyond the end are
rejected (Knuth, TAOCP 2, 3.4.2, algorithm P); PCG64 is O'Neill 2014, HMC-CS-2014-0905.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from fastann_kernels.numba_backend.compiling import compiled, intrinsic, lean, types
from fastann_kernels.numba_backend.direct import DirectCall, loaded
from fastann_kernels.numba_backend.frame import array_from, array_of

_WORD, _STATE = ir.IntType(64), ir.IntType(128)
_MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645

#: Rows from which it is worth the hundredth of a second that loading takes, and up to which 32 bits of a number are
#: enough.
_LEAST, _MOST = 1 << 11, 1 << 31

# Words of the table: the generator's state and increment, where the order lies, how many rows it has.
_HIGH, _LOW, _INCREMENT_HIGH, _INCREMENT_LOW, _ADDRESS, _ROWS = range(6)


@intrinsic
def _next(typingctx: Any, high: Any, low: Any, increment_high: Any, increment_low: Any) -> Any:
    """Return the state after this one, and the two 32-bit numbers that come with it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def wide(high: Any, low: Any) -> Any:
            shifted = builder.shl(builder.zext(high, _STATE), ir.Constant(_STATE, 64))
            return builder.or_(shifted, builder.zext(low, _STATE))

        grown = builder.mul(wide(*args[:2]), ir.Constant(_STATE, _MULTIPLIER))
        state = builder.add(grown, wide(*args[2:]))
        low = builder.trunc(state, _WORD)
        high = builder.trunc(builder.lshr(state, ir.Constant(_STATE, 64)), _WORD)
        mixed, turn = builder.xor(high, low), builder.lshr(high, _WORD(58))
        back = builder.and_(builder.sub(_WORD(64), turn), _WORD(63))
        word = builder.or_(builder.lshr(mixed, turn), builder.shl(mixed, back))
        halves = builder.and_(word, _WORD(0xFFFFFFFF)), builder.lshr(word, _WORD(32))
        return context.make_tuple(builder, signature.return_type, (high, low, *halves))

    whole = types.int64
    return types.UniTuple(whole, 4)(whole, whole, whole, whole), codegen


@lean
def _try(order, i, mask, number):
    """Let row i change places with the row that a number names, if there is one up to i; return the next i."""
    row = number & mask
    fits = row <= i
    row = row if fits else i  # no branch: half of them would be mispredicted
    order[i], order[row] = order[row], order[i]
    return i - 1 if fits else i


@lean
def _shuffle(table):
    """Write a shuffled 0 .. n - 1."""
    words = array_from(table, 6)
    order = array_of(words[_ADDRESS], words[_ROWS], np.int64)
    high, low, increment_high, increment_low = words[_HIGH], words[_LOW], words[_INCREMENT_HIGH], words[_INCREMENT_LOW]
    for row in range(order.size):
        order[row] = row
    i = order.size - 1
    mask = 1
    while mask < i:
        mask = 2 * mask + 1
    while i > 0:
        high, low, first, second = _next(high, low, increment_high, increment_low)
        for number in (first, second):
            while mask >> 1 >= i > 0:
                mask >>= 1
            if i > 0:
                i = _try(order, i, mask, number)
    return 0


@cache
def _function() -> Any:
    return loaded("shuffle", lambda: compiled(_shuffle, (types.CPointer(types.int64),), by_address=True))


def shuffle(generator: np.random.Generator, order: NDArray[np.int64]) -> bool:
    """Write 0 .. n - 1 to `order` as `generator.shuffle` would shuffle it, without the GIL; return False, and write
    nothing, where it is not sure that it would be the same, and where the rows are few.

    The generator stays where it is, and must not have been used before for half a number.
    """
    return len(order) >= _LEAST and _known() and shuffled(generator, order)


def shuffled(generator: np.random.Generator, order: NDArray[np.int64]) -> bool:
    """Do what `shuffle` does, for any number of rows and whatever NumPy does."""
    found = generator.bit_generator.state
    if found["bit_generator"] != "PCG64" or found["has_uint32"] or len(order) > _MOST:
        return False
    state, increment = found["state"]["state"], found["state"]["inc"]
    words = [state >> 64, state, increment >> 64, increment]
    signed = np.array([word & 0xFFFFFFFFFFFFFFFF for word in words], np.uint64).view(np.int64)
    DirectCall(_function(), [*signed.tolist(), order.ctypes.data, len(order)], order)()
    return True


@cache
def _known() -> bool:
    """Return whether NumPy still shuffles as it did when this was written, which it does not promise."""
    for rows in (1, 2, 100, 1025):
        ours, theirs = np.empty(rows, np.int64), np.arange(rows)
        np.random.Generator(np.random.PCG64(rows)).shuffle(theirs)
        if not shuffled(np.random.Generator(np.random.PCG64(rows)), ours) or not np.array_equal(ours, theirs):
            return False
    return True
