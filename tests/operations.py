"""How one instruction is tested: its values, its gradients, and that neither backend, team nor precision matters."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from fastann_kernels.backend import Executor, HostState, Record, available_backends, get_backend
from fastann_kernels.program import Program, UpdateRule
from numpy.typing import NDArray

from tests.comparisons import central_differences, close
from tests.programs import Chain, loss_on, no_penalties, parameters_for, state_for, steps_for

Array = NDArray[np.float64]

#: Of the step that gradients are compared at, and of the stretches of training.
KEY = (2**31 + 7, 11)


class Network(NamedTuple):
    """A program whose output is the value under test, with a dense layer and a loss behind it, parameters and data."""

    program: Program
    params: Array
    x: Array
    y: Array


def network(chain: Chain, x: Array | int, value: int | None = None, seed: int = 0) -> Network:
    """Complete a chain whose last value (or `value`) is under test; x (B, columns), or B to draw it."""
    rng = np.random.default_rng(seed)
    value = len(chain.values) - 1 if value is None else value
    if not isinstance(x, np.ndarray):
        x = rng.normal(size=(x, sum(chain.values[i].size for i in chain.inputs)))
    flat = chain.emit("reshape", value, (chain.values[value].size,))
    chain.dense(2, x=flat)
    program = chain.program((loss_on(chain, "mean_squared_error"),), update=UpdateRule("sgd"), outputs=(value,))
    params = parameters_for(program, rng)
    for p in program.parameters:
        if p.name.endswith("variance"):
            params[p.offset : p.offset + p.size] = rng.uniform(0.5, 2, p.size)
    return Network(program, params, x, rng.normal(size=(len(x), 2)))


def parameter(net: Network, name: str, params: Array | None = None) -> Array:
    """Return a tensor of the network by its name."""
    [p] = [p for p in net.program.parameters if p.name == name]
    flat = net.params if params is None else params
    return np.asarray(flat[p.offset : p.offset + p.size].reshape(p.shape))


def executor_for(net: Network, backend: str, precision: str = "float64", members: int = 0) -> Executor:
    """Return the executor of a backend, with a team of `members` if any are asked for."""
    executor = get_backend(backend).executor(net.program, precision)
    if members:
        executor._members = lambda batch: members  # type: ignore[attr-defined]
    return executor


def predict(net: Network, backend: str, batch_size: int = 3) -> Array:
    """Return the value under test (B, *shape), outside of training."""
    executor = executor_for(net, backend)
    got = executor.predict(executor.put_state(state_for(net.program, net.params)), net.x, batch_size)
    return np.asarray(got.reshape(len(net.x), *net.program.values[net.program.outputs[0]].shape))


def train(
    net: Network, backend: str, batch_size: int = 3, lr: float = 0.05, precision: str = "float64", members: int = 0
) -> tuple[HostState, Record]:
    """Run two epochs in an order that does not divide into batches, the outputs collected."""
    executor = executor_for(net, backend, precision, members)
    data = executor.put_data(net.x.astype(precision), net.y.astype(precision))
    steps = steps_for(net.program, len(net.x), batch_size, epochs=2, numbers={"lr": lr}, key=KEY, first_step=5)
    state = executor.put_state(state_for(net.program, net.params, precision))
    state, record = executor.train(state, data, replace(steps, collect_outputs=True))
    return executor.get_state(state), record


def training_batches(net: Network, batch_size: int = 3) -> list[NDArray[np.int64]]:
    """Return the rows of each step of `train`."""
    order = steps_for(net.program, len(net.x), batch_size, epochs=2).order
    assert order is not None
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def training_values(net: Network, backend: str, batch_size: int = 3) -> list[Array]:
    """Return the value under test (B, *shape) in each step of `train`, without any update."""
    outputs = train(net, backend, batch_size, lr=0.0)[1].outputs
    assert outputs is not None
    shape = net.program.values[net.program.outputs[0]].shape
    ends = np.cumsum([len(rows) for rows in training_batches(net, batch_size)])[:-1]
    return np.split(outputs.reshape(-1, *shape), ends)


def gradient(net: Network, backend: str, key: tuple[int, int] | None = None) -> Array:
    """Return the gradient of all parameters on all rows as one batch; without a key as outside of training."""
    executor = executor_for(net, backend)
    state = executor.put_state(state_for(net.program, net.params))
    return np.asarray(executor.gradients(state, executor.put_data(net.x, net.y), no_penalties(net.program), key)[1])


def check_gradients(net: Network, backend: str, key: tuple[int, int] | None = KEY) -> Array:
    """Compare the gradient of trained parameters with central differences; without a key as outside of training."""
    executor = executor_for(net, backend)
    data, none = executor.put_data(net.x, net.y), no_penalties(net.program)

    def loss(params: Array) -> float:
        return executor.gradients(executor.put_state(state_for(net.program, params)), data, none, key)[0]

    found = gradient(net, backend, key)
    trained = np.zeros(net.params.size, bool)
    for p in net.program.parameters:
        trained[p.offset : p.offset + p.size] = p.trainable
    numeric = central_differences(loss, net.params)[trained]
    error = np.linalg.norm(found[trained] - numeric)
    assert error <= 1e-6 * max(float(np.linalg.norm(numeric)), 1e-3), "gradient against central differences"
    return np.where(trained, found, 0.0)


def check_everywhere(net: Network, lr: float = 0.05) -> None:
    """Train on both backends, with teams and in single precision: all end where Numba alone in float64 ends.

    The last batch is short, and of a team of three one member has no row of it.
    """
    if "numba" not in available_backends():
        pytest.skip("numba is not installed")
    alone, record = train(net, "numba", lr=lr)
    for members in (2, 3):
        team, team_record = train(net, "numba", lr=lr, members=members)
        close(team.params, alone.params, 1e-12, f"parameters of a team of {members}")
        close(team_record.losses, record.losses, 1e-12, f"losses of a team of {members}")
        close(team_record.outputs, record.outputs, 1e-12, f"values of a team of {members}")
    single, single_record = train(net, "numba", lr=lr, precision="float32")
    assert single.params.dtype == np.float32
    close(single.params, alone.params, 2e-4, "parameters in single precision")
    close(single_record.losses, record.losses, 2e-4, "losses in single precision")
    if "jax" in available_backends():
        other, other_record = train(net, "jax", lr=lr)
        close(other.params, alone.params, 1e-10, "parameters on JAX")
        close(other_record.losses, record.losses, 1e-10, "losses on JAX")
        close(other_record.outputs, record.outputs, 1e-10, "values on JAX")


def evaluate(net: Network, backend: str, batch_size: int = 3) -> Record:
    """Return the record of an evaluation."""
    executor = executor_for(net, backend)
    state = executor.put_state(state_for(net.program, net.params))
    return executor.evaluate(state, executor.put_data(net.x, net.y), batch_size, no_penalties(net.program))
