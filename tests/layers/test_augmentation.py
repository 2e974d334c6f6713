"""Layers that change images at random while a model trains."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fastann.layers import (
    Dropout,
    GaussianNoise,
    InputLayer,
    Layer,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
from fastann.lowering import SEEDED_STREAMS, lower
from fastann.models.graph import LayerGraph, row_of_nodes
from tests.layers.graphs import instruction_of, operations

STILL = {
    "angle_low": 0.0, "angle_high": 0.0, "shift_h_low": 0.0, "shift_h_high": 0.0, "shift_w_low": 0.0,
    "shift_w_high": 0.0, "zoom_h_low": 1.0, "zoom_h_high": 1.0, "zoom_w_low": 1.0, "zoom_w_high": 1.0,
    "zoom_square": False, "interpolation": "bilinear", "fill": "reflect", "fill_value": 0.0, "stream": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "changed"),
    [
        (RandomRotation(0.25), {"angle_low": -math.pi / 2, "angle_high": math.pi / 2}),
        (RandomRotation((0.5, 0.25)), {"angle_low": math.pi / 2, "angle_high": math.pi}),
        (RandomRotation(-0.25), {"angle_low": -math.pi / 2, "angle_high": math.pi / 2}),
        (
            RandomTranslation(0.5, (0.1, 0.2), "constant", fill_value=3),
            {"shift_h_low": -4.0, "shift_h_high": 4.0, "shift_w_low": 1.0, "shift_w_high": 2.0, "fill": "constant",
             "fill_value": 3.0},
        ),
        (
            RandomZoom(0.25),
            {"zoom_h_low": 0.75, "zoom_h_high": 1.25, "zoom_w_low": 0.75, "zoom_w_high": 1.25, "zoom_square": True},
        ),
        (
            RandomZoom((-0.5, -0.25), 0.5, interpolation="nearest"),
            {"zoom_h_low": 0.5, "zoom_h_high": 0.75, "zoom_w_low": 0.5, "zoom_w_high": 1.5, "interpolation": "nearest"},
        ),
    ],
)  # fmt: skip
def test_ranges_of_affine_transformations(layer: Layer, changed: dict[str, Any]) -> None:
    found = instruction_of(layer, (8, 10, 3))
    assert found.op == "random_affine"
    attributes = dict(found.attributes)
    assert attributes == pytest.approx({**STILL, **changed})


@pytest.mark.parametrize(
    ("mode", "horizontal", "vertical"),
    [("horizontal", True, False), ("vertical", False, True), ("horizontal_and_vertical", True, True)],
)
def test_instruction_of_random_flip(mode: str, horizontal: bool, vertical: bool) -> None:
    found = instruction_of(RandomFlip(mode), (4, 4, 1))
    assert found.op == "random_flip"
    assert dict(found.attributes) == {"horizontal": horizontal, "vertical": vertical, "stream": 0}


def test_instruction_of_gaussian_noise() -> None:
    found = instruction_of(GaussianNoise(0.5), (4,))
    assert (found.op, found.attributes) == ("gaussian_noise", (("stddev", 0.5), ("stream", 0)))


@pytest.mark.parametrize(
    "layer", [GaussianNoise(0), Dropout(0), RandomRotation(0), RandomTranslation(0, 0), RandomZoom(0, 0)], ids=repr
)
def test_what_changes_nothing_is_left_out(layer: Layer) -> None:
    assert operations(layer, (4, 4, 1)) == []


def test_a_seed_chooses_a_stream_and_leaves_those_of_others() -> None:
    layers = [RandomFlip(), GaussianNoise(0.1, seed=7), RandomZoom(0.1, seed=7), Dropout(0.5), Dropout(0.5, seed=2**40)]
    nodes = row_of_nodes([InputLayer((4, 4, 1)), *layers])
    streams = [i.get("stream") for i in lower(LayerGraph(nodes, (len(nodes) - 1,))).instructions]
    assert streams == [0, SEEDED_STREAMS + 7, SEEDED_STREAMS + 7, 3, SEEDED_STREAMS]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RandomRotation(1.5), ValueError, r"factor must lie in \[-1, 1\], got 1.5"),
        (lambda: RandomRotation((0.1, 0.2, 0.3)), ValueError, "factor must be a number or a pair of numbers"),
        (lambda: RandomRotation("a"), TypeError, "factor must be a number"),
        (lambda: RandomRotation(0.1, "edge"), ValueError, "fill_mode must be one of 'reflect', .* got 'edge'"),
        (lambda: RandomRotation(0.1, interpolation="cubic"), ValueError, "interpolation must be 'nearest' or"),
        (lambda: RandomTranslation(0.1, None), TypeError, "width_factor must be a number, got None"),
        (lambda: RandomTranslation(2, 0.1), ValueError, r"height_factor must lie in \[-1, 1\], got 2"),
        (lambda: RandomZoom((-1, 0.5)), ValueError, r"height_factor must lie in \(-1, 1\], got -1"),
        (lambda: RandomZoom(0.1, 1.5), ValueError, r"width_factor must lie in \(-1, 1\], got 1.5"),
        (lambda: RandomFlip("both"), ValueError, "mode must be one of 'horizontal', .* got 'both'"),
        (lambda: RandomFlip(seed=-1), ValueError, "seed must lie between 0"),
        (lambda: RandomFlip(data_format="channels_first"), ValueError, "channels_last"),
        (lambda: GaussianNoise(-1), ValueError, "stddev must lie in"),
        (lambda: Dropout(0.5, seed="a"), TypeError, "seed must be a whole number"),
        (lambda: RandomFlip().output_shape((784,)), ValueError, r"RandomFlip expects .* Reshape\(\(28, 28, 1\)\)"),
        (lambda: RandomZoom(0.1).output_shape((28, 28)), ValueError, "RandomZoom expects rows of shape"),
    ],
)
def test_a_wrong_setting_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
