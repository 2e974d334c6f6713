"""What `compile` was given, checked, and what it means once shapes are known: a program and its metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastann_kernels.backend import BACKENDS, PRECISIONS, Choice, choose_backend
from fastann_kernels.program import SPARSE, Program
from fastann_kernels.program import Loss as LossOperation

from fastann import losses as loss_specs
from fastann import metrics as metric_specs
from fastann import optimizers as optimizer_specs
from fastann.layers.base import Shape
from fastann.losses import Loss
from fastann.lowering import LossTerm, MetricTerm, lower, target_shape
from fastann.metrics import Metric
from fastann.models.graph import LayerGraph
from fastann.models.per_output import lists_per_output, per_output
from fastann.optimizers import Optimizer
from fastann.spec import deserialize, lookup, number, serialize, whole
from fastann.training.session import ON_NONFINITE, MetricEntry, Session
from fastann.training.targets import Target

#: Names that mean one metric or another, depending on loss and shapes.
BY_SHAPE = frozenset({"accuracy", "acc", "crossentropy", "ce"})


@dataclass(frozen=True)
class MetricRequest:
    """One metric as the user asked for it: a name or an object, the output it is for, whether sample weights count.

    `prefix` is the output's name with an underscore where there are several outputs.
    """

    identifier: str | Metric
    output: int = 0
    weighted: bool = False
    prefix: str = ""

    @property
    def key(self) -> str:
        """Its name in `History`."""
        return self.prefix + (self.identifier if isinstance(self.identifier, str) else str(self.identifier.name))


@dataclass(frozen=True)
class CompileSpec:
    """The arguments of `compile`, checked; the default is a model that only predicts.

    Attributes:
        optimizer: None before `compile`.
        losses: one for each output, or None.
        loss_weights: one number for each output.
        metrics: in the order of `History`.
        loss_keys: names in `History` of each output's own loss; none for a single output.
        backend: "auto" or a name of `fastann_kernels.backend.BACKENDS`.
        precision: one of `fastann_kernels.backend.PRECISIONS`.
        on_nonfinite: "raise" or "ignore".
    """

    optimizer: Optimizer | None = None
    losses: tuple[Loss | None, ...] = ()
    loss_weights: tuple[float, ...] = ()
    metrics: tuple[MetricRequest, ...] = ()
    loss_keys: tuple[str, ...] = ()
    backend: str = "auto"
    precision: str = "float32"
    on_nonfinite: str = "raise"

    def choice(self, program: Program | None = None) -> Choice:
        """Return the backend to use for a program (None: not known yet), with the reason."""
        if self.backend != "auto":
            return Choice(self.backend, ("compile was told to use it",))
        operations = tuple(LossOperation(loss.op, 0) for loss in self.losses if loss is not None)
        known = Program((), (), (), (), ()) if program is None else program
        return choose_backend(replace(known, losses=operations), precision=self.precision)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as JSON-able data; raises TypeError for Python functions among them."""
        return {
            "optimizer": None if self.optimizer is None else serialize(self.optimizer),
            "losses": [None if loss is None else serialize(loss) for loss in self.losses],
            "loss_weights": list(self.loss_weights),
            "metrics": [
                {
                    "identifier": _metric_config(m.identifier),
                    "output": m.output,
                    "weighted": m.weighted,
                    "prefix": m.prefix,
                }
                for m in self.metrics
            ],
            "loss_keys": list(self.loss_keys),
            "backend": self.backend,
            "precision": self.precision,
            "on_nonfinite": self.on_nonfinite,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> CompileSpec:
        """Make the specification that `get_config` described."""
        optimizer = config["optimizer"]
        return cls(
            optimizer=None if optimizer is None else deserialize(optimizer, lookup("optimizers")),
            losses=tuple(None if c is None else deserialize(c, lookup("losses")) for c in config["losses"]),
            loss_weights=tuple(number(weight, "loss_weights") for weight in config["loss_weights"]),
            metrics=tuple(
                MetricRequest(
                    _metric_from_config(m["identifier"]),
                    whole(m["output"], "output"),
                    bool(m["weighted"]),
                    str(m.get("prefix", "")),
                )
                for m in config["metrics"]
            ),
            loss_keys=tuple(str(key) for key in config.get("loss_keys", ())),
            backend=_one_of(config["backend"], ("auto", *BACKENDS), "backend"),
            precision=_one_of(config["precision"], PRECISIONS, "precision"),
            on_nonfinite=_one_of(config["on_nonfinite"], ON_NONFINITE, "on_nonfinite"),
        )


@dataclass(frozen=True)
class Resolved:
    """A program, its metrics in the order of `History`, and the names there of single outputs' losses, if any."""

    program: Program
    metrics: tuple[MetricEntry, ...] = ()
    loss_keys: tuple[str, ...] = ()

    def fits(self, session: Session) -> bool:
        """Whether `session` already runs this program with these metrics."""
        same_metrics = _kinds(session.metrics) == _kinds(self.metrics)
        return session.program == self.program and same_metrics and session.loss_keys == self.loss_keys


def check(
    outputs: Sequence[str],
    optimizer: Any,
    loss: Any,
    loss_weights: Any,
    metrics: Any,
    weighted_metrics: Any,
    backend: str,
    precision: str,
    on_nonfinite: str,
) -> CompileSpec:
    """Return the specification for outputs of these names from the arguments of `compile`.

    Raises:
        ValueError, TypeError: an argument is none that `compile` takes.
    """
    losses = [None if entry is None else loss_specs.get(entry) for entry in per_output(loss, outputs, "loss")]
    weights = per_output(loss_weights, outputs, "loss_weights")
    requests = _requests(metrics, outputs, "metrics", False)
    requests += _requests(weighted_metrics, outputs, "weighted_metrics", True)
    several = len(outputs) > 1
    loss_keys = tuple(f"{name}_loss" for name, entry in zip(outputs, losses, strict=True) if several and entry)
    keys = ["loss", *loss_keys, *(request.key for request in requests)]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"every metric needs a name of its own, and not 'loss', got {key!r}; set its name=.")
    return CompileSpec(
        optimizer=optimizer_specs.get(optimizer),
        losses=tuple(losses),
        loss_weights=tuple(1.0 if weight is None else number(weight, "loss_weights") for weight in weights),
        metrics=requests,
        loss_keys=loss_keys,
        backend=_one_of(backend, ("auto", *BACKENDS), "backend"),
        precision=_one_of(precision, PRECISIONS, "precision"),
        on_nonfinite=_one_of(on_nonfinite, ON_NONFINITE, "on_nonfinite"),
    )


def resolve(graph: LayerGraph, spec: CompileSpec, targets: Sequence[Target] | None) -> Resolved:
    """Return the program for a network as it was compiled.

    Args:
        graph: the network.
        spec: how it was compiled.
        targets: one for each output, of which those without a loss do not matter; None for a program that only
            predicts.

    Raises:
        ValueError: there is no loss, or a loss or metric does not fit its output or target.
    """
    if targets is None:
        return Resolved(lower(graph, optimizer=spec.optimizer))
    terms: list[LossTerm] = []
    for output, (loss, target) in enumerate(zip(spec.losses, targets, strict=True)):
        if loss is not None:
            expected = _target_of(loss, graph.shapes[graph.outputs[output]], target)
            terms.append(LossTerm(loss, output, spec.loss_weights[output], expected))
    if not terms:
        raise ValueError("the model has no loss; give one to compile, such as loss='mse'.")
    by_output = {term.output: term for term in terms}
    entries = tuple(_entry(graph, r, by_output.get(r.output), targets[r.output]) for r in spec.metrics)
    streamed = [MetricTerm(e.metric, e.output, e.weighted) for e in entries if e.streamed]
    return Resolved(lower(graph, terms, streamed, spec.optimizer), entries, spec.loss_keys)


def _target_of(loss: Loss, output_shape: Shape, target: Target) -> Shape:
    """Return the shape of a row of targets that the loss works on; the data are checked against it later.

    A Python function takes targets as they are, with or without a last axis of length 1 as the output has it.
    """
    expected = target_shape(loss.op, output_shape)
    return target.shape if loss.op == "callable" and _trimmed(target.shape) != _trimmed(expected) else expected


def _entry(graph: LayerGraph, request: MetricRequest, term: LossTerm | None, target: Target) -> MetricEntry:
    if term is None or term.target_shape is None:
        raise ValueError(f"metric {request.key!r} needs a loss on the same output; give compile a loss.")
    shape = graph.shapes[graph.outputs[request.output]]
    labels = target.is_integer and shape[-1] > 1 and term.target_shape == shape[:-1]
    sparse = term.loss.op in SPARSE or (term.loss.op == "callable" and labels)
    metric = metric_specs.resolve(request.identifier, term.loss, shape, term.target_shape, sparse)
    return MetricEntry(request.key, metric, request.weighted, request.output)


def _kinds(entries: Sequence[MetricEntry]) -> list[tuple[str, type, bool, int]]:
    return [(entry.key, type(entry.metric), entry.weighted, entry.output) for entry in entries]


def _requests(metrics: Any, outputs: Sequence[str], what: str, weighted: bool) -> tuple[MetricRequest, ...]:
    """Return the metrics of one argument, output by output."""
    lists = lists_per_output(metrics, outputs, what)
    return tuple(
        MetricRequest(_identifier(metric), output, weighted, f"{name}_" if len(outputs) > 1 else "")
        for output, (name, entries) in enumerate(zip(outputs, lists, strict=True))
        for metric in entries
    )


def _identifier(metric: Any) -> str | Metric:
    """Return a known name as it is, and anything else as a metric."""
    if isinstance(metric, str) and metric.lower() in BY_SHAPE:
        return metric
    found: Metric = metric_specs.get(metric)
    return metric if isinstance(metric, str) else found


def _one_of(given: Any, allowed: Sequence[str], what: str) -> str:
    if not isinstance(given, str) or given not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, allowed))}, got {given!r}.")
    return given


def _trimmed(shape: Shape) -> Shape:
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _metric_config(identifier: str | Metric) -> Any:
    return identifier if isinstance(identifier, str) else serialize(identifier)


def _metric_from_config(config: Any) -> str | Metric:
    return _identifier(config if isinstance(config, str) else deserialize(config, lookup("metrics")))
