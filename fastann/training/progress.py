"""What `fit`, `evaluate` and `predict` print: nothing, a line an epoch, or a bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol

from fastann.callbacks.base import Logs


class Progress(Protocol):
    """Shows the tasks of a run, one after the other: an epoch, an evaluation, a prediction."""

    def start(self, title: str, steps: int | None) -> None:
        """Begin a task of so many steps, None if that is not known."""

    def update(self, done: int, logs: Callable[[], Logs]) -> None:
        """Tell how many steps are done; `logs` is called only if something is shown."""

    def finish(self, logs: Logs) -> None:
        """End the task with its results."""

    def close(self) -> None:
        """End the run."""


def make_progress(verbose: int | None, quiet_without_terminal: bool = False) -> Progress:
    """Return how progress is shown.

    Args:
        verbose: 0, 1 or 2; None for "auto": a bar in a terminal or notebook, elsewhere lines.
        quiet_without_terminal: "auto" stands for nothing rather than lines.
    """
    if verbose is None:
        verbose = 1 if _is_live() else 0 if quiet_without_terminal else 2
    if verbose == 0:
        return Silent()
    if verbose == 2:
        return Lines()
    from fastann.training.bar import Bar

    return Bar()


def line(title: str, seconds: float, logs: Logs) -> str:
    """Return one line about a finished task.

    >>> line("Epoch 3/10", 0.1234, {"loss": 0.3, "accuracy": 0.9})
    'Epoch 3/10 - 0.12s - loss: 0.3000 - accuracy: 0.9000'
    """
    return " - ".join([title, f"{seconds:.2f}s", *_numbers(logs)])


def numbers(logs: Logs) -> str:
    """Return names and values, four digits each."""
    return " - ".join(_numbers(logs))


def _numbers(logs: Logs) -> list[str]:
    return [f"{key}: {value:.4f}" if abs(value) >= 1e-3 else f"{key}: {value:.4g}" for key, value in logs.items()]


def _is_live() -> bool:
    """Return whether standard output is a terminal or a notebook."""
    if hasattr(sys.stdout, "isatty") and sys.stdout.isatty():
        return True
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


class Silent:
    """Show nothing."""

    def start(self, title: str, steps: int | None) -> None:
        """Show nothing."""

    def update(self, done: int, logs: Callable[[], Logs]) -> None:
        """Show nothing."""

    def finish(self, logs: Logs) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


class Lines(Silent):
    """Print one line a task."""

    def start(self, title: str, steps: int | None) -> None:
        self._title = title
        self._began = time.perf_counter()

    def finish(self, logs: Logs) -> None:
        print(line(self._title, time.perf_counter() - self._began, logs))

    def close(self) -> None:
        sys.stdout.flush()
