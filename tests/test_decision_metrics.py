"""Metrics of decisions against numbers that Keras 3 computed (`oracles/record_keras_decisions.py`), and in training."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastann
from fastann import Model, Sequential, metrics
from fastann.callbacks import EarlyStopping, LambdaCallback
from fastann.layers import Dense, Input
from fastann.optimizers import SGD
from fastann.spec import deserialize, lookup, serialize

KERAS: dict[str, Any] = json.loads((Path(__file__).parent / "oracles" / "keras_decisions.json").read_text())
ARRAYS = {name: np.array(values) for name, values in KERAS["arrays"].items()}
BATCHES = [slice(first, last) for first, last in KERAS["batches"]]
NAMES = sorted(set(KERAS["signatures"]) & set(lookup("metrics")))

EXAMPLES = (
    "accuracies", "at_thresholds", "auc", "confusion", "correlations", "counts", "f_scores", "focal", "iou", "lookup",
    "of_loss", "r2_score", "reductions", "regression",
)  # fmt: skip


def identify(case: list[Any]) -> str:
    return "-".join(str(part) for part in case[:-1])


@pytest.mark.parametrize("case", KERAS["metrics"], ids=identify)
def test_result_after_each_batch_is_that_of_keras(case: list[Any]) -> None:
    name, settings, y, p, w, expected = case
    metric = getattr(metrics, name)(**settings)
    np.testing.assert_array_equal(metric.result(), 0)
    for rows, result in zip(BATCHES, expected, strict=True):
        metric.update_state(ARRAYS[y][rows], ARRAYS[p][rows], None if w is None else ARRAYS[w][rows])
        np.testing.assert_allclose(metric.result(), result, rtol=1e-6, atol=1e-9)
        assert np.shape(metric.result()) == np.shape(result)
    metric.reset_state()
    rows = BATCHES[0]
    again = metric(ARRAYS[y][rows].tolist(), ARRAYS[p][rows].tolist(), None if w is None else ARRAYS[w][rows].tolist())
    np.testing.assert_allclose(again, expected[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("case", KERAS["functions"], ids=identify)
def test_functions_give_a_value_for_each_sample_as_keras(case: list[Any]) -> None:
    name, settings, y, p, expected = case
    np.testing.assert_allclose(getattr(metrics, name)(ARRAYS[y], ARRAYS[p], **settings), expected, rtol=1e-10)


@pytest.mark.parametrize("name", sorted(KERAS["signatures"]))
def test_signatures_are_those_of_keras(name: str) -> None:
    def plain(value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value

    ours = [
        [p.name] + ([] if p.default is inspect.Parameter.empty else [plain(p.default)])
        for p in inspect.signature(getattr(metrics, name)).parameters.values()
    ]
    assert ours == KERAS["signatures"][name]


@pytest.mark.parametrize("case", KERAS["metrics"][::5], ids=identify)
def test_description_makes_the_same_metric(case: list[Any]) -> None:
    name, settings, y, p = case[:4]
    metric = getattr(metrics, name)(name="mine", **settings)
    again = deserialize(json.loads(json.dumps(serialize(metric))), lookup("metrics"))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
    assert again.name == "mine"
    np.testing.assert_array_equal(metric(ARRAYS[y], ARRAYS[p]), again(ARRAYS[y], ARRAYS[p]))


def test_the_area_is_that_of_scikit_learn_for_many_thresholds() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 4000)
    p = np.clip(0.4 * y + 0.6 * rng.random(4000), 0, 1)
    assert metrics.AUC(num_thresholds=4000)(y, p) == pytest.approx(sklearn.roc_auc_score(y, p), abs=1e-4)
    assert metrics.AUC(4000, curve="PR")(y, p) == pytest.approx(sklearn.average_precision_score(y, p), abs=2e-3)
    precision, recall = metrics.Precision()(y, p), metrics.Recall()(y, p)
    assert precision == pytest.approx(sklearn.precision_score(y, p > 0.5))
    assert recall == pytest.approx(sklearn.recall_score(y, p > 0.5))


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_in_docstrings(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"fastann.metrics.{module}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_fractions_of_weights_do_not_miss_a_bound() -> None:
    """All positives are found at the lowest threshold; sums that round to just less than one must not deny it."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        y, p, w = rng.permutation(np.repeat([0, 1], 15)), rng.random(30), rng.random(30)
        lowest = p >= p[y == 1].min()
        expected = (w * y)[lowest].sum() / w[lowest].sum()
        found = metrics.PrecisionAtRecall(1.0, num_thresholds=20001)(y, p, w)
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("weights", [ARRAYS["w"][:, None], np.repeat(ARRAYS["w"][:, None], 4, axis=1)])
@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
def test_weights_of_f_scores_may_have_a_column(average: str | None, weights: np.ndarray) -> None:
    y, p = ARRAYS["several"], ARRAYS["scores"]
    expected = metrics.F1Score(average, 0.5)(y, p, ARRAYS["w"])
    np.testing.assert_allclose(metrics.F1Score(average, 0.5)(y, p, weights), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: metrics.Precision(thresholds=1.5), ValueError, "thresholds must be"),
        (lambda: metrics.Precision(top_k=0), ValueError, "top_k must be at least 1, got 0"),
        (lambda: metrics.Recall(class_id=-1), ValueError, "class_id must be at least 0, got -1"),
        (lambda: metrics.AUC(num_thresholds=1), ValueError, "num_thresholds must be at least 2, got 1"),
        (lambda: metrics.AUC(curve="DET"), ValueError, "curve must be one of 'ROC', 'PR', 'PRGAIN', got 'DET'"),
        (lambda: metrics.AUC(num_labels=3), ValueError, "num_labels must be None unless multi_label"),
        (lambda: metrics.RecallAtPrecision(precision=2), ValueError, "precision must be"),
        (lambda: metrics.FBetaScore(average="mean"), ValueError, "average must be one of"),
        (lambda: metrics.FBetaScore(beta=0), ValueError, "must be larger than 0"),
        (lambda: metrics.IoU(2, [2]), ValueError, "some of the classes 0 to 1"),
        (lambda: metrics.R2Score(class_aggregation="sum"), ValueError, "class_aggregation must be one of"),
        (lambda: metrics.get("mean_io_u"), ValueError, r"needs settings; give an object, such as MeanIoU\(num_classes"),
    ],
)
def test_settings_are_checked(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("metric", "y", "p", "weights", "message"),
    [
        (metrics.Precision(), np.zeros(4), np.zeros(3), None, "same shape"),
        (metrics.Precision(class_id=3), np.zeros((4, 2)), np.zeros((4, 2)), None, "a column for that class"),
        (metrics.Recall(top_k=3), np.zeros((4, 2)), np.zeros((4, 2)), None, "top_k must be at most"),
        (metrics.AUC(multi_label=True), np.zeros(4), np.zeros(4), None, "of shape .N, labels."),
        (metrics.AUC(), np.zeros(4), np.zeros(4), np.ones(3), "one weight for each"),
        (metrics.F1Score(), np.zeros(4), np.zeros(4), None, "of shape .N, classes."),
        (metrics.MeanIoU(2), np.zeros((4, 2)), np.zeros(4), None, "a label for each prediction"),
        (metrics.R2Score(), np.zeros(4), np.zeros(4), None, "of shape .N, columns."),
    ],
)
def test_what_does_not_fit_is_one_clear_sentence(metric: Any, y: Any, p: Any, weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        metric.update_state(y, p, weights)
    assert str(caught.value).endswith(".")
    np.testing.assert_array_equal(metric.result(), 0)


# ---- in training


def classifier(backend: str, *asked: Any) -> tuple[Sequential, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] + 0.3 * rng.normal(size=60) > 0).astype(int)
    model = Sequential([Input((4,)), Dense(6, "relu"), Dense(1, "sigmoid")], seed=1)
    model.compile("adam", "binary_crossentropy", metrics=list(asked), backend=backend)
    return model, x, y


@pytest.mark.parametrize("case", KERAS["trainings"], ids=identify)
def test_history_of_a_training_is_that_of_keras(case: list[Any], backend: str) -> None:
    """Counts are of outputs before each step, as in Keras; several numbers have names here and are arrays there."""
    _, activation, loss, y, asked, weighted, expected = case
    width = ARRAYS[y].shape[1]
    model = Sequential([Input((4,)), Dense(5, "tanh"), Dense(width, activation)])
    made = [[getattr(metrics, name)(**settings) for name, settings in some] for some in (asked, weighted)]
    model.compile(SGD(0.1), loss, metrics=made[0], weighted_metrics=made[1], backend=backend, precision="float64")
    model.set_weights([ARRAYS["W"], ARRAYS["b"], ARRAYS[f"W{width}"], np.zeros(width)])
    found = model.fit(ARRAYS["x"], ARRAYS[y], sample_weight=ARRAYS["row_weights"], **KERAS["fit"]).history
    keys: set[str] = set()
    for key, epochs in expected.items():
        rows = np.reshape(epochs, (len(epochs), -1))
        names = [key] if rows.shape[1] == 1 else [f"{key}_{place}" for place in range(rows.shape[1])]
        for name, values in zip(names, rows.T, strict=True):
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-9, err_msg=name)
        keys |= set(names)
    assert set(found) == keys


def test_models_report_them_beside_others(backend: str, tmp_path: Path) -> None:
    asked = [
        "accuracy",
        metrics.AUC(name="auc"),
        metrics.Precision(),
        "recall",
        metrics.F1Score("macro", threshold=0.5),
    ]
    model, x, y = classifier(backend, *asked)
    history = model.fit(x, y, epochs=2, verbose=0, validation_split=0.25).history
    names = ["loss", "accuracy", "auc", "precision", "recall", "f1_score"]
    assert list(history) == [*names, *(f"val_{name}" for name in names)]
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    p = model.predict(x, verbose=0)
    for name, metric in (("auc", metrics.AUC()), ("precision", metrics.Precision()), ("recall", metrics.Recall())):
        assert logs[name] == pytest.approx(metric(y[:, None], p), rel=1e-6)
    model.save(tmp_path / "m.fastann")
    again = fastann.load_model(tmp_path / "m.fastann")
    assert again.evaluate(x, y, verbose=0, return_dict=True) == logs


def test_a_metric_with_several_numbers_has_a_name_for_each(backend: str) -> None:
    model, x, y = classifier(backend, metrics.Precision(thresholds=[0.3, 0.6]))
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert list(logs) == ["loss", "precision_0", "precision_1"]
    expected = metrics.Precision(thresholds=[0.3, 0.6])(y[:, None], model.predict(x, verbose=0))
    np.testing.assert_allclose([logs["precision_0"], logs["precision_1"]], expected)
    assert list(model.fit(x, y, verbose=0).history) == list(logs)


def test_one_number_of_a_class_keeps_the_name_and_can_be_monitored(backend: str) -> None:
    model, x, y = classifier(backend, metrics.F1Score(threshold=0.5))
    stop = EarlyStopping(monitor="val_f1_score", patience=1)
    history = model.fit(x, y, epochs=2, verbose=0, validation_split=0.25, callbacks=[stop]).history
    assert list(history) == ["loss", "f1_score", "val_loss", "val_f1_score"]
    expected = metrics.F1Score(threshold=0.5)(y[:, None], model.predict(x, verbose=0))
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0, return_dict=True)["f1_score"], expected.item())


def test_a_function_of_whole_batches_sees_one_batch_at_a_time(backend: str) -> None:
    """The largest error of a batch, averaged over batches as in Keras; it must not depend on how work is grouped."""

    def worst(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
        return np.abs(y_true - y_pred).max()

    model, x, y = classifier(backend, worst, metrics.AUC(name="auc"))
    errors = np.abs(y[:, None] - model.predict(x, verbose=0))
    expected = np.mean([errors[first : first + 16].max() for first in range(0, 60, 16)])
    logs = model.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)
    assert logs["worst"] == pytest.approx(expected, rel=1e-6)
    batches = ((x[first : first + 16], y[first : first + 16]) for first in range(0, 60, 16))
    assert model.evaluate(batches, verbose=0, return_dict=True) == pytest.approx(logs, rel=1e-6)
    weights = model.get_weights()
    runs = []
    for callbacks in ([], [LambdaCallback(on_train_batch_end=lambda batch, logs: None)]):
        model, _, _ = classifier(backend, worst, metrics.AUC(name="auc"))
        model.set_weights(weights)
        runs.append(model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=callbacks).history)
    for key, values in runs[0].items():
        np.testing.assert_allclose(runs[1][key], values, rtol=1e-6)


def test_outputs_have_metrics_of_their_own(backend: str) -> None:
    x, kinds = ARRAYS["x"], ARRAYS["kinds"]
    switch = kinds[:, :1]
    entry = Input((4,))
    model = Model(entry, [Dense(1, "sigmoid", name="a")(entry), Dense(3, "softmax", name="b")(entry)])
    model.compile(
        "sgd",
        ["binary_crossentropy", "categorical_crossentropy"],
        metrics=[[metrics.AUC(name="auc")], [metrics.F1Score("macro")]],
        backend=backend,
    )
    logs = model.evaluate(x, [switch, kinds], verbose=0, return_dict=True)
    first, second = model.predict(x, verbose=0)
    assert logs["a_auc"] == pytest.approx(metrics.AUC()(switch, first), rel=1e-6)
    assert logs["b_f1_score"] == pytest.approx(metrics.F1Score("macro")(kinds, second), rel=1e-6)
    history = model.fit(x, [switch, kinds], validation_split=0.25, verbose=0).history
    assert {"a_auc", "b_f1_score", "val_a_auc", "val_b_f1_score"} <= set(history)


def test_shapes_are_refused_before_training() -> None:
    model, x, y = classifier("numba", metrics.Precision(class_id=3))
    with pytest.raises(ValueError, match="class_id=3 needs predictions with a column for that class"):
        model.fit(x, y, verbose=0)
    assert model.iterations == 0
