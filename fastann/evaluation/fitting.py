"""What curves of training and validation loss say: overfitting, underfitting, or a good fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: A validation loss this much above its lowest value has risen for more than noise.
_RISE = 1.1
#: A loss that fell by less than this share of its first value was hardly learnt.
_HARDLY = 0.2
#: A loss that still falls by more than this share in the last fifth of the epochs is not done.
_FALLING = 0.05


@dataclass(frozen=True)
class Reading:
    """A verdict on a training, with its reason.

    Attributes:
        verdict: "overfitting", "underfitting", "good fit", "diverged" or "unknown".
        reason: a sentence.
        best_epoch: epoch of the lowest validation loss, counted from 1; None without validation.
    """

    verdict: str
    reason: str
    best_epoch: int | None = None

    def __str__(self) -> str:
        return f"{self.verdict}: {self.reason}"


def read_curves(history: Any) -> Reading:
    """Read the curves of a training.

    Rules, in this order: a loss that is not finite or ends twice as high as it began has diverged. A validation loss
    that ends more than 10 % above its lowest value, while the training loss went on falling, shows overfitting. A
    training loss that fell by less than 20 %, or falls together with the validation loss to the last, shows
    underfitting. Everything else is a good fit.

    Args:
        history: a `History`, or its dict of lists with "loss" and, to say more than whether it diverged, "val_loss".

    Raises:
        ValueError: there is no "loss", or it is empty.

    >>> read_curves({"loss": [1.0, 0.5, 0.3, 0.2, 0.1], "val_loss": [1.0, 0.6, 0.5, 0.7, 0.9]}).verdict
    'overfitting'
    """
    curves: Mapping[str, Sequence[float]] = getattr(history, "history", history)
    loss = np.asarray(curves.get("loss", ()), np.float64)
    if loss.size == 0:
        raise ValueError("the history must have a 'loss' with at least one epoch.")
    if not np.isfinite(loss).all() or loss[-1] > 2 * loss[0] > 0:
        return Reading("diverged", "the training loss grew out of bounds; lower the learning rate.")
    validation = np.asarray(curves.get("val_loss", ()), np.float64)
    if len(validation) != len(loss) or np.isnan(validation).any():
        return Reading("unknown", "there is no validation loss after each epoch; give fit a validation_split.")
    best = int(validation.argmin())
    if len(loss) < 4:
        return Reading("unknown", "fewer than four epochs say little; train longer.", best + 1)
    end = float(validation[-min(3, len(loss) // 4) :].mean()) if len(loss) >= 8 else float(validation[-1])
    if end > _RISE * validation[best] and loss[-1] < loss[best]:
        return Reading(
            "overfitting",
            f"the validation loss rises after epoch {best + 1} while the training loss falls; stop there, "
            "or use dropout, penalties or more data.",
            best + 1,
        )
    if loss[-1] > (1 - _HARDLY) * loss[0]:
        return Reading(
            "underfitting",
            "the training loss hardly falls; use a larger network or another learning rate.",
            best + 1,
        )
    if _falls(loss) and _falls(validation):
        return Reading("underfitting", "both losses are still falling; train longer.", best + 1)
    return Reading("good fit", "training and validation loss have levelled off together.", best + 1)


def _falls(values: Any) -> bool:
    """Return whether a curve falls markedly in the last fifth of its epochs."""
    before = values[-1 - max(1, len(values) // 5)]
    return bool(values[-1] < (1 - _FALLING) * before)
