"""Every random choice of a run, each a pure function of one seed: initial weights, the order of rows, dropout keys.

Nothing here touches NumPy's global generator. A seed is a whole number from 0 to 2^64 - 1. The streams are independent
of each other: child `(purpose, index)` of `numpy.random.SeedSequence(seed)` feeds a PCG64 generator. Because a stream
depends on the seed and an index only, a run that is resumed continues with the numbers it would have had.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from fastann_kernels.at_once import both
from fastann_kernels.orders import shuffle
from numpy.typing import NDArray

_WEIGHTS, _ORDER = 0, 1

#: Rows to be put in order that take longer than starting a thread does, several times.
_WORTH_A_THREAD = 1 << 16

_parent: np.random.SeedSequence | None = None


def check_seed(seed: Any) -> int:
    """Return `seed` as an int; raises TypeError or ValueError unless it is a whole number in [0, 2^64)."""
    if isinstance(seed, bool | np.bool_):
        raise TypeError(f"seed must be a whole number, got {seed!r}.")
    try:
        number = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed must be a whole number, got {seed!r}.") from None
    if not 0 <= number < 2**64:
        raise ValueError(f"seed must lie between 0 and 2**64 - 1, got {number}.")
    return number


def set_random_seed(seed: int) -> None:
    """Make every model built from now on reproducible.

    Models that are given no seed of their own take the next one of a sequence that starts here. Two scripts that
    call this with the same number and build the same models in the same order get the same runs, on every backend.

    >>> set_random_seed(7)
    >>> first = next_seed()
    >>> set_random_seed(7)
    >>> first == next_seed()
    True
    """
    global _parent
    _parent = np.random.SeedSequence(check_seed(seed))


def next_seed() -> int:
    """Return a new seed: the next after `set_random_seed`, or one of the operating system without it."""
    global _parent
    if _parent is None:
        _parent = np.random.SeedSequence()
    (child,) = _parent.spawn(1)
    return int(child.generate_state(1, np.uint64)[0])


def _generator(seed: int, purpose: int, index: int) -> np.random.Generator:
    sequence = np.random.SeedSequence(check_seed(seed), spawn_key=(purpose, index))
    return np.random.Generator(np.random.PCG64(sequence))


def weight_generator(seed: int, index: int) -> np.random.Generator:
    """Return the generator that draws parameter number `index` of a model."""
    return _generator(seed, _WEIGHTS, index)


def epoch_order(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    """Return int64[rows], the shuffled order in which epoch number `epoch` visits the rows.

    >>> bool((np.sort(epoch_order(7, 0, 100)) == np.arange(100)).all())
    True
    """
    return _generator(seed, _ORDER, epoch).permutation(np.int64(rows)).astype(np.int64, copy=False)


def epoch_orders(
    seed: int,
    first: int,
    count: int,
    rows: int,
    shuffle: Callable[[np.random.Generator, NDArray[np.int64]], None] = shuffle,
) -> NDArray[np.int64]:
    """Return int64[count * rows], the orders of epochs first, first + 1, ..., one after the other.

    Two threads draw several: that takes half the time, which is not little beside the epochs of a small network. A
    backend may know a faster `shuffle` of the same result.

    >>> orders = epoch_orders(7, 3, 2, 100)
    >>> bool((orders[100:] == epoch_order(7, 4, 100)).all())
    True
    """
    orders = np.empty((count, rows), np.int64)

    def draw(every_other: int) -> None:
        for epoch in range(every_other, count, 2):
            shuffle(_generator(seed, _ORDER, first + epoch), orders[epoch])

    both(lambda: draw(0), lambda: draw(1), threads=count > 1 and count * rows >= _WORTH_A_THREAD)
    return orders.reshape(-1)


def root_key(seed: int) -> tuple[int, int]:
    """Return the two 32-bit words (high, low) of `seed`: the threefry key that dropout masks descend from."""
    number = check_seed(seed)
    return number >> 32, number & 0xFFFFFFFF
