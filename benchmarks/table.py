"""Put the table of the newest comparison into README.md, between its two marks: `make bench-table`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fastann.bench.report import markdown_table

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- benchmark table -->", "<!-- end of the benchmark table -->"


def main() -> None:
    """Read the newest results/peers-*.json and rewrite the part of the README between the marks."""
    found = sorted((ROOT / "benchmarks" / "results").glob("peers-*.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise SystemExit(
            "there is no benchmarks/results/peers-*.json: run fastann bench peers --out benchmarks/results"
        )
    record = json.loads(found[-1].read_text(encoding="utf-8"))
    machine = record["machine"]
    names = ("numba", "scipy", "jax", "torch", "keras", "scikit-learn")
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in names if machine["versions"].get(name))
    hardware = f"{machine['cpu']}, {machine['cores']} cores, {machine['date'][:10]}; {versions}."
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or not after:
        raise SystemExit(f"README.md must have the marks {BEGIN} and {END}")
    table = markdown_table(record["results"])
    readme.write_text(f"{before}{BEGIN}\n{hardware}\n\n{table}\n{END}{after}", encoding="utf-8")
    sys.stdout.write(f"README.md has the table of {found[-1].name}\n")


if __name__ == "__main__":
    main()
