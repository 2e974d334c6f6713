"""The contenders of `contenders.py` with a convolutional network, each in the layout that suits its library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import contenders
import numpy as np
from contenders import SEED, Case, Entry
from numpy.typing import NDArray

SIDE, FILTERS, HIDDEN, CLASSES = 28, 32, 64, 10


@dataclass(frozen=True)
class ImageCase(Case):
    """Images of 28 x 28 pixels in batches; a multiple of `batch_size` of them."""

    widths: tuple[int, ...] = ()
    batch_size: int = 64
    rows: int = 3_200

    @property
    def name(self) -> str:
        return f"conv 32, pool, dense 64, dense 10 at {self.batch_size}"

    @property
    def network(self) -> Any:
        """What it is, for the result file."""
        return f"{SIDE} x {SIDE}: Conv2D({FILTERS}, 3), MaxPooling2D(2), Dense({HIDDEN}), Dense({CLASSES})"

    def smaller(self) -> ImageCase:
        """Return the case with few rows."""
        return replace(self, rows=4 * self.batch_size)

    def data(self) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Draw a pattern for each class, and images of them under noise, (N, 28, 28, 1) in [0, 1]."""
        rng = np.random.default_rng(SEED)
        patterns = rng.random((CLASSES, SIDE, SIDE, 1))
        labels = rng.integers(0, CLASSES, self.rows)
        noise = rng.random((self.rows, SIDE, SIDE, 1))
        return (0.3 * patterns[labels] + 0.7 * noise).astype(np.float32), labels


class Fastann(contenders.Fastann):
    def layers(self, case: Case) -> list[Any]:
        """Return the layers of the network."""
        from fastann.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D

        return [
            Input((SIDE, SIDE, 1)),
            Conv2D(FILTERS, (3, 3), activation="relu"),
            MaxPooling2D((2, 2)),
            Flatten(),
            Dense(HIDDEN, "relu"),
            Dense(CLASSES, "softmax"),
        ]


class Numba(Fastann):
    def __init__(self, case: Case, weights: Any = None) -> None:
        super().__init__(case, "numba")


class Jax(Fastann):
    def __init__(self, case: Case, weights: Any = None) -> None:
        super().__init__(case, "jax")


class Torch(contenders.Torch):
    """Images as (N, C, H, W), as PyTorch has them by default."""

    def __init__(self, case: Case, weights: Sequence[NDArray[np.float32]]) -> None:
        super().__init__(case, weights)
        self.x = self.x.permute(0, 3, 1, 2).contiguous()

    def build(self, weights: Sequence[NDArray[np.float32]]) -> Any:
        """Return the network with its first weights; the last layer gives logits."""
        nn = self.torch.nn
        kernel, bias, hidden, hidden_bias, last, last_bias = weights
        convolution = nn.Conv2d(1, FILTERS, 3)
        with self.torch.no_grad():
            convolution.weight.copy_(self.torch.tensor(kernel.transpose(3, 2, 0, 1)))
            convolution.bias.copy_(self.torch.tensor(bias))
        pooled = (SIDE - 2) // 2
        # PyTorch flattens channels first
        hidden = hidden.reshape(pooled, pooled, FILTERS, HIDDEN).transpose(2, 0, 1, 3).reshape(-1, HIDDEN)
        return nn.Sequential(
            convolution, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), self.linear(hidden, hidden_bias), nn.ReLU(),
            self.linear(last, last_bias),
        )  # fmt: skip


class JaxScan(contenders.JaxScan):
    """Convolution by `lax.conv_general_dilated`, pooling by `lax.reduce_window`, as Flax does it."""

    def forward(self, params: Any, x: Any) -> Any:
        """Return logits."""
        jax, lax = self.jax, self.jax.lax
        (kernel, bias), (hidden, hidden_bias), (last, last_bias) = params
        x = lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + bias)
        x = lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = jax.nn.relu(x.reshape(len(x), -1) @ hidden + hidden_bias)
        return x @ last + last_bias


CONTENDERS: dict[str, Entry] = {
    name: replace(entry, build={"numba": Numba, "jax": Jax, "torch": Torch, "scan": JaxScan}[name])
    for name, entry in contenders.CONTENDERS.items()
}
