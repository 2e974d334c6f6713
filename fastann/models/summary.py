"""The table of a model: layers, shapes and numbers of weights."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from fastann_kernels.backend import storage_dtype

if TYPE_CHECKING:
    from rich.table import Table

    from fastann.models.connected import ConnectedNetwork

WIDTH = 80


def summary_text(model: ConnectedNetwork) -> str:
    """Return the table of the model's layers with the totals below, as Keras words it."""
    from rich.console import Console

    stream = io.StringIO()
    console = Console(file=stream, width=WIDTH, color_system=None, highlight=False, markup=False, emoji=False)
    console.print(f'Model: "{model.name}"')
    console.print(_table(model))
    for line in _totals(model):
        console.print(line)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _table(model: ConnectedNetwork) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.HEAVY_HEAD, show_lines=True, expand=True)
    table.add_column("Layer (type)", ratio=5, overflow="fold")
    table.add_column("Output Shape", ratio=4, overflow="fold")
    table.add_column("Param #", ratio=2, justify="right", overflow="fold")
    connected = model.built and not model.graph.is_row
    if connected:
        table.add_column("Connected to", ratio=4, overflow="fold")
    for layer in model.layers:
        shape, count = (str(layer.output_shape), f"{layer.count_params():,}") if model.built else ("?", "0 (unbuilt)")
        sources = [", ".join(_sources(model, layer.name))] if connected else []
        table.add_row(f"{layer.name} ({layer.class_name})", shape, count, *sources)
    return table


def _sources(model: ConnectedNetwork, name: str) -> list[str]:
    """Return the names of the layers that a layer reads, over all of its uses, each once."""
    nodes = model.graph.nodes
    read = [nodes[i].name for node in nodes if node.name == name for i in node.inputs]
    return list(dict.fromkeys(read)) or ["-"]


def _totals(model: ConnectedNetwork) -> list[str]:
    bytes_each = storage_dtype(model.compile_spec.precision).itemsize
    trainable = fixed = 0
    for parameter in model.parameters if model.built else ():
        trainable += parameter.size if parameter.trainable else 0
        fixed += 0 if parameter.trainable else parameter.size
    lines = (("Total params", trainable + fixed), ("Trainable params", trainable), ("Non-trainable params", fixed))
    return [f" {label}: {count:,} ({readable_bytes(count * bytes_each)})" for label, count in lines]


def readable_bytes(count: int) -> str:
    """Return a number of bytes with a unit, in steps of 1024.

    >>> [readable_bytes(n) for n in (0, 2048, 5_000_000)]
    ['0.00 B', '2.00 KB', '4.77 MB']
    """
    size, unit = float(count), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.2f} {unit}"
