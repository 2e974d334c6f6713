"""Normalization: statistics given and learnt, before and after the layer is in a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fastann import Sequential
from fastann.layers import Dense, Input, Normalization
from fastann.layers.moments import moments
from tests.layers.graphs import instruction_of, operations

X = np.random.default_rng(5).normal([3.0, -200.0], [0.5, 7.0], (50, 2))


class Batches:
    """Batches by number, without iteration."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return X[20 * index : 20 * index + 20], None


def generator() -> Iterator[Any]:
    yield X[:7]
    yield X[7:7]
    yield X[7:]


@pytest.mark.parametrize(
    "data",
    [X, [X[:20], X[20:]], generator(), Batches(), X.tolist(), [(X, 1)]],
    ids=["array", "list", "generator", "by number", "numbers", "pairs"],
)
def test_moments_of_all_forms_of_data(data: Any) -> None:
    mean, variance = moments(data)
    np.testing.assert_allclose(mean, X.mean(0), rtol=1e-13)
    np.testing.assert_allclose(variance, X.var(0), rtol=1e-12)


def test_moments_of_images_and_of_everything() -> None:
    x = np.random.default_rng(1).integers(0, 256, (6, 4, 5, 3)).astype(np.uint8)
    mean, variance = moments(x)
    np.testing.assert_allclose(mean, x.mean((0, 1, 2)), rtol=1e-13)
    np.testing.assert_allclose(variance, x.var((0, 1, 2)), rtol=1e-13)
    mean, variance = moments(x, by_channel=False)
    assert (mean.shape, variance.shape) == ((), ())
    assert float(variance) == pytest.approx(x.astype(float).var(), rel=1e-13)
    np.testing.assert_allclose(moments(np.arange(5.0)), [[2.0], [2.0]])


def test_large_data_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastann.layers.moments._CHUNK", 6)
    mean, variance = moments(X + 1e6)
    np.testing.assert_allclose(mean, (X + 1e6).mean(0), rtol=1e-14)
    np.testing.assert_allclose(variance, X.var(0), rtol=1e-8)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (np.empty((0, 3)), ValueError, "at least one row"),
        ([], ValueError, "at least one row"),
        ([X, X[:, :1]], ValueError, "one number of channels, got 2 and 1"),
        ([[1.0, np.nan]], ValueError, "finite numbers"),
        (np.array([["a"]]), TypeError, "real numbers"),
        ("text", TypeError, "an array or batches of arrays, got str"),
        (None, TypeError, "got NoneType"),
        (3, TypeError, "got int"),
    ],
)
def test_data_without_moments_are_refused(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Normalization().adapt(data)


def test_adapt_sets_what_was_learnt() -> None:
    layer = Normalization()
    layer.adapt(X)
    assert layer.mean == tuple(X.mean(0))
    np.testing.assert_allclose(layer.variance, X.var(0), rtol=1e-12)
    assert Normalization.from_config(layer.get_config()) == layer
    scalar = Normalization(axis=None)
    scalar.adapt(X)
    assert isinstance(scalar.mean, float)
    assert scalar.mean == pytest.approx(X.mean())


def drawn(model: Sequential) -> list[np.ndarray[Any, Any]]:
    return model.get_weights()[:2]


def test_adapt_before_and_after_the_layer_is_in_a_model() -> None:
    before, waiting, after = Normalization(), Normalization(), Normalization()
    before.adapt(X)
    models = [
        Sequential([before, Dense(1)]),
        Sequential([waiting, Dense(1)]),
        Sequential([Input((2,)), after, Dense(1)]),
    ]
    waiting.adapt(X)
    after.adapt(X)
    for model in models:
        if not model.built:
            model.build((2,))
        np.testing.assert_allclose(drawn(model), [X.mean(0), X.var(0)], rtol=1e-6)
        assert model.layers[0].mean == before.mean


def test_adapt_after_weights_were_drawn_goes_through_the_model() -> None:
    layer = Normalization()
    model = Sequential([Input((2,)), layer, Dense(1)])
    np.testing.assert_array_equal(drawn(model), [[0, 0], [1, 1]])
    with pytest.raises(ValueError, match=r"model.get_layer\('normalization'\).adapt\(data\)"):
        layer.adapt(X)
    rest = model.get_weights()[2:]
    model.get_layer("normalization").adapt(X)
    np.testing.assert_allclose(drawn(model), [X.mean(0), X.var(0)], rtol=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(rest, model.get_weights()[2:], strict=True))
    again = Sequential.from_config(model.get_config())
    np.testing.assert_array_equal(drawn(again), drawn(model))
    with pytest.raises(TypeError, match="adapt expects a layer such as Normalization, got Dense"):
        model.layers[1].adapt(X)


def test_adapt_through_a_model_that_waits_for_its_shape() -> None:
    model = Sequential([Normalization(), Dense(1)])
    model.layers[0].adapt(X)
    model.build((2,))
    np.testing.assert_allclose(drawn(model), [X.mean(0), X.var(0)], rtol=1e-6)


def test_the_instruction() -> None:
    found = instruction_of(Normalization(mean=1.0, variance=2.0), (4, 3))
    assert (found.op, found.params, found.attributes) == ("normalize", (0, 1), (("epsilon", 1e-7), ("invert", False)))
    assert operations(Normalization(axis=None), (4, 3)) == ["reshape", "normalize", "reshape"]
    assert operations(Normalization(axis=None), (1,)) == ["normalize"]
    assert not any(weight.trainable for weight in Normalization().weights((3,)))
    assert [weight.shape for weight in Normalization(axis=None).weights((3,))] == [(), ()]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Normalization(mean=1.0), ValueError, "must be given together"),
        (lambda: Normalization(mean=(1.0, 2.0), variance=(1.0,)), ValueError, "of one length"),
        (lambda: Normalization(mean=1.0, variance=-1.0), ValueError, "variance must not be negative"),
        (lambda: Normalization(None, (1.0, 2.0), (1.0, 2.0)), ValueError, "one number with axis=None"),
        (
            lambda: Normalization(mean=[[1.0]], variance=[[1.0]]),
            ValueError,
            r"one for each channel, got shape \(1, 1\)",
        ),
        (lambda: Normalization(invert=1), TypeError, "invert must be True or False"),
        (lambda: Normalization(axis=1).output_shape((4, 3)), ValueError, "last axis only, got axis=1"),
        (lambda: Normalization(axis=(1, 2)), TypeError, "axis must be a whole number"),
        (lambda: Normalization(-1, (1.0, 2.0), (1.0, 2.0)).output_shape((3,)), ValueError, "has 2 channels"),
    ],
)
def test_a_wrong_setting_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("settings", [{}, {"axis": None}, {"invert": True}], ids=str)
def test_a_model_standardizes(backend: str, settings: dict[str, Any]) -> None:
    layer = Normalization(**settings)
    layer.adapt(X)
    model = Sequential([Input((2,)), layer])
    model.compile("sgd", "mse", backend=backend, precision="float64")
    axis = None if "axis" in settings else 0
    expected = X.mean(0) + X.std(0) * X if "invert" in settings else (X - X.mean(axis)) / X.std(axis)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-9)
