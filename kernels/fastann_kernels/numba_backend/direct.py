"""Calling machine code at an address, as the epoch loop, given a table that says where everything lies."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann_kernels.numba_backend import machine_code
from fastann_kernels.numba_backend.arguments import WORDS, words
from fastann_kernels.numba_backend.machine_code import Code

_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)


def at(address: int) -> Callable[[Any], int]:
    """Return machine code for a `DirectCall`; calling it releases the GIL."""
    return _SIGNATURE(address)


def loaded(name: str, build: Callable[[], Code]) -> Callable[[Any], int]:
    """Return machine code of a name, see `machine_code.address`."""
    return at(machine_code.address(name, build))


class DirectCall:
    """Machine code with a table that stays where it is; calling it runs it.

    Args:
        function: from `loaded`.
        table: machine words, see `arguments`.
        arrays: what lies at the addresses in the table; kept alive.
    """

    def __init__(self, function: Callable[[Any], int], table: list[int], arrays: Any) -> None:
        self._loop, self._arrays = function, arrays
        self._words: NDArray[np.int64] = np.array([0, 0, *table], np.int64)  # first what it returns, and an error
        self._place = ctypes.c_void_p(self._words.ctypes.data)

    def put(self, row: int, array: NDArray[Any]) -> None:
        """Put another array, to be kept alive by the caller, into a row of the table."""
        self._words[2 + WORDS * row : 2 + WORDS * (row + 1)] = words((array,))

    def __call__(self) -> None:
        """Run."""
        if self._loop(self._place):
            raise RuntimeError("a compiled kernel has raised an exception.")

    @property
    def completed(self) -> int:
        """How many steps were completed, or -1 if the team did not come together."""
        return int(self._words[0])
