"""Mean and variance of data that may be larger than memory, in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Numbers of an array that are looked at together.
_CHUNK = 1 << 20


def moments(data: Any, by_channel: bool = True) -> tuple[Floats, Floats]:
    """Return mean and biased variance, each (C,) over all axes but the last, or () over all axes.

    Means and sums of squares of pieces are combined in float64, so that a mean far from 0 costs no digits.

    Args:
        data: an array (N, ..., C), where (N,) is read as (N, 1), a memory map or a table; or batches of such: an
            iterable, or an object with `__len__` and `__getitem__`. Of a batch (x, y) only x counts.
        by_channel: False takes one mean over everything.

    Raises:
        ValueError: there is no data, channels of batches differ, or a number is not finite.
        TypeError: the data are no numbers.

    Chan, Golub & LeVeque 1983, equation 2.1.
    """
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for piece in _pieces(data, by_channel):
        if count and piece.shape[1:] != mean.shape:
            raise ValueError(f"adapt expects batches of one number of channels, got {len(mean)} and {piece.shape[1]}.")
        n = len(piece)
        own = piece.mean(axis=0)
        delta, total = own - mean, count + n
        mean = mean + delta * (n / total)
        squares = squares + np.square(piece - own).sum(axis=0) + np.square(delta) * (count * n / total)
        count = total
    if count == 0:
        raise ValueError("adapt expects at least one row of data, got none.")
    if not (np.isfinite(mean).all() and np.isfinite(squares).all()):
        raise ValueError("adapt expects finite numbers, got NaN or infinity; remove or replace them.")
    return mean, squares / count


def _pieces(data: Any, by_channel: bool) -> Iterator[Floats]:
    """Yield all numbers as float64 arrays (n, C), or (n,) if they are of one channel."""
    for batch in _batches(data):
        array = np.asanyarray(batch)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"adapt expects real numbers, got an array of dtype {array.dtype}.")
        if array.ndim == 0:
            raise TypeError(f"adapt expects an array (N, ..., C) or batches of such, got {batch!r}.")
        array = array.reshape(-1, 1) if array.ndim == 1 else array
        rows = max(1, _CHUNK // max(1, prod(array.shape[1:])))
        for start in range(0, len(array) if array.size else 0, rows):
            piece = np.asarray(array[start : start + rows], np.float64)
            yield piece.reshape((-1, piece.shape[-1]) if by_channel else -1)


def _batches(data: Any) -> Iterable[Any]:
    """Return the arrays that data consist of."""
    if isinstance(data, str | bytes | Mapping) or data is None:
        raise TypeError(f"adapt expects an array or batches of arrays, got {type(data).__name__}.")
    if hasattr(data, "__array__"):
        return (data,)
    if isinstance(data, list | tuple) and not any(hasattr(_inputs(part), "__array__") for part in data):
        return (data,)  # rows of numbers
    if hasattr(data, "__iter__"):
        return (_inputs(batch) for batch in data)
    if hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        return (_inputs(data[index]) for index in range(len(data)))
    raise TypeError(f"adapt expects an array or batches of arrays, got {type(data).__name__}.")


def _inputs(batch: Any) -> Any:
    """Return x of a batch (x,), (x, y) or (x, y, sample_weight)."""
    return batch[0] if isinstance(batch, tuple) and batch else batch
