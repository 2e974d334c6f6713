"""Whole epochs of Adam in fastann against eager PyTorch and against a hand-written jitted scan of JAX.

    python benchmarks/foundation.py            # a table, and benchmarks/results/foundation-<cpu>.json
    python benchmarks/foundation.py --quick    # few rows and rounds: does it run?

Three dense networks in float32 on synthetic standardised rows; `harness.py` says how they are measured.
"""

from __future__ import annotations

import harness
from contenders import Case

CASES = [
    Case((30, 16, 8, 1), 32, 20_480),
    Case((784, 128, 10), 128, 20_480),
    Case((784, 512, 256, 128, 64, 10), 1024, 20_480),
]

if __name__ == "__main__":
    harness.main(str(__doc__).split("\n", 1)[0], "foundation", "contenders", list(CASES), epochs=20)
