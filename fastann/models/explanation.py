"""What `explain_backend` returns: the backend, why, what a step is predicted to take, and what the last `fit` took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann_kernels.backend import WORTH_COMPILING, Choice, Prediction, available_backends, predict_step
from fastann_kernels.calibration import costs

from fastann.training.timing import StepTime

if TYPE_CHECKING:
    from fastann_kernels.program import Program


@dataclass(frozen=True)
class BackendExplanation:
    """The backend of a model and its speed; `str` of it is a sentence with a table.

    Attributes:
        name: "numba" or "jax".
        reasons: why.
        batch_size: rows of a step, for `predictions`.
        predictions: of the cost model, one for each backend installed; none while the input's shape is unknown.
        measured: steps of the last `fit`, without those that compiled if there were others; None before.
        expected: the prediction for the steps that were measured; None where there are none.
        remark: why a calibration of this machine is not used, if there is one.
    """

    name: str
    reasons: tuple[str, ...]
    batch_size: int
    predictions: tuple[Prediction, ...] = ()
    measured: StepTime | None = None
    expected: Prediction | None = None
    remark: str = ""

    def __str__(self) -> str:
        lines = [str(Choice(self.name, self.reasons))]
        if self.predictions:
            lines += [f"predicted at batch size {self.batch_size}:", *_table(self.predictions)]
        if advice := self._advice():
            lines.append(advice)
        if self.measured is not None:
            lines.append(self._comparison(self.measured))
        if self.remark:
            lines.append(self.remark)
        return "\n".join(lines)

    def _advice(self) -> str:
        """Say that another backend would be faster at this batch size, if it would be by far."""
        if not self.predictions:
            return ""
        best = min(self.predictions, key=lambda p: p.seconds)
        own = next((p.seconds for p in self.predictions if p.backend == self.name), 0.0)
        if best.seconds >= WORTH_COMPILING * own:
            return ""
        return f"predicted to be faster at this batch size: {best.device}, with compile(backend={best.backend!r})"

    def _comparison(self, measured: StepTime) -> str:
        compiled = " with compiling, as no length of a call came twice" if measured.compiled else ""
        text = (
            f"measured in the last fit: {1e6 * measured.seconds:,.1f} us a step at batch size {measured.batch_size} "
            f"on {self.name}, over {measured.steps:,} steps{compiled}"
        )
        if self.expected is None or measured.compiled:
            return text
        return f"{text}; {measured.seconds / self.expected.seconds:.2f} times the prediction"


def explain(
    choice: Choice, program: Program | None, precision: str, batch_size: int, measured: StepTime | None = None
) -> BackendExplanation:
    """Return the explanation of a choice.

    Args:
        choice: the backend.
        program: the network, lowered; None if its input's shape is unknown.
        precision: "float32" or "float64".
        batch_size: rows of the steps to predict.
        measured: steps of the last `fit`.
    """
    if program is None:
        return BackendExplanation(choice.name, choice.reasons, batch_size)
    predictions = tuple(predict_step(name, program, batch_size, precision) for name in available_backends())
    expected = None if measured is None else predict_step(choice.name, program, measured.batch_size, precision)
    return BackendExplanation(
        choice.name, choice.reasons, batch_size, predictions, measured, expected, costs().remark
    )  # fmt: skip


def _table(predictions: Sequence[Prediction]) -> list[str]:
    lines = [f"  {'backend':7}  {'us/step':>11}  {'samples/s':>13}  figures"]
    for found in predictions:
        rate = found.batch_size / found.seconds
        lines.append(f"  {found.device:7}  {1e6 * found.seconds:11,.1f}  {rate:13,.0f}  {found.source}")
    return lines
