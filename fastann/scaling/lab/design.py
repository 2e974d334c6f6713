"""What an experiment consists of, written down before it is run."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, replace
from typing import Any

from fastann.schedules import RULES

OPTIMIZERS = ("sgd", "nesterov", "adam")
BUDGETS = ("epochs", "steps", "target")

#: Share by which a rule's loss may exceed that of the retuned rate and still count as good.
MARGIN = 0.05


@dataclass(frozen=True)
class Design:
    """Everything that decides what is run; two labs of one design run the same trainings.

    Attributes:
        data: a name or file that `fastann.datasets.load` knows; a path may hold variables such as $FASTANN_DATA.
        target: column of a table to predict.
        rows: how many rows to take, chosen at random once; None for all.
        hidden: units of the hidden layers, ReLU.
        optimizers: of `OPTIMIZERS`; "nesterov" is SGD with Nesterov's momentum 0.9.
        batch_sizes: increasing; none for powers of two, or of four, up to all rows to train on.
        base_batch: where each rule is anchored: its learning rate is tuned there once.
        rules: of `fastann.scaling.RULES`; every one is compared with a rate tuned anew for the batch size. "sde-sqrt"
            is compared for Adam alone, at batch sizes for which it is meant; "saturating" takes the noise scale that
            was measured at the base batch.
        warmup_epochs: of a gradual warm-up from the base rate (Goyal et al. 2017); 0 to do without.
        epochs: the budget of equal epochs.
        step_epochs: the budget of equal steps is what the base batch takes for so many epochs; None for `epochs`.
        fractions: of the epochs, after which the validation loss at the base batch sets the three targets.
        grid_points: learning rates to begin with, a factor sqrt(10) apart, at each batch size.
        most_points: learning rates at most, when the best one lies at an edge and the grid grows.
        tuning_seeds: seeds to choose learning rates with.
        seeds: other seeds, to compare rules with.
        growth: of the samples seen from one look at the losses to the next.
        backend: "numba" or "jax".
    """

    data: str
    target: str | None = None
    rows: int | None = None
    hidden: tuple[int, ...] = (64,)
    optimizers: tuple[str, ...] = OPTIMIZERS
    batch_sizes: tuple[int, ...] = ()
    base_batch: int = 32
    rules: tuple[str, ...] = RULES
    warmup_epochs: int = 3
    epochs: int = 16
    step_epochs: float | None = None
    fractions: tuple[float, float, float] = (0.1, 0.25, 0.5)
    grid_points: int = 7
    most_points: int = 13
    tuning_seeds: int = 4
    seeds: int = 10
    growth: float = 1.15
    backend: str = "numba"

    def __post_init__(self) -> None:
        _one_of("optimizer", self.optimizers, OPTIMIZERS)
        _one_of("rule", self.rules, RULES)
        if list(self.batch_sizes) != sorted(set(self.batch_sizes)) or any(size < 1 for size in self.batch_sizes):
            raise ValueError(f"batch_sizes must be positive and increasing, got {self.batch_sizes}.")
        least = {"base_batch": 1, "epochs": 1, "grid_points": 3, "tuning_seeds": 1, "seeds": 2, "warmup_epochs": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be at least {low}, got {getattr(self, name)}.")
        if self.most_points < self.grid_points:
            raise ValueError(f"most_points must be at least grid_points, got {self.most_points}.")
        if self.step_epochs is not None and not self.step_epochs > 0:
            raise ValueError(f"step_epochs must be above 0, got {self.step_epochs}.")
        if not self.growth > 1:
            raise ValueError(f"growth must be above 1, got {self.growth}.")
        if self.backend not in ("numba", "jax"):
            raise ValueError(f"backend must be 'numba' or 'jax', got {self.backend!r}.")

    def as_json(self) -> dict[str, Any]:
        """Return the settings with lists in place of tuples."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> Design:
        """Return the design that `as_json` wrote."""
        plain: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in settings.items()}
        return cls(**plain)

    @property
    def source(self) -> str:
        """`data` with the variables of the environment in place.

        Raises:
            ValueError: a variable is not set.
        """
        found = os.path.expandvars(self.data)
        if "$" in found:
            raise ValueError(f"the data lie in {self.data}, and the variable is not set; set it to their folder.")
        return found

    def sizes(self, rows: int) -> tuple[int, ...]:
        """Return the batch sizes for so many rows to train on, the base batch and all rows among them."""
        if self.batch_sizes:
            chosen = {size for size in self.batch_sizes if size <= rows}
        else:
            factor = 2 if rows <= 2048 else 4
            first = 0 if factor == 2 else 1
            chosen = {factor**power for power in range(first, 1 + int(math.log(rows, factor) + 1e-9))}
        return tuple(sorted(chosen | {min(self.base_batch, rows)} | ({rows} if not self.batch_sizes else set())))


def _one_of(what: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    if not given:
        raise ValueError(f"expected at least one {what}, got none.")
    for name in given:
        if name not in known:
            raise ValueError(f"{what} must be one of {', '.join(known)}, got {name!r}.")


@dataclass(frozen=True)
class Preset:
    """A design that is ready to run, and the minutes after which nothing new begins."""

    design: Design
    minutes: float


PRESETS = {
    "digits": Preset(Design("digits", step_epochs=8), 9.0),
    "fashion-mnist": Preset(
        Design(
            "$FASTANN_DATA/fashion_mnist", rows=10_000, hidden=(128,), batch_sizes=(2, 8, 32, 128, 512, 2048),
            epochs=8, step_epochs=1, fractions=(0.05, 0.1, 0.2), grid_points=5, tuning_seeds=3, seeds=5, growth=1.25,
            warmup_epochs=2,
        ),
        37.0,
    ),
}  # fmt: skip


def design_for(data: str, **changes: Any) -> Preset:
    """Return the preset of that name, or for other data the design of digits; changes that are None are left out."""
    preset = PRESETS.get(data, Preset(replace(PRESETS["digits"].design, data=data), 20.0))
    given = {name: value for name, value in changes.items() if value is not None}
    return Preset(replace(preset.design, **given), preset.minutes)
