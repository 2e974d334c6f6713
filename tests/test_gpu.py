"""JAX on a GPU against JAX on the CPU: the same trainings, and what each precision does there."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from fastann import Sequential
from fastann.layers import Conv2D, Dense, Dropout, Flatten, Input

jax = pytest.importorskip("jax")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(jax.default_backend() != "gpu", reason="JAX has no GPU here"),
]

NETWORKS: dict[str, tuple[tuple[int, ...], Any]] = {
    "dense": ((20,), lambda: [Dense(64, "relu"), Dropout(0.2), Dense(3, "softmax")]),
    "images": ((8, 8, 4), lambda: [Conv2D(8, 3, activation="tanh"), Flatten(), Dense(3, "softmax")]),
}


def trained(name: str, precision: str, device: str) -> tuple[list[float], Any]:
    """Return the losses of some epochs and the predictions after them."""
    shape, layers = NETWORKS[name]
    rng = np.random.default_rng(1)
    x = rng.standard_normal((500, *shape)).astype(np.float32)
    y = (x.reshape(500, -1) @ rng.standard_normal((int(np.prod(shape)), 3))).argmax(axis=1)
    with jax.default_device(jax.devices("cpu")[0]) if device == "cpu" else nullcontext():
        model = Sequential([Input(shape), *layers()], seed=2)
        model.compile("adam", "sparse_categorical_crossentropy", backend="jax", precision=precision)
        losses = model.fit(x, y, batch_size=32, epochs=4, verbose=0).history["loss"]
        return losses, model.predict(x, verbose=0)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float64", 1e-9), ("float32", 1e-4), ("tensorfloat32", 1e-2), ("bfloat16", 3e-2)]
)
def test_a_training_is_the_one_on_the_cpu(name: str, precision: str, tolerance: float) -> None:
    (here, outputs), (there, expected) = trained(name, precision, "gpu"), trained(name, precision, "cpu")
    np.testing.assert_allclose(here, there, rtol=tolerance)
    np.testing.assert_allclose(outputs, expected, atol=10 * tolerance)


def test_float32_is_not_rounded_and_the_others_are() -> None:
    """Error of one product of 2,048 terms, relative to the largest sum: each precision has its own order of size."""
    rng = np.random.default_rng(3)
    x, W = rng.standard_normal((64, 2048)).astype(np.float32), rng.standard_normal((2048, 64)).astype(np.float32)
    exact = x.astype(np.float64) @ W
    errors = {}
    for precision in ("float32", "tensorfloat32", "bfloat16"):
        model = Sequential([Input((2048,)), Dense(64)], seed=4)
        model.compile("sgd", "mse", backend="jax", precision=precision)
        model.set_weights([W, np.zeros(64)])
        errors[precision] = np.abs(model.predict(x, verbose=0) - exact).max() / np.abs(exact).max()
    assert errors["float32"] < 2e-6
    assert errors["float32"] < errors["tensorfloat32"] < 2e-3
    assert errors["tensorfloat32"] < errors["bfloat16"] < 2e-2


def test_a_step_as_a_cuda_graph_trains_like_fastann() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    from fastann.bench.cases import Case
    from fastann.bench.contenders.ours import JaxOnDevice
    from fastann.bench.contenders.torch_device import Graphed

    case = Case((20, 64, 3), 32, 320, "gpu")
    ours = JaxOnDevice(case)
    peer = Graphed(case, ours.weights())
    orders = ours.orders(2)
    np.testing.assert_allclose([peer.epoch(o) for o in orders], [ours.epoch(o) for o in orders], rtol=1e-3)
