"""A callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastann.callbacks.base import Callback

Function = Callable[..., Any]


class LambdaCallback(Callback):
    """Call the functions given, each in place of the method of that name.

    Args:
        on_epoch_begin, on_epoch_end: f(epoch, logs).
        on_train_begin, on_train_end: f(logs).
        on_train_batch_begin, on_train_batch_end: f(batch, logs); every batch is then a call of its own.
        **functions: the other methods of `Callback`, by name.

    Raises:
        TypeError: no such method, or not a function.

    >>> callback = LambdaCallback(on_train_end=lambda logs: print("done"))
    """

    def __init__(
        self,
        on_epoch_begin: Function | None = None,
        on_epoch_end: Function | None = None,
        on_train_begin: Function | None = None,
        on_train_end: Function | None = None,
        on_train_batch_begin: Function | None = None,
        on_train_batch_end: Function | None = None,
        **functions: Function | None,
    ) -> None:
        super().__init__()
        functions |= {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, function in functions.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                methods = ", ".join(m for m in dir(Callback) if m.startswith("on_"))
                raise TypeError(f"LambdaCallback knows no {name!r}; it takes {methods}.")
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"LambdaCallback expects a function as {name}, got {function!r}.")
            setattr(self, name, function)
