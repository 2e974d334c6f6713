"""The dense instruction."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from fastann_kernels.jax_backend.activations import activate
from fastann_kernels.jax_backend.precisions import hardware_precision

Array = jax.Array
Axes = tuple[tuple[int, ...], tuple[int, ...]]


def matmul(x: Array, W: Array, precision: str = "float32") -> Array:
    """Return x @ W, (..., I) by (I, O), accumulated and returned in the dtype of `x`; see `precisions`."""
    if precision == "bfloat16":
        return bfloat16_matmul(x, W)
    axes = (((x.ndim - 1,), (0,)), ((), ()))
    return lax.dot_general(x, W, axes, precision=hardware_precision(precision), preferred_element_type=x.dtype)


def dense(
    x: Array,
    W: Array,
    b: Array | None,
    activation: str = "linear",
    alpha: float = 0.0,
    precision: str = "float32",
    shift: Array | None = None,
) -> Array:
    """Return f(x @ W + b): x (..., I), W (I, O), b (O,) or None; a `shift` (..., O) is added to the argument of f."""
    z = matmul(x, W, precision)
    z = z if b is None else z + b
    return activate(activation, z if shift is None else z + shift, alpha)


def example_squares(x: Array, delta: Array, kernel: bool, bias: bool) -> Array:
    """Return sum_r (kernel |x_r|^2 + bias) |delta_r|^2, the squared norms of the gradients of single rows, added up.

    x (B, I), delta = dL/dz (B, O); kernel and bias say whether such a parameter is trained. Goodfellow 2015,
    arXiv:1510.01799.
    """
    factor = jnp.square(x).sum(axis=1) if kernel else jnp.zeros((len(x),), x.dtype)
    return ((factor + float(bias)) * jnp.square(delta).sum(axis=1)).sum()


def _product(a: Array, b: Array, contracted: Axes) -> Array:
    """Multiply bfloat16 factors into float32."""
    return lax.dot_general(a, b, (contracted, ((), ())), preferred_element_type=jnp.float32)


@jax.custom_vjp
def bfloat16_matmul(x: Array, W: Array) -> Array:
    """Return x @ W with both factors rounded to bfloat16, products added up in float32; so are dx and dW.

    JAX's own derivative would multiply the float32 delta, and round dx and dW.
    """
    return _forward(x, W)[0]


def _forward(x: Array, W: Array) -> tuple[Array, tuple[Array, Array]]:
    x, W = x.astype(jnp.bfloat16), W.astype(jnp.bfloat16)
    return _product(x, W, ((x.ndim - 1,), (0,))), (x, W)


def _backward(kept: tuple[Array, Array], delta: Array) -> tuple[Array, Array]:
    """dx = delta @ W.T;  dW = x.T @ delta"""
    x, W = kept
    delta = delta.astype(jnp.bfloat16)
    rows = tuple(range(x.ndim - 1))
    return _product(delta, W, ((x.ndim - 1,), (1,))), _product(x, delta, (rows, rows))


bfloat16_matmul.defvjp(_forward, _backward)
