"""A learning rate that grows with the batch size, warm-up included, and learns both from `fit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastann.schedules.base import Formula, LearningRateSchedule, Run, checked_rate, rates_at
from fastann.schedules.scaling_rules import check_rule, scale_learning_rate
from fastann.spec import bounded, label, register, whole


@register("schedules")
@dataclass(frozen=True)
class LinearScaling(Formula):
    """The learning rate of a base batch, scaled to the batch size that `fit` is called with, after a gradual warm-up.

    With e the epochs over at a step (a fraction within an epoch), b(e) the base learning rate and f = kappa = batch
    size / base batch, or what another rule gives,

        rate = b(e) (1 + (f - 1) min(e / warmup_epochs, 1)).

    The rate so grows by the same amount each step, from the base rate to the scaled one. Where f <= 1, a batch smaller
    than the base, there is nothing to warm up to: rate = f b(e) from the first step. Goyal et al. 2017, "Accurate,
    Large Minibatch SGD", arXiv:1706.02677, sections 2.1 and 2.2; `SGD` corrects its momentum as their section 3 asks
    (remark 2) unless it has `momentum_correction=False`.

    `SGD(LinearScaling(0.1, base_batch=256), momentum=0.9)` is all that `compile` needs; `fit` says what the batch size
    is (of the rows, if there are fewer) and how many steps an epoch has. The epochs are those of all calls of `fit`
    since the model was compiled, whatever `initial_epoch` is. So a second call goes on where the first one ended; with
    another batch size it has that one's rate at once, without another warm-up, which the epochs are past. Before any
    `fit`, as with `train_on_batch` alone, nobody knows what an epoch is, and the rate is b(0); after one,
    `train_on_batch` goes on as in the last `fit`.

    Weight decay needs no scaling: L2 penalties are part of the gradient and decoupled decay is `weight_decay` times the
    learning rate, so either way the rate brings the factor in, once.

    >>> from fastann.schedules import Run
    >>> schedule = LinearScaling(0.1, base_batch=256, warmup_epochs=5).for_run(Run(batch_size=1024, steps_per_epoch=50))
    >>> [round(schedule(step), 6) for step in (0, 125, 250, 10_000)]
    [0.1, 0.25, 0.4, 0.4]

    Args:
        base_learning_rate: good for batches of `base_batch` rows: a number, or a schedule whose steps are epochs, such
            as `StepDecay(0.1, drop_every=30, factor=0.1)`. It is asked for fractions of epochs, too.
        base_batch: rows.
        warmup_epochs: of the gradual warm-up; 0 for none.
        rule: of `scale_learning_rate`, but for "sde-sqrt", which changes more than the rate; "none" with a schedule
            makes a schedule in epochs, without any scaling.
        noise_scale: rows; for the saturating rule.

    Raises:
        ValueError, TypeError: a setting is out of bounds.
    """

    momentum_correction: ClassVar[bool] = True

    base_learning_rate: Any = 0.1
    base_batch: int = 256
    warmup_epochs: float = 5.0
    rule: str = "linear"
    noise_scale: float | None = None
    name: str | None = "LinearScaling"

    def __post_init__(self) -> None:
        check_rule(self.rule, self.noise_scale)
        if self.rule == "sde-sqrt":
            raise ValueError(
                "rule 'sde-sqrt' changes betas and epsilon, which a schedule cannot: use "
                "fastann.scaling.scale_optimizer, or rule='sqrt' for the rate alone."
            )
        self._set(
            base_learning_rate=checked_rate(self.base_learning_rate, "base_learning_rate"),
            base_batch=whole(self.base_batch, "base_batch", 1),
            warmup_epochs=bounded(self.warmup_epochs, "warmup_epochs"),
            noise_scale=None if self.noise_scale is None else float(self.noise_scale),
            name=label(self.name, "name"),
        )

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the base learning rate, the same at all steps: no run is known."""
        return np.full_like(at, rates_at(self.base_learning_rate, np.zeros(1))[0])

    def for_run(self, run: Run) -> LearningRateSchedule:
        """Return the schedule of a `fit`; raises ValueError if nobody knows how many steps an epoch has."""
        run.epochs(np.zeros(1))
        return _ScaledRun(self, run)


@dataclass(frozen=True)
class _ScaledRun(Formula):
    """A `LinearScaling` in one run."""

    momentum_correction: ClassVar[bool] = True

    scaling: LinearScaling
    run: Run

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the learning rates at steps float64[n]."""
        scaling, epochs = self.scaling, self.run.epochs(at)
        factor = scale_learning_rate(
            1.0, scaling.base_batch, self.run.batch_size, scaling.rule, noise_scale=scaling.noise_scale
        )
        warm = np.minimum(epochs / scaling.warmup_epochs, 1.0) if scaling.warmup_epochs and factor > 1 else 1.0
        return np.asarray(rates_at(scaling.base_learning_rate, epochs) * (1 + (factor - 1) * warm))
