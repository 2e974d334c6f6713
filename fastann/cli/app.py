"""The commands and what they have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from fastann.cli import bench, scale
from fastann.cli.console import one_line_errors, show_tracebacks
from fastann.cli.demo import demo
from fastann.cli.gallery import gallery
from fastann.cli.info import info
from fastann.cli.train import train

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        import fastann

        typer.echo(f"fastann {fastann.__version__}")
        raise typer.Exit


@app.callback()
def common(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Neural networks that train as fast as the hardware allows."""
    show_tracebacks.set(traceback)


for command in (demo, train, gallery, info):
    app.command()(one_line_errors(command))
app.add_typer(bench.app, name="bench", help="Measure this machine, and make one page of what was measured.")
app.add_typer(scale.app, name="scale", help="Experiment on batch size and learning rate.")
