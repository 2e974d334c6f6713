"""Figures that look into a model: gradients, projections, weights, confusions, and the layers themselves."""

from __future__ import annotations

import numpy as np
import pytest

from fastann import layers, models
from fastann.callbacks import GradientNorms
from fastann.models import layer_outputs
from fastann.plots.confusion_matrix import confusion_matrix
from fastann.plots.gradient_norms import gradient_norms
from fastann.plots.network_diagram import network_diagram
from fastann.plots.projections import projections
from fastann.plots.weight_histograms import weight_histograms

pytest.importorskip("matplotlib")


def small_model(backend: str = "numba") -> models.Sequential:
    model = models.Sequential(
        [layers.Input((4,)), layers.Dense(3, "relu"), layers.Dropout(0.5), layers.Dense(2, "softmax")], seed=0
    )
    model.compile("sgd", "sparse_categorical_crossentropy", backend=backend, precision="float64")
    return model


def rows(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    return rng.normal(size=(count, 4)) + labels[:, None], labels


def test_layer_outputs_are_those_of_predict(backend: str) -> None:
    model = small_model(backend)
    x, _ = rows()
    outputs = layer_outputs(model, x)
    kernel, bias, kernel_1, bias_1 = model.get_weights()
    hidden = np.maximum(x @ kernel + bias, 0)
    logits = hidden @ kernel_1 + bias_1
    assert list(outputs) == ["dense", "dropout", "dense_1"]
    np.testing.assert_allclose(outputs["dense"], hidden, rtol=1e-12)
    np.testing.assert_allclose(outputs["dropout"], hidden, rtol=1e-12)
    odds = np.exp(logits)
    np.testing.assert_allclose(outputs["dense_1"], odds / odds.sum(axis=1, keepdims=True), rtol=1e-12)
    assert list(layer_outputs(model, x, ["dense_1"])) == ["dense_1"]
    with pytest.raises(ValueError, match="no layer is called 'nope'"):
        layer_outputs(model, x, ["nope"])


def test_gradient_norms_are_those_of_the_gradient(backend: str) -> None:
    model = small_model(backend)
    x, y = rows()
    watch = GradientNorms(x, y)
    _, before = model.loss_and_gradients(x, y, training=True)
    model.fit(x, y, epochs=2, verbose=0, callbacks=[watch])
    assert watch.layers == ["dense", "dense_1"]
    assert watch.norms.shape == (3, 2)
    np.testing.assert_allclose(watch.norms[0], [np.linalg.norm(before[0]), np.linalg.norm(before[2])], rtol=1e-9)
    with pytest.raises(ValueError, match="no weight called 'slope'"):
        model.fit(x, y, verbose=0, callbacks=[GradientNorms(x, y, "slope")])


def test_gradients_in_training_take_the_statistics_of_the_rows(backend: str) -> None:
    model = models.Sequential([layers.Input((4,)), layers.BatchNormalization(), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse", backend=backend, precision="float64")
    x, y = rows()
    kernel = model.get_weights()[4]
    normal = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-3)
    for training, seen in ((True, normal), (False, x / np.sqrt(1 + 1e-3))):
        loss, gradients = model.loss_and_gradients(x, y, training=training)
        error = (seen @ kernel)[:, 0] - y
        np.testing.assert_allclose(loss, np.square(error).mean(), rtol=1e-12)
        np.testing.assert_allclose(gradients[4][:, 0], 2 * (seen * error[:, None]).mean(axis=0), rtol=1e-10)


def test_gradient_norms_are_drawn_by_layer() -> None:
    norms = np.array([[1e-3, 1.0], [0.0, 2.0]])
    figure = gradient_norms({"sigmoid": norms, "relu": norms * 10}, {"sigmoid": [0.1], "relu": [0.9]})
    sigmoid, relu, score = figure.axes[:3]
    assert [a.get_title() for a in (sigmoid, relu, score)] == ["sigmoid", "relu", "training accuracy"]
    assert list(sigmoid.lines[1].get_ydata()) == [1.0, 2.0]
    assert sigmoid.lines[0].get_ydata()[1] > 0, "a norm of 0 has no place on a logarithmic axis"
    assert sigmoid.get_ylim() == relu.get_ylim()
    assert [text.get_text() for text in score.get_legend().get_texts()] == ["sigmoid", "relu"]
    with pytest.raises(ValueError, match="above 0"):
        gradient_norms({"dead": np.zeros((2, 2))})


def test_many_gradient_norms_are_drawn_in_two_rows() -> None:
    runs = {name: np.array([[1e-3, 1.0], [1e-2, 2.0]]) for name in "abcd"}
    figure = gradient_norms(runs, {name: [0.5] for name in runs})
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["a", "b", "c", "d", "training accuracy"]
    assert len(figure.axes) == 6, "five panels and the colours of the layers"
    rows = {round(axes.get_position().y0, 1) for axes in panels}
    assert len(rows) == 2
    assert figure.get_size_inches()[0] < 13


def test_projections_hold_every_row() -> None:
    pytest.importorskip("sklearn")
    x, y = rows()
    figure = projections(small_model(), x, y)
    before, after, tsne_before, tsne_after = figure.axes
    assert before.get_title() == "PCA: data as they are"
    assert after.get_title() == "PCA: output of layer 'dropout'"
    for axes in (before, after, tsne_before, tsne_after):
        assert sum(len(points.get_offsets()) for points in axes.collections) == len(x)
    centred = x - x.mean(axis=0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    assert before.get_xlabel() == f"component 1 ({100 * values[0] / values.sum():.0f} % of the variance)"
    with pytest.raises(ValueError, match="one class for each of the 40 rows, got 3"):
        projections(small_model(), x, y[:3])


def test_weight_histograms_count_every_weight() -> None:
    model = small_model()
    before = model.get_weights()
    figure = weight_histograms(model, before)
    first, second = (axes for axes in figure.axes if axes.get_visible())
    assert first.get_title().startswith("dense/kernel (4 x 3)")
    assert sum(bar.get_height() for bar in second.containers[0]) == 6
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["now", "before"]
    with pytest.raises(ValueError, match="shapes of get_weights"):
        weight_histograms(model, before[:1])


def test_confusion_matrices_show_counts_and_accuracy() -> None:
    figure = confusion_matrix([[3, 1], [0, 4]], ["cat", "dog"], title="pets")
    axes = figure.axes[0]
    assert axes.get_title() == "accuracy 87.5% of 8 rows"
    assert [text.get_text() for text in axes.texts] == ["3", "1", "0", "4"]
    assert [axes.get_xlabel(), axes.get_ylabel()] == ["predicted class", "true class"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    for wrong, names, message in (([[1, 2]], None, "square"), ([[1]], ["a", "b"], "one name")):
        with pytest.raises(ValueError, match=message):
            confusion_matrix(wrong, names)


def test_network_diagrams_have_a_box_for_each_layer() -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    model = small_model()
    axes = network_diagram(model).axes[0]
    boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    assert (len(boxes), len(arrows)) == (4, 3)
    assert "dense  (Dense)\n3   15 weights" in [text.get_text() for text in axes.texts]
