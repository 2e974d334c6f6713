"""What a lab has found so far: one JSON line for each run and each decision, appended as they come."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fastann.scaling.lab.design import Design

FILE = "lab.jsonl"


class Store:
    """The lines of a lab's folder, those of earlier sessions first.

    A line that was being written when the lab was killed is dropped. Runs have a key, the hash of everything that
    decides them, and are kept once.

    Args:
        folder: made if it is not there.
        design: what the lab is to run; None to read what was run.

    Raises:
        ValueError: the folder holds a lab of another design, no lab where none is to be begun, or a damaged line.
    """

    def __init__(self, folder: str | os.PathLike[str], design: Design | None = None) -> None:
        self.path = Path(folder) / FILE
        self.runs: dict[str, dict[str, Any]] = {}
        self._facts: list[dict[str, Any]] = []
        if design is None and not self.path.exists():
            raise ValueError(f"there is no lab in {os.fspath(folder)!r}; run fastann scale lab first.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._read(repair=design is not None)
        known = self.fact("design")
        if known is not None:
            self.design = Design.from_json(known["settings"])
            if design is not None and not _continues(self.design, design):
                raise ValueError(
                    f"{self.path} holds a lab of another design; choose another folder, or the options it began with."
                )
        if design is not None and (known is None or self.design != design):
            self.add("design", settings=design.as_json())
            self.design = design
        if known is None and design is None:
            raise ValueError(f"{self.path} does not say what was run; run fastann scale lab again.")

    def add(self, kind: str, **entries: Any) -> dict[str, Any]:
        """Append a line; it is on its way to the disk when this returns."""
        line = {"kind": kind, **entries}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._keep(line)
        return line

    def fact(self, kind: str, **match: Any) -> dict[str, Any] | None:
        """Return the last line of a kind whose entries are as said, or None."""
        found = self.facts(kind, **match)
        return found[-1] if found else None

    def facts(self, kind: str, **match: Any) -> list[dict[str, Any]]:
        """Return all lines of a kind, runs excepted, whose entries are as said."""
        return [f for f in self._facts if f["kind"] == kind and all(f.get(k) == v for k, v in match.items())]

    def _read(self, repair: bool) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if repair and len(whole) < len(content):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self._keep(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"{self.path}: line {number} is damaged; remove it and go on.") from error

    def _keep(self, line: dict[str, Any]) -> None:
        if line["kind"] == "run":
            self.runs[line["key"]] = line
        else:
            self._facts.append(line)


def _continues(old: Design, new: Design) -> bool:
    """Return whether a lab can go on with a new design: the same, with at least as many seeds."""
    was, now = old.as_json(), new.as_json()
    more = now.pop("seeds") >= was.pop("seeds")
    return more and was == now
