"""The base of all callbacks: what can happen in `fit`, `evaluate` and `predict`, each a method that does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastann.training.gradient_squares import GradientSquares

Logs = dict[str, Any]


class Callback:
    """Something to be told of the progress of `fit`, `evaluate` or `predict`; override the methods of interest.

    Names, arguments and the order of calls are Keras 3's. Epochs and batches are counted from 0; `logs` holds what is
    known at that moment: running means within an epoch, the results of an epoch at its end. What a callback adds to the
    logs of an epoch, the callbacks behind it and `History` see too.

    A callback without batch methods costs nothing: whole epochs run in one call of the kernels. With one, every batch
    is a call of its own.

    Attributes:
        model: the model at work.
        params: `{"verbose", "epochs", "steps"}`.
        squares_every: updates between two that `on_gradient_squares` hears of; None for a number that costs little.

    >>> class Shout(Callback):
    ...     def on_train_end(self, logs=None):
    ...         print("done")
    """

    squares_every: int | None = None

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Take the settings of the run."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take the model that will be at work."""
        self._model = model

    @property
    def model(self) -> Any:
        """The model at work; None outside a run."""
        return getattr(self, "_model", None)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch of `fit`."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """At the end of `fit`, with the logs of the last epoch; not after an error, but after Ctrl-C."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before `evaluate`, and before each validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After `evaluate`, and after each validation, with its results."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before `predict`."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After `predict`."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch of training."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch of training and its validation, with the results of both."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training batch; an older name of `on_train_batch_begin`, which calls it."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training batch; an older name of `on_train_batch_end`, which calls it."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training batch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training batch, with the running means of the epoch."""
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `evaluate` or of a validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `evaluate` or of a validation, with the running means."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `predict`, with `{"outputs": array}`."""

    def on_nonfinite_loss(self, batch: int, logs: Logs | None = None) -> None:
        """Tell that a batch had a loss of NaN or infinity, before its update; fastann's own method.

        A callback that overrides this takes over from `on_nonfinite="raise"`: no error is raised, and the epoch ends
        here.
        """

    def on_gradient_squares(self, epoch: int, squares: GradientSquares) -> None:
        """Tell what was measured of the gradients in an epoch, before its `on_epoch_end`; fastann's own method.

        Only for a callback that overrides this are they measured; calls of the kernels stay as long as they are.
        """

    def overrides(self, method: str) -> bool:
        """Return whether this object has a method of its own in place of the one that does nothing."""
        own = getattr(self, method)
        return getattr(own, "__func__", own) is not getattr(Callback, method)

    def wants_batches(self, mode: str) -> bool:
        """Return whether it has to hear of every batch; `mode` is "train", "test" or "predict"."""
        names = [f"on_{mode}_batch_begin", f"on_{mode}_batch_end"]
        if mode == "train":
            names += ["on_batch_begin", "on_batch_end"]
        return any(self.overrides(name) for name in names)
