"""Figures: what is drawn, how it is labelled, and that pyplot is left alone."""

from __future__ import annotations

import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastann.plots import Curve, Speed, loss_curves, save_png, throughput
from fastann.plots.figure import short_number
from fastann.plots.roofline import roofline

pytest.importorskip("matplotlib")

CURVES = {
    "iris": [
        Curve([1.0, 0.5, 0.2], "batch 32", "numba"),
        Curve([1.0, 0.5, 0.2], "batch 32", "jax"),
        Curve([1.0, 0.8, 0.6], "batch 64", "numba"),
    ],
    "wine": [Curve([2.0], "batch 64", "jax")],
}
SPEEDS = {
    "iris": [Speed("numba", (32, 64, 128), (1e5, 2e5, 3e5)), Speed("jax", (32, 64), (2e4, 5e4))],
    "wine": [Speed("jax", (32, 256), (3e6, 4e6))],
}


def legend_texts(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def png_size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def test_loss_curves_draw_every_curve() -> None:
    figure = loss_curves(CURVES, "Losses")
    assert figure.get_suptitle() == "Losses"
    iris, wine = figure.axes
    assert [iris.get_title(), wine.get_title()] == ["iris", "wine"]
    assert [iris.get_xlabel(), iris.get_ylabel()] == ["epoch", "training loss"]
    assert [list(line.get_ydata()) for line in iris.lines] == [list(curve.values) for curve in CURVES["iris"]]
    assert list(iris.lines[0].get_xdata()) == [1, 2, 3]
    assert iris.get_yscale() == "log"
    assert legend_texts(figure) == ["batch 32", "batch 64", "numba", "jax"]
    solid, dashed, other = iris.lines
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert other.get_color() != solid.get_color()
    assert wine.lines[0].get_marker() == "o", "a line of one point would not show"


def test_losses_that_are_not_positive_get_a_linear_axis() -> None:
    figure = loss_curves({"a": [Curve([1.0, -2.0], "x")]}, label="log-likelihood")
    assert figure.axes[0].get_yscale() == "linear"
    assert figure.axes[0].get_ylabel() == "log-likelihood"
    assert legend_texts(figure) == []


def test_throughput_draws_every_line() -> None:
    figure = throughput(SPEEDS, "Speed")
    iris, wine = figure.axes
    assert iris.get_ylabel() == "training speed (samples/s)"
    assert iris.get_xlabel() == "batch size (rows)"
    assert (iris.get_xscale(), iris.get_yscale()) == ("log", "log")
    assert list(iris.lines[0].get_ydata()) == [1e5, 2e5, 3e5]
    assert list(iris.get_xticks()) == [32, 64, 128]
    assert iris.get_ylim() == wine.get_ylim()
    assert iris.get_ylim()[0] < 2e4 < 4e6 < iris.get_ylim()[1]
    assert legend_texts(figure) == ["numba", "jax"]
    assert iris.lines[1].get_color() == wine.lines[0].get_color() != iris.lines[0].get_color()


def test_labels_of_many_batch_sizes_keep_apart() -> None:
    sizes = (1, 4, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536)
    figure = throughput({str(i): [Speed("numba", sizes, sizes)] for i in range(4)})
    figure.canvas.draw()
    for axes in figure.axes:
        assert list(axes.get_xticks()) == [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536]
        # the labels are turned: their right ends have to be a line apart
        ends = [label.get_window_extent().x1 for label in axes.get_xticklabels()]
        height = axes.get_xticklabels()[0].get_fontsize() * figure.dpi / 72
        assert min(b - a for a, b in itertools.pairwise(ends)) > height


@pytest.mark.parametrize("draw", [lambda: loss_curves(CURVES), lambda: throughput(SPEEDS)])
def test_png(tmp_path: Path, draw) -> None:
    save_png(draw(), tmp_path / "a.png")
    width, height = png_size(tmp_path / "a.png")
    assert (width, height) == (1260, 600)
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_a_loss_that_became_nan_leaves_a_gap(tmp_path: Path) -> None:
    save_png(loss_curves({"a": [Curve([1.0, float("nan"), float("inf")], "x")]}), tmp_path / "a.png")
    assert png_size(tmp_path / "a.png") == (819, 600)


def test_nothing_to_draw() -> None:
    for panels in ({}, {"a": []}, {"a": [Curve([], "x")]}):
        with pytest.raises(ValueError, match="at least one curve with values"):
            loss_curves(panels)
    for empty in ({}, {"a": []}, {"a": [Speed("numba", (), ())]}):
        with pytest.raises(ValueError, match="at least one batch size"):
            throughput(empty)


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"plots need matplotlib.* pip install 'fastann\[plots\]'"):
        loss_curves(CURVES)


def test_a_single_step_lies_below_a_roof_with_its_slope_and_plain_numbers() -> None:
    step = {"network": "wide", "batch_size": 4096, "flops": 1.3e11, "bytes": 4.8e8, "step_us": 840_000.0}
    figure = roofline([step], gflops=160, gbytes=26)
    (axes,) = figure.axes
    roof, point = axes.lines
    assert roof.get_xdata()[0] < 160 / 26 < roof.get_xdata()[-1]
    assert roof.get_ydata()[0] < 100 < point.get_ydata()[0] < roof.get_ydata()[-1] == 160
    figure.draw_without_rendering()
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        texts = [label.get_text() for label in labels]
        assert len(texts) > 2
        assert all(float(text) > 0 for text in texts)


@pytest.mark.parametrize(
    ("number", "text"), [(0.02, "0.02"), (1, "1"), (999, "999"), (2000, "2k"), (5e6, "5M"), (2.5e9, "2.5G")]
)
def test_short_number(number: float, text: str) -> None:
    assert short_number(number) == text


def test_pyplot_is_not_imported(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    script = (
        "import sys; from fastann.plots import *; assert 'matplotlib' not in sys.modules; "
        "save_png(loss_curves({'a': [Curve([1.0], 'x')]}), sys.argv[1]); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.png")], check=True, env=environment)
