"""Write the results of every epoch to a CSV file."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from fastann.callbacks.base import Callback, Logs


class CSVLogger(Callback):
    """Write one line an epoch: its number from 0 and the entries of its logs, in alphabetical order.

    Each line is in the file as soon as its epoch is over. The columns are those of the first epoch; if that had no
    validation, columns for one are added. What an epoch does not give is written as NA.

    Args:
        filename: the file.
        separator: character between two entries.
        append: go on writing to a file that exists; its header is not repeated.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"separator must be one character, got {separator!r}.")
        self.filename = Path(filename)
        self.separator = separator
        self.append = append
        self.keys: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.keys = None
        if not self.append:
            self.filename.write_text("", encoding="utf-8")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        lines: list[list[Any]] = []
        if self.keys is None:
            self.keys = _columns(logs)
            if not self.filename.exists() or self.filename.stat().st_size == 0:
                lines.append(["epoch", *self.keys])
        lines.append([epoch, *(logs.get(key, "NA") for key in self.keys)])
        with self.filename.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=self.separator).writerows(lines)


def _columns(logs: Logs) -> list[str]:
    keys = sorted(logs)
    if not any(key.startswith("val_") for key in keys):
        keys += [f"val_{key}" for key in keys if key != "learning_rate"]
    return keys
