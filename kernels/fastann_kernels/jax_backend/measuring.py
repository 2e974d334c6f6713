"""Squared norms of gradients, from what a backward pass computes anyway.

The delta of a dense layer is the gradient with respect to zeros that are added to the argument of its activation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from fastann_kernels.jax_backend.dense import example_squares
from fastann_kernels.program import Program

Array = jax.Array


def zero_shifts(program: Program, rows: int, dtype: jnp.dtype) -> dict[int, Array]:
    """Return zeros (B, O) for each dense layer that learns, by the number of its output."""
    return {
        i.output: jnp.zeros((rows, *program.values[i.output].shape), dtype)
        for i in program.instructions
        if any(program.parameters[p].trainable for p in i.params)
    }


def squared_norms(
    program: Program, hidden: Mapping[int, Array], deltas: Mapping[int, Array], grads: Sequence[Array]
) -> Array:
    """Return (2,): the mean over the batch of |g_i|^2, and |g|^2 of the batch.

    Args:
        program: whose trainable parameters count.
        hidden: inputs (B, I) of dense layers, by the number of the output.
        deltas: gradients (B, O) of the mean loss with respect to what goes into their activations. With none of them
            the first number is NaN.
        grads: of the mean loss, a tensor a parameter.
    """
    trained = [p.trainable for p in program.parameters]
    zero = jnp.zeros((), grads[0].dtype)
    batch = sum((jnp.square(g).sum() for g, own in zip(grads, trained, strict=True) if own), zero)
    examples = zero if deltas else jnp.full((), jnp.nan, zero.dtype)
    for i in program.instructions:
        if i.output in deltas:
            delta = deltas[i.output]
            bias = bool(i.get("use_bias")) and trained[i.params[1]]
            # the delta of a mean is 1 / B of that of a row
            examples = examples + len(delta) * example_squares(hidden[i.output], delta, trained[i.params[0]], bias)
    return jnp.stack([examples, batch])
