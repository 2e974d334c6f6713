"""Record what Keras 3 computes for losses and metrics: run with `KERAS_BACKEND=jax JAX_ENABLE_X64=1`, in float64.

Writes keras_losses.json beside this file. Arrays are drawn once, rounded to three digits and stored by name; a case
names its arrays, so that the tests need neither Keras nor the same random numbers.
"""

from __future__ import annotations

import inspect
import json
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import dtypes
from keras.src.trainers.compile_utils import get_metric

REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none")

#: Rows of the three batches that metrics see.
BATCHES = ((0, 4), (4, 8), (8, 10))

LOSSES = (
    "MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "Huber",
    "LogCosh", "BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy", "Hinge",
    "SquaredHinge", "CategoricalHinge", "KLDivergence", "Poisson", "CosineSimilarity", "Loss",
)  # fmt: skip

LOSS_FUNCTIONS = (
    "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error",
    "huber", "log_cosh", "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy", "hinge",
    "squared_hinge", "categorical_hinge", "kl_divergence", "poisson", "cosine_similarity",
)  # fmt: skip

METRICS = (
    "Metric", "Mean", "Sum", "MeanMetricWrapper", "MeanSquaredError", "RootMeanSquaredError", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "LogCoshError", "CosineSimilarity", "Accuracy",
    "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy", "TopKCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy", "BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy",
    "Hinge", "SquaredHinge", "CategoricalHinge", "KLDivergence", "Poisson",
)  # fmt: skip

METRIC_FUNCTIONS = (
    "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy", "top_k_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
)  # fmt: skip


def arrays() -> dict[str, np.ndarray]:
    """Return the inputs by name; ten rows each."""
    rng = np.random.default_rng(20240501)
    n, t, k = 10, 3, 4
    labels, labels_3d = rng.integers(0, k, n), rng.integers(0, k, (n, t))
    ignoring = labels.copy()
    ignoring[[1, 5, 6]] = -1
    binary = rng.integers(0, 2, (n, t))
    probabilities = rng.random((n, t))
    probabilities[0, 0], probabilities[1, 1] = 0.0, 1.0
    shares = rng.random((n, k))
    shares[2] = np.eye(k)[labels[2]]
    shares[3] = np.eye(k)[(labels[3] + 1) % k]
    scores = 3 * rng.standard_normal((n, k))
    scores[4] = (10000, -10000, 0, 9999)
    scores[5] = (-10000, -10000, 10000, -10000)
    scores[6, 1] = scores[6, 2]
    logits = 4 * rng.standard_normal((n, t))
    logits[2], logits[7] = (10000, -10000, 30), (-10000, 10000, -30)
    found = {
        "y": rng.standard_normal((n, t)), "p": rng.standard_normal((n, t)) * 2,
        "y_row": rng.standard_normal(n), "p_row": rng.standard_normal(n),
        "p_column": rng.standard_normal((n, 1)) * 3,
        "y_3d": rng.standard_normal((n, 2, t)), "p_3d": rng.standard_normal((n, 2, t)),
        "counts": rng.integers(0, 6, (n, t)), "rates": rng.random((n, t)) * 4,
        "binary": binary, "signs": 2 * binary - 1, "soft": rng.random((n, t)),
        "probabilities": probabilities, "logits": logits,
        "binary_row": binary[:, 0], "probability_column": probabilities[:, 1:2], "logit_column": logits[:, :1],
        "labels": labels, "label_column": labels[:, None], "ignoring": ignoring,
        "one_hot": np.eye(k, dtype=int)[labels], "distribution": rng.dirichlet(np.ones(k), n),
        "shares": shares, "scores": scores,
        "labels_3d": labels_3d, "one_hot_3d": np.eye(k, dtype=int)[labels_3d],
        "shares_3d": rng.random((n, t, k)), "scores_3d": rng.standard_normal((n, t, k)) * 3,
        "rounded": rng.integers(0, 3, (n, t)), "rounded_too": rng.integers(0, 3, (n, t)),
        "best": rng.permuted(np.tile(np.arange(k), (n, 1)), axis=1)[:, :3],
        "zero_rows": np.where(rng.random((n, 1)) < 0.4, 0, rng.standard_normal((n, t))),
        "w": rng.random(n) * 2, "w_column": rng.random((n, 1)), "w_2d": rng.random((n, 2)), "w_3d": rng.random((n, t)),
    }  # fmt: skip
    return {name: np.round(array, 3) for name, array in found.items()}


#: Class of losses, settings, targets, predictions, weights to try besides none.
LOSS_CASES: list[tuple[str, dict[str, Any], str, str, tuple[str, ...]]] = [
    *(
        (name, {}, y, p, weights)
        for name in ("MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "Huber", "LogCosh")
        for y, p, weights in (
            ("y", "p", ("w", "w_column")),
            ("y_row", "p_column", ("w", "w_column")),
            ("y_row", "p_row", ()),
            ("y_3d", "p_3d", ("w_2d",)),
        )
    ),
    ("MeanSquaredLogarithmicError", {}, "counts", "rates", ("w",)),
    ("MeanSquaredLogarithmicError", {}, "y", "p", ("w",)),
    *(("Huber", {"delta": delta}, "y", "p", ("w",)) for delta in (0.3, 2.5)),
    *(("CosineSimilarity", {"axis": axis}, "y_3d", "p_3d", ()) for axis in (-1, 1)),
    ("CosineSimilarity", {}, "y", "zero_rows", ("w",)),
    *(
        ("BinaryCrossentropy", {"from_logits": logits, "label_smoothing": smoothing}, y, p, ("w",))
        for smoothing in (0.0, 0.1)
        for y, p, logits in (
            ("binary", "probabilities", False),
            ("binary", "logits", True),
            ("soft", "probabilities", False),
            ("soft", "logits", True),
            ("binary_row", "probability_column", False),
            ("binary_row", "logit_column", True),
        )
    ),
    ("BinaryCrossentropy", {"axis": 0}, "binary", "probabilities", ()),
    *(
        ("CategoricalCrossentropy", {"from_logits": logits, "label_smoothing": smoothing}, y, p, weights)
        for smoothing in (0.0, 0.1)
        for y, p, logits, weights in (
            ("one_hot", "shares", False, ("w", "w_column")),
            ("one_hot", "scores", True, ("w",)),
            ("distribution", "shares", False, ("w",)),
            ("one_hot_3d", "shares_3d", False, ("w_3d",)),
            ("one_hot_3d", "scores_3d", True, ("w_3d",)),
        )
    ),
    ("CategoricalCrossentropy", {"axis": 1}, "one_hot_3d", "shares_3d", ()),
    *(
        ("SparseCategoricalCrossentropy", {"from_logits": logits}, y, p, weights)
        for y, p, logits, weights in (
            ("labels", "shares", False, ("w", "w_column")),
            ("label_column", "shares", False, ("w",)),
            ("labels", "scores", True, ("w",)),
            ("label_column", "scores", True, ("w",)),
            ("labels_3d", "shares_3d", False, ("w_3d",)),
            ("labels_3d", "scores_3d", True, ("w_3d",)),
        )
    ),
    *(
        ("SparseCategoricalCrossentropy", {"from_logits": logits, "ignore_class": -1}, "ignoring", p, ("w",))
        for p, logits in (("shares", False), ("scores", True))
    ),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}, "labels_3d", "shares_3d", ("w_3d",)),
    *(
        (name, {}, y, p, ("w",))
        for name in ("Hinge", "SquaredHinge")
        for y in ("binary", "signs", "soft")
        for p in ("p", "logits")
    ),
    ("Hinge", {}, "binary_row", "p_column", ("w",)),
    ("CategoricalHinge", {}, "one_hot", "scores", ("w",)),
    ("CategoricalHinge", {}, "one_hot", "shares", ("w",)),
    ("KLDivergence", {}, "distribution", "shares", ("w",)),
    ("KLDivergence", {}, "one_hot", "shares", ("w",)),
    ("Poisson", {}, "counts", "rates", ("w",)),
]  # fmt: skip

#: Function, keyword arguments, targets, predictions.
FUNCTION_CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("binary_accuracy", {}, "binary", "probabilities"),
    ("binary_accuracy", {"threshold": 0.3}, "binary_row", "probability_column"),
    ("categorical_accuracy", {}, "one_hot", "scores"),
    ("categorical_accuracy", {}, "one_hot_3d", "scores_3d"),
    ("sparse_categorical_accuracy", {}, "labels", "scores"),
    ("sparse_categorical_accuracy", {}, "label_column", "scores"),
    ("sparse_categorical_accuracy", {}, "labels_3d", "scores_3d"),
    ("top_k_categorical_accuracy", {"k": 2}, "one_hot", "scores"),
    ("top_k_categorical_accuracy", {}, "one_hot_3d", "scores_3d"),
    ("sparse_top_k_categorical_accuracy", {"k": 2}, "labels", "scores"),
    ("sparse_top_k_categorical_accuracy", {"k": 2}, "labels_3d", "scores_3d"),
    ("sparse_top_k_categorical_accuracy", {"k": 2, "from_sorted_ids": True}, "labels", "best"),
]

#: Class of metrics, settings, targets, predictions, weights to try besides none.
METRIC_CASES: list[tuple[str, dict[str, Any], str, str, tuple[str, ...]]] = [
    *(
        (name, {}, y, p, weights)
        for name in (
            "MeanSquaredError", "RootMeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError",
            "LogCoshError",
        )
        for y, p, weights in (
            ("y", "p", ("w", "w_column")),
            ("y_row", "p_column", ("w",)),
            ("y_3d", "p_3d", ("w", "w_2d")),
        )
    ),
    ("RootMeanSquaredError", {}, "y", "p", ("w_3d",)),
    ("RootMeanSquaredError", {}, "y_row", "p_row", ("w",)),
    ("MeanSquaredLogarithmicError", {}, "counts", "rates", ("w",)),
    *(("CosineSimilarity", {"axis": axis}, "y_3d", "p_3d", ("w",)) for axis in (-1, 1)),
    ("CosineSimilarity", {}, "y", "zero_rows", ("w",)),
    ("Accuracy", {}, "rounded", "rounded_too", ("w", "w_3d")),
    ("Accuracy", {}, "binary_row", "binary_row", ("w",)),
    *(("BinaryAccuracy", {"threshold": t}, "binary", "probabilities", ("w",)) for t in (0.5, 0.7)),
    ("BinaryAccuracy", {}, "binary_row", "probability_column", ("w",)),
    ("CategoricalAccuracy", {}, "one_hot", "scores", ("w", "w_column")),
    ("CategoricalAccuracy", {}, "one_hot_3d", "scores_3d", ("w", "w_3d")),
    ("SparseCategoricalAccuracy", {}, "labels", "scores", ("w", "w_column")),
    ("SparseCategoricalAccuracy", {}, "label_column", "scores", ("w",)),
    ("SparseCategoricalAccuracy", {}, "labels_3d", "scores_3d", ("w", "w_3d")),
    *(("TopKCategoricalAccuracy", {"k": k}, "one_hot", "scores", ("w",)) for k in (1, 2, 5)),
    *(("SparseTopKCategoricalAccuracy", {"k": k}, "labels", "scores", ("w",)) for k in (1, 2, 3)),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, "labels", "best", ("w",)),
    *(
        ("BinaryCrossentropy", {"from_logits": logits, "label_smoothing": smoothing}, "binary", p, ("w",))
        for smoothing in (0.0, 0.1)
        for p, logits in (("probabilities", False), ("logits", True))
    ),
    *(
        ("CategoricalCrossentropy", {"from_logits": logits, "label_smoothing": smoothing}, "one_hot", p, ("w",))
        for smoothing in (0.0, 0.1)
        for p, logits in (("shares", False), ("scores", True))
    ),
    ("CategoricalCrossentropy", {"axis": 1}, "one_hot_3d", "shares_3d", ("w",)),
    *(
        ("SparseCategoricalCrossentropy", {"from_logits": logits}, y, p, ("w",))
        for y in ("labels", "label_column")
        for p, logits in (("shares", False), ("scores", True))
    ),
    ("SparseCategoricalCrossentropy", {"ignore_class": -1}, "ignoring", "shares", ("w",)),
    *((name, {}, y, "p", ("w",)) for name in ("Hinge", "SquaredHinge") for y in ("binary", "signs")),
    ("CategoricalHinge", {}, "one_hot", "scores", ("w",)),
    ("KLDivergence", {}, "distribution", "shares", ("w",)),
    ("Poisson", {}, "counts", "rates", ("w",)),
]  # fmt: skip

#: Shapes of targets and predictions, with rows, that decide what "accuracy" means.
SHAPES = (
    ((8,), (8, 1)), ((8, 1), (8, 1)), ((8, 3), (8, 3)), ((8,), (8, 3)), ((8, 1), (8, 3)), ((8, 5), (8, 5, 3)),
    ((8, 5, 1), (8, 5, 3)), ((8, 5, 3), (8, 5, 3)), ((8, 5), (8, 5, 1)), ((8, 5, 1), (8, 5, 1)),
)  # fmt: skip


def plain(value: Any) -> Any:
    """Return numbers and nested lists of them, whole ones as int."""
    return np.asarray(value, np.float64).tolist()


def loss_values(given: dict[str, np.ndarray]) -> list[list[Any]]:
    """Return [class, settings, y_true, y_pred, weights or None, {reduction: value}] for each case."""
    found: list[list[Any]] = []
    for name, settings, y, p, weights in LOSS_CASES:
        for w in (None, *weights):
            values = {
                reduction: plain(
                    getattr(keras.losses, name)(reduction=reduction, **settings)(
                        given[y], given[p], None if w is None else given[w]
                    )
                )
                for reduction in REDUCTIONS
            }
            found.append([name, settings, y, p, w, values])
    return found


def metric_values(given: dict[str, np.ndarray]) -> list[list[Any]]:
    """Return [class, settings, y_true, y_pred, weights or None, [result after each batch]] for each case."""
    found: list[list[Any]] = []
    for name, settings, y, p, weights in METRIC_CASES:
        for w in (None, *weights):
            metric = getattr(keras.metrics, name)(**settings)
            results = []
            for first, last in BATCHES:
                part = slice(first, last)
                metric.update_state(given[y][part], given[p][part], None if w is None else given[w][part])
                results.append(float(metric.result()))
            found.append([name, settings, y, p, w, results])
    return found


def reduction_values(given: dict[str, np.ndarray]) -> list[list[Any]]:
    """Return [class, values, weights or None, [result after each batch]] for `Mean` and `Sum`."""
    found: list[list[Any]] = []
    for name in ("Mean", "Sum"):
        for values, weights in (("y_row", ("w",)), ("y", ("w", "w_column", "w_3d")), ("y_3d", ("w", "w_2d"))):
            for w in (None, *weights):
                metric = getattr(keras.metrics, name)()
                results = []
                for first, last in BATCHES:
                    part = slice(first, last)
                    metric.update_state(given[values][part], None if w is None else given[w][part])
                    results.append(float(metric.result()))
                found.append([name, values, w, results])
    return found


def signature(thing: Any) -> list[list[Any]]:
    """Return [name, default] of each parameter; ["name"] alone if it has none, "**name" for keywords."""
    marks = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}
    return [
        [marks.get(p.kind, "") + p.name] + ([] if p.default is inspect.Parameter.empty else [p.default])
        for p in inspect.signature(thing).parameters.values()
    ]


def main() -> None:
    keras.config.set_floatx("float64")
    # Keras on JAX takes means of float64 in float32 unless its table of types is told that float64 stays.
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    warnings.simplefilter("error")
    given = arrays()
    record = {
        "keras": keras.__version__,
        "batches": BATCHES,
        "arrays": {name: array.tolist() for name, array in given.items()},
        "losses": loss_values(given),
        "loss_functions": [
            [name, {}, y, p, plain(getattr(keras.losses, name)(given[y], given[p]))]
            for name, y, p in (
                *((name, "y", "p") for name in LOSS_FUNCTIONS[:6] + LOSS_FUNCTIONS[9:10] + LOSS_FUNCTIONS[14:]),
                ("binary_crossentropy", "binary", "probabilities"),
                ("sparse_categorical_crossentropy", "labels", "shares"),
                ("categorical_crossentropy", "one_hot", "shares"),
            )
        ],
        "metric_functions": [
            [name, settings, y, p, plain(getattr(keras.metrics, name)(given[y], given[p], **settings))]
            for name, settings, y, p in FUNCTION_CASES
        ],
        "metrics": metric_values(given),
        "reductions": reduction_values(given),
        "signatures": {
            "losses": {name: signature(getattr(keras.losses, name)) for name in LOSSES + LOSS_FUNCTIONS},
            "metrics": {name: signature(getattr(keras.metrics, name)) for name in METRICS + METRIC_FUNCTIONS},
        },
        "accuracy": [
            [y[1:], p[1:], type(get_metric("accuracy", np.zeros(y), np.zeros(p))).__name__] for y, p in SHAPES
        ],
        "names": {
            "losses": sorted(n for n in keras.src.losses.ALL_OBJECTS_DICT if n.islower()),
            "metrics": {n: cls.__name__ for n, cls in sorted(keras.src.metrics.ALL_OBJECTS_DICT.items())},
        },
    }
    target = Path(__file__).with_name("keras_losses.json")
    target.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
