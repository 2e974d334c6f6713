"""Save the model while it trains."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import Any

from fastann.callbacks.base import Logs
from fastann.callbacks.monitor import MonitorCallback


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights, after every epoch or every so many batches.

    What is saved are the weights at that moment, the end of the epoch or batch.

    Args:
        filepath: the file; may hold fields such as `{epoch:02d}` (counted from 1), `{batch}` and the keys of the logs:
            "model-{epoch:02d}-{val_loss:.3f}.fastann". Folders are made.
        monitor: a key of `History.history`.
        verbose: 1 to tell of each file.
        save_best_only: save only when `monitor` is better than ever before.
        save_weights_only: call `model.save_weights` rather than `model.save`.
        mode: "min", "max" or "auto".
        save_freq: "epoch", or a number of batches; with a number every batch is a call of its own.
        initial_value_threshold: with `save_best_only`, a value the first file has to beat.

    Raises:
        ValueError: `save_freq` is neither "epoch" nor a positive number.
        KeyError: `filepath` has a field that the logs do not have, when the first file is to be written.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = _check_frequency(save_freq)
        self.best = initial_value_threshold
        self._epoch = 0
        self._batches = 0

    def wants_batches(self, mode: str) -> bool:
        """Return whether it counts batches, or a class made from this one does."""
        if mode != "train" or self.save_freq != "epoch":
            return super().wants_batches(mode)
        inherited = type(self).on_train_batch_end is ModelCheckpoint.on_train_batch_end
        others = ("on_train_batch_begin", "on_batch_begin", "on_batch_end")
        return not inherited or any(self.overrides(name) for name in others)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._batches += 1
        if self._batches >= int(self.save_freq):
            self._batches = 0
            self._save(self._epoch, {"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, dict(logs or {}))

    def _save(self, epoch: int, logs: dict[str, Any]) -> None:
        if self.save_best_only and not self._improved(epoch, logs):
            return
        path = self._path(epoch, logs)
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose > 0:
            print(f"Epoch {epoch + 1}: saved {path}")

    def _improved(self, epoch: int, logs: dict[str, Any]) -> bool:
        """Return whether this is the best value so far, and keep it; a value that is not there counts as best."""
        value = self.monitored(logs)
        if value is None:
            return True
        if self.is_better(value, self.best):
            self.best = value
            return True
        if self.verbose > 0:
            print(f"Epoch {epoch + 1}: {self.monitor} did not get better than {self.best:.5f}")
        return False

    def _path(self, epoch: int, logs: dict[str, Any]) -> Path:
        try:
            return Path(self.filepath.format(epoch=epoch + 1, **logs))
        except KeyError as error:
            names = ", ".join(["epoch", *logs])
            raise KeyError(f"filepath {self.filepath!r} has the field {error}, but there are only {names}.") from None


def _check_frequency(save_freq: Any) -> str | int:
    if save_freq == "epoch":
        return "epoch"
    try:
        number = 0 if isinstance(save_freq, bool) else operator.index(save_freq)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"save_freq must be 'epoch' or a positive number of batches, got {save_freq!r}.")
    return number
