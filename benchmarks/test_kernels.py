"""One kernel a test, for `pytest benchmarks/test_kernels.py --benchmark-only`; the first is a call that does nothing.

Each runs a network of one layer forward and backward through the public `loss_and_gradients`, so that the difference
from the empty call is what the layer costs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastann import Sequential, layers
from fastann.layers import Dense, Flatten, Input

ROWS = 128
pytest.importorskip("pytest_benchmark")

CASES: dict[str, tuple[tuple[int, ...], list[Any]]] = {
    "empty": ((1,), []),
    "dense_784_128": ((784,), [Dense(128)]),
    "dense_relu_784_128": ((784,), [Dense(128, "relu")]),
    "dense_tanh_784_128": ((784,), [Dense(128, "tanh")]),
    "dense_2048_2048": ((2048,), [Dense(2048)]),
    "softmax_128": ((128,), [layers.Softmax()]),
    "batch_normalization_128": ((128,), [layers.BatchNormalization()]),
    "layer_normalization_128": ((128,), [layers.LayerNormalization()]),
    "dropout_784": ((784,), [layers.Dropout(0.5)]),
    "conv2d_28x28_32": ((28, 28, 1), [layers.Conv2D(32, 3, activation="relu"), Flatten()]),
    "max_pooling_26x26_32": ((26, 26, 32), [layers.MaxPooling2D(2), Flatten()]),
}


@pytest.mark.parametrize("backend", ["numba", "jax"])
@pytest.mark.parametrize("name", CASES)
def test_kernel(benchmark: Any, name: str, backend: str) -> None:
    pytest.importorskip(backend)
    shape, stages = CASES[name]
    model = Sequential([Input(shape), *stages, Dense(1)], seed=0)
    model.compile("sgd", "mse", backend=backend)
    rng = np.random.default_rng(0)
    x, y = rng.random((ROWS, *shape), np.float32), rng.random((ROWS, 1), np.float32)
    model.loss_and_gradients(x, y, training=True)
    loss, _ = benchmark(model.loss_and_gradients, x, y, training=True)
    assert np.isfinite(loss)
