"""fastann: neural networks that train as fast as the hardware allows, behind one network API that knows no backend.

Names are loaded when they are first used: importing the package loads neither numba nor jax.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fastann import (
        activations,
        callbacks,
        datasets,
        evaluation,
        initializers,
        io,
        layers,
        losses,
        metrics,
        models,
        optimizers,
        plots,
        preprocessing,
        regularizers,
        scaling,
        schedules,
        units,
        utils,
    )
    from fastann.comparing import compare_learning_rates, compare_optimizers
    from fastann.finder import find_learning_rate
    from fastann.io import load_model
    from fastann.layers import Input
    from fastann.many import fit_many
    from fastann.models import Model, Sequential

_MODULES = frozenset(
    {
        "activations", "callbacks", "datasets", "evaluation", "initializers", "io", "layers", "losses", "metrics",
        "models", "optimizers", "plots", "preprocessing", "regularizers", "scaling", "schedules", "units", "utils",
    }
)  # fmt: skip
_NAMES = {
    "Input": "fastann.layers",
    "compare_learning_rates": "fastann.comparing",
    "compare_optimizers": "fastann.comparing",
    "find_learning_rate": "fastann.finder",
    "fit_many": "fastann.many",
    "Model": "fastann.models",
    "Sequential": "fastann.models",
    "load_model": "fastann.io",
}

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "__version__",
    "activations",
    "callbacks",
    "compare_learning_rates",
    "compare_optimizers",
    "datasets",
    "evaluation",
    "find_learning_rate",
    "fit_many",
    "initializers",
    "io",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "plots",
    "preprocessing",
    "regularizers",
    "scaling",
    "schedules",
    "units",
    "utils",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fastann.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'fastann' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
