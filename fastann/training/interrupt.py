"""Ctrl-C during training: the first one ends it in good order, the second one at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self


class Interrupt:
    """Catch SIGINT while active.

    Takes the place of Python's own handler only, and only in the main thread: a program that handles SIGINT itself goes
    on doing so. What was there before is put back at the end.

    Attributes:
        requested: whether the signal came.
    """

    def __init__(self) -> None:
        self._count = 0
        self._shielded = False
        self._previous: object = None

    @property
    def requested(self) -> bool:
        return self._count > 0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            current = signal.getsignal(signal.SIGINT)
            if current is signal.default_int_handler or isinstance(getattr(current, "__self__", None), Interrupt):
                self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if callable(self._previous):
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Let a call of the backend end and its state be stored before the second signal takes effect."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
        if self._count > 1:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 2 or (self._count == 2 and not self._shielded):
            raise KeyboardInterrupt
