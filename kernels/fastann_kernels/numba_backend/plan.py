"""From a `Program` to the integer tables that the interpreter walks, with the offsets of `layout`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from fastann_kernels.numba_backend.activations import BY_ROWS, needs_input
from fastann_kernels.numba_backend.calls import INPUT_FIELDS, OWN, PARAMETER_FIELDS, Encoding
from fastann_kernels.numba_backend.layout import (
    delta_offsets,
    entry_of,
    roots_of,
    value_offsets,
    with_gradient,
)
from fastann_kernels.numba_backend.operations import encode, known
from fastann_kernels.numba_backend.updates import FLAGS
from fastann_kernels.program import (
    LOSSES,
    METRICS,
    OPERATIONS,
    Instruction,
    Loss,
    Metric,
    Program,
)

Table = NDArray[np.int64]

# Columns of an instruction. IN, OUT, PRE, MASK are offsets of values and scratch, D_IN and D_OUT of their gradients;
# -1: none. INTEGERS to NUMBERS_END: what an instruction that is called by address is given, see `calls`. ADD_KERNEL,
# ADD_BIAS: whether the gradient of a parameter is added to that of another instruction that uses it. TRAIN_KERNEL,
# TRAIN_BIAS: whether it is trained. SHARED: whether the members of a team may share the gradient of its kernel.
(
    OP, IN, OUT, D_IN, D_OUT, ACCUMULATE, ROWS, WIDTH_IN, WIDTH_OUT, KERNEL, BIAS, PRE, SCRATCH, FUSED, BACKWARD,
    STREAM, INTEGERS, INTEGERS_END, NUMBERS, NUMBERS_END, ADD_KERNEL, ADD_BIAS, TRAIN_KERNEL, TRAIN_BIAS, SHARED,
) = range(25)  # fmt: skip
_COLUMNS = 25
# Columns of a loss or metric: what it computes, where it reads, how its target is laid out.
L_OP, L_LOGITS, L_Z, L_P, L_DELTA, L_WIDTH, L_POSITIONS, L_COLUMN, L_WEIGHTED, L_WEIGHT_COLUMN, L_K = range(11)
# Columns of the numbers that go with a loss or metric.
N_WEIGHT, N_FACTOR, N_SMOOTHING, N_THRESHOLD = range(4)

_OP_CODES = {name: i for i, name in enumerate(OPERATIONS)}
_LOSS_CODES = {name: i for i, name in enumerate(LOSSES + METRICS)}


@dataclass(frozen=True)
class Plan:
    """The tables of one program.

    Attributes:
        instructions: int64[n, 25]; numbers: float64[n], alpha or rate of each.
        integers, reals: int64[], float64[]: the constants of instructions that are called by address.
        losses, metrics: int64[n, 11]; loss_numbers, metric_numbers: float64[n, 4].
        cleared: int64[n, 2], offset and columns of gradients that losses add to.
        inputs, outputs: int64[n, 2], offset and columns of the values packed in a row of data.
        tensors: int64[n, 6], offset, size, trainable, decay of each parameter, whether penalties alone move it, and
            whether it is the kernel of a SHARED instruction; spans: the first four, neighbours alike merged.
        flags: bits of the update rule.
        value_columns, delta_columns, scratch_columns: columns of the three work buffers.
        workspace, shared: elements a member of the other two.
    """

    instructions: Table
    numbers: NDArray[np.float64]
    losses: Table
    loss_numbers: NDArray[np.float64]
    metrics: Table
    metric_numbers: NDArray[np.float64]
    cleared: Table
    inputs: Table
    outputs: Table
    tensors: Table
    spans: Table
    flags: int
    value_columns: int
    delta_columns: int
    scratch_columns: int
    integers: Table
    reals: NDArray[np.float64]
    workspace: int
    shared: int

    def partial(self, rows: int) -> int:
        """Return how many numbers one member's partial product has at most, in batches worked on so many rows at once;
        see `walk.owned`."""
        shared = self.instructions[self.instructions[:, SHARED] == 1].T
        wide, (n_in, n_out) = shared[ROWS], shared[[WIDTH_IN, WIDTH_OUT]]
        most = np.minimum(rows, n_in * n_out // (wide * (n_in + n_out)))
        return int((most * wide * n_out).max(initial=0))

    @cached_property
    def tables(self) -> tuple[Table | NDArray[np.float64], ...]:
        """What the interpreter is given, in its order."""
        return (
            self.instructions, self.numbers, self.losses, self.loss_numbers, self.metrics, self.metric_numbers,
            self.cleared, self.inputs, self.outputs, self.tensors, self.spans, self.integers, self.reals,
        )  # fmt: skip


def make_plan(program: Program) -> Plan:
    """Lay out buffers and encode every instruction, loss and metric of `program`."""
    encoder = _Encoder(program)
    rows = [encoder.row(instruction) for instruction in reversed(program.instructions)]
    roots, values, deltas = encoder.roots, encoder.values, encoder.deltas
    tensors = [(p.offset, p.size, int(p.trainable), int(p.decay)) for p in program.parameters]
    idle = [int(i not in encoder.learning) for i in range(len(tensors))]
    shared = [int(i in encoder.divided) for i in range(len(tensors))]
    update = program.update
    cleared = dict.fromkeys(roots[entry_of(loss)] for loss in program.losses)
    return Plan(
        instructions=_table(rows[::-1], _COLUMNS),
        numbers=np.array([_number(i) for i in program.instructions], np.float64),
        losses=_table([_encode_loss(program, x, roots, values, deltas) for x in program.losses], 11),
        loss_numbers=_numbers([(x.weight, x.delta, x.smoothing, 0.0) for x in program.losses]),
        metrics=_table([_encode_loss(program, x, roots, values, {}) for x in program.metrics], 11),
        metric_numbers=_numbers([(1.0, x.delta, x.smoothing, x.threshold) for x in program.metrics]),
        cleared=_table([[deltas[v], program.values[v].size] for v in cleared if v in deltas], 2),
        inputs=_table([[values[roots[v]], program.values[v].size] for v in program.inputs], 2),
        outputs=_table([[values[roots[v]], program.values[v].size] for v in program.outputs], 2),
        tensors=_table([(*tensor, *marks) for tensor, *marks in zip(tensors, idle, shared, strict=True)], 6),
        spans=_table(_merge(tensors), 4),
        flags=sum(FLAGS[flag] for flag in update.flags) if update else 0,
        value_columns=encoder.value_columns,
        delta_columns=encoder.delta_columns,
        scratch_columns=encoder.scratch,
        integers=np.array(encoder.integers, np.int64),
        reals=np.array(encoder.reals, np.float64),
        workspace=encoder.workspace,
        shared=encoder.shared,
    )


def _table(rows: Sequence[Sequence[int]], columns: int) -> Table:
    return np.array(rows, np.int64).reshape(-1, columns)


def _numbers(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    return np.array(rows, np.float64).reshape(-1, 4)


def _number(instruction: Instruction) -> float:
    return float(instruction.get("rate" if instruction.op == "dropout" else "alpha", 0.0))


class _Encoder:
    """Instructions as rows of the table, from the last to the first: the order of the backward pass.

    Attributes:
        roots, values, deltas: see `layout`.
        scratch, workspace, shared, integers, reals: needed so far.
        learning: parameters that a loss has a gradient of, so far.
        divided: kernels of which the members of a team share the gradient: those of dense layers, used once.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.roots = roots_of(program)
        self.values, self.value_columns = value_offsets(program, self.roots)
        self.needed = with_gradient(program, self.roots)
        users = Counter(p for instruction in program.instructions for p in instruction.params)
        dense = [i for i in program.instructions if i.op == "dense" and i.output in self.needed - program.fused]
        self.divided = {i.params[0] for i in dense if users[i.params[0]] == 1}
        kept = {i.output for i in dense if i.params[0] in self.divided}
        self.deltas, self.delta_columns = delta_offsets(program, self.roots, self.needed, kept)
        self.scratch = self.workspace = self.shared = 0
        self.integers: list[int] = []
        self.reals: list[float] = []
        self._written = {self.roots[entry_of(loss)] for loss in program.losses}
        self.learning: set[int] = set()

    def row(self, instruction: Instruction) -> list[int]:
        """Return the row of an instruction."""
        program, target = self.program, self.roots[instruction.output]
        row = [0] * _COLUMNS
        row[OP] = _OP_CODES[instruction.op]
        row[OUT], row[D_OUT] = self.values[target], self.deltas.get(target, -1)
        row[FUSED] = int(instruction.output in program.fused)
        row[BACKWARD] = int(target in self.needed and not row[FUSED] and instruction.op != "reshape")
        if known(instruction.op):
            self._call(instruction, row)
        else:
            self._core(instruction, row)
        return row

    def _core(self, instruction: Instruction, row: list[int]) -> None:
        """Fill the columns that the interpreter itself reads."""
        program, target = self.program, self.roots[instruction.output]
        shape_in = program.values[instruction.inputs[0]].shape
        shape_out = program.values[instruction.output].shape
        activation = str(instruction.get("activation", "linear"))
        source = self._source(instruction.inputs[0], row)
        row[IN], row[D_IN], row[ACCUMULATE] = source
        row[WIDTH_IN], row[WIDTH_OUT] = shape_in[-1] if shape_in else 1, shape_out[-1] if shape_out else 1
        row[ROWS] = program.values[instruction.output].size // row[WIDTH_OUT]
        row[KERNEL] = program.parameters[instruction.params[0]].offset if instruction.params else -1
        row[BIAS] = program.parameters[instruction.params[1]].offset if instruction.get("use_bias") else -1
        for column, parameter in zip((ADD_KERNEL, ADD_BIAS), instruction.params, strict=False):
            row[column] = self._adds(parameter, row)
        for column, parameter in zip((TRAIN_KERNEL, TRAIN_BIAS), instruction.params, strict=False):
            row[column] = int(program.parameters[parameter].trainable)
        row[SHARED] = int(instruction.op == "dense" and instruction.params[0] in self.divided and row[BACKWARD])
        row[PRE] = row[SCRATCH] = -1
        if instruction.op == "dense" and needs_input(activation, _number(instruction)):
            row[PRE] = self._keep(program.values[target].size)
        elif instruction.op == "dropout" or activation in BY_ROWS:
            row[SCRATCH] = self._keep(program.values[target].size)
        row[STREAM] = int(instruction.get("stream", 0))

    def _call(self, instruction: Instruction, row: list[int]) -> None:
        """Append what an instruction that is called by address is given."""
        program = self.program
        needs: Encoding = encode(program, instruction)
        self.workspace = max(self.workspace, needs.workspace)
        begin, shared = len(self.integers), self.shared
        self.shared += needs.shared
        sources = [(*self._source(v, row), program.values[v].size) for v in instruction.inputs]
        own = OWN + 1 + INPUT_FIELDS * len(sources) + PARAMETER_FIELDS * len(instruction.params)
        self.integers += [
            row[OUT], program.values[instruction.output].size, row[D_OUT],
            self._keep(needs.scratch) if needs.scratch else -1, shared, len(sources), len(instruction.params), own,
        ]  # fmt: skip
        self.integers += [number for source in sources for number in source]
        for p in instruction.params:
            self.integers += [program.parameters[p].offset, program.parameters[p].size, self._adds(p, row)]
        row[INTEGERS], row[NUMBERS] = begin, len(self.reals)
        self.integers += needs.integers
        self.reals += needs.numbers
        row[INTEGERS_END], row[NUMBERS_END] = len(self.integers), len(self.reals)

    def _source(self, value: int, row: list[int]) -> tuple[int, int, int]:
        """Return where an input lies, where its gradient goes (-1: nowhere), and whether it is added there."""
        root = self.roots[value]
        wanted = bool(row[BACKWARD]) and root in self.needed
        add = int(root in self._written)
        if wanted:
            self._written.add(root)
        return self.values[root], self.deltas[root] if wanted else -1, add

    def _adds(self, parameter: int, row: list[int]) -> int:
        """Return whether the gradient of a parameter is added to that of an instruction that was encoded before."""
        if not row[BACKWARD]:
            return 0
        add = int(parameter in self.learning)
        self.learning.add(parameter)
        return add

    def _keep(self, columns: int) -> int:
        """Reserve columns of scratch and return where they begin."""
        self.scratch += columns
        return self.scratch - columns


def _encode_loss(
    program: Program, item: Loss | Metric, roots: list[int], values: dict[int, int], deltas: dict[int, int]
) -> list[int]:
    shape = program.values[item.prediction].shape
    width = shape[-1] if shape else 1
    row = [0] * 11
    row[L_OP] = _LOSS_CODES[item.op]
    row[L_LOGITS] = int(item.logits >= 0)
    row[L_Z] = values[roots[item.logits]] if item.logits >= 0 else -1
    row[L_P] = values[roots[item.prediction]]
    # logits that are the prediction itself must not be overwritten by probabilities
    if item.logits >= 0 and roots[item.logits] == roots[item.prediction]:
        row[L_P] = -1
    entry = roots[entry_of(item)]
    row[L_DELTA] = deltas.get(entry, -1)
    row[L_WIDTH], row[L_POSITIONS] = width, prod(shape[:-1])
    row[L_COLUMN] = item.column
    row[L_WEIGHTED] = int(item.weighted) if isinstance(item, Metric) else 1
    row[L_WEIGHT_COLUMN] = item.weight_column
    row[L_K] = item.k if isinstance(item, Metric) else 0
    return row


def _merge(tensors: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Join neighbours that are treated alike, so that the optimizer's loops are long."""
    spans: list[tuple[int, int, int, int]] = []
    for offset, size, trainable, decay in tensors:
        if spans and spans[-1][0] + spans[-1][1] == offset and spans[-1][2:] == (trainable, decay):
            spans[-1] = (spans[-1][0], spans[-1][1] + size, trainable, decay)
        else:
            spans.append((offset, size, trainable, decay))
    return spans
