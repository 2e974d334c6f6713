"""What every optimizer is: settings as data, a rule for the kernels, and a row of coefficients for each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
from fastann_kernels.program import COMMON_COEFFICIENTS, UPDATES, UpdateRule
from numpy.typing import NDArray

from fastann.schedules import LearningRateSchedule
from fastann.spec import Spec, bounded, whole

LearningRateLike: TypeAlias = float | LearningRateSchedule | Callable[[int], float]
Coefficients: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Optimizer(Spec):
    """Settings that all optimizers share; the formulas and their order are at `fastann_kernels.program.UpdateRule`.

    Args:
        weight_decay: decoupled decay, w <- w - w * weight_decay * learning_rate before each update; None for none.
        clipnorm: largest norm of the gradient of each tensor. clipvalue: largest size of each entry.
            global_clipnorm: largest norm of all gradients together. Only one of the three may be given.
        use_ema: follow an average of the weights, e <- ema_momentum e + (1 - ema_momentum) w, which replaces them at the end of
            `fit` and, with `ema_overwrite_frequency`, every so many updates.
        name: a label.
        exclude_from_weight_decay: parts of parameter names ("bias") that are not decayed.
    """

    op: ClassVar[str]

    weight_decay: float | None = field(default=None, kw_only=True)
    clipnorm: float | None = field(default=None, kw_only=True)
    clipvalue: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)
    use_ema: bool = field(default=False, kw_only=True)
    ema_momentum: float = field(default=0.99, kw_only=True)
    ema_overwrite_frequency: int | None = field(default=None, kw_only=True)
    name: str | None = field(default=None, kw_only=True)
    exclude_from_weight_decay: tuple[str, ...] = field(default=(), kw_only=True)

    learning_rate: ClassVar[Any]

    def __post_init__(self) -> None:
        self._set(learning_rate=_checked_rate(self.learning_rate))
        if self.weight_decay is not None:
            self._set(weight_decay=bounded(self.weight_decay, "weight_decay"))
        self._check_clipping()
        if not isinstance(self.use_ema, bool):
            raise TypeError(f"use_ema must be True or False, got {self.use_ema!r}.")
        self._set(ema_momentum=bounded(self.ema_momentum, "ema_momentum", 0, 1))
        if self.ema_overwrite_frequency is not None:
            self._set(ema_overwrite_frequency=whole(self.ema_overwrite_frequency, "ema_overwrite_frequency", 1))
        if isinstance(self.exclude_from_weight_decay, str):
            raise TypeError("exclude_from_weight_decay must be a tuple of strings, got one string.")
        self._set(exclude_from_weight_decay=tuple(self.exclude_from_weight_decay))
        self._check()

    def _check_clipping(self) -> None:
        limits = {key: getattr(self, key) for key in ("clipnorm", "clipvalue", "global_clipnorm")}
        given = {key: bounded(value, key, above=True) for key, value in limits.items() if value is not None}
        if len(given) > 1:
            raise ValueError(
                f"only one of clipnorm, clipvalue and global_clipnorm may be given, got {' and '.join(given)}."
            )
        self._set(**given)

    def _check(self) -> None:
        """Check the settings of one rule."""

    def _set(self, **values: Any) -> None:
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def _slots(self) -> tuple[float, ...]:
        """Return the initial value of each state vector of the rule."""
        return ()

    def _flags(self) -> tuple[str, ...]:
        """Return the flags of the rule."""
        return ()

    def _fill(self, rows: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        """Write the rule's own columns; t counts updates from 1."""
        raise TypeError(f"{type(self).__name__} does not say what its coefficients are.")

    def update_rule(self) -> UpdateRule:
        """Return the rule that the kernels run, without any number that may change from step to step."""
        flags = set(self._flags())
        flags.update(key for key in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, key) is not None)
        if self.weight_decay:
            flags.add("decay")
        if self.use_ema:
            flags.add("ema")
        return UpdateRule(self.op, self._slots() + ((0.0,) if self.use_ema else ()), tuple(sorted(flags)))

    def coefficients(self, first_step: int, learning_rates: NDArray[np.float64]) -> Coefficients:
        """Return float64[steps, columns], a row for each of the updates first_step, first_step + 1, ...

        Args:
            first_step: updates made before.
            learning_rates: float64[steps], the learning rate of each.
        """
        rates = np.asarray(learning_rates, np.float64)
        columns = COMMON_COEFFICIENTS + UPDATES[self.op]
        table = np.zeros((len(rates), len(columns)))
        rows = {name: table[:, i] for i, name in enumerate(columns)}
        t = np.arange(first_step + 1, first_step + len(rates) + 1, dtype=np.float64)
        rows["decay"][:] = rates * (self.weight_decay or 0.0)
        for key in ("clipnorm", "clipvalue", "global_clipnorm"):
            rows[key][:] = getattr(self, key) or 0.0
        # the first update starts the average, instead of pulling it towards zero
        rows["ema_momentum"][:] = np.where(t == 1, 0.0, self.ema_momentum)
        if self.use_ema and self.ema_overwrite_frequency:
            rows["ema_overwrite"][:] = t % self.ema_overwrite_frequency == 0
        self._fill(rows, t, rates)
        return table


def _checked_rate(rate: Any) -> Any:
    """Return a number not below 0, or the callable itself."""
    return rate if callable(rate) else bounded(rate, "learning_rate")


def momentum_share(value: Any, name: str) -> float:
    """Return a decay factor in [0, 1)."""
    return bounded(value, name, 0, 1, below=True)
