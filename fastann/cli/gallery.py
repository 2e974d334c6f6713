"""`fastann gallery`: every picture of the package, made from real data, on one page."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from fastann.cli.console import console


def gallery(
    out: Annotated[Path, typer.Option(help="Folder for the page and its pictures; made if it is not there.")] = Path(
        "fastann-gallery"
    ),
    only: Annotated[
        list[str] | None, typer.Option(help="Make this picture only; may be given several times.", show_default=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Train for fewer epochs.")] = False,
    backend: Annotated[str, typer.Option(help="numba, jax or auto.")] = "auto",
) -> None:
    """Train on real data and draw what there is to see: curves, boundaries, paths, gradients, weights."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from fastann.gallery import PICTURES, make_gallery

    screen, began = console(), perf_counter()
    total = len(only) if only else len(PICTURES)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task("Gallery", total=total)
        page = make_gallery(
            out,
            only,
            quick,
            backend,
            lambda done, picture: progress.update(task, completed=done, description=picture.title),
        )
        progress.update(task, completed=total, description="Gallery")
    screen.print(f"{total} pictures in {perf_counter() - began:.0f} s: {page.resolve()}", soft_wrap=True)
