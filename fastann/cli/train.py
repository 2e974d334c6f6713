"""`fastann train`: one network on one data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from fastann.cli.console import console
from fastann.cli.job import Job
from fastann.cli.network import ClassScore, Recipe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def train(
    source: Annotated[
        str, typer.Argument(help="breast_cancer, digits, diabetes, wine, iris; an .npz or .csv; a folder of idx files.")
    ],
    hidden: Annotated[str, typer.Option(help="Units of the hidden layers, such as '128,64'; '' for none.")] = "64,32",
    activation: Annotated[str, typer.Option(help="Activation of the hidden layers.")] = "relu",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the rows.")] = 20,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows an update.")] = 32,
    optimizer: Annotated[str, typer.Option(help="Name of the optimizer.")] = "adam",
    learning_rate: Annotated[
        float | None, typer.Option(help="The optimizer's own default if left out.", show_default=False)
    ] = None,
    backend: Annotated[str, typer.Option(help="auto, numba or jax.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, float64, tensorfloat32 or bfloat16.")] = "float32",
    seed: Annotated[int, typer.Option(min=0, help="Decides split, first weights, order and dropout.")] = 0,
    test: Annotated[float, typer.Option(help="Fraction of the rows to test on.")] = 0.2,
    validation: Annotated[float, typer.Option(help="Fraction of the other rows to validate on; 0 for none.")] = 0.1,
    early_stopping: Annotated[
        int | None,
        typer.Option(min=0, help="Stop after so many epochs without a better validation loss.", show_default=False),
    ] = None,
    dropout: Annotated[float, typer.Option(help="Fraction dropped after each hidden layer.")] = 0.0,
    l2: Annotated[float, typer.Option(help="L2 penalty on the kernels.")] = 0.0,
    save: Annotated[
        Path | None, typer.Option(help="Model file to write; Ctrl-C writes it too.", show_default=False)
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Column of a table to predict, by name or number.", show_default=False)
    ] = None,
    task: Annotated[str, typer.Option(help="auto, classification or regression.")] = "auto",
    verbose: Annotated[int, typer.Option(min=0, max=2, help="0 silent, 1 a progress bar, 2 a line an epoch.")] = 1,
) -> None:
    """Train a dense network, test it on rows kept apart, and save it if wanted."""
    from fastann.datasets import load

    recipe = Recipe(units(hidden), activation, dropout, l2, optimizer, learning_rate, backend, precision, seed)
    if early_stopping is not None and not validation:
        raise ValueError("--early-stopping watches the validation loss: give --validation a fraction above 0.")
    if save is not None and not save.resolve().parent.is_dir():
        raise FileNotFoundError(f"--save: the folder {str(save.resolve().parent)!r} does not exist.")
    screen = console()
    whole = load(source, target, task)
    job = Job(whole, recipe, test, validation)
    screen.print(f"{whole.name}, {whole.task}: {whole.description}", markup=False)
    screen.print(job.describe(), markup=False)
    started = perf_counter()
    finished = job.fit(epochs, batch_size, early_stopping, verbose)
    epochs_run, seconds = job.model.epochs_trained, perf_counter() - started
    stopped = "" if finished else "; interrupted"
    screen.print(f"{epochs_run} epochs in {seconds:.1f} s on {job.model.explain_backend().name}{stopped}", markup=False)
    report(job, screen)
    if save is not None:
        job.save(save)
        screen.print(f"Saved to {save}; it takes the columns as they are, not scaled.", markup=False, soft_wrap=True)
    if not finished:
        raise typer.Exit(130)


def units(text: str) -> tuple[int, ...]:
    """Return the numbers in "128,64"; raises ValueError for anything else.

    >>> units("128,64"), units("")
    ((128, 64), ())
    """
    try:
        found = tuple(int(part) for part in text.split(",") if part.strip() or "," in text)
    except ValueError:
        raise ValueError(f"--hidden must be whole numbers such as '128,64', got {text!r}.") from None
    if any(number < 1 for number in found):
        raise ValueError(f"--hidden must be positive whole numbers such as '128,64', got {text!r}.")
    return found


def report(job: Job, screen: Console) -> None:
    """Print the scores on the test part, for classes with a table."""
    result = job.evaluate()
    rows = len(job.test.x)
    scores = ", ".join(f"{name} {value:.4g}" for name, value in result.scores.items())
    screen.print(f"Test on {rows:,} rows: {scores}", markup=False)
    if result.classes:
        screen.print(class_table(result.classes))


def class_table(scores: Sequence[ClassScore]) -> Table:
    """Return a table with a line for each class."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class")
    for name in ("precision", "recall", "F1", "rows"):
        table.add_column(name, justify="right")
    for score in scores:
        numbers = (f"{score.precision:.3f}", f"{score.recall:.3f}", f"{score.f1:.3f}", f"{score.rows:,}")
        table.add_row(Text(score.name), *numbers)
    return table
