"""Put tables of the newest comparisons, one a machine, into README.md, between its two marks: `make bench-table`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fastann.bench.contenders import CONTENDERS
from fastann.bench.record import read_records
from fastann.bench.report import markdown_table

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- benchmark table -->", "<!-- end of the benchmark table -->"


def comparisons() -> list[dict[str, Any]]:
    """Return the records of comparisons in results/, from the oldest to the newest."""
    found = [record for record in read_records(ROOT / "benchmarks" / "results") if record["suite"] == "peers"]
    if not found:
        raise SystemExit("benchmarks/results/ has no comparison: run fastann bench peers --out benchmarks/results")
    return sorted(found, key=lambda record: str(record["machine"]["date"]))


def newest_entries(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the newest entry of each network and batch, those of little work first; contenders as in their list."""
    newest = {(e["name"], e["batch_size"]): e for record in records for e in record["results"]}
    entries = dict(sorted(newest.items(), key=lambda item: ((item[1]["flops_per_step"] or 0) / item[0][1], item[0][1])))
    places = list(CONTENDERS)
    named = sorted({name for e in entries.values() for name in e["contenders"]}, key=places.index)
    return [
        {**e, "contenders": {n: e["contenders"][n] for n in named if n in e["contenders"]}} for e in entries.values()
    ]


def hardware(records: list[dict[str, Any]]) -> str:
    """Return a line on the machine that records of it name, with what was installed when the newest was made."""
    machine = records[-1]["machine"]
    names = ("numba", "scipy", "jax", "torch", "keras", "scikit-learn")
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in names if machine["versions"].get(name))
    return f"{machine['cpu']}, {machine['cores']} cores, {machine['date'][:10]}; {versions}."


def tables(records: list[dict[str, Any]]) -> str:
    """Return a line and a table for each machine, the one that was measured last first."""
    machines: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        machines.setdefault(record["machine"]["cpu"], []).append(record)
    newest_first = sorted(machines.values(), key=lambda of: str(of[-1]["machine"]["date"]), reverse=True)
    return "\n\n".join(f"{hardware(of)}\n\n{markdown_table(newest_entries(of))}" for of in newest_first)


def main() -> None:
    """Rewrite the part of the README between the marks."""
    records = comparisons()
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or not after:
        raise SystemExit(f"README.md must have the marks {BEGIN} and {END}")
    readme.write_text(f"{before}{BEGIN}\n{tables(records)}\n{END}{after}", encoding="utf-8")
    sys.stdout.write(f"README.md has the tables of {len(records)} records\n")


if __name__ == "__main__":
    main()
