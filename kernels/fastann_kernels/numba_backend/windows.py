"""A window that moves over images: what convolution and pooling share.

Images are (rows, H, W, channels) in C order, results (rows, P, Q, outputs). Through tap (i, j) of its window output
position (p, q) sees the cell (p stride_h + i dilation_h - pad_top, q stride_w + j dilation_w - pad_left).
"""

from __future__ import annotations

from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.program import Instruction, Program

#: Entries of a geometry.
(
    H, W, CHANNELS, P, Q, OUTPUTS, KERNEL_H, KERNEL_W, STRIDE_H, STRIDE_W, DILATION_H, DILATION_W, TOP, LEFT, GROUPS,
) = range(15)  # fmt: skip


def geometry(program: Program, instruction: Instruction, window: tuple[int, int]) -> tuple[int, ...]:
    """Return the entries above for a window of height and width `window`."""
    names = ("stride_h", "stride_w", "dilation_h", "dilation_w")
    return (
        *program.values[instruction.inputs[0]].shape,
        *program.values[instruction.output].shape,
        *window,
        *(int(instruction.get(name, 1)) for name in names),
        int(instruction.get("pad_top")),
        int(instruction.get("pad_left")),
        int(instruction.get("groups", 1)),
    )


@lean
def span(count, stride, offset, cells):
    """Return begin and end of the positions q < count with 0 <= q stride + offset < cells."""
    begin, end = 0, count
    if offset < 0:
        begin = min(count, (stride - 1 - offset) // stride)
    if (count - 1) * stride + offset >= cells:
        end = 0 if offset >= cells else (cells - offset + stride - 1) // stride
    return begin, max(begin, end)
