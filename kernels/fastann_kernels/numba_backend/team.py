"""Threads that run one program together: a barrier for jitted code, and the threads that wait for work.

A team splits each batch by rows, and the parameters when gradients are put together and used, with two barriers a step
(two more for each further part of a large batch, and for each product that is shared, see `walk`) and BLAS at one
thread, so that there is never a second pool of spinning threads beside it. The threads are Python's own; jitted code
releases the GIL.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from fastann_kernels.numba_backend import blas
from fastann_kernels.numba_backend.compiling import cgutils, intrinsic, lean, types

#: Rounds of a barrier spent looking before the thread offers its core to others.
_PATIENCE = 4000

#: What the counter of a barrier is set to where the work is not to begin; no count of arrivals comes near it.
ABANDONED = 1 << 60


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
def _wait_until(counter, goal):
    """Return once the counter has reached its goal."""
    looks = 0
    while _look(counter) < goal:
        looks += 1
        if looks > _PATIENCE:
            _offer_core()


@lean
def wait_for_all(counter, size):
    """Return once every thread of the team has come here; counter is int64[1], 0 when the run begins."""
    if size > 1:
        _wait_until(counter, (_arrive(counter) // size + 1) * size)


@lean
def meet(counter, size):
    """Wait for the whole team before the work begins; return False if it is not to begin."""
    if size > 1:
        _arrive(counter)
        _wait_until(counter, size)
    return _look(counter) < ABANDONED


class Team:
    """Threads for jitted calls that wait for one another; a forked child starts threads of its own.

    The calling thread is member 0. The others sleep between calls; waking them is all that a call costs. Teams of
    several calling threads follow one another.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drop the threads: a forked child has none of its parent's."""
        self._lock = threading.Lock()
        self._inboxes: list[SimpleQueue[Any]] = []

    def run(self, call: Callable[[int], Any], size: int, barrier: NDArray[np.int64] | None = None) -> Any:
        """Call call(0), ..., call(size - 1), all at the same time, and return what call(0) returned.

        Calls that wait for one another in jitted code have a barrier and begin with `meet`; then call(0) ends no sooner
        than the others have done their work. An exception before that meeting, an interrupt of the calling thread
        among them, sends all members home and is raised. Calls without a barrier are waited for one by one.

        Args:
            call: takes the number of a member.
            size: of the team.
            barrier: int64[1], 0; the counter of `meet` and `wait_for_all`.
        """
        if size == 1:
            return call(0)
        failures: list[BaseException] = []
        ends: SimpleQueue[None] = SimpleQueue()
        asked = 0
        with self._lock:
            try:
                for member in range(1, size):
                    self._inbox(member).put((call, member, barrier, failures, ends))
                    asked += 1
                result = call(0)
            except BaseException:
                if barrier is not None:
                    barrier[0] = ABANDONED
                raise
            finally:
                for _ in range(asked if barrier is None else 0):
                    ends.get()
        if failures:
            raise failures[0]
        return result

    def _inbox(self, member: int) -> SimpleQueue[Any]:
        """Return where member 1, 2, ... finds its work, after starting its thread if it is the first time."""
        if member > len(self._inboxes):
            inbox: SimpleQueue[Any] = SimpleQueue()
            threading.Thread(target=_serve, args=(inbox,), name=f"fastann-{member}", daemon=True).start()
            self._inboxes.append(inbox)
        return self._inboxes[member - 1]


def _serve(inbox: SimpleQueue[Any]) -> None:
    """Do the calls that come, for ever; one that fails keeps the rest of its team from waiting for it."""
    while True:
        call, member, barrier, failures, ends = inbox.get()
        try:
            call(member)
        except BaseException as error:  # raised by the thread that called
            failures.append(error)
            if barrier is not None:
                barrier[0] = ABANDONED
        ends.put(None)
        del call, barrier, failures, ends  # nothing is kept alive while waiting


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
            # scanning the process for libraries takes milliseconds, so it is done once, with the one in use among them
            blas.bind()
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
