"""The libraries that are compared, a file each."""

from __future__ import annotations

import importlib.util

from fastann.bench.contenders.base import Contender, Entry

CONTENDERS: dict[str, Entry] = {
    "numba": Entry("fastann, Numba", ("numba",), "ours", "Numba", "NumbaImages"),
    "jax": Entry("fastann, JAX", ("jax",), "ours", "Jax", "JaxImages"),
    "scan": Entry("JAX lax.scan + optax", ("jax", "optax"), "scan", "Scan", "Images"),
    "torch": Entry("PyTorch, eager", ("torch",), "torch", "Eager", "Images"),
    "torch-compile": Entry("PyTorch, torch.compile", ("torch",), "torch", "Compiled"),
    "torch-bf16": Entry("PyTorch, bf16 autocast", ("torch",), "torch", "BFloat16", agreement=0.1),
    "keras": Entry("Keras on JAX", ("keras", "jax"), "keras", "Keras"),
    "keras-32": Entry("Keras on JAX, 32 steps an execution", ("keras", "jax"), "keras", "ManySteps"),
    "sklearn": Entry("scikit-learn MLP", ("sklearn",), "sklearn", "Perceptron"),
}


def missing(entry: Entry) -> list[str]:
    """Return the packages that a contender lacks here."""
    return [package for package in entry.needs if importlib.util.find_spec(package) is None]


__all__ = ["CONTENDERS", "Contender", "Entry", "missing"]
