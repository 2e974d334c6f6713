"""What every optimizer is: settings as data, a rule for the kernels, and a row of coefficients for each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
from fastann_kernels.program import UpdateRule
from numpy.typing import NDArray

from fastann.schedules import LearningRateSchedule
from fastann.schedules.base import checked_rate
from fastann.spec import Spec, bounded, flag, label, whole

LearningRateLike: TypeAlias = float | LearningRateSchedule | Callable[[int], float]
Coefficients: TypeAlias = NDArray[np.float64]


CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


@dataclass(frozen=True)
class Optimizer(Spec):
    """Settings that all optimizers share; the formulas and their order are at `fastann_kernels.program.UpdateRule`.

    Names and defaults are Keras 3's. What differs: these settings are keywords only (but for AdamW's weight_decay), a
    function given as learning rate takes the step, `exclude_from_weight_decay` is a setting instead of a method, and
    there is no loss_scale_factor and no gradient_accumulation_steps.

    Args:
        learning_rate: a number, a schedule, or a function from the number of updates made before to a number. A
            function that is no `LearningRateSchedule` trains, but cannot be written to a model file.
        weight_decay: decoupled decay, w <- w - w * weight_decay * learning_rate before each update; None for none.
        clipnorm: largest norm of the gradient of each tensor.
        clipvalue: largest size of each entry of a gradient.
        global_clipnorm: largest norm of all gradients together.
        use_ema: follow an average of the weights, e <- ema_momentum e + (1 - ema_momentum) w, which starts as the
            weights after the first update and takes their place when `fit` returns.
        ema_momentum: in [0, 1].
        ema_overwrite_frequency: with `use_ema`, put the average in place of the weights every so many updates.
        name: a label.
        exclude_from_weight_decay: parts of parameter names, such as "bias"; what has one of them is not decayed.

    Raises:
        ValueError: a setting is out of its range, or more than one kind of clipping is given.
        TypeError: a setting is of the wrong type.
    """

    op: ClassVar[str]

    learning_rate: LearningRateLike = 0.001
    weight_decay: float | None = field(default=None, kw_only=True)
    clipnorm: float | None = field(default=None, kw_only=True)
    clipvalue: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)
    use_ema: bool = field(default=False, kw_only=True)
    ema_momentum: float = field(default=0.99, kw_only=True)
    ema_overwrite_frequency: int | None = field(default=None, kw_only=True)
    name: str | None = field(default=None, kw_only=True)
    exclude_from_weight_decay: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if not hasattr(self, "op"):
            raise TypeError(f"{type(self).__name__} has no update rule of its own; use one of its kinds, such as Adam.")
        decay, frequency = self.weight_decay, self.ema_overwrite_frequency
        self._set(
            learning_rate=checked_rate(self.learning_rate, "learning_rate"),
            weight_decay=None if decay is None else bounded(decay, "weight_decay"),
            use_ema=flag(self.use_ema, "use_ema"),
            ema_momentum=bounded(self.ema_momentum, "ema_momentum", 0, 1),
            ema_overwrite_frequency=None if frequency is None else whole(frequency, "ema_overwrite_frequency", 1),
            name=label(self.name, "name"),
            exclude_from_weight_decay=_checked_names(self.exclude_from_weight_decay),
        )
        self._check_clipping()
        self._check()

    def _check_clipping(self) -> None:
        limits = {key: getattr(self, key) for key in CLIPPING}
        given = {key: bounded(value, key, above=True) for key, value in limits.items() if value is not None}
        if len(given) > 1:
            raise ValueError(
                f"only one of clipnorm, clipvalue and global_clipnorm may be given, got {' and '.join(given)}; "
                "leave the others out."
            )
        self._set(**given)

    def _check(self) -> None:
        """Check the settings of one rule."""

    def _slots(self) -> tuple[float, ...]:
        """Return the initial value of each state vector of the rule."""
        return ()

    def _flags(self) -> tuple[str, ...]:
        """Return the flags of the rule."""
        return ()

    def _fill(self, columns: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        """Write the rule's own columns, in place; t[steps] counts updates from 1."""
        raise TypeError(f"{type(self).__name__} does not say what its coefficients are.")

    def update_rule(self) -> UpdateRule:
        """Return the rule that the kernels run, without any number that may change from step to step."""
        flags = {*self._flags(), *(key for key in CLIPPING if getattr(self, key) is not None)}
        if self.weight_decay:
            flags.add("decay")
        if self.use_ema:
            flags.add("ema")
        return UpdateRule(self.op, self._slots() + ((0.0,) if self.use_ema else ()), tuple(sorted(flags)))

    @property
    def corrects_momentum(self) -> bool:
        """Whether a step depends on the learning rate of the step before."""
        return False

    def coefficients(
        self, first_step: int, learning_rates: NDArray[np.float64], previous_rate: float | None = None
    ) -> Coefficients:
        """Return float64[steps, K]: a row for each update from `first_step` on, a column for each name in the rule.

        Bias corrections are taken in float64, whatever the precision of the training.

        Args:
            first_step: updates made before.
            learning_rates: float64[steps], the learning rate of each.
            previous_rate: the learning rate of the update before, which only matters where `corrects_momentum`; None
                if there was none.
        """
        rates = np.asarray(learning_rates, np.float64)
        names = self.update_rule().columns
        table = np.zeros((len(rates), len(names)))
        columns = {name: table[:, i] for i, name in enumerate(names)}
        t = np.arange(first_step + 1, first_step + len(rates) + 1, dtype=np.float64)
        columns["decay"][:] = rates * (self.weight_decay or 0.0)
        for key in CLIPPING:
            columns[key][:] = getattr(self, key) or 0.0
        # The first update starts the average, instead of pulling it towards zero.
        columns["ema_momentum"][:] = np.where(t == 1, 0.0, self.ema_momentum)
        if self.use_ema and self.ema_overwrite_frequency:
            columns["ema_overwrite"][:] = t % self.ema_overwrite_frequency == 0
        self._fill(columns, t, rates)
        return table


def _checked_names(names: Any) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, tuple | list) or not all(isinstance(n, str) for n in names):
        raise TypeError(f"exclude_from_weight_decay must be a tuple of strings such as ('bias',), got {names!r}.")
    return tuple(names)


def below_one(value: Any, name: str) -> float:
    """Return a factor in [0, 1), such as a momentum."""
    return bounded(value, name, 0, 1, below=True)
