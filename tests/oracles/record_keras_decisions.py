"""Record what Keras 3 computes for metrics of decisions: run with `KERAS_BACKEND=jax JAX_ENABLE_X64=1`, in float64.

Writes keras_decisions.json beside this file. Arrays are drawn once, rounded and stored by name; a case names its
arrays, so that the tests need neither Keras nor the same random numbers.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import dtypes
from record_keras_losses import plain, signature

BATCHES = ((0, 5), (5, 10), (10, 12))

METRICS = (
    "TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives", "Precision", "Recall", "AUC",
    "SensitivityAtSpecificity", "SpecificityAtSensitivity", "PrecisionAtRecall", "RecallAtPrecision", "FBetaScore",
    "F1Score", "IoU", "BinaryIoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU", "R2Score", "PearsonCorrelation",
    "ConcordanceCorrelation",
)  # fmt: skip

FUNCTIONS = ("binary_focal_crossentropy", "categorical_focal_crossentropy")


def arrays() -> dict[str, np.ndarray]:
    """Return the inputs by name: twelve rows each, then data and weights for trainings."""
    rng = np.random.default_rng(20240707)
    n, k = 12, 4
    labels = rng.integers(0, k, n)
    scores = rng.random((n, k))
    found = {
        "decision": rng.integers(0, 2, n), "chance": rng.random(n), "chance_column": rng.random((n, 1)),
        "logits": 3 * rng.standard_normal(n),
        "labels": labels, "guessed": np.where(rng.random(n) < 0.6, labels, rng.integers(0, k, n)),
        "one_hot": np.eye(k, dtype=int)[labels], "scores": scores, "shares": scores / scores.sum(1, keepdims=True),
        "several": rng.integers(0, 2, (n, k)),
        "y": 5 + rng.standard_normal((n, 3)), "p": 5 + rng.standard_normal((n, 3)),
        "w": rng.random(n) * 2, "w_wide": rng.random((n, k)),
    }  # fmt: skip
    found["chance"][:3] = 0.0, 1.0, 0.5
    rows = 40
    x = rng.standard_normal((rows, 4))
    noisy = x + 0.8 * rng.standard_normal((rows, 4))
    found |= {
        "x": x, "switch": (noisy[:, :1] > 0).astype(int), "kinds": np.eye(3, dtype=int)[noisy[:, :3].argmax(1)],
        "sums": np.stack([noisy[:, 0] + noisy[:, 1], noisy[:, 2] - noisy[:, 3]], axis=1),
        "row_weights": rng.random(rows) * 2, "W": rng.standard_normal((4, 5)) / 2, "b": rng.standard_normal(5) / 4,
        "W1": rng.standard_normal((5, 1)) / 2, "W2": rng.standard_normal((5, 2)) / 2,
        "W3": rng.standard_normal((5, 3)) / 2,
    }  # fmt: skip
    return {name: np.round(array, 3) for name, array in found.items()}


DECISIONS = ("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives", "Precision", "Recall")

#: Class, settings, targets, predictions, weights to try besides none.
CASES: list[tuple[str, dict[str, Any], str, str, tuple[str, ...]]] = [
    *((name, {}, "decision", "chance", ("w",)) for name in DECISIONS),
    *((name, {"thresholds": [0.7, 0.2, 0.5]}, "decision", "chance", ("w",)) for name in DECISIONS),
    *((name, {"thresholds": 0.3}, "several", "scores", ("w", "w_wide")) for name in DECISIONS),
    *(
        (name, settings, "several", "scores", ("w",))
        for name in ("Precision", "Recall")
        for settings in ({"top_k": 2}, {"class_id": 1}, {"top_k": 3, "class_id": 2}, {"top_k": 2, "thresholds": 0.6})
    ),
    *(
        ("AUC", {"curve": curve, "summation_method": method, "num_thresholds": count}, "decision", "chance", ("w",))
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "minoring", "majoring")
        for count in (5, 200)
    ),
    ("AUC", {"from_logits": True}, "decision", "logits", ()),
    ("AUC", {"thresholds": [0.25, 0.4, 0.8]}, "decision", "chance", ("w",)),
    ("AUC", {}, "several", "scores", ("w",)),
    *(
        ("AUC", {"multi_label": True, "num_labels": 4, "curve": curve, **extra}, "several", "scores", ("w",))
        for curve in ("ROC", "PR")
        for extra in ({}, {"label_weights": [1.0, 2.0, 0.5, 0.25]})
    ),
    *(
        (name, {setting: value, **extra}, y, p, weights)
        for name, setting in (
            ("SensitivityAtSpecificity", "specificity"), ("SpecificityAtSensitivity", "sensitivity"),
            ("PrecisionAtRecall", "recall"), ("RecallAtPrecision", "precision"),
        )
        for value in (0.4, 0.8)
        for extra, y, p, weights in (
            ({}, "decision", "chance", ("w",)), ({"num_thresholds": 7}, "decision", "chance", ()),
            ({"num_thresholds": 1}, "decision", "chance", ()), ({"class_id": 1}, "several", "scores", ()),
        )
    ),
    *(
        ("FBetaScore", {"average": average, "beta": beta, "threshold": threshold}, "several", "scores", ("w",))
        for average in (None, "micro", "macro", "weighted")
        for beta, threshold in ((1.0, None), (2.0, 0.5))
    ),
    *(("F1Score", {"average": average}, "one_hot", "shares", ("w",)) for average in (None, "macro", "weighted")),
    *(("IoU", {"num_classes": 4, "target_class_ids": ids}, "labels", "guessed", ()) for ids in ([0, 2], [1])),
    ("IoU", {"num_classes": 4, "target_class_ids": [0, 1], "ignore_class": 2}, "labels", "guessed", ()),
    ("MeanIoU", {"num_classes": 4}, "labels", "guessed", ()),
    ("MeanIoU", {"num_classes": 4, "sparse_y_pred": False}, "labels", "scores", ()),
    ("BinaryIoU", {}, "decision", "chance", ()),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3}, "decision", "chance", ()),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [0, 3]}, "one_hot", "scores", ()),
    ("OneHotMeanIoU", {"num_classes": 4}, "one_hot", "scores", ()),
    *(
        ("R2Score", {"class_aggregation": how, "num_regressors": k}, "y", "p", ("w",))
        for how in (None, "uniform_average", "variance_weighted_average")
        for k in (0, 3)
    ),
    *((name, {}, "y", "p", ("w",)) for name in ("PearsonCorrelation", "ConcordanceCorrelation")),
]  # fmt: skip

#: Function, keyword arguments, targets, predictions.
FUNCTION_CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("binary_focal_crossentropy", {}, "several", "scores"),
    ("binary_focal_crossentropy", {"apply_class_balancing": True, "gamma": 3.0}, "several", "scores"),
    ("binary_focal_crossentropy", {"from_logits": True, "label_smoothing": 0.1}, "several", "scores"),
    ("categorical_focal_crossentropy", {}, "one_hot", "shares"),
    ("categorical_focal_crossentropy", {"from_logits": True, "alpha": 0.5, "gamma": 1.0}, "one_hot", "scores"),
    ("categorical_focal_crossentropy", {"label_smoothing": 0.1}, "one_hot", "shares"),
]

#: Name, activation and loss of the output, targets, metrics, weighted metrics; a metric is a class with settings.
TRAININGS: list[tuple[str, str, str, str, list[Any], list[Any]]] = [
    (
        "two classes", "sigmoid", "binary_crossentropy", "switch",
        [
            ["AUC", {"name": "auc"}], ["Precision", {}], ["Recall", {"thresholds": [0.3, 0.6]}], ["TruePositives", {}],
            ["SpecificityAtSensitivity", {"sensitivity": 0.3, "name": "specificity"}], ["BinaryIoU", {"name": "iou"}],
            ["F1Score", {"average": "micro", "threshold": 0.5}],
        ],
        [["AUC", {"name": "weighted_auc", "curve": "PR"}], ["Recall", {"name": "weighted_recall"}]],
    ),
    (
        "three classes", "softmax", "categorical_crossentropy", "kinds",
        [
            ["AUC", {"name": "auc", "multi_label": True, "num_labels": 3}], ["F1Score", {}],
            ["Precision", {"top_k": 2, "name": "top"}], ["Recall", {"class_id": 1, "name": "second"}],
            ["OneHotMeanIoU", {"num_classes": 3, "name": "iou"}],
        ],
        [["FBetaScore", {"average": "macro", "beta": 2.0, "name": "weighted_f2"}]],
    ),
    (
        "numbers", "linear", "mse", "sums",
        [["R2Score", {}], ["RootMeanSquaredError", {"name": "rmse"}], ["ConcordanceCorrelation", {"axis": 0}]],
        [["R2Score", {"class_aggregation": None, "name": "weighted_r2"}]],
    ),
]  # fmt: skip

FIT = {"batch_size": 7, "epochs": 3, "shuffle": False, "verbose": 0, "validation_split": 0.3}


def history(given: dict[str, np.ndarray], training: tuple[str, str, str, str, list[Any], list[Any]]) -> dict[str, Any]:
    """Return what Keras reports after each epoch of a training with weighted rows."""
    _, activation, loss, y, asked, weighted = training
    keras.utils.clear_session()
    width = given[y].shape[1]
    hidden, output = keras.layers.Dense(5, "tanh"), keras.layers.Dense(width, activation)
    model = keras.Sequential([keras.Input((4,)), hidden, output])
    model.set_weights([given["W"], given["b"], given[f"W{width}"], np.zeros(width)])
    made = [[getattr(keras.metrics, name)(**settings) for name, settings in some] for some in (asked, weighted)]
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=made[0], weighted_metrics=made[1])
    found = model.fit(given["x"], given[y], sample_weight=given["row_weights"], **FIT).history
    return {key: [plain(value) for value in values] for key, values in found.items()}


def main() -> None:
    keras.config.set_floatx("float64")
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    warnings.simplefilter("error")
    given = arrays()
    values: list[list[Any]] = []
    for name, settings, y, p, weights in CASES:
        for w in (None, *weights):
            metric = getattr(keras.metrics, name)(dtype="float64", **settings)
            results = []
            for first, last in BATCHES:
                rows = slice(first, last)
                metric.update_state(given[y][rows], given[p][rows], None if w is None else given[w][rows])
                results.append(plain(metric.result()))
            values.append([name, settings, y, p, w, results])
    record = {
        "keras": keras.__version__,
        "batches": BATCHES,
        "arrays": {name: array.tolist() for name, array in given.items()},
        "metrics": values,
        "functions": [
            [name, settings, y, p, plain(getattr(keras.metrics, name)(given[y], given[p], **settings))]
            for name, settings, y, p in FUNCTION_CASES
        ],
        "fit": FIT,
        "trainings": [[*training, history(given, training)] for training in TRAININGS],
        "signatures": {name: signature(getattr(keras.metrics, name)) for name in METRICS + FUNCTIONS},
    }
    target = Path(__file__).with_name("keras_decisions.json")
    target.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    print(f"{target}: {target.stat().st_size} bytes, {len(values)} cases")


if __name__ == "__main__":
    main()
