"""Errors that are more than a wrong argument."""

from __future__ import annotations

from typing import Any


class NonFiniteLossError(ArithmeticError):
    """The loss of a batch became NaN or infinite; the weights are those from before that batch's update.

    Attributes:
        loss: the value, NaN or infinite.
        step: the batch within the epoch, counted from 0, as callbacks count.
        epoch: the epoch, counted from 0; None outside `fit`.
        iterations: updates made before.
    """

    def __init__(self, loss: float, step: int, epoch: int | None, iterations: int, learning_rate: float) -> None:
        self.loss = loss
        self.step = step
        self.epoch = epoch
        self.iterations = iterations
        place = "this batch" if epoch is None else f"step {step + 1} of epoch {epoch + 1}"
        super().__init__(
            f"the loss must stay finite, but became {loss} at {place} (after {iterations} updates): lower the learning "
            f"rate (now {learning_rate:g}), set clipnorm on the optimizer, or check the scale of the data."
        )


class TrainingsInterrupted(KeyboardInterrupt):
    """Ctrl-C ended several trainings at once; what was trained is in `runs`.

    Attributes:
        runs: what `fit_many` would have returned, each history ending where its training did.
    """

    def __init__(self, runs: Any) -> None:
        self.runs = runs
        super().__init__("the trainings were interrupted; the attribute runs has what they came to.")
