"""`advise`: which batch size and learning rate get a model to its target soonest, by a short probe."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastann.optimizers import SGD
from fastann.scaling.advice import Advice, ProbeRun
from fastann.scaling.course import Course, Rider
from fastann.scaling.noise import UNKNOWN, Interval
from fastann.scaling.race import RATIO, Race
from fastann.spec import bounded
from fastann.training.interrupt import Interrupt
from fastann.training.loop import rows_to_validate
from fastann.training.preparing import with_targets
from fastann.training.splits import split_off
from fastann.training.streams import is_stream
from fastann.training.weights import with_class_weights

if TYPE_CHECKING:
    from fastann.models import Model
    from fastann.optimizers import Optimizer

#: Seconds of a probe that is not told otherwise.
SECONDS = 10.0

#: A factor that the interval of seconds to a target is wider by, on either side, than that of the extrapolation. Of two
#: trainings that differ in the seed alone nineteen in twenty were within 1.44 on the development data of
#: benchmarks/advice.py; the rest is for the step time.
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
    """Recommend a batch size and a learning rate by a short probe; the model is not changed.

    Theory: with S(B) = S_min (1 + B_crit / B) steps to a target, each of t(B) = t0 + c B seconds, the time is least at
    B* = sqrt(B_crit t0 / c), and within an eighth of that from B* / 2 to 2 B*. B_crit is taken from the noise scale of
    gradients after some training, t(B) from the cost model of the backend and the steps of the probe.

    Learning rates are compared at batch size 64 on about half a pass, at least 64 steps, side by side; a proposal for
    the batch size that is far from 64 is checked against it. See `fastann.scaling.race` for the stages. All trainings
    begin with the weights and the seed of the model and with the optimizer anew.

    The probe costs about as much as one or two passes over the rows. Where there are so few that 64 steps would be more
    than two passes, no training is tried: the advice is then a rule, and says so.

    Args:
        model: compiled, with a constant learning rate.
        x, y, sample_weight: rows with targets, as for `fit`; 20 at least.
        target: the loss on the validation rows to get to. Without one, the loss where the probe's best run ended.
        validation_data: (x, y) or (x, y, sample_weight); by default a fifth of the rows is held out. If there are more
            than 1024, so many are looked at.
        learning_rates: the only ones to try. By default 1, sqrt(10) and 10 times the optimizer's, which for Adam is
            1e-3 to 1e-2: of rates from 3e-4 to 3e-2 the best at batch size 64 lay there on all development data of
            benchmarks/advice.py. Around the rate of an optimizer that is not its default: from 1 / sqrt(10) to sqrt(10)
            times it. More are tried if the best is at an end.
        seconds: after so many nothing further begins; a probe needs a certain least: on JAX the compilation for each
            batch size.

    Raises:
        ValueError, TypeError: the model is not compiled, the data do not fit or are not rows, the learning rate is a
            schedule, a setting is out of bounds, or no training has a finite loss.

    >>> import numpy as np
    >>> from fastann import Sequential
    >>> from fastann.layers import Dense
    >>> x = np.random.default_rng(0).normal(size=(3000, 3))
    >>> model = Sequential([Dense(1, input_shape=(3,))], seed=1)
    >>> model.compile("adam", "mse", backend="numba")
    >>> advice = advise(model, x, x @ [1.0, -2.0, 0.5], target=5.0)
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
        rate = session.learning_rate
        centre = RATIO * rate if has_default_rate(session.optimizer, rate) else rate
        race = Race(Course(session, data, held), centre, rates, power, limit, check)
        race.run()
    return _advice(race, target, began)


def has_default_rate(optimizer: Optimizer | None, rate: float) -> bool:
    """Return whether a learning rate is the default of the optimizer's class, and not the user's own."""
    default = None if optimizer is None else type(optimizer)().learning_rate
    return isinstance(default, float) and math.isclose(rate, default, rel_tol=1e-6)


def _advice(race: Race, target: float | None, began: float) -> Advice:
    """Return what a race that was run says."""
    session, best = race.course.start, race.best
    goal, reached, expected = _expected(race, target)
    assert race.noise is not None
    sizes = {race.batch_size, *(rider.batch_size for rider in race.riders)}
    ranked = sorted(race.riders, key=lambda rider: (rider is not best, rider.loss))
    return Advice(
        batch_size=race.batch_size,
        learning_rate=float(np.format_float_scientific(race.rate, 2)) if race.rates is None else race.rate,
        rule="given" if race.rates is not None else "linear" if race.power == 1 else "sqrt",
        check=_check(race),
        target=goal,
        reached=reached,
        seconds=expected,
        b_crit=race.noise.scale,
        b_hw=race.line.a / race.line.b if race.line.b > 0 else math.inf,
        b_star=race.proposed,
        t0=race.line.a,
        c=race.line.b,
        step_seconds={size: race.step_seconds(size) for size in sorted(sizes)},
        evidence=tuple(_run(race, rider) for rider in ranked),
        probe_seconds=time.perf_counter() - began,
        probe_samples=race.course.samples,
        backend=session.backend,
        optimizer=type(session.optimizer).__name__,
    )


def _run(race: Race, rider: Rider) -> ProbeRun:
    seconds = rider.steps * race.step_seconds(rider.batch_size)
    return ProbeRun(rider.batch_size, rider.rate, rider.steps, seconds, rider.loss)


def _expected(race: Race, target: float | None) -> tuple[float, bool, Interval]:
    """Return the target, whether the best run was there, and the seconds that it takes."""
    best = race.best
    if best is None:
        return math.nan if target is None else target, False, UNKNOWN
    second, seen = race.step_seconds(best.batch_size), best.look()
    goal = seen if target is None else target
    reached, first = seen <= goal, float(best.steps)
    if target is not None:
        first = min(first, best.steps_to(goal))
    steps = Interval(first, first, first) if reached else best.steps_expected(goal)
    return goal, reached, Interval(second * steps.value, second * steps.low / SPREAD, second * steps.high * SPREAD)


def _check(race: Race) -> dict[float, str]:
    """Return what became of the other rates at the batch size that the rate was found at."""
    best = race.best
    return {
        rider.rate: "diverged" if rider.lost else "slower"
        for rider in race.riders
        if best is not None and rider is not best and rider.batch_size == best.batch_size
    }
