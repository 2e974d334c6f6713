"""From a name, a function or an object to a metric."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from fastann import losses, spec
from fastann.losses.base import snake_case
from fastann.losses.lookup import FUNCTIONS as LOSS_FUNCTIONS
from fastann.losses.lookup import NAMES as LOSS_NAMES
from fastann.metrics import (
    accuracies,
    at_thresholds,
    auc,
    confusion,
    correlations,
    crossentropies,
    f_scores,
    hinges,
    iou,
    likelihoods,
    r2_score,
    reductions,
    regression,
)
from fastann.metrics.base import Metric
from fastann.metrics.of_loss import LossMetric

MetricLike: TypeAlias = "str | Metric | type[Metric] | losses.Loss | Mapping[str, Any] | Callable[..., Any]"

Shape = tuple[int, ...]

#: Classes that can be made without arguments.
CLASSES: tuple[type[Metric], ...] = (
    reductions.Mean,
    reductions.Sum,
    regression.MeanSquaredError,
    regression.RootMeanSquaredError,
    regression.MeanAbsoluteError,
    regression.MeanAbsolutePercentageError,
    regression.MeanSquaredLogarithmicError,
    regression.LogCoshError,
    regression.CosineSimilarity,
    crossentropies.BinaryCrossentropy,
    crossentropies.CategoricalCrossentropy,
    crossentropies.SparseCategoricalCrossentropy,
    hinges.Hinge,
    hinges.SquaredHinge,
    hinges.CategoricalHinge,
    likelihoods.KLDivergence,
    likelihoods.Poisson,
    accuracies.Accuracy,
    accuracies.BinaryAccuracy,
    accuracies.CategoricalAccuracy,
    accuracies.SparseCategoricalAccuracy,
    accuracies.TopKCategoricalAccuracy,
    accuracies.SparseTopKCategoricalAccuracy,
    confusion.TruePositives,
    confusion.TrueNegatives,
    confusion.FalsePositives,
    confusion.FalseNegatives,
    confusion.Precision,
    confusion.Recall,
    auc.AUC,
    f_scores.FBetaScore,
    f_scores.F1Score,
    r2_score.R2Score,
    correlations.PearsonCorrelation,
    correlations.ConcordanceCorrelation,
    iou.BinaryIoU,
)

#: Classes that need settings: their names are known, and refused with the reason.
WITH_SETTINGS: tuple[type[Metric], ...] = (
    at_thresholds.SensitivityAtSpecificity,
    at_thresholds.SpecificityAtSensitivity,
    at_thresholds.PrecisionAtRecall,
    at_thresholds.RecallAtPrecision,
    iou.IoU,
    iou.MeanIoU,
    iou.OneHotIoU,
    iou.OneHotMeanIoU,
)

ALIASES: dict[str, type[Metric]] = {
    "mse": regression.MeanSquaredError,
    "rmse": regression.RootMeanSquaredError,
    "mae": regression.MeanAbsoluteError,
    "mape": regression.MeanAbsolutePercentageError,
    "msle": regression.MeanSquaredLogarithmicError,
    "logcosh": regression.LogCoshError,
    "bce": crossentropies.BinaryCrossentropy,
}

#: Every name `get` knows, but for losses that are no metric of their own.
NAMES: dict[str, type[Metric]] = (
    {snake_case(cls.__name__): cls for cls in CLASSES}
    | {cls.__name__: cls for cls in CLASSES}
    | {"top_k_categorical_accuracy": accuracies.TopKCategoricalAccuracy}
    | {"sparse_top_k_categorical_accuracy": accuracies.SparseTopKCategoricalAccuracy}
    | ALIASES
    | {name.upper(): cls for name, cls in ALIASES.items() if len(name) <= 4}
)

#: Functions of this package, each beside the class that is its mean.
FUNCTIONS: dict[Callable[..., Any], type[Metric]] = {
    accuracies.accuracy: accuracies.Accuracy,
    accuracies.binary_accuracy: accuracies.BinaryAccuracy,
    accuracies.categorical_accuracy: accuracies.CategoricalAccuracy,
    accuracies.sparse_categorical_accuracy: accuracies.SparseCategoricalAccuracy,
    accuracies.top_k_categorical_accuracy: accuracies.TopKCategoricalAccuracy,
    accuracies.sparse_top_k_categorical_accuracy: accuracies.SparseTopKCategoricalAccuracy,
    correlations.pearson_correlation: correlations.PearsonCorrelation,
    correlations.concordance_correlation: correlations.ConcordanceCorrelation,
}

#: The crossentropy metric for each crossentropy loss.
CROSSENTROPIES: dict[str, type[LossMetric]] = {
    "binary_crossentropy": crossentropies.BinaryCrossentropy,
    "categorical_crossentropy": crossentropies.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": crossentropies.SparseCategoricalCrossentropy,
}


def get(identifier: MetricLike) -> Metric:
    """Return the metric that a name, class, function, loss, description or object stands for.

    Args:
        identifier: a name ("mean_squared_error", "MeanSquaredError", "mse", or that of a loss), a metric or a class of
            metrics, a loss, what `fastann.spec.serialize` made of a metric, or a function of y_true and y_pred.
            "accuracy" is the share of predictions equal to their targets; `resolve` knows what it means in `compile`.

    Raises:
        ValueError: the name is unknown.
        TypeError: it is none of these.

    >>> get("mse")
    MeanSquaredError(name='mean_squared_error', dtype='float64')
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if isinstance(identifier, losses.Loss) or (isinstance(identifier, type) and issubclass(identifier, losses.Loss)):
        return LossMetric(identifier)
    if isinstance(identifier, str):
        return _by_name(identifier)
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if callable(identifier):
        for function, cls in FUNCTIONS.items():
            if function is identifier:
                return cls()
        if any(function is identifier for function in LOSS_FUNCTIONS):
            return LossMetric(identifier)
        return reductions.MeanMetricWrapper(identifier)
    raise TypeError(
        f"a metric must be a name, a metric, a loss or a function of y_true and y_pred, got {identifier!r}."
    )


def _by_name(name: str) -> Metric:
    if name in NAMES:
        return NAMES[name]()
    if name in LOSS_NAMES:
        return LossMetric(name)
    for cls in WITH_SETTINGS:
        if name in (cls.__name__, snake_case(cls.__name__)):
            raise ValueError(f"metric {name!r} needs settings; give an object, such as {_example(cls)}, not its name.")
    known = sorted(n for n in {*NAMES, *LOSS_NAMES} if n.islower())
    raise ValueError(f"a metric must be one of {', '.join(known)}, got {name!r}.")


def _example(cls: type[Metric]) -> str:
    """Return how a class may be called: `IoU(num_classes=..., target_class_ids=...)`."""
    parameters = inspect.signature(cls).parameters.values()
    needed = ", ".join(f"{p.name}=..." for p in parameters if p.default is inspect.Parameter.empty)
    return f"{cls.__name__}({needed})"


def serialize(metric: Metric) -> dict[str, Any]:
    """Return a metric as JSON-able data that `deserialize` and `get` make an equal one from; as in `fastann.spec`.

    >>> serialize(get("mse"))["class_name"]
    'MeanSquaredError'
    """
    return spec.serialize(metric)


def deserialize(config: Mapping[str, Any]) -> Metric:
    """Make the metric that `serialize` described; raises ValueError or TypeError as `fastann.spec.deserialize` does.

    >>> deserialize({"class_name": "TopKCategoricalAccuracy", "config": {"k": 3}}).name
    'top_k_categorical_accuracy'
    """
    return spec.deserialize(config, spec.lookup("metrics"))  # type: ignore[no-any-return]


def resolve(
    identifier: MetricLike,
    loss: losses.Loss | None,
    output_shape: Shape,
    target_shape: Shape,
    target_is_sparse: bool,
) -> Metric:
    """Return the metric that an identifier means for one output of a network; a name becomes the name of the metric.

    "accuracy" and "acc", in any case, are by shape, as in Keras 3: binary for an output of one column, sparse for class
    labels, else categorical. For a binary one whose loss is given logits the threshold is 0, the logit of 1/2, where
    Keras keeps 0.5. "crossentropy" and "ce" are the loss if it is one, less label smoothing, else by shape too.

    Args:
        identifier: anything `get` takes.
        loss: the loss on the same output.
        output_shape, target_shape: shapes of a row, batch left out.
        target_is_sparse: whether targets are class labels.

    Raises:
        ValueError, TypeError: as `get`; or it is a mean or sum, which has no targets; or it cannot compare such rows.
    """
    kind = identifier.lower() if isinstance(identifier, str) else ""
    from_logits = loss is not None and loss.from_logits
    sparse = target_is_sparse or len(target_shape) < len(output_shape) or target_shape[-1] == 1
    metric: Metric
    if kind in ("accuracy", "acc"):
        metric = _accuracy(output_shape, sparse, from_logits)
    elif kind in ("crossentropy", "ce"):
        metric = _crossentropy(loss, output_shape, sparse)(from_logits=from_logits)  # type: ignore[call-arg]
    else:
        metric = get(identifier)
    if isinstance(metric, reductions.Sum) or type(metric) is reductions.Mean:
        raise ValueError(
            f"a metric of a model must compare targets and predictions, got {identifier!r}; use a function of both."
        )
    metric.check_shapes(target_shape, output_shape)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def _accuracy(output_shape: Shape, sparse: bool, from_logits: bool) -> Metric:
    if output_shape[-1] == 1:
        return accuracies.BinaryAccuracy(threshold=0.0 if from_logits else 0.5)
    return accuracies.SparseCategoricalAccuracy() if sparse else accuracies.CategoricalAccuracy()


def _crossentropy(loss: losses.Loss | None, output_shape: Shape, sparse: bool) -> type[LossMetric]:
    if loss is not None and loss.op in CROSSENTROPIES:
        return CROSSENTROPIES[loss.op]
    if output_shape[-1] == 1:
        return crossentropies.BinaryCrossentropy
    return crossentropies.SparseCategoricalCrossentropy if sparse else crossentropies.CategoricalCrossentropy
