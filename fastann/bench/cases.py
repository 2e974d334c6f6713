"""What is measured: networks by their widths, batch sizes, and rows drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 20

#: Dense networks from one that is all overhead to one that is all arithmetic.
NETWORKS: dict[str, tuple[int, ...]] = {
    "tiny": (30, 16, 8, 1),
    "small": (784, 128, 10),
    "pyramid": (784, 512, 256, 128, 64, 10),
    "wide": (784, 2048, 2048, 10),
    "deep": (100, *(128,) * 20, 10),
}

BATCH_SIZES = (1, 4, 16, 32, 64, 128, 256, 512, 1024, 4096, 16_384, 65_536)


@dataclass(frozen=True)
class Case:
    """A network, the size of a batch, and rows in a multiple of it, so that no batch is short.

    Attributes:
        widths: columns of the data, units of each layer.
        batch_size: rows an update.
        rows: of the data.
        device: "cpu" or "gpu", for contenders that can do both.
        precision: for contenders that know several.
    """

    widths: tuple[int, ...]
    batch_size: int
    rows: int
    device: str = "cpu"
    precision: str = "float32"

    @property
    def name(self) -> str:
        """How tables call it: "30-16-8-1 at 32"."""
        named = {widths: name for name, widths in NETWORKS.items()}
        widths = "-".join(map(str, self.widths)) if len(self.widths) < 8 else named.get(self.widths, "deep")
        return f"{widths} at {self.batch_size}"

    @property
    def network(self) -> Any:
        """What it is, for result files."""
        return list(self.widths)

    @property
    def steps(self) -> int:
        """Updates an epoch."""
        return self.rows // self.batch_size

    def data(self) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Draw standardised rows and the labels that a random linear map with noise gives them."""
        rng = np.random.default_rng(SEED)
        x = rng.standard_normal((self.rows, self.widths[0]), np.float32)
        score = x @ rng.standard_normal((self.widths[0], self.widths[-1]), np.float32) / np.sqrt(self.widths[0])
        score += 0.5 * rng.standard_normal(score.shape, np.float32)
        if self.widths[-1] == 1:
            return x, (score > 0).astype(np.float32)
        return x, score.argmax(axis=1)


def flops_per_sample(widths: tuple[int, ...]) -> int:
    """Return floating-point operations of the matrix products of one training sample.

    Forward, weight gradient and input gradient are 2 in out each; nobody needs the first layer's input gradient.

    >>> flops_per_sample((784, 128, 10))
    611840
    """
    products = [a * b for a, b in pairwise(widths)]
    return 6 * sum(products) - 2 * products[0]


def check_networks(names: Sequence[str]) -> None:
    """Raise ValueError unless all are names of `NETWORKS`."""
    for name in names:
        if name not in NETWORKS:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {name!r}.")


def case_of(name: str, batch_size: int, rows: int = 20_480) -> Case:
    """Return the case of a network by its name, with about so many rows, and at least one batch.

    Raises:
        ValueError: there is no such network.
    """
    check_networks([name])
    return Case(NETWORKS[name], batch_size, max(1, rows // batch_size) * batch_size)
