"""From a `Program` to the integer tables and buffer offsets that the interpreter walks.

Offsets into the work buffers are in columns: a value of n columns at offset o lies, for a batch of B rows in buffers
made for C >= B rows, at [o * C, o * C + B * n). So one plan serves every batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from fastann_kernels.numba_backend.activations import LOG_SOFTMAX, SOFTMAX, needs_input
from fastann_kernels.numba_backend.updates import FLAGS
from fastann_kernels.program import (
    ACTIVATIONS,
    LOSSES,
    METRICS,
    OPERATIONS,
    UPDATES,
    Instruction,
    Loss,
    Metric,
    Program,
)

Table = NDArray[np.int64]

# Columns of an instruction. IN, OUT, PRE, MASK are offsets of values and scratch, D_IN and D_OUT of their gradients;
# -1: none.
(
    OP, IN, OUT, D_IN, D_OUT, ACCUMULATE, ROWS, WIDTH_IN, WIDTH_OUT, KERNEL, BIAS, CODE, PRE, SCRATCH, FUSED, BACKWARD,
    STREAM,
) = range(17)  # fmt: skip
# Columns of a loss or metric: what it computes, where it reads, how its target is laid out.
L_OP, L_LOGITS, L_Z, L_P, L_DELTA, L_WIDTH, L_POSITIONS, L_COLUMN, L_WEIGHTED, L_WEIGHT_COLUMN, L_K = range(11)
# Columns of the numbers that go with a loss or metric.
N_WEIGHT, N_FACTOR, N_SMOOTHING, N_THRESHOLD = range(4)

_OP_CODES = {name: i for i, name in enumerate(OPERATIONS)}
_LOSS_CODES = {name: i for i, name in enumerate(LOSSES + METRICS)}
_ACTIVATION_CODES = {name: i for i, name in enumerate(ACTIVATIONS)}
_UPDATE_CODES = {name: i for i, name in enumerate(UPDATES)}


@dataclass(frozen=True)
class Plan:
    """The tables of one program.

    Attributes:
        instructions: int64[n, 17]; numbers: float64[n], alpha or rate of each.
        losses, metrics: int64[n, 11]; loss_numbers, metric_numbers: float64[n, 4].
        cleared: int64[n, 2], offset and columns of gradients that losses add to.
        inputs, outputs: int64[n, 2], offset and columns of the values packed in a row of data.
        tensors: int64[n, 4], offset, size, trainable, decay of each parameter; spans: the same, neighbours alike
        merged.
        rule: code of the update rule; flags: its bits.
        value_columns, delta_columns, scratch_columns: columns of the three work buffers.
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
    rule: int
    flags: int
    value_columns: int
    delta_columns: int
    scratch_columns: int

    @cached_property
    def tables(self) -> tuple[Table | NDArray[np.float64], ...]:
        """What the interpreter is given, in its order."""
        return (
            self.instructions, self.numbers, self.losses, self.loss_numbers, self.metrics, self.metric_numbers,
            self.cleared, self.inputs, self.outputs, self.tensors, self.spans,
        )  # fmt: skip


def make_plan(program: Program) -> Plan:
    """Lay out buffers and encode every instruction, loss and metric of `program`."""
    roots = _roots(program)
    values, value_columns = _value_offsets(program, roots)
    gradients = _gradient_order(program, roots)
    deltas, delta_columns = _delta_offsets(program, roots, gradients)
    rows: list[list[int]] = []
    scratch = 0
    written = {roots[_entry(loss)] for loss in program.losses}
    for instruction in reversed(program.instructions):
        row, needed = _encode(program, instruction, roots, values, deltas, gradients, written, scratch)
        scratch += needed
        rows.append(row)
    tensors = [(p.offset, p.size, int(p.trainable), int(p.decay)) for p in program.parameters]
    update = program.update
    cleared = dict.fromkeys(roots[_entry(loss)] for loss in program.losses)
    return Plan(
        instructions=_table(rows[::-1], 17),
        numbers=np.array([_number(i) for i in program.instructions], np.float64),
        losses=_table([_encode_loss(program, x, roots, values, deltas) for x in program.losses], 11),
        loss_numbers=_numbers([(x.weight, x.delta, x.smoothing, 0.0) for x in program.losses]),
        metrics=_table([_encode_loss(program, x, roots, values, {}) for x in program.metrics], 11),
        metric_numbers=_numbers([(1.0, x.delta, x.smoothing, x.threshold) for x in program.metrics]),
        cleared=_table([[deltas[v], program.values[v].size] for v in cleared if v in deltas], 2),
        inputs=_table([[values[roots[v]], program.values[v].size] for v in program.inputs], 2),
        outputs=_table([[values[roots[v]], program.values[v].size] for v in program.outputs], 2),
        tensors=_table(tensors, 4),
        spans=_table(_merge(tensors), 4),
        rule=_UPDATE_CODES[update.op] if update else 0,
        flags=sum(FLAGS[flag] for flag in update.flags) if update else 0,
        value_columns=value_columns,
        delta_columns=delta_columns,
        scratch_columns=scratch,
    )


def _table(rows: Sequence[Sequence[int]], columns: int) -> Table:
    return np.array(rows, np.int64).reshape(-1, columns)


def _numbers(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    return np.array(rows, np.float64).reshape(-1, 4)


def _entry(loss: Loss) -> int:
    """The value whose gradient a loss writes."""
    return loss.logits if loss.logits >= 0 else loss.prediction


def _roots(program: Program) -> list[int]:
    """For each value, the one that holds its numbers: a reshape moves nothing."""
    roots = list(range(len(program.values)))
    for instruction in program.instructions:
        if instruction.op == "reshape":
            roots[instruction.output] = roots[instruction.inputs[0]]
    return roots


def _value_offsets(program: Program, roots: list[int]) -> tuple[dict[int, int], int]:
    offsets: dict[int, int] = {}
    total = 0
    for index, value in enumerate(program.values):
        if roots[index] == index:
            offsets[index] = total
            total += value.size
    return offsets, total


def _gradient_order(program: Program, roots: list[int]) -> set[int]:
    """Root values whose gradient is needed: between a parameter and a loss."""
    depends: set[int] = set()
    for instruction in program.instructions:
        trains = any(program.parameters[p].trainable for p in instruction.params)
        if trains or any(roots[v] in depends for v in instruction.inputs):
            depends.add(roots[instruction.output])
    reaches = {roots[_entry(loss)] for loss in program.losses}
    for instruction in reversed(program.instructions):
        if roots[instruction.output] in reaches and instruction.output not in program.fused:
            reaches.update(roots[v] for v in instruction.inputs)
    return depends & reaches


def _delta_offsets(program: Program, roots: list[int], needed: set[int]) -> tuple[dict[int, int], int]:
    """Give each needed gradient a place; places are used again once the backward pass is beyond their producer."""
    births: dict[int, int] = {roots[_entry(loss)]: len(program.instructions) for loss in program.losses}
    deaths: dict[int, int] = {}
    for index, instruction in reversed(list(enumerate(program.instructions))):
        for v in instruction.inputs:
            births.setdefault(roots[v], index)
        if instruction.op != "reshape":
            deaths[roots[instruction.output]] = index
    offsets: dict[int, int] = {}
    total = 0
    for v in sorted(needed, key=lambda v: (-births[v], v)):
        size = program.values[v].size
        # taken: places of gradients that live while this one does (the backward pass counts downwards)
        taken = sorted(
            (offsets[u], program.values[u].size)
            for u in offsets
            if deaths.get(u, -1) <= births[v] and deaths.get(v, -1) <= births[u]
        )
        place = 0
        for start, length in taken:
            if place + size <= start:
                break
            place = max(place, start + length)
        offsets[v] = place
        total = max(total, place + size)
    return offsets, total


def _number(instruction: Instruction) -> float:
    return float(instruction.get("rate" if instruction.op == "dropout" else "alpha", 0.0))


def _encode(
    program: Program,
    instruction: Instruction,
    roots: list[int],
    values: dict[int, int],
    deltas: dict[int, int],
    needed: set[int],
    written: set[int],
    scratch: int,
) -> tuple[list[int], int]:
    """Return the row of an instruction and the columns of scratch it keeps; called from the last to the first."""
    source, target = roots[instruction.inputs[0]], roots[instruction.output]
    shape_in, shape_out = program.values[instruction.inputs[0]].shape, program.values[instruction.output].shape
    code = _ACTIVATION_CODES[str(instruction.get("activation", "linear"))]
    row = [0] * 17
    row[OP] = _OP_CODES[instruction.op]
    row[IN], row[OUT] = values[source], values[target]
    row[D_IN] = deltas[source] if source in needed and source != target else -1
    row[D_OUT] = deltas.get(target, -1)
    row[ACCUMULATE] = int(source in written)
    row[WIDTH_IN], row[WIDTH_OUT] = shape_in[-1] if shape_in else 1, shape_out[-1] if shape_out else 1
    row[ROWS] = program.values[instruction.output].size // row[WIDTH_OUT]
    row[KERNEL] = program.parameters[instruction.params[0]].offset if instruction.params else -1
    row[BIAS] = program.parameters[instruction.params[1]].offset if instruction.get("use_bias") else -1
    row[CODE] = code
    row[PRE] = row[SCRATCH] = -1
    kept = 0
    if instruction.op == "dense" and (needs_input(code, _number(instruction))):
        row[PRE], kept = scratch, program.values[target].size
    elif instruction.op == "dropout" or code in (SOFTMAX, LOG_SOFTMAX):
        row[SCRATCH], kept = scratch, program.values[target].size
    row[FUSED] = int(instruction.output in program.fused)
    row[BACKWARD] = int(target in needed and not row[FUSED] and instruction.op != "reshape")
    row[STREAM] = int(instruction.get("stream", 0))
    if row[BACKWARD] and row[D_IN] >= 0:
        written.add(source)
    return row, kept


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
    entry = roots[item.logits if item.logits >= 0 else item.prediction]
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
