"""What the trainings of `fit_many` differ in, and the models that they train."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastann.optimizers import get as get_optimizer
from fastann.optimizers.base import LearningRateLike
from fastann.random import check_seed
from fastann.training.arguments import batch_rows

if TYPE_CHECKING:
    from fastann.models import Model
    from fastann.optimizers import Optimizer

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Run:
    """The settings of one training; what is None is as the model was compiled, or as `fit_many` was told.

    Args:
        learning_rate: a number, a schedule, or a function of the step.
        weight_decay: of the optimizer.
        seed: of new weights, orders and masks, as of a model made with it. Without one the training goes on from the
            model's weights.
        optimizer: name or object, in place of the model's; `learning_rate` and `weight_decay` change it.
        batch_size: rows an update.
        rows: numbers of the rows to train on, in place of all.
        validation_rows: numbers of the rows to validate on.
    """

    learning_rate: LearningRateLike | None = None
    weight_decay: float | None = None
    seed: int | None = None
    optimizer: str | Optimizer | None = None
    batch_size: int | None = None
    rows: Any = None
    validation_rows: Any = None

    @property
    def settings(self) -> dict[str, Any]:
        """Those that were given, by name."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in given.items() if value is not None}

    def __str__(self) -> str:
        return ", ".join(f"{name} {_text(value)}" for name, value in self.settings.items()) or "as compiled"

    def model(self, model: Model) -> Model:
        """Return a copy of a compiled model that is ready to train with these settings.

        Its optimizer starts anew.

        Raises:
            ValueError, TypeError: a setting is none that the optimizer or the model takes.
        """
        compiled = model.compile_spec.optimizer
        assert compiled is not None
        optimizer = compiled if self.optimizer is None else get_optimizer(self.optimizer)
        changes: dict[str, Any] = {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay}
        changes = {name: value for name, value in changes.items() if value is not None}
        twin = copy.deepcopy(model)
        if self.seed is not None:
            twin.reseed(self.seed)
        twin.recompile(replace(optimizer, **changes))
        return twin


def make_runs(
    runs: Iterable[Run | Mapping[str, Any]] | None,
    learning_rates: Iterable[LearningRateLike] | None,
    weight_decays: Iterable[float] | None,
    seeds: Iterable[int] | None,
) -> list[Run]:
    """Return the runs that are listed, or every combination of what is given; the last one given changes fastest.

    Raises:
        ValueError: there is none, both ways are used at once, or a setting is unknown.
        TypeError: an entry is neither a `Run` nor a dict of settings.
    """
    named = {"learning_rate": learning_rates, "weight_decay": weight_decays, "seed": seeds}
    lists = {name: _listed(values, f"{name}s") for name, values in named.items() if values is not None}
    if runs is not None and lists:
        raise ValueError(f"runs and {next(iter(lists))}s must not be given together; write the setting into each run.")
    if runs is not None:
        made = [_run(entry, number) for number, entry in enumerate(_listed(runs, "runs"))]
    elif lists:
        made = [Run(**dict(zip(lists, values, strict=True))) for values in itertools.product(*lists.values())]
    else:
        raise ValueError("expected what the trainings differ in, got nothing: give learning_rates, seeds or runs.")
    if not made:
        raise ValueError("expected at least one training, got none: an argument has no entries.")
    for run in made:
        _check(run)
    return made


def row_numbers(given: Any, rows: int, name: str) -> Rows:
    """Return int64[n] of row numbers below `rows`.

    Raises:
        TypeError: they are no whole numbers.
        ValueError: there is none, or one is out of bounds.
    """
    array = np.asarray(given)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must be whole numbers in one dimension, got shape {array.shape} of {array.dtype}; "
            "use numpy.flatnonzero for a mask."
        )
    if array.size == 0 or array.min() < 0 or array.max() >= rows:
        found = f"{array.min()} to {array.max()}" if array.size else "none"
        raise ValueError(f"{name} must be numbers of rows from 0 to {rows - 1}, got {found}.")
    return array.astype(np.int64)


def _check(run: Run) -> None:
    if run.seed is not None:
        check_seed(run.seed)
    if run.batch_size is not None:
        batch_rows(run.batch_size)


def _run(entry: Any, number: int) -> Run:
    if isinstance(entry, Run):
        return entry
    if not isinstance(entry, Mapping):
        raise TypeError(f"each of runs must be a dict of settings or a Run, got {entry!r} at place {number}.")
    known = [field.name for field in fields(Run)]
    for name in entry:
        if name not in known:
            raise ValueError(f"the settings of a run are {', '.join(known)}, got {name!r} at place {number}.")
    return Run(**entry)


def _listed(values: Any, name: str) -> Sequence[Any]:
    if isinstance(values, str | bytes | Mapping | Run) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list, got {values!r}; put it in a list.")
    return list(values)


def _text(value: Any) -> str:
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return f"of {np.size(value)}" if isinstance(value, np.ndarray | list | tuple | range) else str(value)
