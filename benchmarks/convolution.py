"""Whole epochs of Adam of a convolutional network: fastann, eager PyTorch, and a hand-written jitted scan of JAX.

    python benchmarks/convolution.py           # a table, and benchmarks/results/convolution-<cpu>.json
    python benchmarks/convolution.py --quick   # few rows and rounds: does it run?

Conv2D(32, 3 x 3, relu), MaxPooling2D(2 x 2), Flatten, Dense(64, relu), Dense(10, softmax) in float32 on images of
28 x 28 pixels; `harness.py` says how they are measured.
"""

from __future__ import annotations

import harness
from image_contenders import ImageCase

CASES = [ImageCase(batch_size=64, rows=3_200), ImageCase(batch_size=128, rows=3_200)]

if __name__ == "__main__":
    harness.main(str(__doc__).split("\n", 1)[0], "convolution", "image_contenders", list(CASES), epochs=2)
