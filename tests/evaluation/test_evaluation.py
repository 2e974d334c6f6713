"""Curves, confusions, reports and splits: by hand and against scikit-learn."""

from __future__ import annotations

import doctest
import importlib
from typing import Any

import numpy as np
import pytest

from fastann import evaluation
from fastann.evaluation import (
    classification_report,
    confusion_matrix,
    precision_recall_curve,
    predicted_classes,
    roc_curve,
    train_validation_test_split,
    true_classes,
)
from fastann.utils import to_categorical

metrics = pytest.importorskip("sklearn.metrics")

Y = np.array([0, 2, 1, 2, 2, 0, 1, 1])
SCORES = np.random.default_rng(0).random((8, 3))


@pytest.mark.parametrize("module", ["curves", "fitting", "report", "splits"])
def test_examples_in_docstrings(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"fastann.evaluation.{module}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_classes_come_in_many_forms() -> None:
    for given in (Y, Y[:, None], Y.tolist(), Y.astype(np.float32), to_categorical(Y)):
        np.testing.assert_array_equal(true_classes(given), Y)
    np.testing.assert_array_equal(predicted_classes(SCORES), SCORES.argmax(axis=1))
    for given in ([0.2, 0.7, 0.5], [[0.2], [0.7], [0.5]]):
        np.testing.assert_array_equal(predicted_classes(given), [0, 1, 0])
    np.testing.assert_array_equal(predicted_classes([0.2, 0.7, 0.5], threshold=0.1), [1, 1, 1])
    np.testing.assert_array_equal(predicted_classes([2, 0, 1]), [2, 0, 1])


def test_the_roc_area_is_the_probability_of_the_right_order() -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 200)
    scores = np.round(rng.random(200) + 0.4 * y, 2)
    curve = roc_curve(y, scores[:, None])
    positive, negative = scores[y == 1][:, None], scores[y == 0][None]
    assert curve.area == pytest.approx(((positive > negative) + 0.5 * (positive == negative)).mean(), rel=1e-12)
    assert (curve.false_positive_rate[0], curve.true_positive_rate[0]) == (0, 0)
    assert (curve.false_positive_rate[-1], curve.true_positive_rate[-1]) == (1, 1)
    for false, true, threshold in zip(
        curve.false_positive_rate, curve.true_positive_rate, curve.thresholds, strict=True
    ):
        assert true == pytest.approx((scores[y == 1] >= threshold).mean())
        assert false == pytest.approx((scores[y == 0] >= threshold).mean())
    two = np.stack([1 - scores, scores], axis=1)
    assert roc_curve(to_categorical(y, 2), two).area == pytest.approx(curve.area)


def test_precision_and_recall_at_each_threshold() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 100)
    scores = rng.random(100) + 0.3 * y
    curve = precision_recall_curve(y, scores)
    for precision, recall, threshold in zip(curve.precision, curve.recall, curve.thresholds, strict=False):
        chosen = scores >= threshold
        assert precision == pytest.approx(y[chosen].mean())
        assert recall == pytest.approx(y[chosen].sum() / y.sum())
    gains = -np.diff(curve.recall)
    assert curve.average_precision == pytest.approx((gains * curve.precision[:-1]).sum())


def test_confusions_are_counted_by_true_and_predicted_class() -> None:
    matrix = confusion_matrix(Y, SCORES)
    expected = np.zeros((3, 3), int)
    for true, chosen in zip(Y, SCORES.argmax(axis=1), strict=True):
        expected[true, chosen] += 1
    np.testing.assert_array_equal(matrix, expected)
    np.testing.assert_array_equal(confusion_matrix(Y, SCORES, classes=5)[:3, :3], expected)
    assert confusion_matrix(Y, SCORES, classes=5).shape == (5, 5)
    weights = np.linspace(0, 1, 8)
    assert confusion_matrix(Y, SCORES, sample_weight=weights).sum() == pytest.approx(4)
    assert confusion_matrix([1, 1], [0.9, 0.8]).shape == (2, 2)


def test_the_report_by_hand() -> None:
    report = classification_report(Y, SCORES, names=["a", "b", "c"])
    chosen = SCORES.argmax(axis=1)
    for label, entry in enumerate(report.classes):
        right = ((chosen == label) & (label == Y)).sum()
        precision = right / max((chosen == label).sum(), 1)
        recall = right / (label == Y).sum()
        assert entry.precision == pytest.approx(precision)
        assert entry.recall == pytest.approx(recall)
        assert entry.f1 == pytest.approx(2 * right / ((chosen == label).sum() + (label == Y).sum()))
        assert entry.support == (label == Y).sum()
    assert report.accuracy == pytest.approx((chosen == Y).mean())
    assert report.macro_average.f1 == pytest.approx(np.mean([entry.f1 for entry in report.classes]))
    assert report.weighted_average.recall == pytest.approx(report.accuracy)
    assert "weighted average" in str(report)


@pytest.mark.parametrize("stratified", [False, True])
def test_splits_hold_every_row_once(stratified: bool) -> None:
    rng = np.random.default_rng(4)
    x, y = np.arange(400).reshape(200, 2), (rng.random(200) < 0.1).astype(int)
    xs, ys = train_validation_test_split(x, y, validation=0.2, test=0.3, seed=5, stratify=y if stratified else None)
    assert [len(part) for part in xs] == [len(part) for part in ys]
    np.testing.assert_array_equal(np.sort(np.concatenate(xs)[:, 0]), x[:, 0])
    for x_part, y_part in zip(xs, ys, strict=True):
        np.testing.assert_array_equal(y[x_part[:, 0] // 2], y_part)
    if stratified:
        for part, share in zip(ys, (0.5, 0.2, 0.3), strict=True):
            assert abs(part.sum() - share * y.sum()) <= 1
    again = train_validation_test_split(x, y, validation=0.2, test=0.3, seed=5, stratify=y if stratified else None)
    np.testing.assert_array_equal(again[0][2], xs[2])
    other = train_validation_test_split(x, validation=0.2, test=0.3, seed=6)[0]
    assert not np.array_equal(other[2], xs[2])


@pytest.mark.parametrize("counts", [[10] * 10, [41, 3, 90, 15], [212, 357], [7, 8, 9, 10, 11]])
@pytest.mark.parametrize("shares", [(0.15, 0.15), (0.25, 0.25), (0.0, 0.3), (0.4, 0.3)])
def test_stratified_parts_have_the_sizes_of_others_and_each_class_in_its_share(
    counts: list[int], shares: tuple[float, float]
) -> None:
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    rows = np.arange(len(y))
    (parts,) = train_validation_test_split(rows, validation=shares[0], test=shares[1], stratify=y, seed=1)
    (plain,) = train_validation_test_split(rows, validation=shares[0], test=shares[1], seed=1)
    assert [len(part) for part in parts] == [len(part) for part in plain]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), rows)
    for part, share in zip(parts, (1 - sum(shares), *shares), strict=True):
        assert (abs(np.bincount(y[part], minlength=len(counts)) - share * np.array(counts)) < 2).all()


def test_classes_to_stratify_by_may_be_text_or_one_hot() -> None:
    y = np.repeat([0, 1, 2], [20, 30, 50])
    rows = np.arange(100)
    (expected,) = train_validation_test_split(rows, stratify=y, seed=3)
    text = np.array(["ash", "beech", "cedar"])[y]
    for given in (text, text.astype(object), text.tolist(), y[:, None], y / 2 - 7, to_categorical(y)):
        (parts,) = train_validation_test_split(rows, stratify=given, seed=3)
        for part, same in zip(parts, expected, strict=True):
            np.testing.assert_array_equal(part, same)


def test_rows_as_they_lie() -> None:
    (parts,) = train_validation_test_split(np.arange(10), validation=0.0, test=0.2, shuffle=False)
    assert [part.tolist() for part in parts] == [list(range(8)), [], [8, 9]]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: true_classes([0.5, 1]), ValueError, "class labels 0, 1, 2"),
        (lambda: true_classes([-1, 1]), ValueError, "class labels 0, 1, 2"),
        (lambda: true_classes(["a", "b"]), TypeError, "y_true must hold numbers"),
        (lambda: predicted_classes([]), ValueError, "at least one row"),
        (lambda: predicted_classes([np.nan, 0.5]), ValueError, "must be finite"),
        (lambda: roc_curve([0, 0], [0.1, 0.2]), ValueError, "both classes 0 and 1"),
        (lambda: roc_curve([0, 1, 1], [0.1, 0.2]), ValueError, "as many rows as y_true, 3, got 2"),
        (lambda: roc_curve([0, 1], np.ones((2, 3))), ValueError, "one number a row"),
        (lambda: confusion_matrix([0, 5], [0, 1], classes=3), ValueError, "below the number of classes, 3, got 5"),
        (lambda: classification_report([0, 2], [0, 1], names=["a", "b"]), ValueError, "number of classes, 2, got 2"),
        (lambda: train_validation_test_split(), ValueError, "at least one array"),
        (lambda: train_validation_test_split([1, 2], [1]), ValueError, "first one, 2, and at least one, got 1 in"),
        (lambda: train_validation_test_split([1, 2], test=1.0), ValueError, "test must lie in"),
        (lambda: train_validation_test_split([1, 2], test=0.5, validation=0.5), ValueError, "leave rows to train on"),
        (
            lambda: train_validation_test_split([1, 2] * 9, stratify=[1]),
            ValueError,
            "as many rows as the arrays, 18, got 1",
        ),
        (lambda: train_validation_test_split(range(9), stratify=[0] * 9, shuffle=False), ValueError, "shuffle=True"),
        (
            lambda: train_validation_test_split([1, 2, 3], test=0),
            ValueError,
            "validation must be 0 or come to .* 3 rows",
        ),
        (
            lambda: train_validation_test_split([1, 2, 3], validation=0),
            ValueError,
            "test must be 0 or come to at least",
        ),
        (lambda: train_validation_test_split([1, 2], validation=0.4, test=0.5), ValueError, "rows to train on, got 2"),
        (lambda: train_validation_test_split(range(21), stratify=[0] * 20 + [7]), ValueError, "the 1 of class 7; ask"),
        (
            lambda: train_validation_test_split([1, 2] * 9, stratify=["a", None] * 9),
            ValueError,
            "a label for every row",
        ),
        (
            lambda: train_validation_test_split([1, 2] * 9, stratify=[0, np.nan] * 9),
            ValueError,
            "a label for every row",
        ),
        (lambda: train_validation_test_split(range(20), seed=-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: train_validation_test_split(range(20), seed=0.5), TypeError, "seed must be a whole number"),
    ],
)
def test_what_does_not_fit_is_one_clear_sentence(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for call in (roc_curve, precision_recall_curve, confusion_matrix, classification_report):
        with pytest.raises(ImportError, match="needs scikit-learn, which is not installed: pip install"):
            call([0, 1], [0.1, 0.9])
    assert evaluation.true_classes([1]).tolist() == [1]
