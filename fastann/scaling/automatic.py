"""`fit(batch_size="auto")`: advice is asked for and taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastann.scaling.advising import SECONDS, has_default_rate, probe, twin_of
from fastann.training.arguments import fit_arguments, verbosity
from fastann.training.streams import is_stream

if TYPE_CHECKING:
    from fastann.models import Model


def take_advice(
    model: Model,
    wanted: str,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    validation_split: float,
    validation_data: Any,
    verbose: str | int,
) -> int:
    """Return the batch size that `advise` recommends, after setting the learning rate of the model if it is a default.

    A learning rate other than the default of the optimizer's class is the user's own and is kept; only the batch
    size is advised then.

    Raises:
        ValueError, TypeError: as `advise`, or `wanted` is not "auto".
    """
    if wanted != "auto":
        raise ValueError(f"batch_size must be a whole number or 'auto', got {wanted!r}.")
    split = fit_arguments(validation_split=validation_split).validation_split
    shown = verbosity(verbose)
    twin = twin_of(model, x)
    rate = float(twin.learning_rate)
    own = not has_default_rate(twin.compile_spec.optimizer, rate)
    held = None if is_stream(validation_data) else validation_data
    advice = probe(
        twin, x, y, sample_weight, class_weight, split, held, None, (rate,) if own else None, SECONDS
    )  # fmt: skip
    if not own:
        model.learning_rate = advice.learning_rate
    if shown != 0:
        print(f"batch_size='auto': {advice}")
    return advice.batch_size
