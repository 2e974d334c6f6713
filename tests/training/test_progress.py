"""What is printed."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastann.callbacks import LambdaCallback
from fastann.training import progress
from fastann.training.bar import Bar
from fastann.training.loop import evaluate, fit, predict
from tests.training.fakes import FakeModel, regression

X, Y = regression(40)


def test_zero_is_silent(capsys):
    model = FakeModel()
    fit(model, X, Y, epochs=3, verbose=0)
    evaluate(model, X, Y, verbose=0)
    predict(model, X, verbose=0)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_two_is_a_line_an_epoch(capsys):
    fit(FakeModel(), X, Y, epochs=3, verbose=2, validation_split=0.5)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for epoch, line in enumerate(lines, 1):
        assert re.fullmatch(rf"Epoch {epoch}/3 - \d+\.\d\ds - loss: [\d.]+ - val_loss: [\d.]+", line)


def test_auto_is_lines_where_there_is_no_terminal(capsys):
    model = FakeModel()
    fit(model, X, Y)
    evaluate(model, X, Y)
    predict(model, X)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/1", "Evaluation"]


def test_auto_is_a_bar_in_a_terminal(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert isinstance(progress.make_progress(None), Bar)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert isinstance(progress.make_progress(None), progress.Lines)
    assert isinstance(progress.make_progress(None, quiet_without_terminal=True), progress.Silent)


def test_numbers_have_four_digits():
    logs = {"loss": 0.5, "tiny": 1.23456e-7, "large": 12345.678, "none": float("nan"), "zero": 0.0}
    assert progress.numbers(logs) == "loss: 0.5000 - tiny: 1.235e-07 - large: 12345.6780 - none: nan - zero: 0"


def test_one_tells_of_short_epochs_at_most_ten_times_a_second(capsys):
    began = time.perf_counter()
    fit(FakeModel(), X, Y, epochs=300, verbose=1)
    seconds = time.perf_counter() - began
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert 1 <= len(lines) <= 10 * seconds + 2
    assert re.fullmatch(r"Epoch 300/300 - 2/2 - \d+\.\d\ds - loss: [\d.e+-]+", lines[-1])


def test_one_shows_a_bar_while_an_epoch_lasts(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    slow = LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.03))
    fit(FakeModel(), X, Y, batch_size=5, epochs=2, verbose=1, callbacks=slow)
    out = capsys.readouterr().out
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out)
    assert "━" in plain
    assert re.search(r"Epoch 1/2 .* [3-7]/8 .*loss: \d", plain)
    assert re.search(r"Epoch 1/2 - 8/8 - \d+\.\d\ds - loss: ", plain)
    assert re.search(r"Epoch 2/2 - 8/8 - \d+\.\d\ds - loss: ", plain)
    assert out.count("\x1b[?25l") == out.count("\x1b[?25h") == 1  # the cursor is shown again


def test_a_bar_is_closed_by_an_error(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_INTERACTIVE", "1")

    def fail(batch, logs):
        time.sleep(0.06)
        if batch == 5:
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fit(FakeModel(), X, Y, batch_size=5, verbose=1, callbacks=LambdaCallback(on_train_batch_end=fail))
    out = capsys.readouterr().out
    assert out.count("\x1b[?25l") == out.count("\x1b[?25h") == 1


def test_progress_of_epochs_costs_microseconds():
    for shown in (progress.Silent(), Bar()):
        shown.start("Epoch 0/1", 10)
        began = time.perf_counter()
        for epoch in range(1000):
            shown.start("Epoch", 10)
            for done in (5, 10):
                shown.update(done, lambda: {"loss": 1.0})
            shown.finish({"loss": float(epoch)})
        # about 3 us an epoch when measured; the bar may be drawn a few times on a slow machine
        assert time.perf_counter() - began < 0.5
        shown.close()


def test_rich_is_not_imported_unless_a_bar_is_drawn():
    code = (
        "import sys; sys.path[:0] = ['.', 'kernels']\n"
        "from tests.training.fakes import FakeModel, regression\n"
        "from fastann.training.loop import fit\n"
        "fit(FakeModel(), *regression(), epochs=2, verbose=2); fit(FakeModel(), *regression(), verbose=1)\n"
        "heavy = {'rich', 'narwhals', 'pandas', 'sklearn', 'jax', 'numba', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], capture_output=True)
