"""Threefry-2x32, keys derived from keys, and dropout: the random streams of a run, in plain NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .types import Array

Words = NDArray[np.uint32]


def threefry2x32(key: tuple[int, int], counter: tuple[Words, Words]) -> tuple[Words, Words]:
    """Threefry-2x32 with 20 rounds. Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3."""
    rotations = ((13, 15, 26, 6), (17, 29, 16, 24))
    k = [np.uint32(key[0]), np.uint32(key[1])]
    k.append(k[0] ^ k[1] ^ np.uint32(0x1BD11BDA))
    with np.errstate(over="ignore"):
        x0, x1 = np.asarray(counter[0], np.uint32) + k[0], np.asarray(counter[1], np.uint32) + k[1]
        for group in range(5):
            for distance in rotations[group % 2]:
                x0 = x0 + x1
                x1 = (x1 << np.uint32(distance)) | (x1 >> np.uint32(32 - distance))
                x1 = x1 ^ x0
            x0 = x0 + k[(group + 1) % 3]
            x1 = x1 + k[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


def fold_in(key: tuple[int, int], number: int) -> tuple[int, int]:
    """Derive a key from `key` and a number, as `jax.random.fold_in` does for threefry keys."""
    x0, x1 = threefry2x32(key, (np.zeros(1, np.uint32), np.array([number], np.uint32)))
    return int(x0[0]), int(x1[0])


def random_bits(key: tuple[int, int], shape: tuple[int, ...]) -> Words:
    """32 bits for each element, as `jax.random.bits` draws them in its partitionable mode."""
    count = np.arange(int(np.prod(shape)), dtype=np.uint32)
    x0, x1 = threefry2x32(key, (np.zeros_like(count), count))
    return (x0 ^ x1).reshape(shape)


def dropout_factors(rate: float, key: tuple[int, int], shape: tuple[int, ...]) -> Array:
    """0 where an element is dropped, 1 / (1 - rate) where it is kept (inverted dropout)."""
    keep = random_bits(key, shape) >= np.uint32(np.floor(rate * 2.0**32))
    return keep / (1.0 - rate)
