"""Carrying an optimizer over to another batch size: its rate, and what else counts in steps."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

from fastann.optimizers import Adam, Adamax, AdamW, Nadam, Optimizer, RMSprop
from fastann.schedules import LinearScaling, Scaled, scale_learning_rate
from fastann.spec import bounded, whole

#: What the rule of `sde-sqrt` is for: decays of moving averages, and the power of kappa that epsilon is divided by.
_SDE: dict[type[Optimizer], tuple[tuple[str, ...], float]] = {
    Adam: (("beta_1", "beta_2"), 0.5),
    AdamW: (("beta_1", "beta_2"), 0.5),
    Nadam: (("beta_1", "beta_2"), 0.5),
    Adamax: (("beta_1", "beta_2"), 0.5),
    # its epsilon is added to the square of the gradient's size, the others' to the size itself
    RMSprop: (("rho",), 1.0),
}


def scale_optimizer(
    optimizer: Optimizer, base_batch: int, batch: int, rule: str = "linear", *, noise_scale: float | None = None
) -> Optimizer:
    """Return an optimizer for batches of `batch` rows, given one that is good for batches of `base_batch`.

    With kappa = batch / base_batch:

    - The learning rate is scaled by `scale_learning_rate`; a schedule as a whole, all its rates by the same factor.
    - With "sde-sqrt" (Malladi et al. 2022, arXiv:2205.10287, for Adam and RMSprop; here also for AdamW, Nadam and
      Adamax) every decay of a moving average becomes 1 - kappa (1 - beta), and epsilon becomes epsilon / sqrt(kappa):
      epsilon / kappa for RMSprop, which has it inside the root. The rule holds for kappa (1 - beta) < 1 alone. Beyond
      that the decay is 0, no average at all, and a UserWarning says so.
    - With `use_ema`, ema_momentum becomes ema_momentum^kappa (`scale_ema_momentum`), unless the rule is "none".
    - All else stays: momentum and Nesterov, clipping, and weight_decay. Decoupled decay is weight_decay times the
      learning rate, so that the rate brings the factor in once: under the linear rule an epoch decays as much as
      before, under the square root sqrt(kappa) times less, and whoever wants it equal gives weight_decay that factor.

    >>> from fastann.optimizers import Adam
    >>> adam = scale_optimizer(Adam(1e-3, epsilon=1e-7), 32, 128, "sde-sqrt")
    >>> adam.learning_rate, round(adam.beta_1, 6), round(adam.beta_2, 6), adam.epsilon
    (0.002, 0.6, 0.996, 5e-08)

    Args:
        optimizer: good at the base batch.
        base_batch, batch: rows, at least 1.
        rule, noise_scale: of `scale_learning_rate`.

    Raises:
        ValueError, TypeError: an argument is out of bounds, the rule is unknown or not for this optimizer, or the
            learning rate is a `LinearScaling`, which scales itself.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {optimizer!r}; make one, such as Adam(1e-3).")
    factor = scale_learning_rate(1.0, base_batch, batch, rule, noise_scale=noise_scale)
    if rule == "none":
        return optimizer
    rate, kappa = optimizer.learning_rate, batch / base_batch
    if isinstance(rate, LinearScaling):
        raise ValueError(
            "the learning rate must not be a LinearScaling, which scales itself when fit begins; give the optimizer "
            "its base learning rate, or leave it as it is."
        )
    changes: dict[str, Any] = {"learning_rate": Scaled(rate, factor) if callable(rate) else factor * rate}
    if rule == "sde-sqrt":
        changes |= _sde_changes(optimizer, kappa)
    if optimizer.use_ema:
        changes["ema_momentum"] = scale_ema_momentum(optimizer.ema_momentum, base_batch, batch)
    return replace(optimizer, **changes)


def scale_beta_2(beta_2: float, base_batch: int, batch: int) -> float:
    """Return beta_2^(batch / base_batch): an average of squared gradients over as many rows, whatever the batch size.

    Marek et al. 2025, arXiv:2507.07101, who find Adam with small batches as good as with large ones once the half-life
    of beta_2 is held in samples.

    >>> round(scale_beta_2(0.95, 512, 1), 6)
    0.9999

    Args:
        beta_2: in [0, 1).
        base_batch, batch: rows, at least 1.

    Raises:
        ValueError, TypeError: an argument is out of bounds.
    """
    return _power(bounded(beta_2, "beta_2", 0, 1, below=True), base_batch, batch)


def scale_ema_momentum(ema_momentum: float, base_batch: int, batch: int) -> float:
    """Return ema_momentum^(batch / base_batch): an average of weights over as many rows, whatever the batch size.

    Busbridge et al. 2023, arXiv:2307.13813, "How to Scale Your EMA".

    >>> round(scale_ema_momentum(0.999, 100, 1000), 6)
    0.990045

    Args:
        ema_momentum: in [0, 1].
        base_batch, batch: rows, at least 1.

    Raises:
        ValueError, TypeError: an argument is out of bounds.
    """
    return _power(bounded(ema_momentum, "ema_momentum", 0, 1), base_batch, batch)


def half_life(decay: float, batch: int) -> float:
    """Return after how many rows an entry of a moving average has half its weight: batch log(1/2) / log(decay).

    >>> round(half_life(0.999, 32))
    22170

    Args:
        decay: in (0, 1), of each step, such as beta_2.
        batch: rows a step.

    Raises:
        ValueError, TypeError: an argument is out of bounds.
    """
    factor = bounded(decay, "decay", 0, 1, above=True, below=True)
    return whole(batch, "batch", 1) * math.log(0.5) / math.log(factor)


def _power(decay: float, base_batch: int, batch: int) -> float:
    return float(decay ** (whole(batch, "batch", 1) / whole(base_batch, "base_batch", 1)))


def _sde_changes(optimizer: Optimizer, kappa: float) -> dict[str, float]:
    """Return decays and epsilon as Malladi et al. scale them."""
    if type(optimizer) not in _SDE:
        names = ", ".join(kind.__name__ for kind in _SDE)
        raise ValueError(
            f"rule 'sde-sqrt' is for {names}, got {type(optimizer).__name__}; use 'linear' for SGD, or 'sqrt'."
        )
    decays, power = _SDE[type(optimizer)]
    wanted = {name: kappa * (1 - getattr(optimizer, name)) for name in decays}
    beyond = [f"{kappa:g} (1 - {name}) = {share:.4g}" for name, share in wanted.items() if share >= 1]
    if beyond:
        warnings.warn(
            f"rule 'sde-sqrt' holds while kappa (1 - decay) is below 1, got {' and '.join(beyond)}, and the "
            "decay is set to 0; expect nothing of the rule here, or scale the batch by less.",
            UserWarning,
            stacklevel=3,
        )
    changes = {name: max(0.0, 1 - share) for name, share in wanted.items()}
    return {**changes, "epsilon": getattr(optimizer, "epsilon") / kappa**power}  # noqa: B009 - each of these has one
