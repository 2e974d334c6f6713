"""The benchmark suites: what they count by hand, small runs of each, the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastann_kernels.machine import cpu_name
from typer.testing import CliRunner

from fastann.bench import machine, peers
from fastann.bench.cases import NETWORKS, Case, case_of, flops_per_sample
from fastann.bench.images import ImageCase
from fastann.bench.isolated import call_isolated
from fastann.bench.record import read_records, spread, write_record
from fastann.bench.report import markdown_table, write_report
from fastann.bench.roofline import arithmetic_bound_from
from fastann.bench.throughput import sweep
from fastann.cli.app import app

RUN = CliRunner().invoke


def test_arithmetic_is_counted_by_hand() -> None:
    """Three products of 2 in out each; the first layer has no input gradient."""
    assert flops_per_sample((5, 3)) == 4 * 15
    assert flops_per_sample((5, 3, 2)) == 4 * 15 + 6 * 6
    assert flops_per_sample(NETWORKS["wide"]) == 4 * 784 * 2048 + 6 * (2048 * 2048 + 2048 * 10)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("batch", [1, 96])
def test_cases_have_whole_batches(name: str, batch: int) -> None:
    case = case_of(name, batch, 200)
    assert case.rows % batch == 0
    assert case.steps == case.rows // batch > 0
    x, y = case.data()
    assert x.shape == (case.rows, NETWORKS[name][0])
    assert x.dtype == np.float32
    assert len(np.unique(y)) == max(2, NETWORKS[name][-1]) or case.rows < 200
    again = case.data()[0]
    np.testing.assert_array_equal(x, again)
    with pytest.raises(ValueError, match="network must be one of tiny, small, pyramid, wide, deep, got 'huge'"):
        case_of("huge", 1)


def test_images_are_a_case() -> None:
    x, y = ImageCase(batch_size=8, rows=32).data()
    assert x.shape == (32, 28, 28, 1)
    assert set(y) <= set(range(10))


def test_spreads_are_quantiles() -> None:
    found = spread([3.0, 1.0, 2.0, 10.0, 4.0])
    assert (found["n"], found["min"], found["median"], found["iqr"]) == (5, 1.0, 3.0, 2.0)


def test_processes_of_their_own() -> None:
    assert call_isolated("fastann.bench.cases:flops_per_sample", widths=(5, 3)) == 60
    with pytest.raises(RuntimeError, match=r"(?s)failed in its process:.*network must be one of"):
        call_isolated("fastann.bench.cases:case_of", name="huge", batch_size=1)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_sweep_reports_what_it_ran(backend: str, precision: str) -> None:
    entries = sweep("tiny", backend, precision, [64, 1024], 0.0, 2)
    assert [e["batch_size"] for e in entries] == [64, 1024]
    for entry in entries:
        rate = entry["steps_per_second"]["median"]
        assert entry["samples_per_second"] == pytest.approx(rate * entry["batch_size"])
        flops = flops_per_sample(NETWORKS["tiny"])
        assert entry["gflops"] == pytest.approx(entry["samples_per_second"] * flops / 1e9)
        assert entry["steps_per_second"]["n"] == 2


def test_the_bound_begins_where_it_stays() -> None:
    bounds = [(1, "overhead"), (8, "arithmetic"), (64, "bandwidth"), (512, "arithmetic"), (4096, "arithmetic")]
    entries = [{"network": "a", "batch_size": batch, "bound": bound} for batch, bound in bounds]
    assert arithmetic_bound_from(entries, "a") == 512
    assert arithmetic_bound_from(entries[:3], "a") is None


def test_records_say_where_they_come_from(tmp_path: Path) -> None:
    path = write_record(tmp_path / "new", "startup", {"rounds": 1}, [])
    record = json.loads(path.read_text())
    assert record["suite"] == "startup"
    assert record["machine"]["cores"] >= 1
    assert record["machine"]["versions"]["numpy"] == np.__version__
    assert path.name == f"startup-{machine.slug(cpu_name())}.json"
    assert read_records(tmp_path / "new") == [record]
    with pytest.raises(ValueError, match="there is no record"):
        read_records(tmp_path)
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ValueError, match="is no record of a benchmark"):
        read_records(tmp_path)


def test_an_interrupted_comparison_keeps_what_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(case: Case, *_: Any) -> dict[str, Any]:
        if case.batch_size == 64:
            raise KeyboardInterrupt
        return {"batch_size": case.batch_size, "contenders": {}}

    monkeypatch.setattr(peers, "compare", compare)
    result = RUN(app, ["bench", "peers", "--case", "tiny:32", "--case", "tiny:64", "--out", str(tmp_path)])
    assert result.exit_code != 0
    (record,) = read_records(tmp_path)
    assert [entry["batch_size"] for entry in record["results"]] == [32]


def test_machines_have_names() -> None:
    assert machine.slug("Intel(R) Xeon(R) Processor @ 2.0GHz") == "intel-xeon-processor-2-0ghz"


# ---- small runs of the commands


@pytest.mark.slow
def test_every_suite_runs_and_is_reported(tmp_path: Path) -> None:
    for library in ("matplotlib", "jinja2", "jax", "numba"):
        pytest.importorskip(library)
    out = ["--out", str(tmp_path)]
    runs: list[list[str]] = [
        ["throughput", "--network", "tiny", "--batch", "256", "--backend", "numba", "--seconds", "0"],
        [
            "peers",
            "--case",
            "tiny:1024",
            "--contender",
            "numba",
            "--contender",
            "jax",
            "--rounds",
            "2",
            "--seconds",
            "0",
        ],
        ["roofline", "--network", "tiny", "--batch", "64", "--batch", "4096", "--seconds", "0"],
        ["latency", "--network", "tiny", "--rounds", "1"],
        ["threads", "--rows", "320", "--backend", "numba", "--rounds", "1", "--seconds", "0"],
        ["many", "--rows", "320", "--backend", "numba", "--models", "3", "--rounds", "2", "--seconds", "0"],
        ["memory", "--network", "small", "--rows", "2000", "--batch", "500", "--backend", "numba"],
    ]
    for arguments in runs:
        result = RUN(app, ["bench", *arguments, *out])
        assert result.exit_code == 0, result.output
        assert "written to" in result.output
    peers = json.loads(next(tmp_path.glob("peers-*.json")).read_text())["results"]
    assert list(peers[0]["contenders"]) == ["numba", "jax"]
    assert peers[0]["contenders"]["jax"]["relative_differences"][0] < 1e-3
    memory = json.loads(next(tmp_path.glob("memory-*.json")).read_text())["results"][0]
    assert memory["data"] == 2000 * 784 * 4 + 2000 * 8
    assert memory["ratio"] > 0
    many = json.loads(next(tmp_path.glob("many-*.json")).read_text())["results"][0]
    assert (many["way"], many["models"], many["rows"]) == ("many", 3, 320)
    times = many["seconds_an_epoch"]
    assert many["ratio"] == pytest.approx(times["in_turn"]["median"] / times["at_once"]["median"])
    result = RUN(app, ["bench", "report", str(tmp_path)])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for title in (
        "Throughput",
        "Other libraries at the same work",
        "Roofline",
        "Latency",
        "Memory",
        "Models in threads",
        "Many models by fit_many",
    ):
        assert f"<h2>{title}</h2>" in page
    assert page.count("<svg") == 3
    assert "src=" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["peers", "--case", "tiny"], "case must be network:batch, such as tiny:32, got 'tiny'"),
        (["throughput", "--network", "huge"], "network must be one of"),
        (["peers", "--contender", "caffe"], "contender must be one of numba, numba-mkl"),
        (["memory", "--network", "huge"], "network must be one of"),
        (["report", "nowhere"], "there is no record in 'nowhere'"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    out = [] if arguments[0] == "report" else ["--out", str(tmp_path)]
    result = RUN(app, ["bench", *arguments, *out])
    assert result.exit_code == 2
    assert message in result.output
    assert not list(tmp_path.iterdir())


def entry(**steps: float) -> dict[str, Any]:
    return {"name": "tiny", "batch_size": 32, "contenders": {k: {"step_us": spread([v])} for k, v in steps.items()}}


def test_the_table_for_a_readme() -> None:
    lines = markdown_table([entry(numba=3.44, jax=1234.5), entry(numba=5.0, jax=2.0)]).splitlines()
    assert lines == [
        "| network, batch | fastann, Numba | fastann, JAX |",
        "|---|---|---|",
        "| tiny, 32 | **3.4** | 1,234 |",
        "| tiny, 32 | 5.0 | **2.0** |",
    ]


def test_a_lost_comparison_is_marked(tmp_path: Path) -> None:
    for library in ("matplotlib", "jinja2"):
        pytest.importorskip(library)
    write_record(tmp_path, "peers", {}, [entry(numba=5.0, jax=2.0, scan=9.0)])
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert page.count('<tr class="lost">') == 1


def test_a_case_can_have_any_widths() -> None:
    assert Case((3, 2, 1), 4, 8).name == "3-2-1 at 4"
    assert case_of("deep", 64).name == "deep at 64"
