"""`python -m fastann` is the command `fastann`."""

from __future__ import annotations

from fastann.cli import main

if __name__ == "__main__":
    main()
