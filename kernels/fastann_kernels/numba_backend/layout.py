"""Where the values of a program and their gradients lie in the work buffers.

Offsets are in columns: a value of n columns at offset o lies, for a batch of B rows in buffers made for C >= B rows, at
[o * C, o * C + B * n). So one layout serves every batch size, and the rows of all members of a team lie side by side.
"""

from __future__ import annotations

from fastann_kernels.program import Loss, Metric, Program

#: Instructions whose output is their input under another number.
ALIASES = frozenset({"reshape", "activity_penalty"})


def entry_of(item: Loss | Metric) -> int:
    """The value a loss or metric works on; a loss writes its gradient."""
    return item.logits if item.logits >= 0 else item.prediction


def roots_of(program: Program) -> list[int]:
    """For each value, the one that holds its numbers: an alias moves nothing."""
    roots = list(range(len(program.values)))
    for instruction in program.instructions:
        if instruction.op in ALIASES:
            roots[instruction.output] = roots[instruction.inputs[0]]
    return roots


def value_offsets(program: Program, roots: list[int]) -> tuple[dict[int, int], int]:
    """Give every root value columns of its own; return the offsets and the number of columns."""
    offsets: dict[int, int] = {}
    total = 0
    for index, value in enumerate(program.values):
        if roots[index] == index:
            offsets[index] = total
            total += value.size
    return offsets, total


def with_gradient(program: Program, roots: list[int]) -> set[int]:
    """Root values whose gradient is needed: between a parameter and a loss."""
    depends: set[int] = set()
    for instruction in program.instructions:
        trains = any(program.parameters[p].trainable for p in instruction.params)
        if trains or any(roots[v] in depends for v in instruction.inputs):
            depends.add(roots[instruction.output])
    reaches = {roots[entry_of(loss)] for loss in program.losses}
    for instruction in reversed(program.instructions):
        counts = instruction.op == "activity_penalty"  # part of the loss itself
        if counts or (roots[instruction.output] in reaches and instruction.output not in program.fused):
            reaches.update(roots[v] for v in instruction.inputs)
    return depends & reaches


def delta_offsets(program: Program, roots: list[int], needed: set[int], kept: set[int]) -> tuple[dict[int, int], int]:
    """Give each needed gradient a place; places are used again once the backward pass is beyond their producer, but
    for those that are kept to its end."""
    births: dict[int, int] = {roots[entry_of(loss)]: len(program.instructions) for loss in program.losses}
    deaths: dict[int, int] = {}
    for index, instruction in reversed(list(enumerate(program.instructions))):
        for v in instruction.inputs:
            births.setdefault(roots[v], index)
        if instruction.op not in ALIASES and instruction.output not in kept:
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
