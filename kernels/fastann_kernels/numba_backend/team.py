"""Threads that run one program together: a barrier for jitted code, and the pool that calls it.

A team splits each batch by rows and the flat parameter vector by stretches, with two barriers a step and BLAS at one
thread, so that there is never a second pool of spinning threads beside it. The threads are Python's own; jitted code
releases the GIL.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from threadpoolctl import ThreadpoolController

from fastann_kernels.numba_backend.compiling import lean

#: Rounds of a barrier spent looking before the thread offers its core to others.
_PATIENCE = 4000


@intrinsic
def _arrive(typingctx: Any, counter: Any) -> Any:
    """Add 1 to counter[0] atomically and return its old value."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(counter), codegen


@intrinsic
def _look(typingctx: Any, counter: Any) -> Any:
    """Return counter[0], read anew at each call."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load_atomic(data, "seq_cst", 8)

    return types.int64(counter), codegen


@intrinsic
def _offer_core(typingctx: Any) -> Any:
    """Let another thread run: POSIX sched_yield."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen


@lean
def wait_for_all(counter, size):
    """Return once every thread of the team has come here; counter is int64[1], 0 when the run begins."""
    if size == 1:
        return
    goal = (_arrive(counter) // size + 1) * size
    looks = 0
    while _look(counter) < goal:
        looks += 1
        if looks > _PATIENCE:
            _offer_core()


def threads_allowed() -> int:
    """Return how many threads a team may have: FASTANN_THREADS, or the cores that this process may use.

    Raises:
        ValueError: FASTANN_THREADS is set to something that is not a positive whole number.
    """
    wish = os.environ.get("FASTANN_THREADS", "").strip()
    if wish:
        if not wish.isdecimal() or int(wish) < 1:
            raise ValueError(f"FASTANN_THREADS must be a positive whole number, got {wish!r}.")
        return int(wish)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Team:
    """Threads for jitted calls that wait for one another; a forked child starts threads of its own.

    One of them leads: it alone hands out work, so teams follow one another, and a signal that interrupts the calling
    thread cannot leave a team with a member missing.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drop the threads: a forked child has none of its parent's."""
        self._leader: ThreadPoolExecutor | None = None
        self._members: ThreadPoolExecutor | None = None
        self._size = 0

    def run(self, call: Callable[[int], Any], size: int) -> Any:
        """Call call(0), ..., call(size - 1), all at the same time, and return what call(0) returned.

        An interrupt is raised once the calls have ended.
        """
        if size == 1:
            return call(0)
        if self._leader is None:
            self._leader = ThreadPoolExecutor(1, thread_name_prefix="fastann-leader")
        whole = self._leader.submit(self._lead, call, size)
        try:
            return whole.result()
        except BaseException:
            wait([whole])
            raise

    def _lead(self, call: Callable[[int], Any], size: int) -> Any:
        if self._members is None or self._size < size - 1:
            self._size = size - 1
            self._members = ThreadPoolExecutor(self._size, thread_name_prefix="fastann")
        others = [self._members.submit(call, member) for member in range(1, size)]
        result = call(0)
        for other in others:
            other.result()
        return result


class SingleThreadedBlas:
    """Keeps BLAS at one thread while any run is under way, and gives it back its threads afterwards."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: list[tuple[Any, int]] = []
        self._libraries: list[Any] | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold BLAS at one thread inside the block; blocks may overlap between threads."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._hold()
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    for library, threads in self._before:
                        library.set_num_threads(threads)
                    self._before = []

    def _hold(self) -> None:
        if self._libraries is None:
            # scanning the process for libraries takes milliseconds, so it is done once
            found = ThreadpoolController().select(user_api="blas")
            self._libraries = list(found.lib_controllers)
        self._before = [(library, library.get_num_threads()) for library in self._libraries]
        self._before = [(library, threads) for library, threads in self._before if threads != 1]
        for library, _ in self._before:
            library.set_num_threads(1)


team = Team()
single_threaded_blas = SingleThreadedBlas()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=team.forget)
