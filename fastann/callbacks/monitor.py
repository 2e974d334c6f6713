"""What callbacks that watch one number share: which number, and which way is better."""

from __future__ import annotations

import math
import warnings
from typing import Any

from fastann.callbacks.base import Callback, Logs

MODES = ("auto", "min", "max")

#: Metrics that grow as a model gets better, by the operation or by the end of the name.
_GROWING = ("accuracy", "acc", "auc", "precision", "recall", "f1", "f1_score", "r2", "r2_score", "cosine_similarity")

#: Ends of names that shrink as a model gets better.
_SHRINKING = ("loss", "error", "huber", "mse", "mae", "rmse", "mape", "msle", "crossentropy", "hinge", "log_cosh",
              "logcosh", "poisson", "kl_divergence", "kld", "ce", "bce", "cce")  # fmt: skip


class MonitorCallback(Callback):
    """Watch the entry `monitor` of the logs of every epoch.

    Args:
        monitor: a key of `History.history`.
        mode: "min" if smaller is better, "max" if larger is, "auto" to tell by the metric.
        min_delta: a change of less does not count as better.

    Raises:
        ValueError: an unknown mode; or, at the first epoch, "auto" for a metric whose direction nothing tells.
    """

    def __init__(self, monitor: str = "val_loss", mode: str = "auto", min_delta: float = 0.0) -> None:
        super().__init__()
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be a key of History such as 'val_loss', got {monitor!r}.")
        if mode not in MODES:
            raise ValueError(f"mode must be 'auto', 'min' or 'max', got {mode!r}.")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self.best: float | None = None

    def monitored(self, logs: Logs | None) -> float | None:
        """Return the number, or None with a warning if it is not there."""
        logs = logs or {}
        if self.monitor not in logs:
            names = ", ".join(map(repr, logs))
            warnings.warn(
                f"{type(self).__name__} monitors {self.monitor!r}, which this epoch did not give; it gave {names}.",
                UserWarning,
                stacklevel=2,
            )
            return None
        return float(logs[self.monitor])

    def is_better(self, value: float, reference: float | None) -> bool:
        """Return whether `value` beats `reference` by more than `min_delta`; numbers beat None and NaN, NaN nothing."""
        if reference is None or math.isnan(reference):
            return not math.isnan(value)
        if self.grows:
            return value - self.min_delta > reference
        return value + self.min_delta < reference

    @property
    def grows(self) -> bool:
        """Whether larger is better."""
        if self.mode != "auto":
            return self.mode == "max"
        grows = direction(self.model, self.monitor)
        if grows is None:
            raise ValueError(
                f"{type(self).__name__} cannot tell whether {self.monitor!r} should grow or shrink; "
                "pass mode='min' or mode='max'."
            )
        return grows


def direction(model: Any, monitor: str) -> bool | None:
    """Return True if an entry of a model's history grows as the model gets better, False if not, None if none tells."""
    key = monitor.removeprefix("val_")
    return _direction(key, _metric(model, key))


def _metric(model: Any, key: str) -> Any:
    """Return the metric of a model that `History` calls `key`, or None."""
    entries = getattr(getattr(model, "session", None), "metrics", ())
    return next((entry.metric for entry in entries if entry.key == key), None)


def _direction(key: str, metric: Any) -> bool | None:
    """Return True for what grows as a model gets better, False for what shrinks, None if nothing tells."""
    said = getattr(metric, "_direction", None)
    if said in ("up", "down"):
        return bool(said == "up")
    for name in (getattr(metric, "op", None), key):
        if name is not None and (name in _GROWING or name.endswith(tuple(f"_{end}" for end in _GROWING))):
            return True
        if name is not None and (name in _SHRINKING or name.endswith(tuple(f"_{end}" for end in _SHRINKING))):
            return False
    return None
