"""The libraries that are compared, a file each."""

from __future__ import annotations

import importlib.metadata
import importlib.util

from fastann.bench.contenders.base import Contender, Entry

CONTENDERS: dict[str, Entry] = {
    "numba": Entry("fastann, Numba", ("numba",), "ours", "Numba", "NumbaImages"),
    "numba-mkl": Entry("fastann, Numba with MKL", ("numba", "mkl"), "ours", "NumbaMkl", "NumbaMklImages"),
    "numba-bf16": Entry("fastann, Numba, bf16", ("numba", "mkl"), "ours", "NumbaBFloat16", agreement=0.1),
    "jax": Entry("fastann, JAX", ("jax",), "ours", "Jax", "JaxImages"),
    "scan": Entry("JAX lax.scan + optax", ("jax", "optax"), "scan", "Scan", "Images"),
    "torch": Entry("PyTorch, eager", ("torch",), "torch", "Eager", "Images"),
    "torch-compile": Entry("PyTorch, torch.compile", ("torch",), "torch", "Compiled"),
    "torch-bf16": Entry("PyTorch, bf16 autocast", ("torch",), "torch", "BFloat16", agreement=0.1),
    "keras": Entry("Keras on JAX", ("keras", "jax"), "keras", "Keras"),
    "keras-32": Entry("Keras on JAX, 32 steps an execution", ("keras", "jax"), "keras", "ManySteps"),
    "sklearn": Entry("scikit-learn MLP", ("sklearn",), "sklearn", "Perceptron"),
}

#: The same work on one device, a GPU above all, in any precision.
DEVICE_CONTENDERS: dict[str, Entry] = {
    "jax-device": Entry("fastann, JAX", ("jax",), "ours", "JaxOnDevice"),
    "by-hand": Entry("JAX lax.scan by hand", ("jax",), "by_hand", "ByHand"),
    "torch-device": Entry("PyTorch, eager, fused Adam", ("torch",), "torch_device", "OnDevice"),
    "torch-device-compile": Entry("PyTorch, torch.compile", ("torch",), "torch_device", "CompiledOnDevice"),
    "torch-device-overhead": Entry("PyTorch, reduce-overhead", ("torch",), "torch_device", "ReducedOverhead"),
    "torch-device-graph": Entry("PyTorch, step as a CUDA graph", ("torch",), "torch_device", "Graphed"),
}

ENTRIES = CONTENDERS | DEVICE_CONTENDERS

#: Least agreement of losses where products are rounded, in place of `Entry.agreement` if that is stricter.
AGREEMENT = {"float32": 0.0, "tensorfloat32": 2e-2, "bfloat16": 5e-2}


def missing(entry: Entry) -> list[str]:
    """Return the packages that a contender lacks here."""
    return [package for package in entry.needs if not _present(package)]


def _present(package: str) -> bool:
    """Return whether a package is installed; MKL is one without a module."""
    if package != "mkl":
        return importlib.util.find_spec(package) is not None
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


__all__ = ["AGREEMENT", "CONTENDERS", "DEVICE_CONTENDERS", "ENTRIES", "Contender", "Entry", "missing"]
