"""Layers that work on images: their instructions, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from fastann import Sequential, layers
from fastann.layers import (
    AveragePooling2D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    Input,
    Layer,
    MaxPooling2D,
    Reshape,
    SeparableConv2D,
    ZeroPadding2D,
)
from fastann.layers.windows import Window
from tests.layers.graphs import instruction_of, operations, program_of


def test_instruction_of_conv2d() -> None:
    found = instruction_of(Conv2D(6, (3, 2), strides=(2, 1), padding="SAME", groups=2), (5, 6, 4))
    assert (found.op, found.params) == ("conv2d", (0, 1))
    assert dict(found.attributes) == {
        "use_bias": True, "groups": 2, "stride_h": 2, "stride_w": 1, "dilation_h": 1, "dilation_w": 1, "pad_top": 1,
        "pad_left": 0,
    }  # fmt: skip


def test_instruction_of_depthwise_conv2d() -> None:
    found = instruction_of(DepthwiseConv2D(3, dilation_rate=2, padding="same", use_bias=False), (5, 6, 4))
    assert (found.op, found.params) == ("depthwise_conv2d", (0,))
    assert dict(found.attributes) == {
        "use_bias": False, "stride_h": 1, "stride_w": 1, "dilation_h": 2, "dilation_w": 2, "pad_top": 2, "pad_left": 2,
    }  # fmt: skip


def test_a_separable_convolution_is_two() -> None:
    program = program_of(SeparableConv2D(5, 3, strides=2, depth_multiplier=2, activation="relu"), (7, 7, 3))
    first, second, last = program.instructions
    assert (first.op, first.params, program.values[first.output].shape) == ("depthwise_conv2d", (0,), (3, 3, 6))
    assert (first.get("stride_h"), first.get("use_bias")) == (2, False)
    assert (second.op, second.params, program.values[second.output].shape) == ("conv2d", (1, 2), (3, 3, 5))
    assert (second.get("stride_h"), second.get("use_bias"), second.get("groups")) == (1, True, 1)
    assert (last.op, last.get("activation")) == ("activation", "relu")


@pytest.mark.parametrize(
    ("layer", "op"), [(MaxPooling2D, "max_pool2d"), (AveragePooling2D, "average_pool2d")], ids=["max", "average"]
)
def test_instruction_of_pooling(layer: type[MaxPooling2D], op: str) -> None:
    found = instruction_of(layer((3, 2), strides=2, padding="same"), (5, 5, 2))
    assert found.op == op
    assert dict(found.attributes) == {
        "pool_h": 3, "pool_w": 2, "stride_h": 2, "stride_w": 2, "pad_top": 1, "pad_left": 0,
    }  # fmt: skip
    assert layer(3).strides == (3, 3)


def test_global_pooling_of_sequences(backend: str) -> None:
    x = np.random.default_rng(0).normal(size=(5, 4, 3))
    for kind, expected in ((layers.GlobalMaxPooling1D, x.max(axis=1)), (layers.GlobalAveragePooling1D, x.mean(axis=1))):
        model = Sequential([layers.Input((4, 3)), kind()])
        model.compile(backend=backend, precision="float64")
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-12)
        kept = Sequential([layers.Input((4, 3)), kind(keepdims=True)])
        assert kept.output_shape == (None, 1, 3)
    with pytest.raises(ValueError, match=r"expects sequences, rows of shape \(steps, channels\), got \(7,\)"):
        layers.GlobalMaxPooling1D().output_shape((7,))


def test_numbers_without_a_vector_are_refused(backend: str) -> None:
    model = Sequential([layers.Input((2,)), layers.Embedding(5, 3), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse", backend=backend)
    for bad in (5, -1):
        with pytest.raises(ValueError, match=rf"x must hold whole numbers from 0 to 4 for its Embedding, got {bad}"):
            model.fit(np.array([[0, 1], [bad, 2]]), [0.0, 1.0], verbose=0)
    assert model.iterations == 0


def test_global_pooling_is_a_pooling_of_the_image() -> None:
    program = program_of(GlobalMaxPooling2D(), (4, 5, 3))
    assert [i.op for i in program.instructions] == ["max_pool2d", "reshape"]
    assert (program.instructions[0].get("pool_h"), program.instructions[0].get("pool_w")) == (4, 5)
    assert [v.shape for v in program.values] == [(4, 5, 3), (1, 1, 3), (3,)]
    assert operations(GlobalAveragePooling2D(keepdims=True), (4, 5, 3)) == ["average_pool2d"]


def test_padding_and_reshaping_that_change_nothing_are_left_out() -> None:
    assert instruction_of(ZeroPadding2D(((1, 0), (2, 3))), (2, 2, 1)).attributes == (("pad_left", 2), ("pad_top", 1))
    assert operations(ZeroPadding2D(0), (2, 2, 1)) == []
    assert operations(Reshape((2, 3)), (6,)) == ["reshape"]
    assert operations(Reshape((-1,)), (6,)) == []


@pytest.mark.parametrize(
    ("window", "length", "output", "pad"),
    [
        (Window((3, 3), padding="same"), 5, 5, 1),
        (Window((2, 2), padding="same"), 5, 5, 0),
        (Window((2, 2), (2, 2), padding="same"), 5, 3, 0),
        (Window((5, 5), (2, 2), padding="same"), 6, 3, 1),
        (Window((1, 1), (3, 3), padding="same"), 7, 3, 0),
        (Window((3, 3), dilation=(3, 3), padding="same"), 4, 4, 3),
        (Window((3, 3), (2, 2)), 6, 2, 0),
        (Window((3, 3), dilation=(2, 2)), 5, 1, 0),
    ],
)
def test_windows(window: Window, length: int, output: int, pad: int) -> None:
    assert window.output_lengths((length, length, 1), "a layer") == (output, output)
    assert window.pads((length, length, 1)) == (pad, pad)


def test_the_network_of_many_tutorials() -> None:
    model = Sequential(
        [
            Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
            MaxPooling2D(pool_size=(2, 2)),
            Flatten(),
            Dense(64, activation="relu"),
            Dense(10, activation="softmax"),
        ]
    )
    assert [layer.output_shape for layer in model.layers] == [
        (None, 26, 26, 32), (None, 13, 13, 32), (None, 5408), (None, 64), (None, 10),
    ]  # fmt: skip
    assert model.count_params() == 320 + 5408 * 64 + 64 + 650


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Conv2D(2, 3), (784,), r"Conv2D expects rows of shape \(height, width, channels\), got \(784,\); begin with "
         r"Reshape\(\(28, 28, 1\)\)"),
        (Conv2D(2, 3), (3072,), r"begin with Reshape\(\(32, 32, 3\)\)"),
        (MaxPooling2D(), (28, 28), r"MaxPooling2D expects .* got \(28, 28\); begin with Reshape\(\(28, 28, 1\)\)"),
        (GlobalAveragePooling2D(), (7,), r"GlobalAveragePooling2D expects .* begin with a Reshape to that form"),
        (ZeroPadding2D(), (2, 2, 2, 2), "ZeroPadding2D expects rows of shape"),
        (Conv2D(2, 3), (2, 5, 1), r"window of 3 x 3 cells, got rows of 2 x 5; .* set padding='same'"),
        (MaxPooling2D(4), (5, 3, 1), "window of 4 x 4 cells, got rows of 5 x 3"),
        (DepthwiseConv2D(2, dilation_rate=5), (5, 9, 1), "window of 6 x 6 cells, got rows of 5 x 9"),
        (Conv2D(4, 3, groups=2), (5, 5, 3), r"multiple of groups=2 as channels, got rows of shape \(5, 5, 3\)"),
        (Reshape((2, 2)), (5,), r"Reshape to \(2, 2\) does not fit rows of shape \(5,\), which have 5 elements"),
        (Reshape((3, -1)), (5,), "does not fit"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused(layer: Layer, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer.output_shape(shape)


def test_a_model_names_the_layer_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"layer 'conv2d': Conv2D expects .* got \(784,\)"):
        Sequential([Input((784,)), Conv2D(2, 3)])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Conv2D(0, 3), ValueError, "filters must be at least 1"),
        (lambda: Conv2D(2, 0), ValueError, "kernel_size must be at least 1"),
        (lambda: Conv2D(2, (3, 3, 3)), ValueError, "kernel_size must be a whole number or two of them"),
        (lambda: Conv2D(2, 2.5), TypeError, "kernel_size must be a whole number"),
        (lambda: Conv2D(2, 3, strides=2, dilation_rate=2), ValueError, "strides above 1 need dilation_rate=1"),
        (lambda: SeparableConv2D(2, 3, strides=2, dilation_rate=2), ValueError, "strides above 1"),
        (lambda: Conv2D(3, 3, groups=2), ValueError, "filters must be a multiple of groups, got filters=3, groups=2"),
        (lambda: Conv2D(2, 3, padding="causal"), ValueError, "padding must be 'valid' or 'same', got 'causal'"),
        (lambda: Conv2D(2, 3, data_format="channels_first"), ValueError, "must be 'channels_last', .*numpy.moveaxis"),
        (lambda: MaxPooling2D(data_format="channels_first"), ValueError, "must be 'channels_last'"),
        (lambda: Conv2D(2, 3, use_bias=1), TypeError, "use_bias must be True or False"),
        (lambda: Conv2D(2, 3, activation="rellu"), ValueError, "'rellu'"),
        (lambda: DepthwiseConv2D(3, depth_multiplier=0), ValueError, "depth_multiplier must be at least 1"),
        (lambda: MaxPooling2D(0), ValueError, "pool_size must be at least 1"),
        (lambda: MaxPooling2D(strides=0), ValueError, "strides must be at least 1"),
        (lambda: GlobalMaxPooling2D(keepdims=1), TypeError, "keepdims must be True or False"),
        (lambda: ZeroPadding2D(-1), ValueError, "padding must be at least 0"),
        (lambda: ZeroPadding2D((1, 2, 3)), ValueError, r"two of them, or \(\(top, bottom\), \(left, right\)\)"),
        (lambda: Reshape(3), TypeError, "target_shape must be a tuple"),
        (lambda: Reshape((-1, -1)), ValueError, "at most one -1"),
        (lambda: Reshape((0, 2)), ValueError, "positive lengths"),
        (lambda: Reshape((-2, 2)), ValueError, "at least -1"),
    ],
)
def test_a_wrong_setting_is_refused(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()  # type: ignore[operator]
