"""Importing Numba without scipy.linalg, which it asks for one module of: a fifth of a second of every start."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any

_NAME = "scipy.linalg.cython_blas"


def published_by_scipy() -> Any:
    """Return scipy.linalg.cython_blas, if possible without the rest of scipy.linalg.

    A later import of scipy.linalg finds the same module.
    """
    if "scipy.linalg" not in sys.modules:
        import scipy

        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(scipy.__file__).parent / "linalg" / f"cython_blas{suffix}"
            spec = importlib.util.spec_from_file_location(_NAME, path) if path.exists() else None
            if spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    return importlib.import_module(_NAME)


def import_numba() -> None:
    """Import Numba with that module in sight, and leave no trace of the trick."""
    if "numba.np.arraymath" in sys.modules:
        return
    known = _NAME in sys.modules
    if not known:
        sys.modules[_NAME] = published_by_scipy()
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        if not known and "scipy.linalg" not in sys.modules:
            del sys.modules[_NAME]
