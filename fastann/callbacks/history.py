"""The record of a training: what every epoch gave."""

from __future__ import annotations

from typing import Any

from fastann.callbacks.base import Callback, Logs


class History(Callback):
    """Collect the results of every epoch; `fit` adds one and returns it.

    Attributes:
        history: name to list of floats, one an epoch: "loss", the metrics, the same with "val_", "learning_rate".
        epoch: the epochs, counted from 0.
        params: `{"verbose", "epochs", "steps"}`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def set_model(self, model: Any) -> None:
        """Become the model's `history`."""
        super().set_model(model)
        model.history = self

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)

    def add_partial_epoch(self, epoch: int, logs: Logs) -> None:
        """Record an epoch that was cut short; what it did not measure is NaN, so that all lists are equally long."""
        missing = {key: float("nan") for key in self.history if key not in logs}
        self.on_epoch_end(epoch, {**logs, **missing})
