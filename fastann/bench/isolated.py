"""Functions in processes of their own, so that no library meets the thread pools of another."""

from __future__ import annotations

import importlib
import multiprocessing
import traceback
from multiprocessing.connection import Connection
from typing import Any


def call_isolated(function: str, **arguments: Any) -> Any:
    """Call a function of a module in a fresh process and return what it returns.

    Args:
        function: "package.module:name".
        arguments: of the function; they and the result must survive pickling.

    Raises:
        RuntimeError: the function raised, with its traceback; or the process died.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(there, function, arguments), daemon=True)
    process.start()
    there.close()
    try:
        worked, result = here.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the process of {function} ended without a result, exit code {process.exitcode}.") from None
    process.join()
    if not worked:
        raise RuntimeError(f"{function} failed in its process:\n{result}")
    return result


def _run(connection: Connection, function: str, arguments: dict[str, Any]) -> None:
    module, _, name = function.partition(":")
    try:
        connection.send((True, getattr(importlib.import_module(module), name)(**arguments)))
    except BaseException:  # the caller raises it again
        connection.send((False, traceback.format_exc()))
