"""Two pieces of work at once: what Python and NumPy do between the calls of a backend, where it takes milliseconds."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastann_kernels.machine import threads_allowed

First = TypeVar("First")
Second = TypeVar("Second")


def both(first: Callable[[], First], second: Callable[[], Second], threads: bool = True) -> tuple[First, Second]:
    """Return what two functions that release the GIL return.

    Args:
        first, second: the functions.
        threads: whether a thread is worth while, which takes about a tenth of a millisecond to start; there is none
            where FASTANN_THREADS or the machine allows one alone.
    """
    if not threads or threads_allowed(os.environ) == 1:
        return first(), second()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(second)
        return first(), other.result()
