"""A lab of seconds with real trainings: what runs leave, going on after a stop, the report, the command."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fastann.cli.app import app
from fastann.datasets.dataset import Dataset, make_dataset
from fastann.scaling.lab import PRESETS, Design, design_for, run_lab
from fastann.scaling.lab.arms import arm_trial, noise_on_the_way
from fastann.scaling.lab.store import FILE, Store
from fastann.scaling.lab.trials import Trial, looks, run_trial
from fastann.scaling.lab.workbench import Workbench, make_optimizer

SMALL = Design(
    "blobs", hidden=(8,), optimizers=("sgd", "adam"), batch_sizes=(2, 8, 32, 128), base_batch=8, epochs=6,
    grid_points=3, most_points=6, tuning_seeds=2, seeds=3, growth=1.4, warmup_epochs=1,
)  # fmt: skip


def blobs(rows: int = 160) -> Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(rows) % 3
    return make_dataset("blobs", rng.normal(size=(rows, 5)) + 1.2 * np.eye(3, 5)[y], y)


@pytest.fixture(scope="module")
def bench() -> Workbench:
    return Workbench(SMALL, blobs())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lab that ran to its end."""
    folder = tmp_path_factory.mktemp("lab")
    assert run_lab(SMALL, folder, dataset=blobs())
    return folder


# ---- design


def test_presets_are_designs() -> None:
    assert PRESETS["digits"].design.sizes(1024) == tuple(2**k for k in range(11))
    assert PRESETS["digits"].design.sizes(8192) == (4, 16, 32, 64, 256, 1024, 4096, 8192)
    assert PRESETS["fashion-mnist"].design.sizes(8192) == (2, 8, 32, 128, 512, 2048)
    changed = design_for("my.csv", seeds=3, epochs=None)
    assert (changed.design.data, changed.design.seeds, changed.design.epochs) == ("my.csv", 3, 16)
    assert Design.from_json(json.loads(json.dumps(SMALL.as_json()))) == SMALL


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizers": ("lion",)}, "optimizer must be one of sgd, nesterov, adam, got 'lion'"),
        ({"rules": ()}, "expected at least one rule, got none"),
        ({"batch_sizes": (4, 2)}, "batch_sizes must be positive and increasing"),
        ({"seeds": 1}, "seeds must be at least 2, got 1"),
        ({"most_points": 3}, "most_points must be at least grid_points"),
        ({"step_epochs": 0.0}, "step_epochs must be above 0"),
        ({"growth": 1.0}, "growth must be above 1"),
        ({"backend": "torch"}, "backend must be 'numba' or 'jax'"),
    ],
)
def test_impossible_designs_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["digits"].design, **settings)


def test_data_in_a_folder_that_a_variable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTANN_DATA", "/somewhere")
    assert PRESETS["fashion-mnist"].design.source == "/somewhere/fashion_mnist"
    monkeypatch.delenv("FASTANN_DATA")
    with pytest.raises(ValueError, match="the variable is not set"):
        _ = PRESETS["fashion-mnist"].design.source


# ---- data and trials


def test_the_split_has_a_power_of_two_of_rows(bench: Workbench) -> None:
    assert bench.rows == len(bench.parts.x) == 128
    assert len(bench.parts.x_validation) == 32
    np.testing.assert_allclose(bench.parts.x.mean(axis=0), 0, atol=1e-6)
    with pytest.raises(ValueError, match="at least 20 rows"):
        Workbench(SMALL, blobs(12))


def test_looks_hold_the_ends_of_the_budgets(bench: Workbench) -> None:
    found = looks(bench, 32, bench.longest(32))
    assert found[0] == 0
    assert found[-1] == bench.longest(32)
    assert {bench.budget_steps, bench.epochs_in_steps(32)} <= set(found)
    assert found == sorted(set(found))


def test_equal_steps_may_be_fewer_than_equal_epochs() -> None:
    bench = Workbench(replace(SMALL, step_epochs=1.5), blobs())
    assert (bench.budget_steps, bench.epochs_in_steps(8), bench.longest(8), bench.longest(128)) == (24, 96, 96, 24)


def test_a_trial_is_a_plain_fit(backend: str) -> None:
    """Looking at a training does not change it: the last look sees what `fit` ends with."""
    bench = Workbench(replace(SMALL, backend=backend), blobs())
    trial = Trial("nesterov", 32, 0.02, 8, seed=3)
    run = run_trial(trial, bench)
    model = bench.model(make_optimizer("nesterov", 0.02), 3)
    parts = bench.parts
    model.fit(parts.x, parts.y, batch_size=32, epochs=2, verbose=0)
    loss, accuracy = model.evaluate(parts.x_validation, parts.y_validation, verbose=0)
    assert run["validation_loss"][-1] == pytest.approx(loss, rel=1e-5)
    assert run["score"][-1] == pytest.approx(accuracy)
    assert run["training_loss"][-1] == pytest.approx(model.evaluate(parts.x, parts.y, verbose=0)[0], rel=1e-5)
    assert run["diverged_at"] is None
    assert run["seconds"] == sorted(run["seconds"])
    assert len(run["steps"]) == len(run["training_loss"]) == len(run["score"])


def test_trials_of_one_seed_are_paired(bench: Workbench) -> None:
    runs = [run_trial(Trial("sgd", size, 0.05, 4, seed=1), bench) for size in (2, 32)]
    assert runs[0]["validation_loss"][0] == runs[1]["validation_loss"][0]
    other = run_trial(Trial("sgd", 2, 0.05, 4, seed=2), bench)
    assert other["validation_loss"][0] != runs[0]["validation_loss"][0]


def test_divergence_is_data(bench: Workbench) -> None:
    run = run_trial(Trial("sgd", 8, 1e6, 96, seed=0), bench)
    assert run["diverged_at"] is not None
    json.dumps(run, allow_nan=False)


def test_the_noise_scale_against_a_loop_over_rows(bench: Workbench) -> None:
    """tr(Sigma) + |G|^2 = mean |g_i|^2, gradients from the public method, a row at a time."""
    run = run_trial(Trial("sgd", 8, 0.05, 1, seed=0, noise=True), bench)
    step, trace, square = run["noise"][0]
    assert step == 0
    model = bench.model(make_optimizer("sgd", 0.05), 0)
    singles = []
    for i in range(128):
        _, grads = model.loss_and_gradients(bench.parts.x[i : i + 1], bench.parts.y[i : i + 1])
        singles.append(np.concatenate([np.ravel(g) for g in grads]).astype(np.float64))
    mean = np.mean(singles, axis=0)
    assert square == pytest.approx((mean**2).sum(), rel=1e-4)
    assert trace == pytest.approx(((np.array(singles) - mean) ** 2).sum(axis=1).mean(), rel=1e-4)


def test_the_noise_scale_is_that_of_the_weights_on_the_way(bench: Workbench) -> None:
    """Measuring it leaves the training as it is, and sees the weights that plain training gets to."""
    run = run_trial(Trial("sgd", 32, 0.05, 8, seed=3, noise=True), bench)
    assert run["validation_loss"] == run_trial(Trial("sgd", 32, 0.05, 8, seed=3), bench)["validation_loss"]
    model = bench.model(make_optimizer("sgd", 0.05), 3)
    model.fit(bench.parts.x, bench.parts.y, batch_size=32, epochs=2, verbose=0)
    _, grads = model.loss_and_gradients(bench.parts.x, bench.parts.y)
    step, _, square = run["noise"][-1]
    assert step == 8
    assert square == pytest.approx(sum(float((g**2).sum()) for g in grads), rel=1e-4)


def test_the_sde_rule_has_betas_of_its_own(bench: Workbench) -> None:
    """Malladi et al. 2022: kappa = 4 makes 1 - beta four times as large, epsilon half."""
    optimizer = make_optimizer("adam", 0.02, sizes=(8, 32))
    plain = make_optimizer("adam", 0.02)
    assert (optimizer.learning_rate, optimizer.beta_1) == (0.02, pytest.approx(0.6))
    assert optimizer.beta_2 == pytest.approx(1 - 4 * (1 - plain.beta_2))
    assert optimizer.epsilon == pytest.approx(plain.epsilon / 2)
    runs = [run_trial(Trial("adam", 32, 0.02, 4, seed=0, scaled_from=base), bench) for base in (None, 8)]
    assert runs[0]["validation_loss"][-1] != runs[1]["validation_loss"][-1]


def test_the_noise_scale_halfway_to_the_target() -> None:
    """The target comes after 100 steps: the look at 10 counts; ratios of means, not means of ratios."""
    losses = {"steps": [0, 10, 100, 200], "validation_loss": [2.0, 1.5, 1.0, 0.9], "trial": {"steps": 200}}
    runs = [{**losses, "noise": [(0, 9.0, 1.0), (10, 6.0, 1.0), (100, 50.0, 1.0)]},
            {**losses, "noise": [(0, 9.0, 1.0), (10, 10.0, 3.0), (100, 50.0, 1.0)]}]  # fmt: skip
    assert noise_on_the_way(runs, 1.0) == pytest.approx(16 / 4)
    assert noise_on_the_way([{**losses, "noise": [(0, 9.0, 1.0)]}], 1.0) is None


def test_regression_has_no_accuracy() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3))
    bench = Workbench(SMALL, make_dataset("line", x, x @ [1.0, -2.0, 0.5] + 7, "regression"))
    run = run_trial(Trial("adam", 16, 0.01, 200, seed=0), bench)
    assert run["score"] == []
    assert run["validation_loss"][-1] < 0.1 * run["validation_loss"][0]


# ---- the lab


def test_a_lab_leaves_what_the_design_asks_for(finished: Path, bench: Workbench) -> None:
    store = Store(finished)
    names = {arm["arm"] for arm in store.facts("arm", optimizer="sgd", batch_size=32)}
    tuned = {"tuned:epochs", "tuned:steps", "tuned:target"}
    rules = {"linear", "sqrt", "saturating"}
    assert names == {"none", *rules, *(f"{rule}+warmup" for rule in rules), *tuned}
    of_adam = {arm["arm"] for arm in store.facts("arm", optimizer="adam", batch_size=32)}
    assert of_adam == names | {"sde-sqrt", "sde-sqrt+warmup"}
    assert not store.facts("arm", optimizer="adam", batch_size=128, arm="sde-sqrt")  # kappa (1 - beta_1) > 1
    anchor = store.fact("anchor", optimizer="sgd")["learning_rate"]
    linear = store.fact("arm", optimizer="sgd", batch_size=32, arm="linear+warmup")
    assert linear["learning_rate"] == pytest.approx(4 * anchor, rel=1e-3)
    assert (linear["warmup_steps"], linear["warmup_from"]) == (4, anchor)
    for arm in store.facts("arm"):
        for seed in range(SMALL.seeds):
            assert arm_trial(arm, bench, seed).key(bench) in store.runs
    assert len(store.facts("edge")) == 2 * 3
    assert store.fact("session")["machine"]["versions"]["numpy"] == np.__version__
    targets = store.fact("targets")["losses"]
    assert targets == sorted(targets, reverse=True)


def test_a_finished_lab_runs_nothing_again(finished: Path) -> None:
    before = len(Store(finished).runs)
    assert run_lab(SMALL, finished, dataset=blobs(), minutes=0.5)
    assert Store(finished).fact("session_end")["runs"] == 0
    assert len(Store(finished).runs) == before


def test_a_killed_lab_goes_on_where_it_was(finished: Path, tmp_path: Path) -> None:
    """Half the lines and half of one more: the rest comes out as it would have, and nothing is run twice."""
    lines = (finished / FILE).read_bytes().splitlines(keepends=True)
    half = len(lines) // 2
    (tmp_path / FILE).write_bytes(b"".join(lines[:half]) + lines[half][:20])
    assert run_lab(SMALL, tmp_path, dataset=blobs())
    whole, again = Store(finished), Store(tmp_path)
    assert set(again.runs) == set(whole.runs)
    for key, run in whole.runs.items():
        assert again.runs[key]["validation_loss"] == run["validation_loss"]
    text = (tmp_path / FILE).read_text()
    assert text.count('"kind": "run"') == len(again.runs)


def test_a_lab_without_time_stops_and_says_so(tmp_path: Path) -> None:
    assert not run_lab(SMALL, tmp_path, dataset=blobs(), minutes=0.0)
    assert Store(tmp_path).runs == {}


def test_ctrl_c_keeps_what_was_run(tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_lab(SMALL, tmp_path, dataset=blobs(), report=stop)
    assert len(Store(tmp_path).runs) >= 3
    assert Store(tmp_path).fact("session_end") is not None


def test_another_lab_is_not_mixed_in(finished: Path) -> None:
    with pytest.raises(ValueError, match="a lab of another design"):
        run_lab(replace(SMALL, epochs=7), finished, dataset=blobs())
    with pytest.raises(ValueError, match="a lab of other data"):
        run_lab(SMALL, finished, dataset=blobs(170))


def test_a_damaged_line_is_named(tmp_path: Path, finished: Path) -> None:
    lines = (finished / FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / FILE).write_bytes(lines[0] + b"{broken\n" + lines[1])
    with pytest.raises(ValueError, match="line 2 is damaged"):
        Store(tmp_path)


# ---- report and command


@pytest.mark.slow
def test_the_report_is_one_page(finished: Path, tmp_path: Path) -> None:
    for library in ("matplotlib", "jinja2"):
        pytest.importorskip(library)
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["scale", "report", str(finished), "--page", str(page)])
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 10
    assert "src=" not in text
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', text)) <= set(ids)
    assert "nan" not in text.lower().split("what held and what did not")[1].split("<h2>pictures")[0]
    assert "SGD: did the linear rule hold" in text
    verdicts = json.loads((tmp_path / "verdicts.json").read_text())
    assert {entry["question"].split(":")[0] for entry in verdicts["verdicts"]} >= {"SGD", "Adam"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "nowhere"], "there is no lab in 'nowhere'"),
        (["lab", "no-such-thing"], "there is no file 'no-such-thing'"),
        (["lab", "iris", "--optimizer", "lion"], "optimizer must be one of sgd, nesterov, adam, got 'lion'"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["scale", *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command_stops_in_time_and_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    arguments = ["scale", "lab", "iris", "--output", str(tmp_path), "--optimizer", "sgd", "--batch", "4", "--batch",
                 "16", "--seeds", "2", "--epochs", "2", "--base-batch", "4"]  # fmt: skip
    result = CliRunner().invoke(app, [*arguments, "--minutes", "0"])
    assert result.exit_code == 2
    assert "stopped too early for a report" in result.output
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "report.html").exists()
