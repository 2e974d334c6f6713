"""Losses against numbers that Keras 3 computed (`oracles/record_keras_losses.py`), and what goes wrong."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastann_kernels.program import LOSSES, Program
from fastann_kernels.program import Loss as Operation

from fastann import losses
from fastann.spec import deserialize, lookup, serialize

KERAS: dict[str, Any] = json.loads((Path(__file__).parent / "oracles" / "keras_losses.json").read_text())
ARRAYS = {name: np.array(values) for name, values in KERAS["arrays"].items()}
CLASSES = sorted(set(losses.__all__) & set(lookup("losses")) - {"CallableLoss"})

#: Signatures of Keras that differ here, with the reason.
DIVERGENCES = {
    "Loss": "the base holds no settings: a subclass is a frozen dataclass that names its own",
}


def identify(case: list[Any]) -> str:
    settings = ",".join(f"{key}={value}" for key, value in case[1].items())
    return f"{case[0]}({settings})-{'-'.join(str(part) for part in case[2:-1])}"


def assert_close(ours: Any, keras: Any) -> None:
    assert np.shape(ours) == np.shape(keras)
    np.testing.assert_allclose(ours, keras, rtol=1e-10, atol=1e-14)


def call(loss: losses.Loss, case: list[Any]) -> Any:
    _, _, y, p, w, _ = case
    return loss(ARRAYS[y], ARRAYS[p], None if w is None else ARRAYS[w])


# ---- values


@pytest.mark.parametrize("case", KERAS["losses"], ids=identify)
def test_every_reduction_gives_what_keras_gives(case: list[Any]) -> None:
    for reduction, expected in case[-1].items():
        loss = getattr(losses, case[0])(reduction=reduction, **case[1])
        if case[0] in ("MeanSquaredError", "Huber") and reduction == "none":
            assert_close(call(dataclasses.replace(loss, reduction=None), case), expected)
        assert_close(call(loss, case), expected)


@pytest.mark.parametrize("case", KERAS["loss_functions"], ids=identify)
def test_functions_give_a_value_for_each_sample_as_keras(case: list[Any]) -> None:
    name, settings, y, p, expected = case
    assert_close(getattr(losses, name)(ARRAYS[y], ARRAYS[p], **settings), expected)
    assert_close(getattr(losses, name)(ARRAYS[y].tolist(), ARRAYS[p].tolist(), **settings), expected)


def test_half_squared_error_is_half_the_squared_error() -> None:
    y, p = ARRAYS["y"], ARRAYS["p"]
    assert losses.HalfSquaredError()([[1.0]], [[1.4]]) == pytest.approx(0.08, rel=1e-12)
    assert_close(losses.half_squared_error(y, p), ((p - y) ** 2).mean(axis=1) / 2)
    assert losses.get("half_squared_error") == losses.HalfSquaredError()


def test_lists_and_any_layout_give_the_same_value() -> None:
    y, p = ARRAYS["y"], ARRAYS["p"]
    expected = losses.MeanAbsoluteError()(y, p)
    for other in (p.tolist(), np.asfortranarray(p), np.repeat(p, 2, axis=0)[::2]):
        assert losses.MeanAbsoluteError()(y.tolist(), other) == expected
    assert losses.MeanAbsoluteError()([[True], [False]], [[1], [1]]) == 0.5


@pytest.mark.parametrize(
    ("given", "asked", "expected"),
    [
        ("float32", None, "float32"),
        ("float64", None, "float64"),
        ("float16", None, "float32"),
        ("int32", None, "float64"),
        ("float32", "float64", "float64"),
        ("float64", "float32", "float32"),
    ],
)
@pytest.mark.parametrize("name", CLASSES)
def test_result_has_the_type_of_the_predictions_or_the_one_asked_for(
    name: str, given: str, asked: str | None, expected: str
) -> None:
    loss = lookup("losses")[name](dtype=asked, reduction="none")
    y = [1, 0] if "Sparse" in name else [[0, 1], [1, 0]]
    assert loss(y, np.array([[0, 1], [1, 1]], given)).dtype == expected
    assert losses.get(loss)(y, np.array([[0, 1], [1, 1]], given), sample_weight=[1, 2]).dtype == expected


# ---- extremes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e4, 1e38])
def test_huge_logits_neither_overflow_nor_warn(dtype: str, size: float) -> None:
    z = np.array([[size, -size, 0.0], [-size, -size, size]], dtype)
    y = np.eye(3)[[0, 2]]
    assert losses.BinaryCrossentropy(from_logits=True)(y, z) == pytest.approx(np.log(2) / 6)
    assert losses.CategoricalCrossentropy(from_logits=True)(y, z) == 0
    assert losses.SparseCategoricalCrossentropy(from_logits=True)([0, 2], z) == 0
    wrong = losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")([1, 2], z)
    assert wrong[0] == pytest.approx(2 * size) if size < 1e38 else wrong[0] > 1e38


@pytest.mark.parametrize("name", CLASSES)
def test_no_loss_warns_for_extreme_values(name: str) -> None:
    loss = lookup("losses")[name]()
    p = np.array([[0.0, 0.0], [1.0, 1.0], [1e4, -1e4], [1e300, 1e300], [-1.0, 1e-300], [np.inf, np.nan]])
    y = np.arange(6) % 2
    loss(y if "Sparse" in name else np.eye(2)[y], p)


def test_small_errors_keep_their_digits() -> None:
    assert losses.log_cosh([[0.0]], [[1e-6]]) == pytest.approx([5e-13], rel=1e-11)
    assert losses.log_cosh([[0.0]], [[1e4]]) == pytest.approx([1e4 - np.log(2)], rel=1e-15)
    sure = losses.binary_crossentropy([[1.0], [0.0]], [[40.0], [-40.0]], from_logits=True)
    np.testing.assert_allclose(sure, np.exp(-40.0), rtol=1e-12)


def test_log_cosh_is_smooth_where_its_formulas_meet() -> None:
    x = np.array([[np.nextafter(1.0, 0.0)], [1.0], [np.nextafter(1.0, 2.0)]])
    np.testing.assert_allclose(losses.log_cosh(np.zeros((3, 1)), x), np.log(np.cosh(1.0)), rtol=1e-15)


# ---- weights and shapes


def test_weights_of_rows_count_for_all_positions_of_a_row() -> None:
    """Keras aligns (N,) with the last axis of the values and fails; a program weights rows, so that losses do too."""
    y, p = np.zeros((2, 3, 1)), np.ones((2, 3, 1))
    assert losses.MeanSquaredError()(y, p, sample_weight=[2.0, 0.0]) == 1.0
    assert losses.MeanSquaredError("sum")(y, p, sample_weight=[2.0, 0.0]) == 6.0


def test_mean_with_sample_weight_counts_repeated_weights() -> None:
    """Keras divides by the sum of the weights before they are repeated: equal weights would not give the mean."""
    y, p = np.zeros((2, 3, 1)), np.full((2, 3, 1), 2.0)
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    for weight in (0.5, [0.5, 0.5], [[0.5], [0.5]], np.full((2, 3), 0.5)):
        assert loss(y, p, sample_weight=weight) == 4.0
    assert loss(y, p, sample_weight=np.zeros(2)) == 0.0


def test_scalar_weight_scales() -> None:
    assert losses.MeanSquaredError()([[0.0], [0.0]], [[1.0], [3.0]], sample_weight=2.0) == 10.0


def test_one_value_beside_several_weights_is_repeated_as_in_keras() -> None:
    assert losses.MeanSquaredError()([0.0, 0.0], [1.0, 3.0], sample_weight=[1.0, 0.0]) == 2.5


def test_no_rows_give_zero() -> None:
    """Keras returns an empty array here."""
    assert losses.MeanSquaredError()(np.zeros((0, 3)), np.zeros((0, 3))) == 0


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"CategoricalCrossentropy", "SparseCategoricalCrossentropy"}))
def test_a_column_fits_a_row_in_either_place(name: str) -> None:
    """Also in the functions, where Keras' hinge, for one, would make (N, N) of them."""
    loss = lookup("losses")[name](reduction="none")
    row, column = np.array([0.0, 1.0]), np.array([[0.25], [0.75]])
    expected = loss(row[:, None], column)
    assert_close(loss(row, column), expected)
    assert_close(getattr(losses, loss.op)(row, column), expected)
    assert_close(getattr(losses, loss.op)(row[:, None], column[:, 0]), expected)


@pytest.mark.parametrize(
    ("loss", "y", "p", "weights", "message"),
    [
        (losses.MeanSquaredError(), np.zeros((4, 1)), np.zeros((4, 3)), None, r"same shape, got \(4, 1\) and \(4, 3\)"),
        (losses.MeanSquaredError(), np.zeros(4), np.zeros((4, 3)), None, r"same shape, got \(4,\) and \(4, 3\)"),
        (losses.MeanSquaredError(), 1.0, 2.0, None, "at least one axis"),
        (losses.MeanSquaredError(), [[1.0], [2.0, 3.0]], np.zeros((2, 1)), None, "y_true must be an array of numbers"),
        (losses.MeanSquaredError(), np.zeros((4, 1)), np.zeros((4, 1)), np.ones(3), "one weight for each"),
        (losses.MeanSquaredError(), np.zeros((4, 1)), np.zeros((4, 1)), np.ones((4, 2)), "one weight for each"),
        (losses.SparseCategoricalCrossentropy(), np.eye(3), np.eye(3), None, "use the categorical form"),
        (losses.SparseCategoricalCrossentropy(), [0, 1], np.eye(3), None, r"shape \(3,\) beside y_pred \(3, 3\)"),
        (losses.SparseCategoricalCrossentropy(), [0, 1, 3], np.eye(3), None, "from 0 to 2, .* got 3"),
        (losses.SparseCategoricalCrossentropy(), [0, 1, -1], np.eye(3), None, "from 0 to 2, .* got -1"),
        (losses.SparseCategoricalCrossentropy(), [0, 1, 0.5], np.eye(3), None, "whole class labels .* got 0.5"),
        (losses.SparseCategoricalCrossentropy(), [0, 1, np.nan], np.eye(3), None, "whole class labels .* got nan"),
        (losses.SparseCategoricalCrossentropy(axis=2), [0, 1, 1], np.eye(3), None, "axis must be one of the 2 axes"),
        (losses.CosineSimilarity(axis=-3), np.eye(3), np.eye(3), None, "axis must be one of the 2 axes"),
    ],
)
def test_what_does_not_fit_is_one_clear_sentence(loss: losses.Loss, y: Any, p: Any, weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        loss(y, p, sample_weight=weights)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("bad", [["a", "b"], [None, 1.0], [1j, 2.0], {"a": 1}])
def test_things_that_are_no_numbers_are_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match="y_pred must hold real numbers"):
        losses.MeanSquaredError()([1.0, 2.0], bad)
    with pytest.raises(TypeError, match="y_true must hold real numbers"):
        losses.mean_squared_error(bad, [1.0, 2.0])
    with pytest.raises(TypeError, match="sample_weight must hold real numbers"):
        losses.MeanSquaredError()([[1.0], [2.0]], [[1.0], [2.0]], sample_weight=bad)


def test_one_column_of_categories_warns() -> None:
    with pytest.warns(UserWarning, match="use binary_crossentropy for a single column"):
        losses.categorical_crossentropy([[1.0]], [[0.5]])


# ---- losses as data


@pytest.mark.parametrize("name", sorted(set(KERAS["signatures"]["losses"]) - set(DIVERGENCES)))
def test_signatures_are_those_of_keras(name: str) -> None:
    empty = inspect.Parameter.empty
    parameters = inspect.signature(getattr(losses, name)).parameters.values()
    ours = [[p.name] if p.default is empty else [p.name, p.default] for p in parameters]
    assert ours == KERAS["signatures"]["losses"][name]


@pytest.mark.parametrize("name", CLASSES)
def test_description_makes_an_equal_loss(name: str) -> None:
    settings = {
        "Huber": {"delta": 0.5},
        "BinaryCrossentropy": {"from_logits": True, "label_smoothing": 0.1},
        "SparseCategoricalCrossentropy": {"ignore_class": 3},
        "CosineSimilarity": {"axis": 1},
    }.get(name, {})
    loss = lookup("losses")[name](reduction="sum", name="mine", dtype="float32", **settings)
    assert type(loss).from_config(loss.get_config()) == loss
    assert deserialize(json.loads(json.dumps(serialize(loss))), lookup("losses")) == loss
    assert losses.get(serialize(loss)) == loss
    assert hash(losses.get(serialize(loss))) == hash(loss)
    assert loss != type(loss)()
    assert type(loss).from_config({"name": "mine"}).name == "mine"
    with pytest.raises(dataclasses.FrozenInstanceError):
        loss.name = "other"


def test_losses_are_the_operations_of_programs() -> None:
    assert {lookup("losses")[name].op for name in CLASSES} == set(LOSSES)


@pytest.mark.parametrize("name", KERAS["names"]["losses"])
def test_names_of_keras_are_known_or_belong_to_other_losses(name: str) -> None:
    elsewhere = {"binary_focal_crossentropy", "categorical_focal_crossentropy", "dice", "tversky", "circle", "ctc"}
    if name in elsewhere:
        with pytest.raises(ValueError, match=r"a loss must be one of .*mean_squared_error.*, got"):
            losses.get(name)
    else:
        assert isinstance(losses.get(name), losses.Loss)


def test_short_names() -> None:
    names = {
        "mse": losses.MeanSquaredError, "MAE": losses.MeanAbsoluteError, "mape": losses.MeanAbsolutePercentageError,
        "msle": losses.MeanSquaredLogarithmicError, "bce": losses.BinaryCrossentropy, "KLD": losses.KLDivergence,
        "cce": losses.CategoricalCrossentropy, "logcosh": losses.LogCosh, "huber": losses.Huber, "Huber": losses.Huber,
        "scce": losses.SparseCategoricalCrossentropy, "half_squared_error": losses.HalfSquaredError,
    }  # fmt: skip
    for name, cls in names.items():
        assert losses.get(name) == cls()


def test_get_takes_objects_classes_and_functions() -> None:
    huber = losses.Huber(2.0)
    assert losses.get(huber) is huber
    assert losses.get(losses.Huber) == losses.Huber()
    assert losses.get(losses.poisson) == losses.Poisson()
    for bad in (None, 3, ["mse"]):
        with pytest.raises(TypeError, match="a loss must be a name"):
            losses.get(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: losses.Huber(delta="1"), TypeError, "delta must be a number"),
        (lambda: losses.Huber(delta=-1), ValueError, "delta must be a finite number in"),
        (lambda: losses.Huber(delta=float("nan")), ValueError, "delta must be a finite number"),
        (lambda: losses.MeanSquaredError(reduction="avg"), ValueError, "reduction must be one of .* got 'avg'"),
        (lambda: losses.MeanSquaredError(reduction=1), ValueError, "reduction must be one of .* got 1"),
        (lambda: losses.MeanSquaredError(reduction=["sum"]), ValueError, "reduction must be one of"),
        (lambda: losses.MeanSquaredError(dtype="int8"), ValueError, "dtype must be 'float32', 'float64' or None"),
        (lambda: losses.MeanSquaredError(name=3), TypeError, "the name of a loss must be a string"),
        (lambda: losses.BinaryCrossentropy(from_logits=1), TypeError, "from_logits must be True or False"),
        (lambda: losses.CategoricalCrossentropy(label_smoothing=1.5), ValueError, r"label_smoothing must .* \[0, 1\]"),
        (lambda: losses.CategoricalCrossentropy(axis=True), TypeError, "axis must be a whole number"),
        (lambda: losses.SparseCategoricalCrossentropy(ignore_class=0.5), TypeError, "ignore_class must be a whole"),
        (lambda: losses.CallableLoss(3), TypeError, "a loss must be a hashable function"),
        (lambda: losses.Huber.from_config({"slope": 1}), ValueError, "slope"),
    ],
)
def test_settings_are_checked(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_none_as_name_is_the_name_of_the_class() -> None:
    assert losses.MeanSquaredError(name=None).name == "mean_squared_error"  # type: ignore[arg-type]


# ---- functions as losses


def quadratic(y_true: Any, y_pred: Any) -> Any:
    return ((y_true - y_pred) ** 2).sum(axis=-1)


def test_function_becomes_a_loss_that_programs_call() -> None:
    loss = losses.get(quadratic)
    assert isinstance(loss, losses.CallableLoss)
    assert (loss.op, loss.name, loss.function) == ("callable", "quadratic", quadratic)
    assert loss == losses.CallableLoss(quadratic)
    assert loss([0.0, 0.0], [[1.0], [3.0]]) == 5.0
    assert loss([[0.0], [0.0]], [[1.0], [3.0]], sample_weight=[1, 0]) == 0.5
    hash(Program((), (), (), (), (), losses=(Operation(loss.op, 0, function=loss.function),)))
    with pytest.raises(TypeError, match="function"):
        serialize(loss)


def test_loss_class_of_ones_own_becomes_a_function() -> None:
    class Cubic(losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return (abs(y_true - y_pred) ** 3).mean(axis=-1)

    assert Cubic()([[0.0]], [[2.0]]) == 8.0
    loss = losses.get(Cubic)
    assert (loss.op, loss.name, loss.reduction) == ("callable", "cubic", "sum_over_batch_size")
    assert loss([[0.0]], [[2.0]]) == 8.0


# ---- weight of the import


def test_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, fastann.losses, fastann.metrics\n"
        "print([m for m in ('numba', 'jax', 'scipy', 'sklearn', 'pandas', 'matplotlib', 'rich') if m in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
