"""The CPU machine: hand-written kernels compiled by Numba, matrix products by BLAS.

`plan` lays a program out as integer tables, `interpreter` walks them by the functions of `units`, the other files hold
one concern's kernels each.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann_kernels import orders
from fastann_kernels.backend import Done, EvaluateJob, TrainJob
from fastann_kernels.machine import threads_allowed, versions
from fastann_kernels.numba_backend import blas, machine_code, shuffling
from fastann_kernels.numba_backend.executor import NumbaExecutor
from fastann_kernels.numba_backend.many import evaluate_many, train_many
from fastann_kernels.numba_backend.team import single_threaded_blas
from fastann_kernels.program import Program

__all__ = ["NumbaBackend", "NumbaExecutor", "backend"]


class NumbaBackend:
    """Trains programs on the CPU."""

    name = "numba"

    @staticmethod
    @lru_cache(maxsize=64)
    def executor(program: Program, precision: str = "float32") -> NumbaExecutor:
        """Prepare `program`; the same program gives the same executor again."""
        return NumbaExecutor(program, precision)

    @staticmethod
    def train_many(jobs: Sequence[TrainJob]) -> list[Done]:
        """Run stretches of training, a thread each; see `fastann_kernels.backend.Backend`."""
        return train_many(jobs)

    @staticmethod
    def evaluate_many(jobs: Sequence[EvaluateJob]) -> list[Done]:
        """Run evaluations, a thread each; see `fastann_kernels.backend.Backend`."""
        return evaluate_many(jobs)

    @staticmethod
    def shuffle(generator: np.random.Generator, order: NDArray[np.int64]) -> None:
        """Write a shuffled 0 .. n - 1; see `fastann_kernels.backend.Backend`."""
        if not shuffling.shuffle(generator, order):
            orders.shuffle(generator, order)

    @staticmethod
    def multiply(a: NDArray[np.float32], b: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """out <- a b for C-contiguous matrices, by the BLAS in use, in the threads of a training."""
        with single_threaded_blas():
            blas.multiply(a, b, out, threads_allowed(os.environ))

    @staticmethod
    def describe() -> dict[str, Any]:
        """Return versions, the BLAS in use with its threads, and where compiled kernels are kept."""
        import llvmlite.binding
        from threadpoolctl import threadpool_info

        blas.bind()
        pools = [p for p in threadpool_info() if p["user_api"] == "blas"]
        return {
            **versions(("numba", "llvmlite", "scipy")),
            "cpu": llvmlite.binding.get_host_cpu_name(),
            "blas": [
                {
                    "library": p["internal_api"],
                    "version": p["version"],
                    "threads": p["num_threads"],
                    "file": p["filepath"],
                }
                for p in pools
            ],
            "cache": str(machine_code.folder()),
        }


backend = NumbaBackend()
