"""What came of several trainings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from fastann.callbacks.monitor import direction
from fastann.many.runs import Run

if TYPE_CHECKING:
    from fastann.callbacks import History
    from fastann.models import Model


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """One training of `fit_many`.

    Attributes:
        run: its settings.
        model: what was trained.
        history: its `History`.
        seconds: that its steps and validations took; on JAX its share of what was computed together.
        diverged: updates made before the loss became NaN or infinite and the training ended; None if that did not
            happen. The history ends with that epoch, and the weights are those before that update.
        reached: whether the goals of `until` were reached.
    """

    run: Run
    model: Model
    history: History
    seconds: float
    diverged: int | None = None
    reached: bool = False

    @property
    def last(self) -> dict[str, float]:
        """The last entry of each list of the history."""
        return {key: float(values[-1]) for key, values in self.history.history.items() if values}


class TrainedRuns(Sequence[TrainedRun]):
    """The trainings in the order in which they were asked for; `str` of it is a table."""

    def __init__(self, runs: Sequence[TrainedRun]) -> None:
        self._runs = tuple(runs)

    @overload
    def __getitem__(self, index: int) -> TrainedRun: ...

    @overload
    def __getitem__(self, index: slice) -> TrainedRuns: ...

    def __getitem__(self, index: int | slice) -> TrainedRun | TrainedRuns:
        return TrainedRuns(self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def histories(self) -> list[History]:
        """The history of each."""
        return [run.history for run in self._runs]

    def best(self, monitor: str | None = None) -> TrainedRun:
        """Return the training whose last value of a key of its history is best; those that are not finite lose.

        Args:
            monitor: by default "val_loss" if there is a validation, and "loss" if not.

        Raises:
            ValueError: no history has a finite last value of this name, or nothing tells whether it should grow.
        """
        if monitor is None:
            monitor = "val_loss" if any("val_loss" in run.last for run in self._runs) else "loss"
        values = [run.last.get(monitor, math.nan) for run in self._runs]
        finite = [number for number, value in enumerate(values) if math.isfinite(value)]
        if not finite:
            raise ValueError(f"no training ended with a finite {monitor!r}; the histories have {self._keys()}.")
        grows = direction(self._runs[0].model, monitor)
        if grows is None:
            raise ValueError(f"nothing tells whether {monitor!r} should grow or shrink; compare the histories by hand.")
        return self._runs[(max if grows else min)(finite, key=values.__getitem__)]

    def _keys(self) -> list[str]:
        return list(dict.fromkeys(key for run in self._runs for key in run.history.history))

    def __str__(self) -> str:
        keys = self._keys()
        rows: list[Sequence[str]] = [("run", "epochs", "seconds", *keys)]
        for run in self._runs:
            told = f" (diverged after {run.diverged} updates)" if run.diverged is not None else ""
            values = [f"{run.last[key]:.4g}" if key in run.last else "-" for key in keys]
            rows.append((f"{run.run}{told}", str(len(run.history.epoch)), f"{run.seconds:.3f}", *values))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(_placed(row, widths)).rstrip() for row in rows)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} trainings>"


def _placed(cells: Sequence[Any], widths: Sequence[int]) -> list[str]:
    """Return the first cell to the left, the others to the right."""
    return [
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
