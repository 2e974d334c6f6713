"""Convolution of images (B, H, W, C) with kernels (kh, kw, I / groups, O)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
from jax import lax

from fastann_kernels.jax_backend.context import Context
from fastann_kernels.jax_backend.precisions import hardware_precision, rounded
from fastann_kernels.program import Instruction

Array = jax.Array
Convolution = Callable[[Array, Array], Array]

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def windows(
    i: Instruction, shape: tuple[int, ...], output: tuple[int, ...], window: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return the cells to put before and behind both axes, so that the windows give the shape of the output."""
    padding = []
    for axis, letter in enumerate("hw"):
        stride, dilation = int(i.get(f"stride_{letter}", 1)), int(i.get(f"dilation_{letter}", 1))
        before = int(i.get("pad_top" if letter == "h" else "pad_left"))
        reach = (output[1 + axis] - 1) * stride + (window[axis] - 1) * dilation + 1
        padding.append((before, reach - shape[1 + axis] - before))
    return padding


def convolve(i: Instruction, x: Array, kernel: Array, groups: int, context: Context) -> Array:
    """Return the convolution without bias; see `precisions`."""
    # factors of bfloat16 are exact in TF32, so that this may be used for their products
    tensors = "tensorfloat32" if context.precision == "bfloat16" else context.precision
    convolution = partial(
        lax.conv_general_dilated,
        window_strides=(int(i.get("stride_h", 1)), int(i.get("stride_w", 1))),
        padding=windows(i, x.shape, context.shape, (kernel.shape[0], kernel.shape[1])),
        rhs_dilation=(int(i.get("dilation_h", 1)), int(i.get("dilation_w", 1))),
        dimension_numbers=_LAYOUT,
        feature_group_count=groups,
        precision=hardware_precision(tensors),
        preferred_element_type=x.dtype,
    )
    return bfloat16_convolve(convolution, x, kernel) if context.precision == "bfloat16" else convolution(x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def bfloat16_convolve(convolution: Convolution, x: Array, kernel: Array) -> Array:
    """Return a convolution of factors rounded to bfloat16; so are those of its derivatives.

    They stay float32 numbers: cuDNN has no algorithm for many convolutions of bfloat16 arrays.
    """
    return convolution(rounded(x), rounded(kernel))


def _forward(convolution: Convolution, x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    kept = rounded(x), rounded(kernel)
    return convolution(*kept), kept


def _backward(convolution: Convolution, kept: tuple[Array, Array], delta: Array) -> tuple[Array, Array]:
    dx, dkernel = jax.vjp(convolution, *kept)[1](rounded(delta))
    return dx, dkernel


bfloat16_convolve.defvjp(_forward, _backward)


def conv2d(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    """Return the convolution, with a bias if there is one."""
    y = convolve(i, inputs[0], tensors[0], int(i.get("groups", 1)), context)
    return y + tensors[1] if i.get("use_bias") else y
