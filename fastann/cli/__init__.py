"""The command `fastann`, also as `python -m fastann`."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the program is only imported now, so that importing this module costs nothing."""
    from fastann.cli.app import app

    app(prog_name="fastann")
