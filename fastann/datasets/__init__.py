"""Data sets to train on from the command line: built-in ones, and files in a few plain formats.

>>> data = load("iris")
>>> data.x.shape, data.task, data.class_names
((150, 4), 'classification', ('setosa', 'versicolor', 'virginica'))
"""

from __future__ import annotations

import os
from pathlib import Path

from fastann.datasets.arrays import load_npz
from fastann.datasets.builtin import BUILTIN, load_builtin
from fastann.datasets.dataset import Dataset
from fastann.datasets.idx import load_idx
from fastann.datasets.parts import Scaling, split, standardise
from fastann.datasets.table import load_csv

__all__ = ["BUILTIN", "Dataset", "Scaling", "load", "split", "standardise"]

_TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def load(source: str | os.PathLike[str], target: str | int | None = None, task: str = "auto") -> Dataset:
    """Load a data set by name or from a file.

    Args:
        source: one of `BUILTIN`, which ship with scikit-learn; a `.npz` file with arrays `x` and `y`; a numeric
            `.csv` or `.tsv`, also gzipped; a folder of idx files, named as MNIST's are. A built-in name comes before a
            folder of that name: write `./digits` for the folder.
        target: for a table, the name or number of the column to predict (-1 is the last one).
        task: "classification", "regression" or "auto". Auto takes text and booleans, and whole numbers of at most 20
            different values, for classes, and everything else for numbers to predict.

    Raises:
        ValueError: the source is unknown or its contents are not what the format promises; the message says where.
        FileNotFoundError: there is no such file.
        ImportError: a built-in data set is asked for and scikit-learn is not installed.
    """
    if task not in ("auto", "classification", "regression"):
        raise ValueError(f"task must be 'auto', 'classification' or 'regression', got {task!r}.")
    text = os.fspath(source)
    path = Path(text)
    table = text.lower().endswith(_TABLES)
    if target is not None and not table:
        raise ValueError(f"target is for tables (.csv, .tsv) only; {text!r} says by itself what its target is.")
    if isinstance(source, str) and text.replace("-", "_") in BUILTIN:
        return load_builtin(text.replace("-", "_"), task)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file {text!r}, and the built-in data sets are {', '.join(BUILTIN)}; name one of them."
        )
    if path.is_dir():
        return load_idx(path, task)
    if table:
        return load_csv(path, target, task)
    if path.suffix.lower() == ".npz":
        return load_npz(path, task)
    raise ValueError(f"expected a .npz, .csv or .tsv file or a folder of idx files, got {text!r}.")
