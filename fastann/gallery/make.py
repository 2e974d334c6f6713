"""Make the gallery: trainings, pictures, page."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

from fastann.gallery.pictures import PICTURES, Picture
from fastann.gallery.workshop import Workshop
from fastann.optional import require
from fastann.plots.figure import save_png


def make_gallery(
    out: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    quick: bool = False,
    backend: str = "auto",
    report: Callable[[int, Picture], None] = lambda done, picture: None,
) -> Path:
    """Write pictures as PNG and a page with all of them, and return the path of the page.

    Args:
        out: folder, made if it is not there. Files are written beside and renamed into place.
        names: of the pictures to make; by default all.
        quick: train for fewer epochs.
        backend: "numba", "jax" or "auto".
        report: told before each picture how many are done, and which comes next.

    Raises:
        ImportError: matplotlib, scikit-learn or jinja2 is not installed.
        ValueError: there is no picture of a name.
    """
    for module in ("matplotlib", "sklearn", "jinja2"):
        require(module, "the gallery needs")
    known = {picture.name: picture for picture in PICTURES}
    for name in names or ():
        if name not in known:
            raise ValueError(f"there is no picture {name!r}; there are {', '.join(known)}.")
    chosen = list(PICTURES) if names is None else [known[name] for name in names]
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    shop, began = Workshop(quick, backend), perf_counter()
    for done, picture in enumerate(chosen):
        report(done, picture)
        beside = folder / f".{picture.name}.png.part"
        save_png(picture.draw(shop), beside)
        beside.replace(folder / f"{picture.name}.png")
    page = folder / "index.html"
    beside = folder / ".index.html.part"
    beside.write_text(_page(chosen, perf_counter() - began, backend), encoding="utf-8")
    beside.replace(page)
    return page


def _page(pictures: Sequence[Picture], seconds: float, backend: str) -> str:
    from importlib.resources import files

    import jinja2
    from fastann_kernels.backend import choose_backend
    from fastann_kernels.program import Program

    import fastann

    text = files("fastann.gallery").joinpath("index.html.jinja").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    name = choose_backend(Program((), (), (), (), ())).name if backend == "auto" else backend
    return template.render(pictures=pictures, seconds=seconds, version=fastann.__version__, backend=name)
