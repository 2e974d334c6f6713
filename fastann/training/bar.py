"""The progress bar, drawn with rich."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastann.callbacks.base import Logs
from fastann.training.progress import line, numbers

if TYPE_CHECKING:
    import rich.progress

#: Seconds between two changes of what is on the screen.
INTERVAL = 0.1


class Bar:
    """A bar for the task at work, and a line for each that is over.

    The screen changes at most ten times a second, so that short epochs cost nothing: of those that end in between only
    the last one is shown. rich is not even imported before the first tenth of a second is over.
    """

    def __init__(self) -> None:
        self._live: rich.progress.Progress | None = None
        self._task: Any = None
        self._shown = time.perf_counter()
        self._pending: str | None = None

    def start(self, title: str, steps: int | None) -> None:
        self._title, self._steps, self._done = title, steps, 0
        self._began = time.perf_counter()
        if self._live is not None:
            self._live.reset(self._task, description=title, total=steps, completed=0, logs="")

    def update(self, done: int, logs: Callable[[], Logs]) -> None:
        now = time.perf_counter()
        self._done = done
        if now - self._shown < INTERVAL or (self._steps is not None and done >= self._steps):
            return
        self._flush()
        live = self._open()
        live.update(self._task, completed=done, logs=numbers(logs()))
        live.refresh()
        self._shown = now

    def finish(self, logs: Logs) -> None:
        now = time.perf_counter()
        steps = self._done if self._steps is None else self._steps
        self._pending = line(f"{self._title} - {steps}/{steps}", now - self._began, logs)
        if now - self._shown >= INTERVAL:
            self._flush()
            self._shown = now

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._flush()

    def _flush(self) -> None:
        """Print the line of the last task that is over."""
        text, self._pending = self._pending, None
        if text is None:
            return
        if self._live is None:
            print(text, flush=True)
        else:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _open(self) -> rich.progress.Progress:
        if self._live is None:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._live = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[logs]}", markup=False),
                auto_refresh=False,
                transient=True,
            )
            self._task = self._live.add_task(self._title, total=self._steps, logs="")
            self._live.start()
        return self._live
