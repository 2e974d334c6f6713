"""What a precision means for matrix products and convolutions.

| precision | factors |
|---|---|
| "float32", "float64" | as they are, on every device |
| "tensorfloat32" | may be rounded to TF32 (10 bits of mantissa) where the device has it: GPUs from Ampere on |
| "bfloat16" | rounded to bfloat16 (7 bits of mantissa), forward and backward |

Sums are float32 in all but "float64". The precision stands at each operation, so JAX's configuration has no say.
"""

from __future__ import annotations

import jax
from jax import lax

Array = jax.Array


def hardware_precision(precision: str) -> lax.Precision:
    """Return what XLA is asked for. HIGHEST: never round, where a GPU by default would; HIGH: TF32 will do."""
    return lax.Precision.HIGH if precision == "tensorfloat32" else lax.Precision.HIGHEST


def rounded(x: Array) -> Array:
    """Return float32 values rounded to bfloat16; a conversion there and back XLA would remove."""
    return lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)
