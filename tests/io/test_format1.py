"""A file written by the first release stays readable; `data/format1.fastann` is never to be written again.

It holds a network of most layers of that release, 6-5-4-3, trained for three epochs. The numbers below were recorded
when the file was written: what the model predicted, and how the losses went on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastann import load_model
from fastann.losses import CategoricalCrossentropy
from fastann.optimizers import AdamW
from fastann.schedules import CosineDecay

FILE = Path(__file__).parent / "data" / "format1.fastann"

X = (np.arange(144).reshape(24, 2, 3) * 37 % 101) / 50.0 - 1.0
Y = np.eye(3)[np.arange(24) * 5 % 3]

PREDICTIONS = [
    [0.03204657509922981, 0.7780381441116333, 0.18991532921791077],
    [0.04166671261191368, 0.7362640500068665, 0.22206924855709076],
    [0.030743947252631187, 0.7838166356086731, 0.18543939292430878],
    [0.11510132998228073, 0.6100585460662842, 0.27484020590782166],
]
LEARNING_RATE = 0.0138268343236509
LOSSES = [1.4674476666871143, 1.3222480294216048]


def test_predictions_are_those_recorded() -> None:
    np.testing.assert_allclose(load_model(FILE).predict(X[:4], verbose=0), PREDICTIONS, rtol=1e-5)


def test_training_goes_on_as_recorded() -> None:
    model = load_model(FILE)
    assert (model.iterations, model.epochs_trained, model.seed) == (15, 3, 2026)
    assert model.learning_rate == pytest.approx(LEARNING_RATE, rel=1e-12)
    history = model.fit(X, Y, epochs=2, batch_size=5, verbose=0).history
    assert history["loss"] == pytest.approx(LOSSES, rel=1e-4)
    assert history["top"] == pytest.approx([2 / 3, 2 / 3])


def test_settings_are_those_written() -> None:
    model = load_model(FILE)
    names = ["flatten", "first", "dropout", "dense", "leaky_re_lu", "dense_1", "softmax"]
    assert [layer.name for layer in model.layers] == names
    first, dropout, relu = model.layers[1], model.layers[2], model.layers[4]
    assert (first.spec.units, first.spec.activation.name, first.spec.kernel_regularizer.l1) == (5, "gelu", 1e-4)
    assert (dropout.spec.rate, relu.spec.negative_slope) == (0.25, 0.05)
    spec = model.compile_spec
    assert spec.optimizer == AdamW(CosineDecay(0.02, 40), clipnorm=1.0, use_ema=True)
    assert spec.losses == (CategoricalCrossentropy(label_smoothing=0.1),)
    assert [metric.key for metric in spec.metrics] == ["accuracy", "top"]
    assert (spec.backend, spec.precision) == ("numba", "float32")
