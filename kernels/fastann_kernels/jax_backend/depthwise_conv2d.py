"""Convolution of each channel of images with kernels (kh, kw, I, M) of its own."""

from __future__ import annotations

from collections.abc import Sequence

import jax

from fastann_kernels.jax_backend.context import Context
from fastann_kernels.jax_backend.conv2d import convolve
from fastann_kernels.program import Instruction

Array = jax.Array


def depthwise_conv2d(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return the convolution, output channel c M + m from input channel c, with a bias if there is one."""
    x, kernel = inputs[0], tensors[0]
    height, width, channels, multiplier = kernel.shape
    y = convolve(i, x, kernel.reshape(height, width, 1, channels * multiplier), channels, context)
    return y + tensors[1] if i.get("use_bias") else y
