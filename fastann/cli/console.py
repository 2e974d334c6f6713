"""Where the commands print, and how their errors look."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

#: Whether errors keep their traceback: the option --traceback.
show_tracebacks: ContextVar[bool] = ContextVar("show_tracebacks", default=False)

P = ParamSpec("P")
R = TypeVar("R")

#: Columns for output that goes to a file or a pipe, where no terminal says how wide it is.
WIDTH = 120

#: What a user's input can cause; anything else is a defect and keeps its traceback.
_USER_ERRORS = (ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError)


def console() -> Console:
    """Return a console on the standard output, as it is now."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def one_line_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors a user can cause into one line on the standard error and exit code 2.

    `fastann --traceback ...` lets them through.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        import typer

        try:
            return command(*args, **kwargs)
        except _USER_ERRORS as error:
            if show_tracebacks.get():
                raise
            typer.echo(f"fastann: {one_line(error)}", err=True)
            raise typer.Exit(2) from None

    return wrapped


def one_line(error: BaseException) -> str:
    """Return the message of `error` without line breaks, or its name if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
