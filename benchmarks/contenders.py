"""The libraries that are compared, each as it would be used: one class a contender, each trains whole epochs with Adam.

Every contender gets the same data, the same initial weights (kernels (in, out)), relu hidden layers, learning rate 1e-3
and epsilon 1e-7. fastann, like Keras, adds epsilon before the bias correction, PyTorch and optax after it: theirs is
smaller by sqrt(1 - beta_2^t), which the losses show in the fourth digit. An epoch includes drawing its order and
gathering its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Order = NDArray[np.int64]
LEARNING_RATE, EPSILON, SEED = 1e-3, 1e-7, 20


@dataclass(frozen=True)
class Case:
    """A network by its widths, the size of a batch, and rows in a multiple of it, so that no batch is short."""

    widths: tuple[int, ...]
    batch_size: int
    rows: int

    @property
    def name(self) -> str:
        return "-".join(map(str, self.widths)) + f" at {self.batch_size}"

    @property
    def network(self) -> Any:
        """What it is, for the result file."""
        return self.widths

    def smaller(self) -> Case:
        """Return the case with few rows."""
        return replace(self, rows=2_048)

    @property
    def steps(self) -> int:
        """Updates an epoch."""
        return self.rows // self.batch_size

    def data(self) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Draw standardised rows and the labels that a random linear map with noise gives them."""
        rng = np.random.default_rng(SEED)
        x = rng.normal(size=(self.rows, self.widths[0])).astype(np.float32)
        score = x @ rng.normal(size=self.widths[:: len(self.widths) - 1]) / np.sqrt(self.widths[0])
        score += 0.5 * rng.normal(size=score.shape)
        if self.widths[-1] == 1:
            return x, (score > 0).astype(np.float32)
        return x, score.argmax(axis=1)


class Contender(Protocol):
    """Built in a process of its own from the name of a case; `about` says what ran."""

    about: dict[str, Any]

    def epoch(self, order: Order | None = None) -> float:
        """Train one epoch in the given or a random order, and return the mean loss over its batches."""

    def epochs(self, count: int) -> None:
        """Train epochs in random orders, one after another."""


class Fastann:
    """`Model.fit`: checks of arguments and data belong to a call, whatever its epochs."""

    def __init__(self, case: Case, backend: str) -> None:
        from fastann_kernels.backend import get_backend

        import fastann

        self.case = case
        self.x, self.y = case.data()
        self.model = fastann.Sequential(self.layers(case), seed=SEED)
        optimizer = fastann.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON)
        loss = "binary_crossentropy" if self.y.dtype == np.float32 else "sparse_categorical_crossentropy"
        self.model.compile(optimizer, loss, backend=backend)
        self.about = {"fastann": fastann.__version__, **get_backend(backend).describe()}

    def layers(self, case: Case) -> list[Any]:
        """Return the layers of the network."""
        from fastann.layers import Dense, Input

        *hidden, last = case.widths[1:]
        output = Dense(last, "sigmoid" if last == 1 else "softmax")
        return [Input((case.widths[0],)), *(Dense(units, "relu") for units in hidden), output]

    def epoch(self, order: Order | None = None) -> float:
        """Train one epoch; its order is always the model's own, which `orders` tells."""
        history = self.model.fit(self.x, self.y, batch_size=self.case.batch_size, epochs=1, verbose=0)
        return float(history.history["loss"][-1])

    def weights(self) -> list[NDArray[np.float32]]:
        return [np.asarray(w) for w in self.model.get_weights()]

    def epochs(self, count: int) -> None:
        self.model.fit(self.x, self.y, batch_size=self.case.batch_size, epochs=count, verbose=0)

    def orders(self, epochs: int) -> list[Order]:
        """Return the orders of the next epochs."""
        from fastann.random import epoch_order

        first = self.model.epochs_trained
        return [epoch_order(self.model.seed, first + e, self.case.rows) for e in range(epochs)]


class Numba(Fastann):
    def __init__(self, case: Case, weights: Sequence[NDArray[np.float32]] | None = None) -> None:
        super().__init__(case, "numba")


class Jax(Fastann):
    def __init__(self, case: Case, weights: Sequence[NDArray[np.float32]] | None = None) -> None:
        super().__init__(case, "jax")


class EpochByEpoch:
    """Contenders whose users write the loop over epochs themselves."""

    epoch: Callable[..., float]

    def epochs(self, count: int) -> None:
        for _ in range(count):
            self.epoch()


class Torch(EpochByEpoch):
    """Eager PyTorch: `nn.Sequential`, `torch.optim.Adam`, rows indexed by a permutation."""

    def __init__(self, case: Case, weights: Sequence[NDArray[np.float32]]) -> None:
        import torch

        self.torch, self.case = torch, case
        x, y = case.data()
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        self.network = self.build(weights)
        self.loss = torch.nn.BCEWithLogitsLoss() if y.dtype == np.float32 else torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE, eps=EPSILON)
        self.about = {"torch": torch.__version__, "threads": torch.get_num_threads()}

    def linear(self, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> Any:
        """Return a dense layer with these weights."""
        linear = self.torch.nn.Linear(*kernel.shape)
        with self.torch.no_grad():
            linear.weight.copy_(self.torch.tensor(kernel.T))
            linear.bias.copy_(self.torch.tensor(bias))
        return linear

    def build(self, weights: Sequence[NDArray[np.float32]]) -> Any:
        """Return the network with its first weights; the last layer gives logits."""
        modules: list[Any] = []
        for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
            modules += [self.linear(kernel, bias), self.torch.nn.ReLU()]
        return self.torch.nn.Sequential(*modules[:-1])

    def epoch(self, order: Order | None = None) -> float:
        rows = self.torch.randperm(self.case.rows) if order is None else self.torch.from_numpy(order)
        total = self.torch.zeros(())
        for batch in rows.split(self.case.batch_size):
            self.optimizer.zero_grad()
            loss = self.loss(self.network(self.x[batch]), self.y[batch])
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return float(total) / self.case.steps


class JaxScan(EpochByEpoch):
    """JAX by hand: an epoch is one jitted `lax.scan` with optax, data on the device, state donated."""

    def __init__(self, case: Case, weights: Sequence[NDArray[np.float32]]) -> None:
        import jax
        import jax.numpy as jnp
        import optax

        self.case, self.jax = case, jax
        self.rng = np.random.default_rng(SEED)
        self.x, self.y = (jax.device_put(a) for a in case.data())
        optimizer = optax.adam(LEARNING_RATE, eps=EPSILON)
        params = [tuple(map(jnp.array, pair)) for pair in zip(weights[::2], weights[1::2], strict=True)]
        self.state = params, optimizer.init(params)

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
        rows = self.rng.permutation(self.case.rows) if order is None else order
        self.state, loss = self.run(self.state, self.x, self.y, rows.astype(np.int32))
        self.jax.block_until_ready(self.state)
        return float(loss)


@dataclass(frozen=True)
class Entry:
    """A contender in the table: its title and the packages it needs."""

    title: str
    needs: tuple[str, ...]
    build: type[Any]


CONTENDERS: dict[str, Entry] = {
    "numba": Entry("fastann, Numba", ("numba",), Numba),
    "jax": Entry("fastann, JAX", ("jax",), Jax),
    "torch": Entry("PyTorch, eager", ("torch",), Torch),
    "scan": Entry("JAX lax.scan + optax", ("jax", "optax"), JaxScan),
}
