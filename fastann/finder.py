"""The learning-rate range test: train a while with a rate that grows from tiny to huge, and look at the loss.

Smith 2017, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186, section 3.3.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastann.schedules import ExponentialDecay
from fastann.spec import bounded, whole
from fastann.training.arguments import fit_arguments, verbosity
from fastann.training.feeds import row_feed
from fastann.training.interrupt import Interrupt
from fastann.training.preparing import with_targets
from fastann.training.progress import make_progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastann.models import Model
    from fastann.training.feeds import Feed
    from fastann.training.progress import Progress
    from fastann.training.session import Session

Array = NDArray[np.float64]

#: Steps between two looks at whether the loss has grown too much.
_LOOK = 5


@dataclass(frozen=True, eq=False)
class LearningRateSearch:
    """What a range test saw.

    Attributes:
        rates: of each step.
        losses: of each step's batch, before its update.
        smoothed: their exponential moving average.
        suggestion: the rate at which the smoothed loss falls fastest over the logarithm of the rate; None if it never
            falls.
        lowest: the rate at which the smoothed loss is lowest; training needs a smaller one.
    """

    rates: Array
    losses: Array
    smoothed: Array
    suggestion: float | None
    lowest: float

    def plot(self) -> Figure:
        """Draw loss against learning rate with the suggestion; needs matplotlib."""
        from fastann.plots.learning_rate_finder import learning_rate_finder

        return learning_rate_finder(self)


def find_learning_rate(
    model: Model,
    x: Any,
    y: Any,
    *,
    min_rate: float = 1e-7,
    max_rate: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
    smoothing: float = 0.9,
    stop_at: float = 4.0,
    sample_weight: Any = None,
    verbose: str | int = "auto",
) -> LearningRateSearch:
    """Find a learning rate for a compiled model; a copy of it is trained, and the model itself is not touched.

    The rate grows by the same factor each step. A good rate for training lies where the loss falls fastest, well below
    the one where it begins to rise.

    Args:
        model: compiled; its optimizer begins anew, without its schedule if it has one.
        x, y, sample_weight: rows with targets, as for `fit`.
        min_rate, max_rate: the first and the last rate.
        steps: updates to take; rows are visited again when they run out.
        batch_size: rows an update: the one to train with, since the best rate depends on it.
        smoothing: in [0, 1), of the average, per step.
        stop_at: end when the smoothed loss is this many times its lowest value, or not finite; a loss that falls to 0
            or below, such as the cosine similarity, ends the test only where it is not finite.
        verbose: as in `fit`.

    Raises:
        ValueError, TypeError: the model is not compiled, the data do not fit, or a setting is out of bounds.

    >>> from fastann import Sequential
    >>> from fastann.layers import Dense
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = Sequential([Dense(1, input_shape=(3,))], seed=1)
    >>> model.compile("sgd", "mse")
    >>> search = find_learning_rate(model, x, x @ [1.0, -2.0, 0.5], verbose=0)
    >>> 0.005 < search.suggestion < 0.5
    True
    """
    low = bounded(min_rate, "min_rate", above=True)
    high = bounded(max_rate, "max_rate", low, above=True)
    count = whole(steps, "steps", 10)
    beta = bounded(smoothing, "smoothing", 0.0, 1.0, below=True)
    limit = bounded(stop_at, "stop_at", 1.0, above=True)
    arguments = fit_arguments(batch_size=batch_size, epochs=1, steps_per_epoch=count)
    shown = verbosity(verbose)
    if not model.compiled:
        raise ValueError("the model must be compiled first: call model.compile(optimizer, loss).")
    twin = copy.deepcopy(model)
    assert twin.compile_spec.optimizer is not None
    rates = ExponentialDecay(low, count - 1, high / low)
    twin.recompile(replace(twin.compile_spec.optimizer, learning_rate=rates))
    session, data = with_targets(twin, x, y, sample_weight)
    feed = row_feed(session, data, None, arguments)
    progress = make_progress(shown)
    try:
        with Interrupt() as interrupt:
            progress.start("Learning rates", count)
            losses = _losses(session, feed, interrupt, progress, beta, limit)
            progress.finish({})
    finally:
        progress.close()
    return _search(np.asarray(rates(np.arange(len(losses)))), losses, beta)


def _losses(session: Session, feed: Feed, interrupt: Interrupt, progress: Progress, beta: float, limit: float) -> Array:
    """Train, and return the loss of each step that was taken."""
    losses = np.empty(0)
    feed.begin_epoch()
    while (portion := feed.take(_LOOK, lambda: interrupt.requested)) is not None:
        with interrupt.shield():
            record = session.train(portion.data, portion.order, portion.batch_size, stop_at_nonfinite=True)
        losses = np.concatenate([losses, record.losses[: record.completed]])
        progress.update(len(losses), dict)
        if interrupt.requested:
            raise KeyboardInterrupt
        smooth = smoothed(losses, beta)
        if record.completed < portion.steps or smooth[-1] > limit * smooth.min() > 0:
            break
    if len(losses) < 3:
        raise ValueError("the loss was not finite from the beginning; scale the data, or look for NaN in them.")
    return losses


def smoothed(losses: Array, beta: float) -> Array:
    """Return the exponential moving average m_k = beta m_(k-1) + (1 - beta) loss_k, divided by 1 - beta^k."""
    averages, average = np.empty(len(losses)), 0.0
    for k, loss in enumerate(losses):
        average = beta * average + (1 - beta) * loss
        averages[k] = average / (1 - beta ** (k + 1))
    return averages


def _search(rates: Array, losses: Array, beta: float) -> LearningRateSearch:
    smooth = smoothed(losses, beta)
    best = int(smooth.argmin())
    # the average is uncertain at the beginning, where it has seen few steps
    first = min(best, 3)
    slopes = np.gradient(smooth, np.log(rates))[first : best + 1]
    falls = best > first and slopes.min() < 0
    suggestion = float(rates[first + int(slopes.argmin())]) if falls else None
    return LearningRateSearch(rates, losses, smooth, suggestion, float(rates[best]))
