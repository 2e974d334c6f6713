"""Lower the learning rate when a number no longer gets better."""

from __future__ import annotations

from fastann.callbacks.base import Logs
from fastann.callbacks.monitor import MonitorCallback


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by `factor` when `monitor` has not got better for `patience` epochs.

    `History` gets the entry "learning_rate": the rate each epoch was trained with.

    Args:
        monitor: a key of `History.history`.
        factor: new rate over old, in (0, 1).
        patience: epochs without improvement after which to lower it.
        verbose: 1 to say so.
        mode: "min", "max" or "auto".
        min_delta: a change of less does not count as better.
        cooldown: epochs after a reduction in which nothing is counted.
        min_lr: the rate is never set below this.

    Raises:
        ValueError: `factor` is not between 0 and 1.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0.0 < factor < 1.0:
            raise ValueError(f"ReduceLROnPlateau needs a factor between 0 and 1, got {factor!r}.")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def in_cooldown(self) -> bool:
        """Return whether a reduction was made less than `cooldown` epochs ago."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        value = self.monitored(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_better(value, self.best):
            self.best = value
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        old = float(optimizer.learning_rate)
        if old <= self.min_lr:
            return
        optimizer.learning_rate = max(old * self.factor, self.min_lr)
        self.cooldown_counter = self.cooldown
        self.wait = 0
        if self.verbose > 0:
            print(f"Epoch {epoch + 1}: ReduceLROnPlateau lowers the learning rate to {optimizer.learning_rate:g}")
