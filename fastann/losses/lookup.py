"""From a name, a function or an object to a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from fastann.losses import crossentropies, hinges, likelihoods, regression
from fastann.losses.base import CallableLoss, Loss, snake_case
from fastann.spec import deserialize, lookup

LossLike: TypeAlias = "str | Loss | type[Loss] | Mapping[str, Any] | Callable[..., Any] | None"

#: Each loss beside its function.
FUNCTIONS: dict[Callable[..., Any], type[Loss]] = {
    regression.mean_squared_error: regression.MeanSquaredError,
    regression.half_squared_error: regression.HalfSquaredError,
    regression.mean_absolute_error: regression.MeanAbsoluteError,
    regression.mean_absolute_percentage_error: regression.MeanAbsolutePercentageError,
    regression.mean_squared_logarithmic_error: regression.MeanSquaredLogarithmicError,
    regression.huber: regression.Huber,
    regression.log_cosh: regression.LogCosh,
    regression.cosine_similarity: regression.CosineSimilarity,
    crossentropies.binary_crossentropy: crossentropies.BinaryCrossentropy,
    crossentropies.categorical_crossentropy: crossentropies.CategoricalCrossentropy,
    crossentropies.sparse_categorical_crossentropy: crossentropies.SparseCategoricalCrossentropy,
    hinges.hinge: hinges.Hinge,
    hinges.squared_hinge: hinges.SquaredHinge,
    hinges.categorical_hinge: hinges.CategoricalHinge,
    likelihoods.kl_divergence: likelihoods.KLDivergence,
    likelihoods.poisson: likelihoods.Poisson,
}

#: Short names; those of Keras in either case, as there.
ALIASES: dict[str, type[Loss]] = {
    "mse": regression.MeanSquaredError,
    "mae": regression.MeanAbsoluteError,
    "mape": regression.MeanAbsolutePercentageError,
    "msle": regression.MeanSquaredLogarithmicError,
    "logcosh": regression.LogCosh,
    "huber_loss": regression.Huber,
    "bce": crossentropies.BinaryCrossentropy,
    "cce": crossentropies.CategoricalCrossentropy,
    "scce": crossentropies.SparseCategoricalCrossentropy,
    "kld": likelihoods.KLDivergence,
    "kullback_leibler_divergence": likelihoods.KLDivergence,
}

#: Every name `get` knows.
NAMES: dict[str, type[Loss]] = (
    {cls.op: cls for cls in FUNCTIONS.values()}
    | {snake_case(cls.__name__): cls for cls in FUNCTIONS.values()}
    | {cls.__name__: cls for cls in FUNCTIONS.values()}
    | ALIASES
    | {name.upper(): cls for name, cls in ALIASES.items() if len(name) <= 4}
)


def get(identifier: LossLike) -> Loss:
    """Return the loss that a name, class, function, description or object stands for.

    Args:
        identifier: a name ("mean_squared_error", "MeanSquaredError", "mse"), a loss or a class of losses, one of the
            functions of `fastann.losses`, what `fastann.spec.serialize` made of a loss, or any Python function of
            y_true and y_pred, which becomes a `CallableLoss`.

    Raises:
        ValueError: the name is unknown.
        TypeError: it is none of these.

    >>> get("mse")
    MeanSquaredError(reduction='sum_over_batch_size', name='mean_squared_error', dtype=None)
    """
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return get(identifier())
    if isinstance(identifier, Loss):
        if identifier.op == "callable" and not isinstance(identifier, CallableLoss):
            return CallableLoss(identifier.call, identifier.reduction, identifier.name, identifier.dtype)
        return identifier
    if isinstance(identifier, str):
        if identifier not in NAMES:
            raise ValueError(
                f"a loss must be one of {', '.join(sorted(n for n in NAMES if n.islower()))}, got {identifier!r}."
            )
        return NAMES[identifier]()
    if isinstance(identifier, Mapping):
        return deserialize(identifier, lookup("losses"))  # type: ignore[no-any-return]
    if callable(identifier):
        known = [cls for function, cls in FUNCTIONS.items() if function is identifier]
        return known[0]() if known else CallableLoss(identifier)
    raise TypeError(f"a loss must be a name, a loss or a function of y_true and y_pred, got {identifier!r}.")
