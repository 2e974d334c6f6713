"""Programs and data for the kernel tests, built by hand so that the kernels are tested without the network API."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from fastann_kernels.backend import HostState, Steps
from fastann_kernels.program import (
    ACTIVATION_ALPHA,
    SPARSE,
    Attribute,
    Instruction,
    Loss,
    Metric,
    Parameter,
    Program,
    UpdateRule,
    Value,
)
from numpy.typing import NDArray

Array = NDArray[np.float64]

CROSSENTROPIES = ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")


class Chain:
    """A network under construction; each method adds an instruction and returns the number of the value it makes."""

    def __init__(self, *input_shape: int) -> None:
        self.values = [Value(input_shape)]
        self.inputs = [0]
        self.instructions: list[Instruction] = []
        self.parameters: list[Parameter] = []

    def input(self, *shape: int) -> int:
        """Add one more input."""
        self.values.append(Value(shape))
        self.inputs.append(len(self.values) - 1)
        return self.inputs[-1]

    def emit(
        self,
        op: str,
        x: int | tuple[int, ...],
        shape: tuple[int, ...],
        params: tuple[int, ...] = (),
        **attributes: Attribute,
    ) -> int:
        self.values.append(Value(shape))
        output, inputs = len(self.values) - 1, (x,) if isinstance(x, int) else x
        self.instructions.append(Instruction(op, inputs, output, params, tuple(sorted(attributes.items()))))
        return output

    def parameter(self, name: str, shape: tuple[int, ...], trainable: bool = True, decay: bool = True) -> int:
        offset = sum(p.size for p in self.parameters)
        self.parameters.append(Parameter(name, shape, offset, trainable, decay, penalized=True))
        return len(self.parameters) - 1

    def dense(
        self,
        units: int,
        activation: str = "linear",
        x: int | None = None,
        bias: bool = True,
        trainable: bool = True,
        alpha: float | None = None,
    ) -> int:
        """Add z = x @ W + b and f(z); softmax and log_softmax become an instruction of their own."""
        x = len(self.values) - 1 if x is None else x
        shape, number = self.values[x].shape, len(self.instructions)
        params = (self.parameter(f"dense_{number}/kernel", (shape[-1], units), trainable),)
        if bias:
            params += (self.parameter(f"dense_{number}/bias", (units,), trainable, decay=False),)
        alone = activation in ("softmax", "log_softmax")
        alpha = ACTIVATION_ALPHA.get(activation, 0.0) if alpha is None else alpha
        inside: dict[str, Attribute] = {
            "activation": "linear" if alone else activation,
            "alpha": 0.0 if alone else alpha,
        }
        z = self.emit("dense", x, (*shape[:-1], units), params, use_bias=bias, **inside)
        return self.activation(activation, z) if alone else z

    def activation(self, name: str, x: int | None = None, alpha: float | None = None) -> int:
        x = len(self.values) - 1 if x is None else x
        alpha = ACTIVATION_ALPHA.get(name, 0.0) if alpha is None else alpha
        return self.emit("activation", x, self.values[x].shape, activation=name, alpha=alpha)

    def dropout(self, rate: float, stream: int = 0, x: int | None = None) -> int:
        x = len(self.values) - 1 if x is None else x
        return self.emit("dropout", x, self.values[x].shape, rate=rate, stream=stream)

    def reshape(self, *shape: int) -> int:
        return self.emit("reshape", len(self.values) - 1, shape)

    def program(
        self,
        losses: tuple[Loss, ...] = (),
        metrics: tuple[Metric, ...] = (),
        update: UpdateRule | None = None,
        outputs: tuple[int, ...] | None = None,
    ) -> Program:
        return Program(
            values=tuple(self.values),
            inputs=tuple(self.inputs),
            outputs=outputs or (len(self.values) - 1,),
            instructions=tuple(self.instructions),
            parameters=tuple(self.parameters),
            losses=losses,
            metrics=metrics,
            update=update,
        )


def loss_on(chain: Chain, op: str, prediction: int | None = None, **settings: object) -> Loss:
    """Return a loss on `prediction` (by default the last value) with the target shape that it needs."""
    prediction = len(chain.values) - 1 if prediction is None else prediction
    shape = chain.values[prediction].shape
    target = shape[:-1] if op in SPARSE else shape
    return replace(Loss(op, prediction, target_shape=target), **settings)  # type: ignore[arg-type]


def columns(shape: tuple[int, ...]) -> int:
    """Columns that a target of this shape takes in the packed matrix."""
    return prod(shape)


def targets_for(loss: Loss, width: int, rows: int, rng: np.random.Generator) -> Array:
    """Draw a target (rows, columns) in the range where `loss` is defined."""
    count = prod(loss.target_shape)
    positions = prod(loss.target_shape[:-1])
    if loss.op == "sparse_categorical_crossentropy":
        return rng.integers(0, width, (rows, count)).astype(float)
    if loss.op in ("categorical_crossentropy", "categorical_hinge"):
        return np.eye(width)[rng.integers(0, width, (rows, positions))].reshape(rows, count)
    if loss.op in ("binary_crossentropy", "hinge", "squared_hinge"):
        y = rng.integers(0, 2, (rows, count)).astype(float)
        return y if loss.op == "binary_crossentropy" else 2 * y - 1
    if loss.op == "kl_divergence":
        y = rng.uniform(0.1, 1, (rows, positions, width))
        return (y / y.sum(-1, keepdims=True)).reshape(rows, count)
    if loss.op in ("poisson", "mean_squared_logarithmic_error", "mean_absolute_percentage_error"):
        return rng.uniform(0.5, 3, (rows, count))
    return rng.normal(size=(rows, count))


def parameters_for(program: Program, rng: np.random.Generator, scale: float = 0.6, bias: float = 0.1) -> Array:
    """Draw a flat vector: kernels normal with `scale`, biases normal about `bias`."""
    flat = np.empty(program.parameter_count)
    for p in program.parameters:
        centre = bias if len(p.shape) == 1 else 0.0
        flat[p.offset : p.offset + p.size] = rng.normal(centre, scale, p.size)
    return flat


def state_for(program: Program, params: Array, dtype: str = "float64") -> HostState:
    """Return the state before the first update: every slot at its initial value."""
    initial = program.update.slots if program.update else ()
    slots = np.repeat(np.array(initial, dtype).reshape(-1, 1), program.parameter_count, axis=1)
    return HostState(params.astype(dtype), np.ascontiguousarray(slots))


def no_penalties(program: Program) -> Array:
    return np.zeros((len(program.parameters), 2))


def steps_for(
    program: Program,
    rows: int,
    batch_size: int,
    epochs: int = 1,
    numbers: dict[str, float] | None = None,
    seed: int = 0,
    **settings: object,
) -> Steps:
    """Return shuffled steps over `rows` rows with the same coefficients in each, those in `numbers` and zeros.

    `epochs` permutations follow each other in one order, so a batch may hold the end of one and the start of the next.
    """
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(rows) for _ in range(epochs)])
    names = program.update.columns if program.update else ()
    row = np.array([float((numbers or {}).get(name, 0.0)) for name in names])
    count = -(-len(order) // batch_size)
    steps = Steps(order, batch_size, 0, np.tile(row, (count, 1)), no_penalties(program))
    return replace(steps, **settings)  # type: ignore[arg-type]
