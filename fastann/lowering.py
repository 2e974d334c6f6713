"""From layers, losses, metrics and an optimizer to a `Program`, the plain data that backends run.

Layers append plain instructions; afterwards two things are merged. An element-wise activation right behind a linear
`dense` moves into it, and a softmax or sigmoid at the end moves into its cross-entropy, which then works on logits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fastann_kernels.program import (
    SPARSE,
    Attribute,
    Instruction,
    Loss,
    Metric,
    Parameter,
    Program,
    UpdateRule,
    Value,
)

from fastann.layers.base import check_last_axis
from fastann.losses.fits import check_fits

if TYPE_CHECKING:
    from fastann.activations import Activation
    from fastann.losses import Loss as LossSpec
    from fastann.metrics import Metric as MetricSpec
    from fastann.models.graph import LayerGraph
    from fastann.optimizers import Optimizer
    from fastann.regularizers import Regularizer

Shape = tuple[int, ...]

#: Activations that work on the last axis as a whole, so that `dense` cannot carry them.
ROW_WISE = frozenset({"softmax", "log_softmax"})

#: Cross-entropies and the activation whose input they can use in place of its output.
CANONICAL = {
    "binary_crossentropy": "sigmoid",
    "categorical_crossentropy": "softmax",
    "sparse_categorical_crossentropy": "softmax",
}

#: Streams from here on belong to layers with a seed of their own.
SEEDED_STREAMS = 1 << 30

#: Reductions that are what a program computes: the sum over rows and positions, divided by their number.
MEANS = ("sum_over_batch_size", "mean")


@dataclass(frozen=True)
class LossTerm:
    """A loss on one output of the graph.

    Attributes:
        loss: what to compute.
        output: number of the output.
        weight: its entry of `loss_weights`.
        target_shape: shape of a row of targets, for a callable loss; other losses know theirs.
    """

    loss: LossSpec
    output: int = 0
    weight: float = 1.0
    target_shape: Shape | None = None


@dataclass(frozen=True)
class MetricTerm:
    """A metric that kernels can stream, on one output of the graph; `weighted` if sample weights count."""

    metric: MetricSpec
    output: int = 0
    weighted: bool = False


class ProgramBuilder:
    """A program under construction: layers append to it."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.inputs: list[int] = []
        self.instructions: list[Instruction] = []
        self._streams = 0

    def value(self, shape: Shape) -> int:
        """Add an array with rows of `shape` and return its number."""
        self.shapes.append(shape)
        return len(self.shapes) - 1

    def shape(self, value: int) -> Shape:
        """Return the shape of the rows of a value."""
        return self.shapes[value]

    def input(self, shape: Shape) -> int:
        """Add the next input of the program and return its number."""
        self.inputs.append(self.value(shape))
        return self.inputs[-1]

    def emit(
        self, op: str, inputs: tuple[int, ...], shape: Shape, params: tuple[int, ...] = (), **attributes: Attribute
    ) -> int:
        """Append one instruction with an output of `shape` and return the number of that output."""
        output = self.value(shape)
        constants = tuple(sorted(attributes.items()))
        self.instructions.append(Instruction(op, inputs, output, params, constants))
        return output

    def activation(self, x: int, activation: Activation) -> int:
        """Append an activation of value `x`; the identity appends nothing and returns `x`."""
        name, alpha = activation.name, float(activation.alpha or 0.0)
        if name == "linear":
            return x
        if name == "relu" and alpha:
            name = "leaky_relu"
        return self.emit("activation", (x,), self.shape(x), activation=name, alpha=alpha)

    def activity_penalty(self, x: int, regularizer: Regularizer | None) -> int:
        """Append a penalty on value `x` and return the number of its output; no penalty appends nothing."""
        l1, l2 = (0.0, 0.0) if regularizer is None else (float(regularizer.l1), float(regularizer.l2))
        return self.emit("activity_penalty", (x,), self.shape(x), l1=l1, l2=l2) if l1 or l2 else x

    def next_stream(self, seed: int | None = None) -> int:
        """Return the number of the next random stream, or one of the upper half that belongs to a layer's own seed."""
        self._streams += 1
        return self._streams - 1 if seed is None else SEEDED_STREAMS + seed % SEEDED_STREAMS

    def producer(self, value: int) -> Instruction | None:
        """Return the instruction that writes `value`, or None for an input."""
        return next((i for i in self.instructions if i.output == value), None)


def lower(
    graph: LayerGraph,
    losses: Sequence[LossTerm] = (),
    metrics: Sequence[MetricTerm] = (),
    optimizer: Optimizer | None = None,
) -> Program:
    """Return the program of a network.

    Args:
        graph: the network.
        losses: at most one for each output, in the order of the outputs.
        metrics: those that have an `op`, on outputs that have a loss.
        optimizer: None for a network that is not to be trained.

    Raises:
        ValueError: a loss or metric does not fit its output.
    """
    builder = ProgramBuilder()
    outputs = _walk(graph, builder)
    loss_terms = _lower_losses(builder, outputs, losses)
    by_output = {term.output: loss for term, loss in zip(losses, loss_terms, strict=True)}
    metric_terms = tuple(_lower_metric(builder, outputs, term, by_output.get(term.output)) for term in metrics)
    return _assemble(builder, outputs, parameters(graph, optimizer), loss_terms, metric_terms, _rule(optimizer))


def parameters(graph: LayerGraph, optimizer: Optimizer | None = None) -> tuple[Parameter, ...]:
    """Return the layout of the flat parameter vector: the weights of the graph, one behind the other."""
    excluded = () if optimizer is None else optimizer.exclude_from_weight_decay
    found: list[Parameter] = []
    offset = 0
    for weight in graph.weights:
        decay = weight.spec.decay and not any(part in weight.name for part in excluded)
        penalized = weight.spec.regularizer is not None and weight.trainable
        found.append(Parameter(weight.name, weight.spec.shape, offset, weight.trainable, decay, penalized))
        offset += found[-1].size
    return tuple(found)


def target_shape(op: str, output_shape: Shape) -> Shape:
    """Return the shape of a row of targets that a loss or metric `op` expects for an output of that shape."""
    return output_shape[:-1] if op in SPARSE else output_shape


def _rule(optimizer: Optimizer | None) -> UpdateRule | None:
    return None if optimizer is None else optimizer.update_rule()


def _walk(graph: LayerGraph, builder: ProgramBuilder) -> tuple[int, ...]:
    """Let every node append its instructions; return the values that are the outputs of the graph."""
    values: list[int] = []
    for node in graph.nodes:
        params = tuple(graph.weights_of(node.name))
        values.append(node.layer.emit(builder, tuple(values[i] for i in node.inputs), params))
    return tuple(values[i] for i in graph.outputs)


def _lower_losses(builder: ProgramBuilder, outputs: tuple[int, ...], terms: Sequence[LossTerm]) -> tuple[Loss, ...]:
    column = 0
    lowered: list[Loss] = []
    for term in terms:
        loss = replace(_lower_loss(builder, outputs, term), column=column)
        column += Value(loss.target_shape).size
        lowered.append(loss)
    return tuple(lowered)


def _lower_loss(builder: ProgramBuilder, outputs: tuple[int, ...], term: LossTerm) -> Loss:
    spec, prediction = term.loss, outputs[term.output]
    shape = builder.shape(prediction)
    target = target_shape(spec.op, shape)
    if spec.op == "callable" and term.target_shape is not None:
        target = term.target_shape
    _check_loss(builder, prediction, term, target)
    logits = _logits(builder, prediction, spec.op, bool(getattr(spec, "from_logits", False)))
    if logits not in (-1, prediction) and (
        outputs.count(prediction) > 1 or _is_read(builder, prediction) or _penalized(builder, prediction) != prediction
    ):
        # The loss differentiates the activation of its own prediction, so others that read the value need another.
        prediction = builder.emit("activation", (logits,), shape, activation=CANONICAL[spec.op], alpha=0.0)
    return Loss(
        op=spec.op,
        prediction=prediction,
        logits=logits,
        target_shape=target,
        weight=float(term.weight),
        weight_column=term.output,
        delta=float(getattr(spec, "delta", 1.0)),
        smoothing=float(getattr(spec, "label_smoothing", 0.0)),
        function=getattr(spec, "function", None),
    )


def _check_loss(builder: ProgramBuilder, prediction: int, term: LossTerm, target: Shape) -> None:
    spec, shape = term.loss, builder.shape(prediction)
    check_last_axis(getattr(spec, "axis", -1), shape, f"loss {spec.name!r}")
    if spec.reduction not in MEANS:
        raise ValueError(
            f"loss {spec.name!r} in compile must have reduction='sum_over_batch_size', got {spec.reduction!r}."
        )
    check_fits(spec, shape, target, _last_activation(builder, prediction))


def _last_activation(builder: ProgramBuilder, value: int) -> str:
    """Return the name of the activation that makes a value, "linear" if it is none."""
    last = builder.producer(value)
    while last is not None and last.op in ("reshape", "activity_penalty"):
        last = builder.producer(last.inputs[0])
    return str(last.get("activation", "linear")) if last is not None else "linear"


def _logits(builder: ProgramBuilder, prediction: int, op: str, from_logits: bool) -> int:
    """Return the value a cross-entropy can work on: `prediction` itself, what its last activation reads, or -1."""
    if op not in CANONICAL:
        return -1
    if from_logits:
        return prediction
    last = builder.producer(_penalized(builder, prediction))
    if last is None or last.op != "activation" or last.get("activation") != CANONICAL[op]:
        return -1
    return last.inputs[0]


def _penalized(builder: ProgramBuilder, value: int) -> int:
    """Return the value that activity penalties have handed on as `value`, or `value` itself."""
    last = builder.producer(value)
    while last is not None and last.op == "activity_penalty":
        value = last.inputs[0]
        last = builder.producer(value)
    return value


def _is_read(builder: ProgramBuilder, value: int) -> bool:
    return any(value in instruction.inputs for instruction in builder.instructions)


def _lower_metric(builder: ProgramBuilder, outputs: tuple[int, ...], term: MetricTerm, loss: Loss | None) -> Metric:
    spec, prediction = term.metric, outputs[term.output]
    shape = builder.shape(prediction)
    op = spec.op
    if op is None:
        raise ValueError(f"metric {spec.name!r} is not one that a program can compute.")
    if loss is None:
        raise ValueError(f"metric {spec.name!r} needs a loss on the same output; give compile a loss.")
    if loss.target_shape != target_shape(op, shape):
        wanted = "integer class labels" if op in SPARSE else "one column of targets for each column of outputs"
        raise ValueError(
            f"metric {spec.name!r} expects {wanted}, but loss {loss.op!r} does not; use a metric of its kind."
        )
    return Metric(
        op=op,
        prediction=prediction,
        logits=_logits(builder, prediction, op, bool(getattr(spec, "from_logits", False))),
        column=loss.column,
        target_shape=loss.target_shape,
        weighted=term.weighted,
        weight_column=term.output,
        threshold=float(getattr(spec, "threshold", 0.5)),
        k=int(getattr(spec, "k", 5)),
        delta=float(getattr(spec, "delta", 1.0)),
        smoothing=float(getattr(spec, "label_smoothing", 0.0)),
    )


def _assemble(
    builder: ProgramBuilder,
    outputs: tuple[int, ...],
    layout: tuple[Parameter, ...],
    losses: tuple[Loss, ...],
    metrics: tuple[Metric, ...],
    update: UpdateRule | None,
) -> Program:
    """Merge activations into `dense`, then number the values that are left in order of their making."""
    terms: list[Loss | Metric] = [*losses, *metrics]
    ends = [*outputs, *(value for term in terms for value in (term.prediction, term.logits))]
    instructions = _fuse_activations(builder.instructions, ends)
    kept = [*builder.inputs, *(i.output for i in instructions)]
    new = {old: number for number, old in enumerate(kept)} | {-1: -1}
    return Program(
        values=tuple(Value(builder.shape(old)) for old in kept),
        inputs=tuple(new[v] for v in builder.inputs),
        outputs=tuple(new[v] for v in outputs),
        instructions=tuple(
            replace(i, inputs=tuple(new[v] for v in i.inputs), output=new[i.output]) for i in instructions
        ),
        parameters=layout,
        losses=tuple(replace(x, prediction=new[x.prediction], logits=new[x.logits]) for x in losses),
        metrics=tuple(replace(x, prediction=new[x.prediction], logits=new[x.logits]) for x in metrics),
        update=update,
    )


def _fuse_activations(instructions: list[Instruction], ends: list[int]) -> list[Instruction]:
    """Return the instructions with each element-wise activation moved into the linear `dense` that only it reads."""
    readers = Counter(v for i in instructions for v in i.inputs) + Counter(ends)
    position = {i.output: k for k, i in enumerate(instructions)}
    fused: list[Instruction | None] = list(instructions)
    for k, instruction in enumerate(instructions):
        source = fused[position[instruction.inputs[0]]] if instruction.inputs[0] in position else None
        if (
            instruction.op == "activation"
            and instruction.get("activation") not in ROW_WISE
            and source is not None
            and source.op == "dense"
            and source.get("activation") == "linear"
            and readers[source.output] == 1
        ):
            attributes = dict(source.attributes) | dict(instruction.attributes)
            fused[position[source.output]] = None
            fused[k] = replace(source, output=instruction.output, attributes=tuple(sorted(attributes.items())))
    return [i for i in fused if i is not None]
