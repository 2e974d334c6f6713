"""The best rate of a matrix product that JAX gets out of a device: what shares of peak are shares of."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

_REPEATS = 5


def best_products(sizes: Sequence[int], precisions: Sequence[str]) -> dict[str, float]:
    """Return TFLOP/s of the best product of two square matrices, by precision; float32 goes in and out but in bfloat16.

    Args:
        sizes: of the matrices.
        precisions: "float32", "tensorfloat32", "bfloat16".
    """
    import jax
    import jax.numpy as jnp
    from jax import lax

    asked = {"float32": lax.Precision.HIGHEST, "tensorfloat32": lax.Precision.HIGH}
    best: dict[str, float] = {}
    for precision in precisions:
        dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
        for size in sizes:
            # random numbers: products of equal ones take less power, and run faster than any training
            a, b = jax.random.normal(jax.random.key(0), (2, size, size), dtype)
            count = max(1, min(32, 2 * 8192**3 // (2 * size**3)))

            @jax.jit
            def chain(a: Any, b: Any, count: int = count, precision: str = precision, size: int = size) -> Any:
                def once(_: Any, a: Any) -> Any:
                    return jnp.matmul(a, b, precision=asked.get(precision)) * (1 / size**0.5)

                return lax.fori_loop(0, count, once, a)

            chain(a, b).block_until_ready()
            for _ in range(_REPEATS):
                began = time.perf_counter()
                chain(a, b).block_until_ready()
                rate = count * 2 * size**3 / (time.perf_counter() - began) / 1e12
                best[precision] = max(best.get(precision, 0.0), rate)
    return best
