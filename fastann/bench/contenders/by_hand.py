"""JAX by hand without optax, in any precision: an epoch is one jitted `lax.scan`, data on the device, state donated.

In bfloat16 it is what Flax makes of `dtype=bfloat16`: activations and products in it, weights and moments in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastann.bench.cases import SEED, Case
from fastann.bench.contenders.base import EPSILON, LEARNING_RATE, EpochByEpoch, Order, Weights

BETA_1, BETA_2 = 0.9, 0.999


class ByHand(EpochByEpoch):
    """Dense networks."""

    def __init__(self, case: Case, weights: Weights) -> None:
        import jax
        import jax.numpy as jnp

        self.case = case
        self.jax: Any = jax
        self.rng = np.random.default_rng(SEED)
        self.x, self.y = (jax.device_put(a) for a in case.data())
        params = [tuple(map(jnp.array, pair)) for pair in zip(weights[::2], weights[1::2], strict=True)]
        zeros = [jax.tree.map(jnp.zeros_like, params) for _ in range(2)]
        self.state: Any = (params, *zeros, jnp.zeros(()))
        self.run = jax.jit(self.trained, donate_argnums=0)
        self.about = {"jax": jax.__version__, "device": jax.devices()[0].device_kind}

    def forward(self, params: Any, x: Any) -> Any:
        """Return logits in float32."""
        jnp, lax = self.jax.numpy, self.jax.lax
        rounded = self.case.precision == "bfloat16"
        asked = {"float32": lax.Precision.HIGHEST, "tensorfloat32": lax.Precision.HIGH}.get(self.case.precision)
        if rounded:
            params, x = self.jax.tree.map(lambda a: a.astype(jnp.bfloat16), (params, x))
        for place, (kernel, bias) in enumerate(params):
            x = jnp.matmul(x, kernel, precision=asked) + bias
            x = self.jax.nn.relu(x) if place < len(params) - 1 else x
        return x.astype(jnp.float32)

    def loss(self, params: Any, x: Any, y: Any) -> Any:
        """Return the mean cross-entropy of a batch."""
        jax, jnp = self.jax, self.jax.numpy
        z = self.forward(params, x)
        if self.y.dtype == jnp.float32:
            return (jax.nn.softplus(z) - z * y).mean()
        return (jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, y[:, None], axis=1)[:, 0]).mean()

    def trained(self, state: Any, x: Any, y: Any, order: Any) -> Any:
        """Return the state after an epoch and its mean loss."""
        jax, jnp = self.jax, self.jax.numpy

        def step(state: Any, rows: Any) -> Any:
            params, m, v, t = state
            value, grads = jax.value_and_grad(self.loss)(params, x[rows], y[rows])
            t = t + 1
            m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, grads)
            v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, grads)
            first, second = LEARNING_RATE / (1 - BETA_1**t), 1 / (1 - BETA_2**t)
            params = jax.tree.map(lambda w, m, v: w - first * m / (jnp.sqrt(second * v) + EPSILON), params, m, v)
            return (params, m, v, t), value

        state, losses = jax.lax.scan(step, state, order.reshape(-1, self.case.batch_size))
        return state, losses.mean()

    def epoch(self, order: Order | None = None) -> float:
        """Train one epoch."""
        rows = self.rng.permutation(self.case.rows) if order is None else order
        self.state, loss = self.run(self.state, self.x, self.y, rows.astype(np.int32))
        self.jax.block_until_ready(self.state)
        return float(loss)
