"""Many trainings of one architecture at once: learning rates, seeds, folds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastann.errors import TrainingsInterrupted
from fastann.many.preparing import check, goals, make_entrants
from fastann.many.results import TrainedRun, TrainedRuns
from fastann.many.runs import Run, make_runs
from fastann.many.training import Trainings
from fastann.training.arguments import fit_arguments, verbosity
from fastann.training.loop import rows_to_validate
from fastann.training.preparing import all_with_targets
from fastann.training.progress import make_progress
from fastann.training.splits import split_off
from fastann.training.weights import with_class_weights

if TYPE_CHECKING:
    from fastann.models import Model
    from fastann.optimizers.base import LearningRateLike

__all__ = ["Run", "TrainedRun", "TrainedRuns", "fit_many"]


def fit_many(
    model: Model,
    x: Any,
    y: Any = None,
    *,
    runs: Iterable[Run | Mapping[str, Any]] | None = None,
    learning_rates: Iterable[LearningRateLike] | None = None,
    weight_decays: Iterable[float] | None = None,
    seeds: Iterable[int] | None = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: str | int = "auto",
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Mapping[int, float] | str | None = None,
    sample_weight: Any = None,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | Sequence[int] = 1,
    until: Mapping[str, float] | None = None,
) -> TrainedRuns:
    """Train copies of a compiled model with several settings at the same time; the model is not touched.

    Each training is the one that its model would have had alone. On Numba a thread trains one model after the other, so
    that a network which takes a team of threads alone gives the same to rounding, and otherwise to the last digit; on
    JAX the models whose settings allow it are one program (`vmap`), equal to rounding. A training whose loss
    turns NaN or infinite ends, unless the model was compiled with `on_nonfinite="ignore"`, and the others go on.

    Args:
        model: compiled; its layers, loss, metrics, backend and precision are those of all.
        x, y, sample_weight: rows with targets, as for `fit`; not an object that brings batches.
        runs: the settings of each training: dicts such as {"learning_rate": 0.1, "seed": 3}, or `Run` objects, whose
            docstring lists them. Cross-validation is a run for each fold, with its `rows` and `validation_rows`.
        learning_rates, weight_decays, seeds: in place of `runs`, every combination of these, in this order, the last
            one changing fastest.
        batch_size, epochs, verbose, validation_split, validation_data, shuffle, class_weight, steps_per_epoch,
            validation_steps, validation_batch_size, validation_freq: as in `fit`, of all trainings; there are no
            callbacks, and validation data are rows.
        until: goals by the keys of the history, such as {"val_accuracy": 0.95}: a training that has reached all of
            them at the end of an epoch ends there.

    Returns:
        The trainings in the order of the settings, each with its `model`, `history`, `seconds` and `diverged`.

    Raises:
        ValueError, TypeError: the model is not compiled, a setting is wrong, or data and model do not fit.
        TrainingsInterrupted: Ctrl-C; a KeyboardInterrupt whose `runs` has what was trained until then.

    >>> import numpy as np
    >>> from fastann import Sequential
    >>> from fastann.layers import Dense
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = Sequential([Dense(1, input_shape=(3,))], seed=1)
    >>> model.compile("sgd", "mse", backend="numba")
    >>> runs = fit_many(model, x, x @ [1.0, -2.0, 0.5], learning_rates=[1e-4, 1e-2], seeds=[1, 2], epochs=5, verbose=0)
    >>> len(runs), runs.best().run.learning_rate
    (4, 0.01)
    """
    made = make_runs(runs, learning_rates, weight_decays, seeds)
    arguments = fit_arguments(
        batch_size, epochs, validation_split, shuffle, 0, steps_per_epoch, validation_steps, validation_batch_size,
        validation_freq,
    )  # fmt: skip
    shown = verbosity(verbose)
    wanted = goals(until)
    check(model, x, made, arguments, validation_data, class_weight)
    models = [run.model(model) for run in made]
    sessions, given = all_with_targets(models, x, y, sample_weight)
    program = sessions[0].program
    training, held = given, None
    if validation_data is not None:
        held = rows_to_validate(models[0], sessions[0], validation_data)
    elif arguments.validation_split > 0:
        training, held = split_off(given, arguments.validation_split, program)
    assert training.y is not None
    training = replace(training, weights=with_class_weights(training.weights, class_weight, training.y, program))
    entrants = make_entrants(made, models, sessions, training, held, given, arguments, wanted)
    interrupted = Trainings(entrants, arguments, make_progress(shown)).run()
    results = TrainedRuns([entrant.result() for entrant in entrants])
    if interrupted:
        raise TrainingsInterrupted(results)
    return results
