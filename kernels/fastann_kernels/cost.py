"""What a step of training costs: the work in a `Program`, and the seconds that a device takes for each kind of it.

seconds of a step = sum over the kinds of work of amount * seconds a unit

A product of matrices (m, k) and (k, n) counts 2 m k n operations and the m k + k n + m n numbers that it reads and
writes. So the rate it is predicted to run at, 2 m k n / seconds, rises with its smallest side and saturates at
1 / `flops`, as that of a BLAS does.

On a CPU T threads share the rows of a batch, at most one a row, and handle an amount a of one kind

    1 + (T - 1) a / (a + T g)  times as fast,

where g is what makes one more thread worth the waiting for one another. Weights are not shared: every thread reads all
of them, and memory is no faster for two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any

from fastann_kernels.program import Instruction, Program

_CONVOLUTIONS = ("conv2d", "depthwise_conv2d")
_POOLS = ("max_pool2d", "average_pool2d")


@dataclass(frozen=True)
class Work:
    """The amount of each kind of work in one step, or the seconds that a unit of each takes.

    Attributes:
        steps: 1, for what every step costs.
        instructions: of the program, for what each costs however small it is.
        flops: of the matrix products of dense layers, forward and backward.
        operands: numbers that these products read and write.
        convolution_flops: of convolutions, forward and backward.
        elements: numbers that instructions put out and gradients of them.
        update_bytes: of weights, gradients and slots that the update rule reads and writes.
        far_bytes: of the same, those beyond what a cache holds, which come from memory.
        gathered_bytes: of the rows of the batch.
    """

    steps: float = 0.0
    instructions: float = 0.0
    flops: float = 0.0
    operands: float = 0.0
    convolution_flops: float = 0.0
    elements: float = 0.0
    update_bytes: float = 0.0
    far_bytes: float = 0.0
    gathered_bytes: float = 0.0

    def amounts(self) -> tuple[float, ...]:
        """Return the numbers in the order of `KINDS`."""
        return tuple(getattr(self, kind) for kind in KINDS)

    def seconds(self, unit: Work) -> float:
        """Return the seconds of this work where a unit of each kind takes those of `unit`."""
        return sum(amount * cost for amount, cost in zip(self.amounts(), unit.amounts(), strict=True))

    def as_dict(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any]) -> Work:
        """Make it of what `as_dict` returned; raises ValueError where a number is missing, negative or none."""
        if set(numbers) != set(KINDS):
            raise ValueError(f"expected the numbers {', '.join(KINDS)}, got {', '.join(numbers) or 'none'}.")
        for kind, number in numbers.items():
            if isinstance(number, bool) or not isinstance(number, int | float) or not 0.0 <= number < float("inf"):
                raise ValueError(f"{kind} must be a number of at least 0, got {number!r}.")
        return cls(**{kind: float(number) for kind, number in numbers.items()})


KINDS = tuple(field.name for field in fields(Work))

#: About 30 microseconds of one thread, as in the Numba backend; the other kinds are not shared.
_GRAIN = Work(flops=4e6, operands=2e5, convolution_flops=4e6, elements=1e5)

#: What an update may touch and find in a cache at the next step.
_NEAR_BYTES = float(8 << 20)


def work_of(program: Program, batch_size: int, precision: str = "float32", threads: int = 1) -> Work:
    """Return the work of a training step, losses and metrics left out.

    Args:
        program: lowered, with or without losses.
        batch_size: B.
        precision: in float64 every number is twice as many bytes and every operation counts twice.
        threads: how many may share the rows.
    """
    learnt = _learnt(program)
    flops = weights = operands = convolutions = elements = 0.0
    for instruction in program.instructions:
        rows = batch_size * prod(program.values[instruction.output].shape[:-1])
        passes = 1 + _trains(program, instruction) + any(value in learnt for value in instruction.inputs)
        if instruction.op == "dense":
            inner, outer = program.parameters[instruction.params[0]].shape
            flops += passes * 2.0 * rows * inner * outer
            operands += passes * rows * (inner + outer)
            weights += passes * inner * outer
        elif instruction.op in _CONVOLUTIONS:
            convolutions += passes * 2.0 * rows * program.parameters[instruction.params[0]].size
        elements += batch_size * _elements(program, instruction) * (1 + (instruction.output in learnt))
    width, members = 2.0 if precision == "float64" else 1.0, min(threads, batch_size)
    slots = 0 if program.update is None else len(program.update.slots)
    trainable = sum(parameter.size for parameter in program.parameters if parameter.trainable)
    update = width * 4.0 * (3 + 2 * slots) * trainable
    return Work(
        steps=1.0,
        instructions=float(len(program.instructions)),
        flops=width * _shared(flops, members, _GRAIN.flops),
        operands=width * (_shared(operands, members, _GRAIN.operands) + weights),
        convolution_flops=width * _shared(convolutions, members, _GRAIN.convolution_flops),
        elements=width * _shared(elements, members, _GRAIN.elements),
        update_bytes=update,
        far_bytes=max(0.0, update - _NEAR_BYTES),
        gathered_bytes=width * 2.0 * 4.0 * batch_size * program.input_columns,
    )


def _shared(amount: float, threads: int, grain: float) -> float:
    """Return the part of one thread, which grows with the amount."""
    return amount / (1.0 + (threads - 1) * amount / (amount + threads * grain))


def _learnt(program: Program) -> set[int]:
    """Return the values that depend on a trainable parameter, so that a gradient flows back to them."""
    learnt: set[int] = set()
    for instruction in program.instructions:
        if _trains(program, instruction) or any(value in learnt for value in instruction.inputs):
            learnt.add(instruction.output)
    return learnt


def _trains(program: Program, instruction: Instruction) -> bool:
    return any(program.parameters[number].trainable for number in instruction.params)


def _elements(program: Program, instruction: Instruction) -> int:
    """Return the numbers a row that an instruction handles one by one."""
    if instruction.op == "reshape":
        return 0
    read = instruction.inputs if instruction.op in _POOLS else (instruction.output,)
    return sum(program.values[value].size for value in read)


#: Seconds of a unit of each kind of work, in the order of `KINDS`, for machines that were never calibrated.
#:
#: numba, jax-cpu: fitted to steps on an Intel Xeon with AVX-512 (a shared virtual machine with two cores; Numba 0.68
#: with MKL, JAX 0.10.2, float32, Adam): the least times of 24 cases on one core, from 30-16-8-1 at batch size 8 to
#: 256-1024-1024-10 at 256, and the seven of benchmarks/results/peers-intel-xeon-processor.json on two. Within 30 % of
#: what was measured are predicted 30 of 31 for numba, 24 of 31 for jax-cpu, all but two of them within a factor of 1.5:
#: XLA takes 270 us an image for a convolution at batch size 16, but 500 us at 64.
#:
#: jax-gpu: not measured. A loop on an H200 is known to cost about 8 us a step; the rest is a guess of what kernels
#: cost there, and of a quarter to three quarters of its arithmetic and bandwidth.
SHIPPED: dict[str, Work] = {
    "numba": Work(7.6e-7, 1.4e-7, 4.6e-12, 1.3e-10, 4.8e-11, 1.2e-10, 1.3e-11, 2e-11, 6.9e-11),
    "jax-cpu": Work(5.2e-6, 4.5e-7, 7.4e-12, 2.1e-10, 5.5e-10, 2e-10, 1.6e-11, 6e-11, 2.5e-10),
    "jax-gpu": Work(8e-6, 4e-6, 5e-15, 1e-12, 2e-14, 2e-12, 2e-13, 1e-13, 3e-13),
}
