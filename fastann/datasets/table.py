"""Numeric tables in CSV or TSV files."""

from __future__ import annotations

import csv
import gzip
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from fastann.datasets.dataset import Array, Dataset, make_dataset

_DELIMITERS = ",;\t"


def load_csv(path: Path, target: str | int | None, task: str = "auto") -> Dataset:
    """Load a table of numbers; the column `target` is what to predict, and may hold text.

    The delimiter is the one of comma, semicolon and tab that stands most often in the first line. A first line with a
    cell that is no number names the columns; if there is none they are called by their number. A file that ends in
    `.gz` is decompressed.

    Raises:
        ValueError: a cell of a feature is no finite number, a line has too many or too few cells, or the target is not
            there; the message names line and column.
    """
    with _open(path) as file:
        first = file.readline()
        file.seek(0)
        delimiter = max(_DELIMITERS, key=first.count)
        rows = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        head = next(rows, [])
        if not head:
            raise ValueError(f"{path}: expected a table, got an empty file or an empty first line.")
        names, first_row = _names(head)
        column = _target_column(path, names, target)
        values, labels = _read(path, rows, names, column, first_row)
    features = [name for i, name in enumerate(names) if i != column]
    return make_dataset(
        path.name.split(".")[0],
        values,
        labels,
        task,
        feature_names=features,
        description=f"{len(labels):,} rows of {path.name}; predicts {names[column]!r}.",
    )


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text, got the byte {error.object[error.start]:#04x}.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: the gzip file is damaged or cut short ({error}).") from error
    except csv.Error as error:
        raise ValueError(f"{path}: not a readable table ({error}).") from error


def _names(head: list[str]) -> tuple[list[str], list[str] | None]:
    """Return the names of the columns, and the first line again if it is a row of data."""
    if all(_is_number(cell) for cell in head):
        return [str(i) for i in range(len(head))], head
    return [cell.strip() for cell in head], None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _target_column(path: Path, names: list[str], target: str | int | None) -> int:
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    if target is None:
        raise ValueError(f"{path}: name the column to predict as the target; there are {shown}.")
    if len(names) < 2:
        raise ValueError(f"{path}: expected at least two columns, the target and one to predict it from, got one.")
    if isinstance(target, str) and names.count(target) > 1:
        raise ValueError(f"{path}: {names.count(target)} columns are called {target!r}; give the target by its number.")
    if isinstance(target, str) and target in names:
        return names.index(target)
    try:
        number = int(target)
        names[number]
    except (ValueError, IndexError):
        raise ValueError(f"{path}: there is no column {target!r} to predict; there are {shown}.") from None
    return number % len(names)


def _read(
    path: Path, rows: Iterator[list[str]], names: list[str], column: int, first_row: list[str] | None
) -> tuple[Array, Array]:
    values, labels = array("d"), []
    line = 1
    for row in _with_first(first_row, rows):
        line = getattr(rows, "line_num", line)
        if not row:
            continue
        if len(row) != len(names):
            raise ValueError(f"{path}, line {line}: expected {len(names)} cells, got {len(row)}.")
        labels.append(row.pop(column).strip())
        try:
            values.extend(map(float, row))
        except ValueError:
            raise ValueError(_complaint(path, line, row, names, column)) from None
    x = np.frombuffer(values, np.float64).reshape(len(labels), len(names) - 1)
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row_number, place = bad[0]
        name = names[place + (place >= column)]
        raise ValueError(
            f"{path}, row {row_number + 1} of data, column {name!r}: expected a finite number, got {x[tuple(bad[0])]}."
        )
    return x, _target_values(path, labels, names[column])


def _with_first(first: list[str] | None, rows: Iterator[list[str]]) -> Iterator[list[str]]:
    if first is not None:
        yield first
    yield from rows


def _complaint(path: Path, line: int, row: list[str], names: list[str], column: int) -> str:
    features = [name for i, name in enumerate(names) if i != column]
    name, cell = next((name, cell) for name, cell in zip(features, row, strict=True) if not _is_number(cell))
    got = f"got {cell[:40]!r}" if cell.strip() else "the cell is empty"
    return f"{path}, line {line}, column {name!r}: expected a number, {got}; encode, fill or drop it first."


def _target_values(path: Path, labels: list[str], name: str) -> Array:
    if not labels:
        raise ValueError(f"{path}: expected rows below the names of the columns, got none.")
    if "" in labels:
        raise ValueError(
            f"{path}, row {labels.index('') + 1} of data, column {name!r}: the target is empty; drop the row."
        )
    if all(map(_is_number, labels)):
        return np.array(labels, np.float64)
    return np.array(labels)
