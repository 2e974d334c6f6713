"""`fastann scale advise`: a batch size and a learning rate for one data set on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from fastann.cli.console import console
from fastann.cli.job import Job
from fastann.cli.network import Recipe, targets
from fastann.cli.train import units

if TYPE_CHECKING:
    from rich.table import Table

    from fastann.scaling import Advice


def advise(
    data: Annotated[str, typer.Argument(help="Any data that fastann train takes.")],
    hidden: Annotated[str, typer.Option(help="Units of the hidden layers, such as '128,64'; '' for none.")] = "64,32",
    activation: Annotated[str, typer.Option(help="Activation of the hidden layers.")] = "relu",
    optimizer: Annotated[str, typer.Option(help="Name of the optimizer.")] = "adam",
    loss: Annotated[
        float | None,
        typer.Option(help="Validation loss to get to.", show_default="what the probe gets to"),
    ] = None,
    seconds: Annotated[float, typer.Option(help="After so many seconds of the probe nothing further begins.")] = 10.0,
    backend: Annotated[str, typer.Option(help="auto, numba or jax.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, float64, tensorfloat32 or bfloat16.")] = "float32",
    seed: Annotated[int, typer.Option(min=0, help="Decides split, first weights, order and dropout.")] = 0,
    target: Annotated[
        str | None, typer.Option(help="Column of a table to predict, by name or number.", show_default=False)
    ] = None,
    task: Annotated[str, typer.Option(help="auto, classification or regression.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Which batch size and learning rate get to the target soonest here, by a short probe."""
    from fastann.datasets import load
    from fastann.scaling import advise as ask

    recipe = Recipe(units(hidden), activation, optimizer=optimizer, backend=backend, precision=precision, seed=seed)
    whole = load(data, target, task)
    job = Job(whole, recipe, 0.2, 0.1)
    assert job.validation is not None
    x, x_held = job.inputs.apply(job.train.x), job.inputs.apply(job.validation.x)
    y, y_held = targets(job.train, job.outputs), targets(job.validation, job.outputs)
    screen = console()
    if not as_json:
        screen.print(f"{whole.name}, {whole.task}: {whole.description}", markup=False)
        screen.print(job.describe(), markup=False)
    advice = ask(job.model, x, y, target=loss, validation_data=(x_held, y_held), seconds=seconds)
    if as_json:
        typer.echo(json.dumps(advice.to_dict(), indent=1))
        return
    if advice.evidence:
        screen.print(_runs(advice))
    screen.print(str(advice), markup=False)
    screen.print(
        f"Try: fastann train {data} --hidden '{hidden}' --optimizer {optimizer} --batch-size {advice.batch_size} "
        f"--learning-rate {advice.learning_rate:.3g}", markup=False, soft_wrap=True,
    )  # fmt: skip


def _runs(advice: Advice) -> Table:
    """Return a table with a line for each run of the probe."""
    from rich import box
    from rich.table import Table

    table = Table(title="The probe, the best first", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("batch size", "learning rate", "us/step", "steps", "seconds", "loss"):
        table.add_column(name, justify="right")
    for run in advice.evidence:
        step = advice.step_seconds.get(run.batch_size, float("nan"))
        table.add_row(
            f"{run.batch_size}", f"{run.learning_rate:.3g}", f"{1e6 * step:.3g}", f"{run.steps:,}",
            f"{run.seconds:.3g}", f"{run.loss:.4g}",
        )  # fmt: skip
    return table
