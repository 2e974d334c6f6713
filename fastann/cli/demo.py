"""`fastann demo`: real data, every installed backend, several batch sizes, one table and two plots."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from fastann.cli.console import console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fastann.datasets import Dataset

#: Learning rate of Adam at batch 32; the linear rule scales it with the batch.
BASE_LEARNING_RATE = 1e-3
BASE_BATCH = 32
BATCH_SIZES = (32, 64, 128, 256)
QUICK_BATCH_SIZES = (32, 256)
EPOCHS, QUICK_EPOCHS = 50, 10

#: Hidden layers by data set.
NETWORKS = {"breast_cancer": (16, 8), "digits": (64, 32), "diabetes": (32, 16)}

_SEED = 1


@dataclass(frozen=True)
class Run:
    """One training: what was run, how fast, and what came out.

    The speed is that of the median epoch after the first one, in which kernels are compiled or loaded. The score is
    accuracy or R2 on rows that were not trained on.
    """

    dataset: str
    backend: str
    batch: int
    learning_rate: float
    samples_per_second: float
    steps_per_second: float
    losses: Sequence[float] = field(repr=False)
    metric: str
    score: float


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the plots; made if it is not there.")] = Path("fastann-demo"),
    epochs: Annotated[
        int | None, typer.Option(min=2, help="Epochs of each run: 50 if left out, 10 with --quick.", show_default=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer epochs and batch sizes.")] = False,
) -> None:
    """Train on real data with every installed backend, print a table and plot losses and speed."""
    from fastann_kernels.backend import available_backends
    from fastann_kernels.machine import cpu_name

    from fastann.datasets import load

    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"--out: expected a folder, got the file {str(out)!r}.")
    data = [load(name) for name in NETWORKS]
    backends = available_backends()
    epochs = epochs or (QUICK_EPOCHS if quick else EPOCHS)
    sizes = QUICK_BATCH_SIZES if quick else BATCH_SIZES
    screen = console()
    screen.print(f"{len(data)} data sets, backends {' and '.join(backends)}, {epochs} epochs of Adam, on {cpu_name()}")
    with screen.status("starting") as status:
        runs = []
        for dataset, backend, batch in ((d, b, s) for d in data for b in backends for s in sizes):
            status.update(f"{dataset.name}, {backend}, batch {batch}")
            runs.append(train_once(dataset, backend, batch, epochs))
    screen.print(table(runs))
    screen.print(
        f"Linear rule: learning rate = {BASE_LEARNING_RATE:g} x batch / {BASE_BATCH}. Speed of the median epoch; the "
        "first, which compiles or loads kernels, left out. Scores on a fifth of the rows, not trained on."
    )
    _plot(runs, out, screen)


def scaled_learning_rate(batch: int) -> float:
    """Return the learning rate of the linear rule: proportional to the batch (Goyal et al. 2017, arXiv:1706.02677)."""
    return BASE_LEARNING_RATE * batch / BASE_BATCH


def train_once(dataset: Dataset, backend: str, batch: int, epochs: int) -> Run:
    """Train the network of `dataset`, test it, and take the speed of the median epoch, the first one left out."""
    from fastann.callbacks import LambdaCallback
    from fastann.cli.network import Recipe, build_model, columns, predicted_classes, r_squared, targets
    from fastann.datasets import Scaling, split, standardise

    train, test = standardise(*split(dataset, 0.2, seed=_SEED))
    scaling = None if dataset.classes else Scaling.fit(columns(train.y))
    y = targets(train, scaling)
    learning_rate = scaled_learning_rate(batch)
    recipe = Recipe(NETWORKS[dataset.name], learning_rate=learning_rate, backend=backend, seed=_SEED)
    model = build_model(dataset, recipe)
    begun: list[float] = []
    ended: list[float] = []
    clock = LambdaCallback(
        on_epoch_begin=lambda epoch, logs: begun.append(perf_counter()),
        on_epoch_end=lambda epoch, logs: ended.append(perf_counter()),
    )
    history = model.fit(train.x, y, batch_size=batch, epochs=epochs, verbose=0, callbacks=[clock])
    seconds = median(end - begin for begin, end in zip(begun[1:], ended[1:], strict=True))
    outputs = model.predict(test.x, verbose=0)
    if scaling is None:
        metric, score = "accuracy", float((predicted_classes(outputs) == test.y).mean())
    else:
        metric, score = "R2", r_squared(test.y, scaling.undo(outputs))
    return Run(
        dataset=dataset.name,
        backend=backend,
        batch=batch,
        learning_rate=learning_rate,
        samples_per_second=len(train.x) / seconds,
        steps_per_second=-(-len(train.x) // batch) / seconds,
        losses=history.history["loss"],
        metric=metric,
        score=score,
    )


def table(runs: Sequence[Run]) -> Table:
    """Return the table of all runs, a rule between data sets."""
    from rich import box
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, title="fastann demo", title_style="bold", pad_edge=False)
    shown.add_column("data set")
    shown.add_column("backend")
    for name in ("batch", "learning rate", "samples/s", "steps/s", "final loss", "test score"):
        shown.add_column(name, justify="right")
    for run, following in zip(runs, [*runs[1:], None], strict=True):
        shown.add_row(
            run.dataset,
            run.backend,
            f"{run.batch}",
            f"{run.learning_rate:g}",
            f"{run.samples_per_second:,.0f}",
            f"{run.steps_per_second:,.0f}",
            f"{run.losses[-1]:.4f}",
            f"{run.metric} {run.score:.3f}",
            end_section=following is not None and following.dataset != run.dataset,
        )
    return shown


def plot(runs: Sequence[Run], out: Path) -> list[Path]:
    """Draw losses and speeds of all runs into two PNG files in `out`, and return their paths."""
    from fastann.plots import Curve, Speed, loss_curves, save_png, throughput

    names = list(dict.fromkeys(run.dataset for run in runs))
    backends = list(dict.fromkeys(run.backend for run in runs))
    curves = {
        name: [Curve(run.losses, f"batch {run.batch}", run.backend) for run in runs if run.dataset == name]
        for name in names
    }
    speeds = {}
    for name in names:
        chosen = {b: [run for run in runs if (run.dataset, run.backend) == (name, b)] for b in backends}
        speeds[name] = [Speed(b, [r.batch for r in of], [r.samples_per_second for r in of]) for b, of in chosen.items()]
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "loss_curves.png", out / "throughput.png"]
    save_png(loss_curves(curves, "Training loss, learning rate scaled with the batch"), paths[0])
    save_png(throughput(speeds, "Training speed against batch size"), paths[1])
    return paths


def _plot(runs: Sequence[Run], out: Path, screen: Console) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        screen.print("No plots: they need matplotlib, pip install 'fastann\\[plots]'.")
        return
    for path in plot(runs, out):
        screen.print(f"Plot: {path.resolve()}", soft_wrap=True)
