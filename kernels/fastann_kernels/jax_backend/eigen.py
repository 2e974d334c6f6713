"""Which of its two libraries XLA multiplies matrices with on a CPU.

YNNPACK, the default, is several times as fast as Eigen with a transposed kernel and few rows: the gradient of the input
of a large layer. Eigen is faster on the way forward through small layers and with many rows. Steps of training took

    784-128-10 at 32: 301 microseconds by default, 238 with Eigen alone; 30-16-8-1 at 1024: 229, 207, at 32: 23, 27;
    100-20x128-10 at 512: 12.8 milliseconds, 9.4; 784-512-256-128-64-10 at 128: 2.7, 3.0

(2 cores of an Intel Xeon, jaxlib 0.10.2, medians of interleaved runs). In single products Eigen took, of the time by
default, forward and backward to the input,

    kernel           512 rows      1,024         2,048         4,096         16,384
    256 x 128        1.17, 1.13    0.98, 0.98    0.91, 0.96    0.84, 0.84    0.79, 0.81
    784 x 512        1.02, 1.25    0.94, 1.02    0.84, 0.95    0.69, 0.74    0.64, 0.70
    2048 x 2048      -             0.93, 1.42    0.89, 1.25    0.85, 0.94    0.78, 0.78

(another Xeon of the kind, jaxlib 0.10.2, too).
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

#: How many times the rows of the largest kernel, were it square, make a batch large whatever its size.
_ROWS_A_SIDE = 2

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
    if not sizes or precision != "float32":
        return False
    if max(sizes) < _SMALL:
        wins = batch_size >= _MANY_ROWS or first >= _MOST_OF_ALL * (sum(sizes) - first)
    else:
        wins = batch_size**2 >= _ROWS_A_SIDE**2 * max(sizes)
    return wins and _known()


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
