"""JAX by hand: an epoch is one jitted `lax.scan` with optax, data on the device, state donated."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastann.bench.cases import SEED, Case
from fastann.bench.contenders.base import EPSILON, LEARNING_RATE, EpochByEpoch, Order, Weights


class Scan(EpochByEpoch):
    """Dense networks."""

    def __init__(self, case: Case, weights: Weights) -> None:
        import jax
        import jax.numpy as jnp
        import optax

        self.case = case
        self.jax: Any = jax
        self.rng = np.random.default_rng(SEED)
        self.x, self.y = (jax.device_put(a) for a in case.data())
        optimizer = optax.adam(LEARNING_RATE, eps=EPSILON)
        params = [tuple(map(jnp.array, pair)) for pair in zip(weights[::2], weights[1::2], strict=True)]
        self.state: Any = (params, optimizer.init(params))
        forward, binary = self.forward, self.y.dtype == jnp.float32

        def loss(params: Any, x: Any, y: Any) -> Any:
            logits = forward(params, x)
            if binary:
                return optax.sigmoid_binary_cross_entropy(logits, y).mean()
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        def epoch(state: Any, x: Any, y: Any, order: Any) -> Any:
            def step(state: Any, rows: Any) -> Any:
                params, moments = state
                value, grads = jax.value_and_grad(loss)(params, jnp.take(x, rows, axis=0), jnp.take(y, rows, axis=0))
                updates, moments = optimizer.update(grads, moments, params)
                return (optax.apply_updates(params, updates), moments), value

            state, losses = jax.lax.scan(step, state, order.reshape(-1, case.batch_size))
            return state, losses.mean()

        self.run = jax.jit(epoch, donate_argnums=0)
        device = jax.devices()[0]
        self.about = {"jax": jax.__version__, "optax": optax.__version__, "device": device.device_kind}

    def forward(self, params: Any, x: Any) -> Any:
        """Return logits."""
        for kernel, bias in params[:-1]:
            x = self.jax.nn.relu(x @ kernel + bias)
        return x @ params[-1][0] + params[-1][1]

    def epoch(self, order: Order | None = None) -> float:
        """Train one epoch."""
        rows = self.rng.permutation(self.case.rows) if order is None else order
        self.state, loss = self.run(self.state, self.x, self.y, rows.astype(np.int32))
        self.jax.block_until_ready(self.state)
        return float(loss)


class Images(Scan):
    """Convolution by `lax.conv_general_dilated`, pooling by `lax.reduce_window`, as Flax does it."""

    def forward(self, params: Any, x: Any) -> Any:
        """Return logits."""
        jax, lax = self.jax, self.jax.lax
        (kernel, bias), (hidden, hidden_bias), (last, last_bias) = params
        x = lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + bias)
        x = lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = jax.nn.relu(x.reshape(len(x), -1) @ hidden + hidden_bias)
        return x @ last + last_bias
