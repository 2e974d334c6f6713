"""The dense instruction."""

from __future__ import annotations

import jax
from jax import lax

from fastann_kernels.jax_backend.activations import activate

Array = jax.Array


def matmul(x: Array, W: Array) -> Array:
    """Return x @ W, (..., I) by (I, O), accumulated and returned in the dtype of `x`.

    HIGHEST asks for true float32 where the hardware would round the factors (TF32 on NVIDIA, bfloat16 on TPU).
    """
    axes = (((x.ndim - 1,), (0,)), ((), ()))
    return lax.dot_general(x, W, axes, precision=lax.Precision.HIGHEST, preferred_element_type=x.dtype)


def dense(x: Array, W: Array, b: Array | None, activation: str = "linear", alpha: float = 0.0) -> Array:
    """Return f(x @ W + b): x (..., I), W (I, O), b (O,) or None."""
    z = matmul(x, W)
    return activate(activation, z if b is None else z + b, alpha)
