"""One training of the lab: what decides it, and what it leaves."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np

from fastann.scaling.lab.workbench import MOST_LOOKED_AT, Workbench, make_optimizer
from fastann.scaling.noise_scale import noise_scale
from fastann.training.passes import Passes
from fastann.training.preparing import with_targets
from fastann.training.session import PlacedData, Session

#: Training is counted as diverged where its loss stays above this many times the first one ...
_GROWN = 2.0
#: ... for so many looks in a row.
_LOOKS = 3
_NOISE_LOOKS = 14


@dataclass(frozen=True)
class Trial:
    """What is free in a run, data, network and looks being the lab's.

    Attributes:
        optimizer: of `design.OPTIMIZERS`.
        batch_size: rows a step.
        learning_rate: after the warm-up.
        steps: how many.
        seed: of initial weights and order of rows: trials of one seed are paired.
        warmup_steps, warmup_from: of a straight line to the learning rate.
        noise: whether the gradient noise scale is measured on the way.
        scaled_from: the batch size whose betas and epsilon Adam carries over by the rule "sde-sqrt"; None for Adam's.
    """

    optimizer: str
    batch_size: int
    learning_rate: float
    steps: int
    seed: int
    warmup_steps: int = 0
    warmup_from: float = 0.0
    noise: bool = False
    scaled_from: int | None = None

    def settings(self) -> dict[str, Any]:
        """Return the attributes, those that are None left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def key(self, bench: Workbench) -> str:
        """Return the hash of all that decides the run."""
        design = bench.design
        whole = {
            **self.settings(), "data": bench.fingerprint, "rows": bench.rows, "hidden": list(design.hidden),
            "epochs": design.epochs, "budget_steps": bench.budget_steps, "growth": design.growth,
            "backend": design.backend,
        }  # fmt: skip
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def looks(bench: Workbench, batch_size: int, steps: int) -> list[int]:
    """Return the steps after which losses are measured.

    They are 0, then even in the logarithm of the samples seen, from 1/64 of an epoch on, and the ends of the budgets.
    """
    rows = max(float(batch_size), bench.rows / 64)
    found = {0, steps, bench.budget_steps, bench.epochs_in_steps(batch_size)}
    while rows <= steps * batch_size:
        found.add(round(rows / batch_size))
        rows *= bench.design.growth
    return sorted(step for step in found if step <= steps)


def run_trial(trial: Trial, bench: Workbench) -> dict[str, Any]:
    """Train, and return the entries of a run's line.

    Losses are means over all validation rows and over the first rows of the training part, `steps` says after how many
    steps; `seconds` are those of training alone up to there, looks and compilation left out. A run that meets NaN or
    infinity ends there. `diverged_at` is the step of that, or of the first of three looks in a row at which the
    training loss was more than twice the first one.
    """
    began = perf_counter()
    bench_looks = looks(bench, trial.batch_size, trial.steps)
    sizes = None if trial.scaled_from is None else (trial.scaled_from, trial.batch_size)
    optimizer = make_optimizer(trial.optimizer, trial.learning_rate, trial.warmup_steps, trial.warmup_from, sizes)
    rail = _Rail(trial, bench, bench.model(optimizer, trial.seed))
    built = perf_counter() - began
    watched = set(bench_looks[:: max(1, len(bench_looks) // _NOISE_LOOKS)]) if trial.noise else set()
    for step in bench_looks:
        rail.advance(step)
        if not rail.look():
            break
        if step in watched:
            rail.measure_noise()
    return {
        "trial": trial.settings(), "steps": bench_looks[: len(rail.training)], "validation_loss": rail.validation,
        "training_loss": rail.training, "score": rail.scores, "seconds": rail.seconds, "built_seconds": round(built, 5),
        "diverged_at": _diverged_at(bench_looks, rail.training), "noise": rail.noise,
    }  # fmt: skip


def _diverged_at(steps: list[int], losses: list[float | None]) -> int | None:
    first = losses[0]
    if first is None:
        return 0
    in_a_row = 0
    for place, loss in enumerate(losses):
        if loss is None:
            return steps[place]
        in_a_row = in_a_row + 1 if loss > _GROWN * first else 0
        if in_a_row == _LOOKS:
            return steps[place - _LOOKS + 1]
    return None


class _Rail:
    """A training that is stopped here and there to look at it."""

    def __init__(self, trial: Trial, bench: Workbench, model: Any) -> None:
        parts = bench.parts
        session, data = with_targets(model, parts.x, parts.y)
        held = with_targets(model, parts.x_validation, parts.y_validation, session=session)[1]
        assert data.y is not None
        part = data.part(0, min(len(parts.x), MOST_LOOKED_AT))
        self._session: Session = session
        self._batch_size = trial.batch_size
        self._train = session.put(data.x, data.y)
        self._some = self._train if part.rows == data.rows else session.put(part.x, part.y)
        self._held = session.put(held.x, held.y)
        self._model, self._parts = model, parts
        self._passes = Passes(session, data.rows, trial.batch_size, True)
        self._done, self._spent = 0, 0.0
        self.validation: list[float | None] = []
        self.training: list[float | None] = []
        self.scores: list[float] = []
        self.seconds: list[float] = []
        self.noise: list[tuple[int, float, float]] = []

    def advance(self, step: int) -> None:
        """Train up to a step, pass after pass as `fit` does."""
        began = perf_counter()
        while self._done < step:
            stretch = self._passes.take(step - self._done)
            self._session.train(self._train, stretch.order, self._batch_size)
            self._done += stretch.steps
        self._spent += perf_counter() - began

    def look(self) -> bool:
        """Measure losses; return whether they are numbers."""
        held, score = self._measure(self._held)
        trained, _ = self._measure(self._some)
        self.validation.append(held)
        self.training.append(trained)
        if score is not None:
            self.scores.append(score)
        self.seconds.append(round(self._spent, 7))
        return held is not None and trained is not None

    def measure_noise(self) -> None:
        """Add step, trace of the covariance of the gradients, and squared norm of their mean."""
        found = noise_scale(self._model, self._parts.x, self._parts.y)
        self.noise.append((self._done, found.variance, found.signal))

    def _measure(self, data: PlacedData) -> tuple[float | None, float | None]:
        record = self._session.evaluate(data, data.rows)
        loss = float(np.average(record.losses, weights=record.rows))
        score = None
        if record.metric_sums.shape[1]:
            score = round(float(record.metric_sums[:, 0].sum() / record.metric_weights[:, 0].sum()), 6)
        return (float(f"{loss:.6g}") if math.isfinite(loss) else None), score
