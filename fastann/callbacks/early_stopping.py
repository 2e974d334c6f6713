"""Stop when a number no longer gets better."""

from __future__ import annotations

from typing import Any

from fastann.callbacks.base import Logs
from fastann.callbacks.monitor import MonitorCallback


class EarlyStopping(MonitorCallback):
    """Stop training when `monitor` has not got better for `patience` epochs.

    Which weights are restored: those that the best value was measured with. A value of the validation belongs to the
    weights at the end of its epoch. The training loss is measured while the weights change; it belongs to the weights
    before the update if the whole epoch is one batch, and is otherwise a mean over all weights of the epoch, of which
    the last are kept (as in Keras).

    Args:
        monitor: a key of `History.history`.
        min_delta: a change of less does not count as better.
        patience: epochs without improvement after which to stop.
        verbose: 1 to say so.
        mode: "min", "max" or "auto".
        baseline: without a value better than this, waiting goes on.
        restore_best_weights: set the weights to the best ones at the end of `fit`, stopped early or not.
        start_from_epoch: epochs before this one do not count.

    Attributes:
        best, best_epoch, best_weights: the best value, its epoch (counted from 0) and its weights.
        stopped_epoch: the epoch training was stopped at, 0 if it was not.
        wait: epochs without improvement so far.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None
        self.stopped_epoch = 0
        self.wait = 0
        self._weights_before: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        # With one batch an epoch, the loss is that of the weights before the update.
        one_step = not self.monitor.startswith("val_") and self.params.get("steps") == 1
        if self.restore_best_weights and one_step and epoch >= self.start_from_epoch:
            self._weights_before = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.monitored(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.best_weights is None:
            self._keep(epoch)
        self.wait += 1
        if self.is_better(value, self.best):
            self.best = value
            self._keep(epoch)
            if self.baseline is None or self.is_better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)

    def _keep(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            before = self._weights_before
            self.best_weights = self.model.get_weights() if before is None else before
