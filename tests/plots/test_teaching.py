"""Figures that explain: curves with their reading, activations, boundaries, paths, comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastann import activations, plots
from fastann.evaluation import read_curves
from fastann.layers import Conv2D, Dense, Dropout, Flatten, Input
from fastann.models import Sequential, layer_outputs
from fastann.units import Perceptron

pytest.importorskip("matplotlib")

FALLING = [1.0, 0.6, 0.4, 0.3, 0.22, 0.15, 0.1, 0.05]


# ---- readings


@pytest.mark.parametrize(
    ("loss", "validation", "verdict", "best"),
    [
        (FALLING, [1.0, 0.7, 0.5, 0.45, 0.5, 0.6, 0.7, 0.8], "overfitting", 4),
        (FALLING, [1.0, 0.7, 0.5, 0.45, 0.4, 0.35, 0.3, 0.2], "underfitting", 8),
        ([1.0, 0.5, 0.3, 0.25, 0.24, 0.24, 0.24, 0.24], [1.0, 0.6, 0.4, 0.35, 0.33, 0.33, 0.33, 0.33], "good fit", 5),
        ([1.0, 0.99, 0.98, 0.97, 0.96, 0.95], [1.0, 1.0, 0.99, 0.99, 0.98, 0.98], "underfitting", 5),
        ([1.0, 2.0, np.nan], [1.0, 2.0, np.nan], "diverged", None),
        ([1.0, 1.5, 4.0, 9.0], [1.0, 2.0, 4.0, 8.0], "diverged", None),
        (FALLING, None, "unknown", None),
        ([1.0, 0.5], [1.0, 0.6], "unknown", 2),
    ],
)
def test_curves_are_read(loss: list[float], validation: list[float] | None, verdict: str, best: int | None) -> None:
    history = {"loss": loss} | ({} if validation is None else {"val_loss": validation})
    reading = read_curves(history)
    assert (reading.verdict, reading.best_epoch) == (verdict, best)
    assert str(reading).startswith(f"{verdict}: ")
    assert str(reading).endswith(".")


def test_there_must_be_a_loss_to_read() -> None:
    with pytest.raises(ValueError, match="must have a 'loss'"):
        read_curves({"accuracy": [0.5]})


def test_learning_curves_show_training_validation_and_reading() -> None:
    history = {
        "loss": FALLING, "accuracy": FALLING[::-1], "val_loss": [1.0, 0.7, 0.5, 0.45, 0.5, 0.6, 0.7, 0.8],
        "val_accuracy": FALLING[::-1], "learning_rate": [0.1] * 8,
    }  # fmt: skip
    figure = plots.learning_curves(history)
    loss, accuracy = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    training, validation, mark = loss.get_lines()
    np.testing.assert_array_equal(training.get_ydata(), history["loss"])
    np.testing.assert_array_equal(validation.get_ydata(), history["val_loss"])
    np.testing.assert_array_equal(mark.get_xydata(), [[4, 0.45]])
    assert loss.get_xlabel() == accuracy.get_xlabel() == "epoch"
    texts = loss.get_legend().get_texts()
    assert [text.get_text() for text in texts] == ["training", "validation", "lowest"]
    assert "overfitting" in figure._supxlabel.get_text()
    plain = plots.learning_curves({"loss": [1.0]}, reading=False)
    assert plain.axes[0].get_legend() is None
    with pytest.raises(ValueError, match="has no 'auc'; it has loss"):
        plots.learning_curves({"loss": [1.0]}, metrics=["auc"])


# ---- activations


def test_activation_functions_show_values_and_derivatives() -> None:
    figure = plots.activation_functions(["tanh", "relu", "elu"], reach=3.0)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["tanh", "relu", "elu"]
    for axes in shown:
        function = activations.get(axes.get_title())
        curve, slope = axes.get_lines()[2:]
        x = curve.get_xdata()
        assert (x[0], x[-1]) == (-3, 3)
        np.testing.assert_allclose(curve.get_ydata(), function(x))
        np.testing.assert_allclose(slope.get_ydata(), function.derivative(x))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["f(x)", "f '(x)"]
    with pytest.raises(ValueError, match="softmax"):
        plots.activation_functions(["softmax"])


def test_step_and_sigmoid() -> None:
    left, right = plots.step_and_sigmoid().axes
    step, sigmoid = left.get_lines()
    x = step.get_xdata()
    np.testing.assert_array_equal(step.get_ydata(), x >= 0)
    np.testing.assert_allclose(sigmoid.get_ydata(), 1 / (1 + np.exp(-x)))
    assert right.get_lines()[1].get_ydata().max() == pytest.approx(0.25)


# ---- decisions


@pytest.mark.parametrize("classes", [2, 3])
def test_decision_boundaries(classes: int) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % classes
    x = rng.normal(size=(60, 2)) + 3 * y[:, None]
    output = Dense(1, "sigmoid") if classes == 2 else Dense(3, "softmax")
    model = Sequential([Input((2,)), Dense(8, "tanh"), output], seed=1)
    model.compile("adam", "binary_crossentropy" if classes == 2 else "sparse_categorical_crossentropy", backend="numba")
    model.fit(x, y, epochs=30, verbose=0)
    names = ["low", "middle", "high"][:classes]
    figure = plots.decision_boundary(model, x, y, names=names, axes_names=("a (cm)", "b (cm)"))
    axes = figure.axes[0]
    points = [c for c in axes.collections if len(getattr(c, "get_offsets", list)()) == 60 // classes]
    assert len(points) == classes
    np.testing.assert_allclose(points[0].get_offsets(), x[y == 0])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a (cm)", "b (cm)")
    scores = model.predict(x, verbose=0)
    chosen = scores[:, 0] > 0.5 if classes == 2 else scores.argmax(axis=1)
    assert axes.get_title() == f"accuracy {(chosen == y).mean():.1%} of 60 rows"


def test_anything_that_predicts_has_a_boundary() -> None:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    figure = plots.decision_boundary(Perceptron().fit(x, [0, 0, 0, 1]), x, [0, 0, 0, 1])
    assert figure.axes[0].get_title() == "accuracy 100.0% of 4 rows"


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((4, 3)), [0, 1, 0, 1], r"two features, shape \(rows, 2\), got \(4, 3\)"),
        (np.zeros((4, 2)), [0, 1], "one class for each of the 4 rows, got 2"),
    ],
)
def test_boundaries_want_two_features(x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plots.decision_boundary(None, x, y)


def test_layer_activations_are_the_outputs() -> None:
    model = Sequential(
        [Input((6, 6, 1)), Conv2D(3, 3, activation="relu"), Flatten(), Dropout(0.5), Dense(4, "tanh")], seed=1
    )
    x = np.random.default_rng(0).random((5, 6, 6, 1))
    figure = plots.layer_activations(model, x)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["conv2d (Conv2D)", "dense (Dense)"]
    outputs = layer_outputs(model, x)
    np.testing.assert_allclose(panels[1].get_images()[0].get_array(), outputs["dense"])
    mosaic = panels[0].get_images()[0].get_array()
    np.testing.assert_allclose(mosaic[:4, 5:9], outputs["conv2d"][0, :, :, 1])
    assert panels[1].get_ylabel() == "row of data"
    with pytest.raises(ValueError, match="no layer is called 'nope'"):
        plots.layer_activations(model, x, ["nope"])


# ---- paths and comparisons


def bowl(a: Any, b: Any) -> Any:
    return a**2 + 4 * b**2


def test_paths_lie_on_their_surface() -> None:
    path = np.array([[1.0, 1.0], [0.5, 0.2], [0.1, 0.1]])
    figure = plots.optimizer_paths({"SGD": path, "Adam": path / 2}, bowl)
    left, right = figure.axes
    np.testing.assert_array_equal(left.get_lines()[0].get_xydata(), path)
    np.testing.assert_allclose(right.get_lines()[0].get_ydata(), bowl(path[:, 0], path[:, 1]))
    assert right.get_yscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["SGD", "Adam", "start"]


def test_descent_is_drawn_over_rows_seen() -> None:
    path = np.array([[1.0, 1.0], [0.5, 0.2], [0.1, 0.1]])
    right = plots.descent_paths({"batch": path, "single": path}, bowl, {"batch": 100, "single": 1}).axes[1]
    np.testing.assert_array_equal(right.get_lines()[0].get_xdata(), [0, 100, 200])
    np.testing.assert_array_equal(right.get_lines()[1].get_xdata(), [0, 1, 2])
    assert right.get_xlabel().startswith("rows seen")
    assert {line.get_drawstyle() for line in right.get_lines()} == {"steps-post"}, "it changes at updates only"


def test_the_start_of_a_descent_is_in_the_picture() -> None:
    path = np.array([[1.0, 1.0], [0.5, 0.2], [0.1, 0.1]])
    figure = plots.descent_paths({"batch": path}, bowl, {"batch": 100}, axes_names=("slope", "intercept"))
    left, right = figure.axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("slope", "intercept")
    (x, y), edges = right.transData.transform((0.0, 5.0)), right.bbox
    assert edges.x0 < x < edges.x1
    assert edges.y0 < y < edges.y1
    assert right.transData.transform((1.0, 5.0))[0] > x


def test_ways_of_few_updates_lie_on_top() -> None:
    many = np.column_stack([np.linspace(1, 0, 400)] * 2)
    left = plots.descent_paths({"few": many[::100], "many": many}, bowl, {"few": 100, "many": 1}).axes[0]
    few, many_line = (line for line in left.get_lines() if line.get_label() in ("few", "many"))
    assert few.get_zorder() > many_line.get_zorder()
    assert few.get_markevery() == [-1], "a mark at the end alone"


@pytest.mark.parametrize(
    ("surface", "scale"),
    [
        (bowl, "log"),
        (lambda a, b: bowl(a, b) - 1, "linear"),
        (lambda a, b: bowl(a, b) + 100, "linear"),
        (lambda a, b: 0 * a, "linear"),
    ],
    ids=["ranges widely", "below zero", "hardly changes", "flat"],
)
def test_the_loss_is_logarithmic_where_that_helps(surface: Any, scale: str) -> None:
    left, right = plots.optimizer_paths({"SGD": [[1.0, 1.0], [0.1, 0.1]]}, surface).axes
    assert right.get_yscale() == scale
    assert right.get_ylabel() == "loss over all rows" + (" (logarithmic)" if scale == "log" else "")
    assert len(left.collections) == (surface(np.eye(2), np.eye(2)).any() > 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plots.optimizer_paths({}, bowl), "at least one path"),
        (lambda: plots.optimizer_paths({"a": [[0, np.nan]]}, bowl), "path 'a' must be finite points"),
        (lambda: plots.optimizer_paths({"a": [0, 1]}, bowl), "path 'a' must be finite points"),
        (lambda: plots.descent_paths({"a": [[0, 1]]}, bowl, {}), "but 'a' is missing"),
        (lambda: plots.optimizer_paths({"a": [[0, 1]]}, lambda a, b: a * np.nan), "surface must return a finite loss"),
        (lambda: plots.optimizer_paths({"a": [[0, 1]]}, lambda a, b: np.zeros(2)), r"got shape \(2,\)"),
        (lambda: plots.optimizer_curves({}), "at least one history"),
        (lambda: plots.optimizer_curves({"a": {"loss": [1]}}, "auc"), "'a' has no 'auc'; it has loss"),
    ],
)
def test_what_cannot_be_drawn_is_one_clear_sentence(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_diverged_training_ends_in_a_cross() -> None:
    figure = plots.learning_rate_effect(
        {0.1: {"loss": [1.0, 0.5, 0.2]}, 10.0: {"loss": [1.0, 8.0, np.nan]}, 99.0: {"loss": [np.inf, np.nan, np.nan]}}
    )
    axes = figure.axes[0]
    lines = axes.get_lines()
    np.testing.assert_array_equal(lines[0].get_ydata(), [1.0, 0.5, 0.2])
    np.testing.assert_array_equal(lines[1].get_ydata(), [1.0, 8.0])
    np.testing.assert_array_equal(lines[2].get_xydata(), [[2, 8.0]])
    assert lines[2].get_marker() == "x"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "learning rate 0.1", "learning rate 10 (diverged)", "learning rate 99 (diverged)",
    ]  # fmt: skip


def test_a_diverging_curve_leaves_the_others_visible() -> None:
    steady, diverging = [1.0, 0.5, 0.2, 0.1], [1.0, 2.0, 200.0, np.inf]
    axes = plots.learning_rate_effect({"good": {"loss": steady}, "too high": {"loss": diverging}}).axes[0]
    np.testing.assert_array_equal(axes.get_lines()[1].get_ydata(), diverging[:3])
    # log 10 lies at log 5 / log 100 of the way from log 2 to log 200
    epoch = 2 + np.log(5) / np.log(100)
    np.testing.assert_allclose(axes.get_lines()[2].get_xydata(), [[epoch, 10.0]])
    low, high = axes.get_ylim()
    assert high == 10.0
    assert 0.05 < low < 0.1


@pytest.mark.parametrize(
    ("values", "at"),
    [([500.0, np.nan], (1.0, 10.0)), ([0.5, 1.0, np.nan], (2.0, 1.0)), ([np.nan, np.nan], (1.0, 1.0))],
    ids=["above from the start", "within the picture", "never finite"],
)
def test_the_cross_is_in_the_picture(values: list[float], at: tuple[float, float]) -> None:
    axes = plots.learning_rate_effect({"good": {"loss": [1.0, 0.5]}, "bad": {"loss": values}}).axes[0]
    assert axes.get_lines()[2].get_xydata().tolist() == [list(at)]


def test_optimizers_are_compared_by_any_metric() -> None:
    figure = plots.optimizer_curves({"SGD": {"accuracy": [0.5, 0.9]}, "Adam": {"accuracy": [0.6, 0.8]}}, "accuracy")
    axes = figure.axes[0]
    assert (axes.get_ylabel(), axes.get_yscale()) == ("accuracy", "linear")
    assert len(axes.get_lines()) == 2
