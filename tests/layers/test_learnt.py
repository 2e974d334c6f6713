"""Layers with weights of their own beside dense and convolutional ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastann import Sequential
from fastann.initializers import Constant, RandomUniform
from fastann.layers import (
    BatchNormalization,
    Dense,
    Embedding,
    Identity,
    LayerNormalization,
    PReLU,
    ReLU,
    Rescaling,
)
from fastann.regularizers import L1, L2
from tests.layers.graphs import instruction_of, operations, program_of


def test_instruction_of_batch_normalization() -> None:
    found = instruction_of(BatchNormalization(momentum=0.9, scale=False), (4, 4, 3))
    assert (found.op, found.params) == ("batch_norm", (0, 1, 2))
    assert dict(found.attributes) == {
        "momentum": 0.9, "epsilon": 1e-3, "scale": False, "center": True, "frozen": False,
    }  # fmt: skip
    assert instruction_of(BatchNormalization(trainable=False), (3,)).get("frozen") is True


def test_moving_statistics_are_not_trained() -> None:
    program = program_of(BatchNormalization(), (3,))
    assert [p.trainable for p in program.parameters] == [True, True, False, False]
    assert not any(p.trainable for p in program_of(BatchNormalization(trainable=False), (3,)).parameters)
    gamma, beta, mean, variance = BatchNormalization(
        gamma_regularizer="l1", beta_regularizer=L2(0.2), moving_mean_initializer=Constant(0.5)
    ).weights((3,))
    assert (gamma.regularizer, beta.regularizer, mean.regularizer) == (L1(0.01), L2(0.2), None)
    rng = np.random.default_rng(0)
    drawn = [w.initializer.initialize(w.shape, rng).tolist() for w in (gamma, beta, mean, variance)]
    assert drawn == [[1, 1, 1], [0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 1]]


@pytest.mark.parametrize(
    ("axis", "shape", "axes"), [(-1, (4, 3), 1), (2, (4, 3), 1), ((-1, -2), (4, 3), 2), ([1, -1], (4, 3), 2)]
)
def test_instruction_of_layer_normalization(axis: Any, shape: tuple[int, ...], axes: int) -> None:
    found = instruction_of(LayerNormalization(axis, center=False), shape)
    assert (found.op, found.params) == ("layer_norm", (0,))
    assert dict(found.attributes) == {"axes": axes, "epsilon": 1e-3, "scale": True, "center": False}


def test_instructions_of_prelu_and_embedding() -> None:
    assert instruction_of(PReLU(), (3,)).params == (0,)
    assert instruction_of(Embedding(10, 4), (5,)).params == (0,)
    (table,) = Embedding(10, 4, embeddings_regularizer="l2").weights((5,))
    assert (table.name, table.shape, table.initializer, table.regularizer) == (
        "embeddings", (10, 4), RandomUniform(), L2(0.01),
    )  # fmt: skip
    assert PReLU(shared_axes=1).shared_axes == (1,)


def test_input_dim_of_an_embedding_is_its_vocabulary() -> None:
    model = Sequential([Embedding(100, 8, input_shape=(5,)), Dense(2)])
    assert model.layers[0].input_dim == 100
    assert (model.input_shape, model.output_shape) == ((None, 5), (None, 5, 2))
    assert model.count_params() == 800 + 18
    assert Sequential.from_config(model.get_config()).layers[0].input_dim == 100
    assert Sequential([Embedding(100, 8)]).built is False


def test_relu_with_any_ceiling_is_made_of_known_instructions() -> None:
    assert operations(ReLU(max_value=6), (3,)) == ["activation"]
    assert operations(ReLU(max_value=2), (3,)) == ["scale", "activation", "scale"]
    both = ["scale", "activation", "scale", "scale", "activation", "scale", "subtract"]
    assert operations(ReLU(max_value=2, negative_slope=0.1), (3,)) == both
    with pytest.raises(ValueError, match=r"max_value None, or 6 without a slope, got ReLU.*; use it as a layer"):
        Dense(2, activation=ReLU(max_value=2))


def test_small_layers() -> None:
    found = instruction_of(Rescaling(1 / 255, -1), (3,))
    assert (found.op, found.attributes) == ("scale", (("offset", -1.0), ("scale", 1 / 255)))
    assert operations(Identity(), (3,)) == []


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: BatchNormalization(axis=1).output_shape((4, 3)), ValueError, "last axis only, got axis=1"),
        (lambda: BatchNormalization(momentum=1.5), ValueError, r"momentum must lie in \[0, 1\]"),
        (lambda: BatchNormalization(epsilon=-1), ValueError, "epsilon must lie in"),
        (lambda: BatchNormalization(scale=1), TypeError, "scale must be True or False"),
        (lambda: LayerNormalization(axis=1).output_shape((4, 3)), ValueError, "works on the last axes .* got axis=1"),
        (lambda: LayerNormalization(axis=0).output_shape((3,)), ValueError, "works on the last axes"),
        (lambda: LayerNormalization(axis=(-1, -1)).output_shape((4, 3)), ValueError, "works on the last axes"),
        (lambda: LayerNormalization(axis=()).output_shape((4, 3)), ValueError, "works on the last axes"),
        (lambda: LayerNormalization(axis="a"), TypeError, "axis must be a whole number"),
        (lambda: PReLU(shared_axes=[0]), ValueError, "an axis in shared_axes must be at least 1"),
        (
            lambda: PReLU(shared_axes=[2]).output_shape((3,)),
            ValueError,
            r"shares axes \(2,\), got rows of shape \(3,\)",
        ),
        (lambda: Embedding(0, 4), ValueError, "input_dim must be at least 1"),
        (lambda: Embedding(5, 4, mask_zero=True), ValueError, "mask_zero must be False, got True"),
        (lambda: Embedding(5), TypeError, "output_dim"),
        (lambda: Rescaling([1.0, 2.0]), TypeError, "scale must be a number"),
        (lambda: ReLU(max_value=0), ValueError, r"max_value must lie in \(0"),
        (lambda: ReLU(threshold=1), ValueError, "threshold must be 0, got 1"),
    ],
)
def test_a_wrong_setting_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
