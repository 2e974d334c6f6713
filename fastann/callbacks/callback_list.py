"""Several callbacks as one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastann.callbacks.base import Callback, Logs
from fastann.callbacks.history import History

if TYPE_CHECKING:
    from fastann.training.gradient_squares import GradientSquares


class CallbackList(Callback):
    """Pass everything on to a list of callbacks, in order.

    Args:
        callbacks: one callback, or any nesting of lists and tuples of them.
        add_history: append a `History` if there is none.
        model: given to each callback.
        **params: given to each callback as `params`.

    Raises:
        TypeError: something in the list is not a `Callback`.
    """

    def __init__(self, callbacks: Any = None, add_history: bool = False, model: Any = None, **params: Any) -> None:
        super().__init__()
        self.callbacks: list[Callback] = list(_flatten(callbacks))
        self.history = next((c for c in self.callbacks if isinstance(c, History)), None)
        if self.history is None and add_history:
            self.history = History()
            self.callbacks.append(self.history)
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def append(self, callback: Callback) -> None:
        """Add a callback at the end."""
        self.callbacks.extend(_flatten(callback))

    def set_params(self, params: dict[str, Any]) -> None:
        """Give the settings of the run to every callback."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Give the model to every callback."""
        self._model = model
        for callback in self.callbacks:
            callback.set_model(model)

    def overrides(self, method: str) -> bool:
        """Return whether any callback has this method."""
        return any(callback.overrides(method) for callback in self.callbacks)

    def wants_batches(self, mode: str) -> bool:
        """Return whether any callback has to hear of every batch."""
        return any(callback.wants_batches(mode) for callback in self.callbacks)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._tell("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._tell("on_train_end", logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._tell("on_test_begin", logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._tell("on_test_end", logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._tell("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._tell("on_predict_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._tell_number("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._tell_number("on_epoch_end", epoch, logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_number("on_batch_begin", batch, logs)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_number("on_batch_end", batch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_number("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_number("on_train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_number("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_number("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_number("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_number("on_predict_batch_end", batch, logs)

    def on_nonfinite_loss(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_number("on_nonfinite_loss", batch, logs)

    def on_gradient_squares(self, epoch: int, squares: GradientSquares) -> None:
        for callback in self.callbacks:
            callback.on_gradient_squares(epoch, squares)

    def least_squares_every(self) -> int | None:
        """Return the smallest wish for `squares_every`; None if no callback has one."""
        wishes = [c.squares_every for c in self.callbacks if c.overrides("on_gradient_squares")]
        return min((wish for wish in wishes if wish is not None), default=None)

    def _tell(self, method: str, logs: Logs | None) -> None:
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            getattr(callback, method)(logs)

    def _tell_number(self, method: str, number: int, logs: Logs | None) -> None:
        logs = {} if logs is None else logs
        # the batch methods of user functions take `logs` by name, as Keras passes it
        by_name = "batch" in method
        for callback in self.callbacks:
            if by_name:
                getattr(callback, method)(number, logs=logs)
            else:
                getattr(callback, method)(number, logs)


def _flatten(callbacks: Any) -> Iterator[Callback]:
    if callbacks is None:
        return
    if isinstance(callbacks, CallbackList):
        yield from callbacks.callbacks
    elif isinstance(callbacks, list | tuple):
        for callback in callbacks:
            yield from _flatten(callback)
    elif isinstance(callbacks, Callback):
        yield callbacks
    else:
        hint = "; make an object of it" if isinstance(callbacks, type) else ""
        raise TypeError(f"callbacks must be fastann.callbacks.Callback objects, got {callbacks!r}{hint}.")
