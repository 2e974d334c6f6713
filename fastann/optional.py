"""Libraries that parts of the package need and that are not installed with it."""

from __future__ import annotations

import importlib.util

#: Extra of this package that installs a module, and the name of its distribution.
_EXTRAS = {"sklearn": ("sklearn", "scikit-learn"), "matplotlib": ("plots", "matplotlib"), "jinja2": ("plots", "jinja2")}


def require(module: str, what: str) -> None:
    """Raise ImportError, with what to install, unless a module is there.

    Args:
        module: a key of the table above.
        what: what needs it, with its verb: "plots need".
    """
    if importlib.util.find_spec(module) is None:
        extra, name = _EXTRAS[module]
        raise ImportError(f"{what} {name}, which is not installed: pip install 'fastann[{extra}]'.")
