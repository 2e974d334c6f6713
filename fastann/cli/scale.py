"""`fastann scale`: experiments on batch size and learning rate."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from fastann.cli.advise import advise
from fastann.cli.console import console, one_line_errors

if TYPE_CHECKING:
    from rich.table import Table

    from fastann.scaling.lab.verdicts import Verdict

app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})

FOLDER = Path("fastann-lab")

app.command()(one_line_errors(advise))


def _say(text: str) -> None:
    console().print(text, soft_wrap=True, markup=False)


@app.command()
@one_line_errors
def lab(
    data: Annotated[str, typer.Argument(help="digits, fashion-mnist, or any data that fastann train takes.")],
    output: Annotated[Path, typer.Option(help="Folder of the lab; one that was stopped goes on.")] = Path(
        "fastann-lab"
    ),
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Begin nothing new after them.", show_default="of the preset")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=2, help="Seeds to compare rules with.", show_default="10")] = None,
    optimizer: Annotated[
        list[str] | None, typer.Option(help="sgd, nesterov, adam; repeatable.", show_default="all")
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(help="none, linear, sqrt, sde-sqrt, saturating; repeatable.", show_default="all"),
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="Batch size; repeatable.", show_default="powers of two")
    ] = None,
    base_batch: Annotated[
        int | None, typer.Option(min=1, help="Batch size at which rules are anchored.", show_default="32")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Budget of equal epochs.", show_default="16")] = None,
    target: Annotated[str | None, typer.Option(help="Column of a table to predict.")] = None,
    backend: Annotated[str, typer.Option(help="numba or jax.")] = "numba",
) -> None:
    """Test learning-rate rules against tuned rates over batch sizes; after Ctrl-C the same command goes on."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fastann.scaling.lab import design_for, run_lab

    preset = design_for(
        data, seeds=seeds, base_batch=base_batch, epochs=epochs, target=target, backend=backend,
        optimizers=tuple(dict.fromkeys(optimizer)) if optimizer else None,
        rules=tuple(dict.fromkeys(rule)) if rule else None,
        batch_sizes=tuple(sorted(set(batch))) if batch else None,
    )  # fmt: skip
    limit = preset.minutes if minutes is None else minutes
    began = perf_counter()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), MofNCompleteColumn(),
               TimeRemainingColumn(), TextColumn("{task.fields[left]}", markup=False))  # fmt: skip
    try:
        with Progress(*columns, console=console()) as progress:
            task = progress.add_task("lab", total=None, left="")

            def report(stage: str, done: int, total: int) -> None:
                left = max(0.0, limit - (perf_counter() - began) / 60)
                if progress.tasks[0].description != stage:
                    progress.reset(task, description=stage, total=total)
                progress.update(task, completed=done, total=total, left=f"ends within {left:.0f} min")

            complete = run_lab(preset.design, output, minutes=limit, report=report)
    except KeyboardInterrupt:
        _say(f"stopped; what was run is kept in {output.resolve()}, and the same command goes on")
        raise typer.Exit(130) from None
    if not complete:
        _say(f"the {limit:g} minutes are over and the lab is not complete; the same command goes on")
    _report(output, None)


@app.command()
@one_line_errors
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a lab.")] = FOLDER,
    page: Annotated[Path | None, typer.Option(help="The page; by default report.html in the folder.")] = None,
) -> None:
    """One self-contained page: what held and what did not, pictures, tables."""
    _report(folder, page)


def _report(folder: Path, page: Path | None) -> None:
    from fastann.scaling.lab import write_report

    path, words = write_report(folder, page)
    console().print(_table(words))
    _say(f"written to {path.resolve()}")


def _table(words: list[Verdict]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="What held and what did not", title_justify="left")
    table.add_column("question")
    table.add_column("answer", style="bold")
    for verdict in words:
        table.add_row(Text(verdict.question), Text(verdict.answer))
    return table
