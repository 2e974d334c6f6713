"""Which programs give the gradient norms of single rows away in their backward pass."""

from __future__ import annotations

from fastann_kernels.program import Program


def separable(program: Program) -> bool:
    """Return whether |g_i|^2 = sum over dense layers of (|h_i|^2 + 1) |delta_i|^2 is the whole gradient of row i.

    With z = h W + b and delta = dl/dz, row i contributes h_i delta_i^T to dW, whose norm is |h_i| |delta_i|. That holds
    where all trainable parameters belong to dense layers on plain rows, each used once, and rows do not interact.

    Goodfellow 2015, "Efficient per-example gradient computations", arXiv:1510.01799.
    """
    seen: set[int] = set()
    for instruction in program.instructions:
        learnt = {p for p in instruction.params if program.parameters[p].trainable}
        plain = instruction.op == "dense" and len(program.values[instruction.output].shape) == 1
        if learnt and (not plain or learnt & seen):
            return False
        seen |= learnt
    return not interacting(program)


def interacting(program: Program) -> bool:
    """Return whether in training what one row gives depends on the other rows of its batch."""
    return any(i.op == "batch_norm" and not i.get("frozen") for i in program.instructions)
