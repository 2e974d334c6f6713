"""`advise`: which batch size and learning rate get a model to its target soonest, by a short probe."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastann.optimizers import SGD
from fastann.scaling.advice import Advice, ProbeRun, critical_batch
from fastann.scaling.course import Course, Rider
from fastann.scaling.line import fit_line
from fastann.scaling.noise import UNKNOWN, Interval
from fastann.scaling.race import Race
from fastann.spec import bounded
from fastann.training.interrupt import Interrupt
from fastann.training.loop import rows_to_validate
from fastann.training.preparing import with_targets
from fastann.training.splits import split_off
from fastann.training.streams import is_stream
from fastann.training.weights import with_class_weights

if TYPE_CHECKING:
    from fastann.models import Model

#: Seconds of a probe that is not told otherwise.
SECONDS = 10.0

#: Half the width of the interval of seconds to a target, as a factor. Of two trainings that differ in the seed alone
#: nineteen in twenty were within 1.44 on the development data of benchmarks/advice.py; the rest is for the step time.
SPREAD = 1.6


def advise(
    model: Model,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    target: float | None = None,
    validation_data: Any = None,
    learning_rates: Sequence[float] | None = None,
    seconds: float = SECONDS,
) -> Advice:
    """Recommend a batch size and a learning rate by a race of short trainings; the model is not changed.

    Theory proposes: with S(B) = S_min (1 + B_crit / B) steps to a target, each of t(B) = t0 + c B seconds, the time is
    least at B* = sqrt(B_crit t0 / c), and within an eighth of that from B* / 2 to 2 B*. B_crit is taken from the noise
    scale of gradients after some training, t(B) from the cost model of the backend. The learning rate is searched at
    batch size 64 and carried over by the square root of the batch size, for SGD in proportion to it.

    The race decides: B* and neighbours (half and twice the batch or the rate) train for equal seconds, the best
    go on for longer, and the first at the target wins. See `fastann.scaling.race` for the stages. All trainings begin
    with the weights and the seed of the model and with the optimizer anew. What rows cost is measured along the way.

    Args:
        model: compiled, with a constant learning rate.
        x, y, sample_weight: rows with targets, as for `fit`; 20 at least.
        target: the loss on the validation rows to get to. Without one the race ends when the two best have trained as
            long as two and a half passes in batches of 32 would take, and the target is the loss where the winner then
            is.
        validation_data: (x, y) or (x, y, sample_weight); by default a fifth of the rows is held out. If there are more
            than 4096, so many are looked at.
        learning_rates: the only ones to try; by default those around the optimizer's own, as far as they help.
        seconds: budget. When it is spent, no further trainings begin or are prolonged, and those under way decide;
            a probe needs a certain least: on JAX the compilation for each batch size.

    Raises:
        ValueError, TypeError: the model is not compiled, the data do not fit or are not rows, the learning rate is a
            schedule, a setting is out of bounds, or no training has a finite loss.

    >>> import numpy as np
    >>> from fastann import Sequential
    >>> from fastann.layers import Dense
    >>> x = np.random.default_rng(0).normal(size=(300, 3))
    >>> model = Sequential([Dense(1, input_shape=(3,))], seed=1)
    >>> model.compile("adam", "mse", backend="numba")
    >>> advice = advise(model, x, x @ [1.0, -2.0, 0.5], target=3.0, seconds=2)
    >>> advice.reached, advice.batch_range == (advice.batch_size // 2, 2 * advice.batch_size)
    (True, True)
    """
    goal = None if target is None else bounded(target, "target", -math.inf)
    twin = twin_of(model, x)
    return probe(twin, x, y, sample_weight, None, 0.0, validation_data, goal, _rates(learning_rates), seconds)


def twin_of(model: Model, x: Any) -> Model:
    """Return a copy of the model, after looking at what cannot be probed."""
    if not model.compiled:
        raise ValueError("the model must be compiled first: call model.compile(optimizer, loss).")
    if is_stream(x):
        raise TypeError(f"x must be rows, which batches can be made of, got {type(x).__name__}, which brings its own.")
    spec = model.compile_spec.optimizer
    assert spec is not None
    if callable(spec.learning_rate):
        raise ValueError(
            f"expected an optimizer with a constant learning rate, got the schedule {spec.learning_rate!r}; "
            "compile the model with a number, or choose the batch size by hand."
        )
    return copy.deepcopy(model)


def _rates(given: Sequence[float] | None) -> tuple[float, ...] | None:
    """Return learning rates as numbers above 0."""
    if given is None:
        return None
    rates = tuple(bounded(rate, "each of learning_rates", above=True) for rate in given)
    if not rates:
        raise ValueError("learning_rates must have at least one rate, got none; leave it out to have them searched.")
    return rates


def probe(
    twin: Model, x: Any, y: Any, sample_weight: Any, class_weight: Any, validation_split: float, validation_data: Any,
    target: float | None, rates: tuple[float, ...] | None, seconds: float,
) -> Advice:  # fmt: skip
    """Probe with a copy of the model."""
    limit = bounded(seconds, "seconds", above=True)
    began = time.perf_counter()
    session, data = with_targets(twin, x, y, sample_weight)
    held = None
    if validation_data is not None:
        held = rows_to_validate(twin, session, validation_data)
    elif validation_split > 0:
        data, held = split_off(data, validation_split, session.program)
    assert data.y is not None
    data = replace(data, weights=with_class_weights(data.weights, class_weight, data.y, session.program))
    with Interrupt() as interrupt:

        def check() -> None:
            if interrupt.requested:
                raise KeyboardInterrupt

        power = 1.0 if isinstance(session.optimizer, SGD) else 0.5
        race = Race(Course(session, data, held), session.learning_rate, rates, power, target, limit, check)
        race.run()
    return _advice(race, began)


def _advice(race: Race, began: float) -> Advice:
    """Return what a race that was run says."""
    session = race.course.start
    standings = race.standings()
    winner = standings[0]
    target = winner.loss if race.target is None else race.target
    runs = tuple(_run(race, rider, target) for rider in standings)
    line = fit_line(list(race.clock), list(race.clock.values()))
    until = runs[0].seconds if race.target is None else runs[0].seconds_to_target
    reached = until is not None
    if until is None:
        until = winner.steps_expected(target) * race.clock[winner.batch_size]
    expected = Interval(until, until / SPREAD, until * (SPREAD if reached else SPREAD * SPREAD))
    assert race.noise is not None
    return Advice(
        batch_size=winner.batch_size,
        learning_rate=winner.rate,
        rule="given" if race.rates is not None else "linear" if race.power == 1 else "sqrt",
        check=_check(race, winner),
        target=target,
        reached=reached,
        seconds=expected if math.isfinite(until) else UNKNOWN,
        b_crit=_critical(standings, race.noise.scale),
        b_simple=race.noise.scale,
        b_hw=line.a / line.b if line.b > 0 else math.inf,
        b_star=race.proposed,
        t0=line.a,
        c=line.b,
        step_seconds=dict(sorted(race.clock.items())),
        evidence=runs,
        probe_seconds=time.perf_counter() - began,
        probe_samples=race.course.samples,
        backend=session.backend,
        optimizer=type(session.optimizer).__name__,
    )


def _run(race: Race, rider: Rider, target: float) -> ProbeRun:
    second = race.clock.get(rider.batch_size, math.nan)
    steps = rider.steps_to(target)
    return ProbeRun(
        rider.batch_size, rider.rate, rider.steps, rider.steps * second, rider.loss,
        steps * second if math.isfinite(steps) else None,
    )  # fmt: skip


def _check(race: Race, winner: Rider) -> dict[float, str]:
    """Return what became of the rates next to the winner's at its batch size."""
    near = [r for r in race.riders if r.batch_size == winner.batch_size and 0.4 < r.rate / winner.rate < 2.5]
    return {
        rider.rate: "diverged" if rider.lost else "slower"
        for rider in sorted(near, key=lambda r: r.rate)
        if rider is not winner
    }


def _critical(riders: Sequence[Rider], noise: Interval) -> Interval:
    """Return B_crit by the fewest steps to one loss at each batch size, at several losses; the noise scale if too few.

    The interval is the range over the losses: those that all sizes have seen, from the last one of the slowest up.
    """
    sizes = sorted({rider.batch_size for rider in riders if not rider.lost})
    least = {b: min(loss for r in riders if r.batch_size == b and not r.lost for _, loss in r.looks) for b in sizes}
    if len(sizes) < 3:
        return noise
    common = max(least.values())
    found = []
    for factor in (1.0, 1.03, 1.1):
        steps = {b: min(r.steps_to(factor * common) for r in riders if r.batch_size == b) for b in sizes}
        if all(math.isfinite(each) for each in steps.values()):
            found.append(critical_batch(steps))
    finite = [each for each in found if math.isfinite(each) and each > 0]
    if not finite or math.isinf(found[0]) or found[0] == 0:
        return noise
    return Interval(found[0], min(finite), max(found))
