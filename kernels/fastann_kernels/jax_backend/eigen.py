"""Which of its two libraries XLA multiplies matrices with on a CPU.

YNNPACK, the default, is several times as fast as Eigen with a transposed kernel and few rows: the gradient of the input
of a large layer. Eigen is faster on the way forward through small layers and with many rows. Steps of training took

    784-128-10 at 32: 301 microseconds by default, 238 with Eigen alone; 30-16-8-1 at 1024: 229, 207, at 32: 23, 27;
    100-20x128-10 at 512: 12.8 milliseconds, 9.4; 784-512-256-128-64-10 at 128: 2.7, 3.0

(2 cores of an Intel Xeon, jaxlib 0.10.2, medians of interleaved runs).
"""

from __future__ import annotations

from functools import cache

import jax
import numpy as np

from fastann_kernels.program import Program

#: Compiler options that leave every product to Eigen.
EIGEN = {"xla_cpu_experimental_ynn_fusion_type": ""}

#: Kernels smaller than this are small, and batches of as many rows large.
_SMALL, _MANY_ROWS = 1 << 17, 256

#: How many times the multiplications of the others the first layer, which passes no gradient on, has to have.
_MOST_OF_ALL = 10


def eigen_wins(program: Program, precision: str, batch_size: int) -> bool:
    """Return whether training is to be compiled with `EIGEN`, since it is expected to be faster."""
    sizes, first = [], 0
    for i in program.instructions:
        if i.params and i.op != "dense":
            return False
        if i.params:
            sizes.append(program.parameters[i.params[0]].size)
            first += sizes[-1] if i.inputs[0] in program.inputs else 0
    if not sizes or max(sizes) >= _SMALL or precision != "float32":
        return False
    return (batch_size >= _MANY_ROWS or first >= _MOST_OF_ALL * (sum(sizes) - first)) and _known()


@cache
def _known() -> bool:
    """Return whether programs run on a CPU, by an XLA that has the option."""
    if jax.default_backend() != "cpu":
        return False
    try:
        jax.jit(lambda a: a, compiler_options=EIGEN).lower(np.float32(0)).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
