"""What instructions know of the batch beside their inputs, and what they leave beside their output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax

from fastann_kernels.jax_backend.dropout import Key, fold_in
from fastann_kernels.program import Instruction

Array = jax.Array


@dataclass
class Context:
    """One batch on its way through a program, while it is traced.

    Attributes:
        key: that of the step; None where nothing is trained.
        precision: of matrix products and convolutions, one of `fastann_kernels.backend.PRECISIONS`.
        shape: of the output of the instruction at work, rows included.
        added: what instructions add to the loss of the batch.
        updates: new values of parameters that no gradient changes, by their number.
        shifts: what is added to the argument of a dense layer's activation, by the number of its output; the gradient
            of the loss with respect to it is that layer's delta.
    """

    key: Key | None = None
    precision: str = "float32"
    shape: tuple[int, ...] = ()
    added: list[Array] = field(default_factory=list)
    updates: dict[int, Array] = field(default_factory=dict)
    shifts: Mapping[int, Array] = field(default_factory=dict)

    @property
    def training(self) -> bool:
        """Whether layers behave as in training."""
        return self.key is not None

    def stream(self, i: Instruction) -> Key:
        """Return the key of an instruction's random stream; only in training."""
        assert self.key is not None
        return fold_in(self.key, int(i.get("stream")))
