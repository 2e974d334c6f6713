"""How a learning rate that was good at one batch size is carried over to another."""

from __future__ import annotations

import math
from typing import Any

from fastann.spec import bounded, whole

#: Rules by name; the first is for comparison.
RULES = ("none", "linear", "sqrt", "sde-sqrt", "saturating")


def scale_learning_rate(
    base_lr: float, base_batch: int, batch: int, rule: str = "linear", *, noise_scale: float | None = None
) -> float:
    """Return the learning rate for batches of `batch` rows, given one that is good for batches of `base_batch`.

    With kappa = batch / base_batch:

        none        base_lr
        linear      kappa base_lr: Goyal et al. 2017, arXiv:1706.02677, for SGD
        sqrt        sqrt(kappa) base_lr: Krizhevsky 2014, arXiv:1404.5997; Hoffer et al. 2017, arXiv:1705.08741
        sde-sqrt    the same rate, for Adam and RMSprop together with their betas and epsilon, which `scale_optimizer`
                    scales: Malladi et al. 2022, arXiv:2205.10287
        saturating  eta_max / (1 + noise_scale / batch), eta_max such that base_batch has base_lr: McCandlish et al.
                    2018, arXiv:1812.06162, for SGD; linear for batches far below the noise scale, constant far above

    None of them is a law: they are where to begin to look. The linear rule is a limit for small batches and SGD; for
    Adam the square root is the reference.

    >>> scale_learning_rate(0.1, 256, 1024), scale_learning_rate(0.1, 256, 1024, "sqrt")
    (0.4, 0.2)
    >>> round(scale_learning_rate(0.1, 256, 1024, "saturating", noise_scale=1024), 6)
    0.25

    Args:
        base_lr: not negative.
        base_batch, batch: rows, at least 1.
        rule: as above.
        noise_scale: rows, above 0: the gradient noise scale; only the saturating rule reads it, and it must be given.

    Raises:
        ValueError, TypeError: an argument is out of bounds, the rule is unknown, or its noise scale is missing.
    """
    rate = bounded(base_lr, "base_lr")
    old, new = whole(base_batch, "base_batch", 1), whole(batch, "batch", 1)
    check_rule(rule, noise_scale)
    if rule == "none":
        return rate
    if rule == "linear":
        return rate * (new / old)
    if rule == "saturating":
        assert noise_scale is not None
        return rate * (1 + noise_scale / old) / (1 + noise_scale / new)
    return rate * math.sqrt(new / old)


def check_rule(rule: Any, noise_scale: Any) -> None:
    """Raise ValueError or TypeError unless the rule is known and the noise scale fits it."""
    if not isinstance(rule, str) or rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(map(repr, RULES))}, got {rule!r}.")
    if noise_scale is not None:
        bounded(noise_scale, "noise_scale", above=True)
    elif rule == "saturating":
        raise ValueError(
            "the saturating rule needs the gradient noise scale in rows, got noise_scale=None; measure it "
            "with fastann.scaling.noise_scale and give it."
        )
