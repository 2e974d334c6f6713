"""One training several times over with other optimizers or learning rates, from the same weights over the same rows."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastann.many import Run, fit_many
from fastann.optimizers import OptimizerLike
from fastann.optimizers import get as get_optimizer
from fastann.spec import bounded
from fastann.training.streams import is_stream

if TYPE_CHECKING:
    from fastann.callbacks import History
    from fastann.models import Model
    from fastann.optimizers import Optimizer

#: The arguments of `fit` that `fit_many` has, too.
TOGETHER = inspect.signature(fit_many).parameters.keys()


def compare_optimizers(
    model: Model, x: Any, y: Any = None, *, optimizers: Mapping[str, OptimizerLike] | Iterable[str], **settings: Any
) -> dict[str, History]:
    """Train a copy of a compiled model with each optimizer and return their histories; the model is not touched.

    Every copy begins with the weights of the model and visits the rows in the same order. A loss that turns NaN or
    infinite stays in its history: here a training that diverges is a result, not an error.

    Args:
        model: compiled; its loss, metrics, backend and precision are those of all copies.
        x, y: rows with targets, as for `fit`; not a generator, which could be read only once.
        optimizers: by name; or names such as "adam", with their default settings.
        settings: of `fit`, such as `epochs`, `batch_size` and `validation_data`; silent unless `verbose` is given.

    Raises:
        ValueError, TypeError: there is nothing to compare, the model is not compiled, or `fit` refuses its arguments.

    >>> import numpy as np
    >>> from fastann import Sequential
    >>> from fastann.layers import Dense
    >>> from fastann.optimizers import SGD
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = Sequential([Dense(1, input_shape=(3,))], seed=1)
    >>> model.compile("sgd", "mse", backend="numba")
    >>> choices = {"plain": SGD(0.01), "momentum": SGD(0.01, momentum=0.9)}
    >>> histories = compare_optimizers(model, x, x @ [1.0, -2.0, 0.5], optimizers=choices, epochs=5)
    >>> histories["momentum"].history["loss"][-1] < histories["plain"].history["loss"][-1]
    True
    """
    named = optimizers if isinstance(optimizers, Mapping) else {name: name for name in _listed(optimizers)}
    chosen = {name: get_optimizer(optimizer) for name, optimizer in named.items()}
    if not chosen:
        raise ValueError("expected at least one optimizer to compare, got none.")
    _check(model, x)
    return dict(zip(chosen, _histories(model, chosen.values(), x, y, settings), strict=True))


def compare_learning_rates(
    model: Model, x: Any, y: Any = None, *, rates: Iterable[float], **settings: Any
) -> dict[float, History]:
    """Train a copy of a compiled model with each learning rate and return their histories, as `compare_optimizers`.

    Args:
        model: compiled; all copies have its optimizer, but for the rate.
        x, y, settings: as in `compare_optimizers`.
        rates: above 0.

    Raises:
        ValueError, TypeError: as `compare_optimizers`, or a rate is not above 0.
    """
    chosen = list(dict.fromkeys(bounded(rate, "a learning rate", above=True) for rate in rates))
    if not chosen:
        raise ValueError("expected at least one learning rate to compare, got none.")
    _check(model, x)
    optimizer = model.compile_spec.optimizer
    assert optimizer is not None
    optimizers = [replace(optimizer, learning_rate=rate) for rate in chosen]
    return dict(zip(chosen, _histories(model, optimizers, x, y, settings), strict=True))


def _listed(names: Iterable[str]) -> list[str]:
    if isinstance(names, str):
        raise TypeError(f"optimizers must be a dict or a list of names, got {names!r}; put it in a list.")
    listed = list(names)
    for name in listed:
        if not isinstance(name, str):
            raise TypeError(f"optimizers must be names, or a dict of optimizers by name, got {name!r} in a list.")
    return listed


def _check(model: Model, x: Any) -> None:
    if not model.compiled:
        raise ValueError("the model must be compiled first: call model.compile(optimizer, loss).")
    if hasattr(x, "__next__"):
        raise TypeError("x must be rows that can be read again for each training, got an iterator; collect it first.")


def _histories(
    model: Model, optimizers: Iterable[Optimizer], x: Any, y: Any, settings: Mapping[str, Any]
) -> list[History]:
    """Train a copy with each optimizer: all at once, or one after the other for what `fit` alone can do."""
    model = copy.deepcopy(model)
    model.compile_spec = replace(model.compile_spec, on_nonfinite="ignore")
    settings = {"verbose": 0, **settings}
    brings_batches = is_stream(x) or is_stream(settings.get("validation_data"))
    if settings.keys() <= TOGETHER and not brings_batches:
        return fit_many(model, x, y, runs=[{"optimizer": optimizer} for optimizer in optimizers], **settings).histories
    return [Run(optimizer=optimizer).model(model).fit(x, y, **settings) for optimizer in optimizers]
