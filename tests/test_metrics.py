"""Metrics against numbers that Keras 3 computed (`oracles/record_keras_losses.py`), and what names mean in compile."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastann_kernels.program import LOSSES, METRICS
from fastann_kernels.program import Metric as Operation

from fastann import losses, metrics
from fastann.spec import deserialize, lookup, serialize
from tests.reference.metrics import metric_values

KERAS: dict[str, Any] = json.loads((Path(__file__).parent / "oracles" / "keras_losses.json").read_text())
ARRAYS = {name: np.array(values) for name, values in KERAS["arrays"].items()}
BATCHES = [slice(first, last) for first, last in KERAS["batches"]]
#: Classes whose means a program can compute; `test_decision_metrics` has the others.
CLASSES = sorted(
    name
    for name in set(metrics.__all__) & set(lookup("metrics")) - {"LossMetric", "MeanMetricWrapper", "Mean", "Sum"}
    if not issubclass(getattr(metrics, name), metrics.CountingMetric) and "Correlation" not in name
)

#: Results of Keras that differ here, with the reason.
DIVERGENCES = {
    (
        "SparseCategoricalCrossentropy",
        "ignoring",
        None,
    ): "without weights Keras counts samples of ignore_class as zeros",
}


def identify(case: list[Any]) -> str:
    return "-".join(str(part) for part in case[:-1])


def assert_close(ours: Any, keras: Any) -> None:
    assert np.shape(ours) == np.shape(keras)
    np.testing.assert_allclose(ours, keras, rtol=1e-10, atol=1e-14)


def example(metric: metrics.Metric) -> tuple[Any, Any]:
    """Return targets and predictions of the kind a metric takes."""
    if "sparse" in (metric.op or ""):
        return ARRAYS["labels"], ARRAYS["shares"]
    if metric.op is None or "categorical" in metric.op:
        return ARRAYS["one_hot"], ARRAYS["shares"]
    if metric.op == "cosine_similarity":
        return ARRAYS["y"], ARRAYS["p"]
    return ARRAYS["binary"], ARRAYS["probabilities"]


# ---- values


@pytest.mark.parametrize("case", KERAS["metrics"], ids=identify)
def test_result_after_each_batch_is_that_of_keras(case: list[Any]) -> None:
    name, settings, y, p, w, expected = case
    metric = getattr(metrics, name)(**settings)
    assert metric.result() == 0
    results = []
    for rows in BATCHES:
        metric.update_state(ARRAYS[y][rows], ARRAYS[p][rows], None if w is None else ARRAYS[w][rows])
        results.append(metric.result())
    if (name, y, w) in DIVERGENCES:
        assert not np.allclose(results, expected)
        return
    assert all(type(result) is float for result in results)
    assert_close(results, expected)
    metric.reset_state()
    rows = BATCHES[0]
    again = metric(ARRAYS[y][rows].tolist(), ARRAYS[p][rows].tolist(), None if w is None else ARRAYS[w][rows].tolist())
    assert_close(again, expected[0])


@pytest.mark.parametrize("case", KERAS["reductions"], ids=identify)
def test_means_and_sums_are_those_of_keras(case: list[Any]) -> None:
    name, values, w, expected = case
    metric = getattr(metrics, name)()
    results = [metric(ARRAYS[values][rows], None if w is None else ARRAYS[w][rows]) for rows in BATCHES]
    assert_close(results, expected)
    metric.reset_state()
    assert metric.result() == 0


@pytest.mark.parametrize("case", KERAS["metric_functions"], ids=identify)
def test_functions_give_a_value_for_each_sample_as_keras(case: list[Any]) -> None:
    name, settings, y, p, expected = case
    assert_close(getattr(metrics, name)(ARRAYS[y], ARRAYS[p], **settings), expected)


def test_ignored_class_counts_for_nothing() -> None:
    y, p = ARRAYS["ignoring"], ARRAYS["shares"]
    kept = y >= 0
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    assert metric.op is None
    expected = metrics.SparseCategoricalCrossentropy()(y[kept], p[kept])
    assert metric(y, p) == pytest.approx(expected, rel=1e-14)
    metric.reset_state()
    assert metric(y, p, sample_weight=np.ones(10)) == pytest.approx(expected, rel=1e-14)


def test_ties_count_in_favour_of_the_label() -> None:
    scores = [[0.2, 0.4, 0.4, 0.0]]
    assert [metrics.sparse_top_k_categorical_accuracy([label], scores, k=1)[0] for label in range(4)] == [0, 1, 1, 0]
    assert [metrics.sparse_categorical_accuracy([label], scores)[0] for label in range(4)] == [0, 1, 0, 0]


def test_labels_that_are_no_class_are_never_right() -> None:
    for label in (-1, 4, 0.5):
        assert metrics.sparse_categorical_accuracy([label], [[0.1, 0.2, 0.3, 0.4]])[0] == 0
    for label in (-1, 4):
        assert metrics.sparse_top_k_categorical_accuracy([label], [[0.1, 0.2, 0.3, 0.4]])[0] == 0
    assert metrics.sparse_top_k_categorical_accuracy([0], [[np.nan, 0.2, 0.3]])[0] == 0


def test_sums_are_float64_whatever_values_are() -> None:
    metric = metrics.Mean(dtype="float32")
    for _ in range(3):
        metric.update_state(np.full(1000, 0.1, np.float32))
    assert metric.result() == pytest.approx(float(np.float32(0.1)), rel=1e-12)


@pytest.mark.parametrize("size", [1e4, 1e300])
@pytest.mark.parametrize("name", CLASSES)
def test_no_metric_warns_for_extreme_values(name: str, size: float) -> None:
    metric = getattr(metrics, name)()
    y, p = example(metric)
    p = p * size
    p[0] = 0
    p[1] = -size
    metric.update_state(y, p)
    assert isinstance(metric.result(), float)


def test_crossentropies_of_huge_logits() -> None:
    z = np.array([[1e4, -1e4], [-1e4, 1e4]])
    assert metrics.BinaryCrossentropy(from_logits=True)(np.eye(2), z) == 0
    assert metrics.CategoricalCrossentropy(from_logits=True)(np.eye(2), z) == 0
    assert metrics.SparseCategoricalCrossentropy(from_logits=True)([1, 0], z) == 2e4


# ---- what programs compute


@pytest.mark.parametrize("name", [*CLASSES, "huber", "half_squared_error"])
def test_mean_of_the_operation_is_the_metric(name: str) -> None:
    """A program averages what `tests/reference` computes; `finalize` makes the metric of it."""
    metric = metrics.get(name)
    assert metric.op in LOSSES + METRICS
    y, p = example(metric)
    settings = {key: getattr(metric, key) for key in ("threshold", "k", "delta") if hasattr(metric, key)}
    values = metric_values(Operation(metric.op, 0, **settings), y, p)
    assert values.shape == (10,)
    assert metric(y, p) == pytest.approx(metric.finalize(values.mean()), rel=1e-12)
    weights = ARRAYS["w"]
    metric.reset_state()
    mean = (values * weights).sum() / weights.sum()
    assert metric(y, p, weights) == pytest.approx(metric.finalize(mean), rel=1e-12)


def test_every_operation_has_a_metric() -> None:
    names = {getattr(metrics, name)().op for name in CLASSES}
    assert names | {"huber", "half_squared_error"} == set(LOSSES + METRICS)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_a_metric(name: str) -> None:
    metric = metrics.get(name)
    assert metric.op == name
    assert metric.finalize(0.25) == (-0.25 if name == "cosine_similarity" else 0.25)


def test_what_a_program_does_not_know_has_no_operation() -> None:
    assert metrics.CategoricalCrossentropy(axis=1).op is None
    assert metrics.CosineSimilarity(axis=0).op is None
    assert metrics.SparseTopKCategoricalAccuracy(from_sorted_ids=True).op is None
    assert metrics.LossMetric(lambda y, p: y - p).op is None


def test_metric_of_a_loss_has_its_settings() -> None:
    metric = metrics.get(losses.Huber(delta=0.5, name="mine"))
    assert isinstance(metric, metrics.LossMetric)
    assert (metric.name, metric.op, metric.delta) == ("mine", "huber", 0.5)
    assert metric([[0.0]], [[2.0]]) == 0.875
    metric = metrics.get(losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2))
    assert isinstance(metric, metrics.LossMetric)
    assert (metric.from_logits, metric.label_smoothing) == (True, 0.2)


def test_root_of_a_mean_that_is_not_finite() -> None:
    metric = metrics.RootMeanSquaredError()
    assert math.isnan(metric.finalize(math.nan))
    assert metric.finalize(math.inf) == math.inf


# ---- metrics as objects


@pytest.mark.parametrize("name", sorted(KERAS["signatures"]["metrics"]))
def test_signatures_are_those_of_keras(name: str) -> None:
    marks = {inspect.Parameter.VAR_KEYWORD: "**"}
    ours = [
        [marks.get(p.kind, "") + p.name] + ([] if p.default is inspect.Parameter.empty else [p.default])
        for p in inspect.signature(getattr(metrics, name)).parameters.values()
    ]
    assert ours == KERAS["signatures"]["metrics"][name]


@pytest.mark.parametrize("name", [*CLASSES, "Mean", "Sum"])
def test_description_makes_the_same_metric(name: str) -> None:
    settings: dict[str, Any] = {
        "BinaryAccuracy": {"threshold": 0.25},
        "TopKCategoricalAccuracy": {"k": 2},
        "SparseTopKCategoricalAccuracy": {"k": 2, "from_sorted_ids": True},
        "BinaryCrossentropy": {"from_logits": True, "label_smoothing": 0.1},
        "SparseCategoricalCrossentropy": {"from_logits": True, "ignore_class": 1},
        "CategoricalCrossentropy": {"axis": 1},
        "CosineSimilarity": {"axis": 1},
    }.get(name, {})
    metric = getattr(metrics, name)(name="mine", dtype="float32", **settings)
    assert metric.get_config() == {"name": "mine", "dtype": "float32"} | metric.get_config() | settings
    again = deserialize(json.loads(json.dumps(serialize(metric))), lookup("metrics"))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
    assert again.op == metric.op
    assert repr(again) == repr(metric)
    assert metrics.get(serialize(metric)).get_config() == metric.get_config()


def test_description_of_a_loss_as_metric() -> None:
    metric = metrics.LossMetric(losses.BinaryCrossentropy(from_logits=True), name="bits")
    again = deserialize(json.loads(json.dumps(serialize(metric))), lookup("metrics"))
    assert isinstance(again, metrics.LossMetric)
    assert (again.loss, again.name) == (metric.loss, "bits")


@pytest.mark.parametrize("name", sorted(KERAS["names"]["metrics"]))
def test_names_of_keras_mean_the_same_class(name: str) -> None:
    cls = getattr(metrics, KERAS["names"]["metrics"][name])
    needed = [p for p in inspect.signature(cls).parameters.values() if p.default is inspect.Parameter.empty]
    if cls in (metrics.Metric, metrics.MeanMetricWrapper):
        with pytest.raises(ValueError, match=r"a metric must be one of .*mean_squared_error.*, got"):
            metrics.get(name)
    elif not needed:
        assert type(metrics.get(name)) is cls
    else:
        with pytest.raises(ValueError, match=rf"needs settings; give an object, such as {cls.__name__}"):
            metrics.get(name)


def test_get_takes_objects_classes_and_functions() -> None:
    metric = metrics.BinaryAccuracy()
    assert metrics.get(metric) is metric
    assert isinstance(metrics.get(metrics.Accuracy), metrics.Accuracy)
    assert metrics.get(metrics.binary_accuracy).op == "binary_accuracy"
    assert metrics.get(losses.mean_absolute_error).op == "mean_absolute_error"
    assert metrics.get(losses.MeanAbsoluteError).op == "mean_absolute_error"
    assert metrics.get("rmse").name == "root_mean_squared_error"
    assert metrics.get("kld").op == "kl_divergence"
    for bad in (None, 3, ["mse"]):
        with pytest.raises(TypeError, match="a metric must be a name"):
            metrics.get(bad)  # type: ignore[arg-type]


def largest_error(y_true: Any, y_pred: Any, power: int = 1) -> Any:
    return (np.abs(y_true - y_pred) ** power).max(axis=-1)


def test_function_becomes_a_metric_computed_in_python() -> None:
    metric = metrics.get(largest_error)
    assert isinstance(metric, metrics.MeanMetricWrapper)
    assert (metric.op, metric.name) == (None, "largest_error")
    assert metric([1.0, 2.0], [[1.5], [4.0]]) == 1.25
    assert metric([1.0, 2.0], [[1.5], [4.0]], sample_weight=[1, 0]) == pytest.approx((0.5 + 2 + 0.5) / 3)
    assert metrics.MeanMetricWrapper(largest_error, "cubes", power=3)([[0.0, 0.0]], [[1.0, 2.0]]) == 8.0
    with pytest.raises(TypeError, match="function"):
        serialize(metric)


def test_metric_of_ones_own() -> None:
    class Rows(metrics.Metric):
        def __init__(self, dtype: Any = None, name: Any = None) -> None:
            super().__init__(dtype, name)
            self.reset_state()

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.rows += len(y_true)

        def result(self) -> float:
            return float(self.rows)

        def reset_state(self) -> None:
            self.rows = 0

    metric = metrics.get(Rows)
    assert (metric.name, metric.op, metric.finalize(0.5)) == ("rows", None, 0.5)
    assert metric([1, 2], [1, 2]) + metric([1], [1]) == 5


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: metrics.BinaryAccuracy(threshold="high"), TypeError, "threshold must be a number"),
        (lambda: metrics.TopKCategoricalAccuracy(k=0), ValueError, "k must be at least 1, got 0"),
        (lambda: metrics.TopKCategoricalAccuracy(k=2.5), TypeError, "k must be a whole number"),
        (lambda: metrics.Mean(dtype="int32"), ValueError, "dtype must be 'float32', 'float64' or None"),
        (lambda: metrics.Mean(name=3), TypeError, "the name of a metric must be a string"),
        (lambda: metrics.MeanMetricWrapper(3), TypeError, "fn must be a function"),
        (lambda: metrics.BinaryCrossentropy(label_smoothing=2), ValueError, "label_smoothing must be"),
        (lambda: metrics.Accuracy.from_config({"k": 3}), ValueError, "Accuracy does not have just the settings k"),
    ],
)
def test_settings_are_checked(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("metric", "y", "p", "weights", "message"),
    [
        (metrics.MeanSquaredError(), np.zeros((4, 1)), np.zeros((4, 3)), None, "same shape"),
        (metrics.BinaryAccuracy(), np.zeros(4), np.zeros(3), None, "same shape"),
        (metrics.CategoricalAccuracy(), np.zeros(4), np.zeros((4, 3)), None, "same shape"),
        (metrics.SparseCategoricalAccuracy(), np.eye(3), np.eye(3), None, "one class label"),
        (metrics.MeanSquaredError(), np.zeros((4, 1)), np.zeros((4, 1)), np.ones(3), "one weight for each"),
        (metrics.RootMeanSquaredError(), np.zeros((4, 2)), np.zeros((4, 2)), np.ones((4, 3)), "one weight for each"),
    ],
)
def test_what_does_not_fit_is_one_clear_sentence(metric: Any, y: Any, p: Any, weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        metric.update_state(y, p, weights)
    assert str(caught.value).endswith(".")
    assert metric.result() == 0


# ---- names in compile


@pytest.mark.parametrize("name", ["accuracy", "acc", "Accuracy"])
@pytest.mark.parametrize("case", KERAS["accuracy"], ids=str)
def test_accuracy_is_chosen_by_shapes_as_in_keras(case: list[Any], name: str) -> None:
    target, output, expected = case
    sparse = len(target) < len(output)
    metric = metrics.resolve(name, losses.get("mse"), tuple(output), tuple(target), sparse)
    assert type(metric).__name__ == expected
    assert metric.name == name


def test_accuracy_of_logits_cuts_at_the_logit_of_one_half() -> None:
    """Keras cuts logits at 0.5, which counts outputs of probability 0.5 to 0.62 as 0."""
    metric = metrics.resolve("accuracy", losses.BinaryCrossentropy(from_logits=True), (1,), (), False)
    assert metric.get_config()["threshold"] == 0.0
    assert metric([1, 0], [[0.2], [-0.2]]) == 1.0
    assert metrics.resolve("accuracy", losses.get("bce"), (1,), (), False).get_config()["threshold"] == 0.5


@pytest.mark.parametrize("name", ["crossentropy", "ce"])
@pytest.mark.parametrize(
    ("loss", "output", "target", "sparse", "expected"),
    [
        (losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1), (3,), (3,), False, "BinaryCrossentropy"),
        (losses.CategoricalCrossentropy(), (3,), (3,), False, "CategoricalCrossentropy"),
        (losses.SparseCategoricalCrossentropy(from_logits=True), (3,), (), True, "SparseCategoricalCrossentropy"),
        (losses.Hinge(), (1,), (1,), False, "BinaryCrossentropy"),
        (losses.MeanSquaredError(), (3,), (3,), False, "CategoricalCrossentropy"),
        (None, (3,), (), True, "SparseCategoricalCrossentropy"),
    ],
)
def test_crossentropy_is_that_of_the_loss(
    loss: losses.Loss | None, output: Any, target: Any, sparse: bool, expected: str, name: str
) -> None:
    metric = metrics.resolve(name, loss, output, target, sparse)
    assert isinstance(metric, metrics.LossMetric)
    assert (type(metric).__name__, metric.name) == (expected, name)
    assert metric.from_logits == (loss is not None and loss.from_logits)
    assert metric.label_smoothing == 0


def test_other_identifiers_keep_their_meaning_and_get_the_name_given() -> None:
    assert metrics.resolve("mse", None, (1,), (), False).name == "mse"
    assert metrics.resolve("half_squared_error", None, (1,), (), False).op == "half_squared_error"
    mine = metrics.MeanAbsoluteError(name="distance")
    assert metrics.resolve(mine, None, (1,), (), False) is mine
    assert mine.name == "distance"
    assert metrics.resolve(largest_error, None, (1,), (), False).name == "largest_error"


def test_means_and_sums_of_nothing_are_no_metrics_of_a_model() -> None:
    for name in ("mean", "sum"):
        with pytest.raises(ValueError, match="must compare targets and predictions"):
            metrics.resolve(name, None, (1,), (), False)
