"""The data sets that advice is validated on: those it was developed on, and those kept apart from the start."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Looked at as often as one likes while the procedure is made.
DEVELOPMENT = ("digits", "breast_cancer", "california_housing", "wine_quality", "fashion_mnist")

#: Never run before the procedure is final.
HELD_OUT = ("adult", "bank_marketing", "bike_sharing_hour", "credit_default", "higgs_7k", "covertype")

#: Part of the rows to validate on.
VALIDATION = 0.2


@dataclass(frozen=True, eq=False)
class Task:
    """Rows to train and to validate on, standardised as the first; `classes` is 0 where numbers are predicted."""

    name: str
    classes: int
    x: Array
    y: Array
    x_val: Array
    y_val: Array

    @property
    def validation_data(self) -> tuple[Array, Array]:
        return self.x_val, self.y_val


@dataclass(frozen=True)
class Table:
    """A file in the folder `tabular`: its column to predict, columns left out, and most rows to take."""

    file: str
    target: str | int
    classes: bool
    without: tuple[str, ...] = ()
    rows: int | None = None
    header: bool = True


TABLES = {
    "california_housing": Table("california_housing.csv.gz", "median_house_value", False),
    "wine_quality": Table("wine_quality.csv.gz", "quality", False),
    "adult": Table("adult.csv.gz", "income", True),
    "bank_marketing": Table("bank_marketing.csv.gz", "deposit", True),
    "bike_sharing_hour": Table(
        "bike_sharing_hour.csv.gz", "cnt", False, ("instant", "dteday", "casual", "registered")
    ),
    "credit_default": Table("credit_default.csv.gz", "default", True),
    "higgs_7k": Table("higgs_7k_train.tsv.gz", 0, True, header=False),
    "covertype": Table("covertype_397k.csv.gz", "Cover_Type", True, rows=20_000),
}  # fmt: skip


def load_task(name: str) -> Task:
    """Load a data set, split it once and for all, and scale and encode it as its training rows say."""
    if name in TABLES:
        return _table_task(name, TABLES[name])
    return _task(name, *BUILT_IN[name]())


def _data_folder() -> Path:
    folder = os.environ.get("FASTANN_DATA", "")
    if not folder or not Path(folder).is_dir():
        raise SystemExit("FASTANN_DATA must name the folder of data sets.")
    return Path(folder)


def _digits() -> tuple[Array, Array, int]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x, y, 10


def _breast_cancer() -> tuple[Array, Array, int]:
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return x, y, 2


def _fashion_mnist() -> tuple[Array, Array, int]:
    from fastann.datasets import load

    data = load(_data_folder() / "fashion_mnist")
    rows = np.random.default_rng(0).permutation(60_000)[:10_000]
    return data.x[rows].reshape(len(rows), -1).astype(np.float64), data.y[rows], 10


BUILT_IN: dict[str, Callable[[], tuple[Array, Array, int]]] = {
    "digits": _digits,
    "breast_cancer": _breast_cancer,
    "fashion_mnist": _fashion_mnist,
}


def _parts(rows: int) -> tuple[Array, Array]:
    order = np.random.default_rng(1).permutation(rows)
    held = int(VALIDATION * rows)
    return np.sort(order[held:]), np.sort(order[:held])


def _standardised(x: Array, train: Array) -> Array:
    spread = x[train].std(axis=0)
    return np.asarray((x - x[train].mean(axis=0)) / np.where(spread > 0, spread, 1.0), np.float32)


def _task(name: str, x: Array, y: Array, classes: int) -> Task:
    train, held = _parts(len(x))
    x = _standardised(np.asarray(x, np.float64), train)
    if not classes:
        y = _standardised(np.asarray(y, np.float64).reshape(-1, 1), train)
    return Task(name, classes, x[train], y[train], x[held], y[held])


def _table_task(name: str, table: Table) -> Task:
    import pandas as pd

    path = _data_folder() / "tabular" / table.file
    tabs = ".tsv" in table.file
    frame = pd.read_csv(path, sep="\t" if tabs else ",", header=0 if table.header else None)
    if table.rows is not None:
        frame = frame.iloc[np.sort(np.random.default_rng(0).permutation(len(frame))[: table.rows])]
    y, classes = frame[table.target].to_numpy(), 0
    if table.classes:
        labels, y = np.unique(y.astype(str), return_inverse=True)
        classes = len(labels)
    frame = frame.drop(columns=[table.target, *(name for name in table.without if name in frame)])
    train, _ = _parts(len(frame))
    columns: list[Array] = []
    for column in frame:
        values = frame[column]
        if pd.api.types.is_numeric_dtype(values):
            values = values.fillna(values.iloc[train].median())
            columns.append(values.to_numpy(np.float64).reshape(-1, 1))
        else:
            values = values.fillna("missing").astype(str).to_numpy()
            columns.append((values[:, None] == np.unique(values[train])[None, :]).astype(np.float64))
    return _task(name, np.concatenate(columns, axis=1), y, classes)
