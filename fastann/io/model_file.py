"""A whole model in one file: architecture, weights, compile arguments and the state of its training.

The file is a zip of

    fastann.json            what kind of file this is, the network, the arguments of `compile`, the training counters
    weights.safetensors     the weights, "dense/kernel", in the order of `get_weights`
    optimizer.safetensors   the optimizer's state, "0/dense/kernel" for slot 0 of that weight; only if there is any

Reading never executes anything: classes are looked up by name among fastann's own and those the program registered.
Nothing is allocated for a tensor before its place in the file has shown that the bytes are there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastann.io import documents
from fastann.io.archive import Archive, ModelFileError, cleaned, shorten, write_archive
from fastann.io.tensors import Array, Shape, pack, size_limit, unpack
from fastann.io.weights_file import named_weights, refuse_overwriting, weight_shapes

if TYPE_CHECKING:
    from fastann.models.model import Model

FORMAT = "fastann model"
#: Raised when the meaning of a file changes; every older version stays readable.
FORMAT_VERSION = 1

_JSON, _WEIGHTS, _OPTIMIZER = "fastann.json", "weights.safetensors", "optimizer.safetensors"
_MAX_LAYERS = 10_000
_MAX_SLOTS = 8
#: What malformed settings make constructors raise.
_MALFORMED = (
    ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError, RecursionError, AssertionError,
)  # fmt: skip


def save_model(
    model: Model, path: str | os.PathLike[str], *, overwrite: bool = True, include_optimizer: bool = True
) -> None:
    """Write a model to one file, from which `load_model` makes an equal one that trains on exactly as this one would.

    The file is written beside `path` and renamed into place.

    Args:
        model: its input shape must be known.
        path: any name; `.fastann` is the custom.
        overwrite: False raises FileExistsError if the file exists.
        include_optimizer: False leaves out the arguments of `compile` and the state of training.

    Raises:
        TypeError: a loss, metric, schedule or layer is a Python function, which no file can hold.
    """
    document: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "fastann_version": _version(),
        "model": {"class_name": _kind(model), "config": model.get_config()},
        "compile": None,
        "training": None,
    }
    members = {_JSON: b"", _WEIGHTS: pack(named_weights(model))}
    if include_optimizer and model.compiled:
        document["compile"] = _compile_config(model)
        state = model.training_state()
        slots = state.pop("slots")
        document["training"] = {**state, "slots": 0 if slots is None else len(slots)}
        if slots is not None:
            members[_OPTIMIZER] = pack(_named_slots(model, slots))
    members[_JSON] = documents.dumps(document)
    refuse_overwriting(path, overwrite)
    write_archive(path, members)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Return the model that `Model.save` wrote to `path`, compiled as it was, ready to predict or to train on.

    Raises:
        FileNotFoundError: there is no such file.
        ModelFileError: the file is damaged, was written by a newer fastann, or is no model file.
    """
    shown = repr(os.fspath(path))
    with Archive(path, (_JSON, _WEIGHTS), (_OPTIMIZER,)) as archive:
        document = _document(archive.read(_JSON, documents.MAX_BYTES), f"{shown}: {_JSON}")
        with _malformed(shown):
            model = _build(document)
            shapes = weight_shapes(model)
        weights = _tensors(archive, _WEIGHTS, shapes, shown)
        slots = _slots(archive, document, shapes, shown)
    with _malformed(shown):
        model.set_weights(list(weights.values()))
        if document["training"] is not None:
            model.set_training_state({**document["training"], "slots": slots})
    return model


def _kind(model: Model) -> str:
    """Return the class to read a model as; a row that a branching model stands in is none any more."""
    from fastann.models import Sequential

    return "Sequential" if isinstance(model, Sequential) and model.graph.is_row else "Model"


def _version() -> str:
    import fastann

    return fastann.__version__


def _compile_config(model: Model) -> dict[str, Any]:
    try:
        return model.compile_config()
    except TypeError as error:
        raise TypeError(
            f"{str(error).rstrip('.')}; or leave out how the model is trained: "
            "fastann.io.save_model(model, path, include_optimizer=False)."
        ) from error


def _named_slots(model: Model, slots: Array) -> dict[str, Array]:
    """Cut slots (S, P) into tensors by weight."""
    return {
        f"{number}/{p.name}": slot[p.offset : p.offset + p.size].reshape(p.shape)
        for number, slot in enumerate(slots)
        for p in model.parameters
    }


def _document(data: bytes, what: str) -> dict[str, Any]:
    """Return the checked outer part of fastann.json."""
    document = documents.loads(data, what)
    version = document.get("format_version")
    if document.get("format") != FORMAT or type(version) is not int or version < 1:
        raise ModelFileError(f"{what} does not describe a model of fastann.")
    if version > FORMAT_VERSION:
        writer = shorten(str(document.get("fastann_version")))
        raise ModelFileError(
            f"{what} was written by a newer fastann ({writer}, format {version}; this one reads up to "
            f"{FORMAT_VERSION}): upgrade fastann."
        )
    if set(document) != {"format", "format_version", "fastann_version", "model", "compile", "training"}:
        raise ModelFileError(f"{what} has other entries than a model file of format {version}.")
    if (document["compile"] is None) != (document["training"] is None):
        raise ModelFileError(f"{what} has only one of compile arguments and training state.")
    if document["training"] is not None:
        _check_training(document["training"], what)
    return document


def _check_training(training: Any, what: str) -> None:
    counters = ("seed", "iterations", "epochs_trained", "slots")
    limits = dict.fromkeys(counters, 2**63) | {"seed": 2**64, "slots": _MAX_SLOTS + 1}
    # what only some optimizers ask for
    given = set(training) - {"run", "last_rate"} if isinstance(training, dict) else set()
    if given != {*counters, "learning_rate"}:
        raise ModelFileError(f"{what}: the training state must give {', '.join(counters)} and learning_rate.")
    for name in counters:
        value = training[name]
        if type(value) is not int or not 0 <= value < limits[name]:
            raise ModelFileError(
                f"{what}: {name} must be a whole number below {limits[name]}, got {shorten(repr(value))}."
            )
    for name in ("learning_rate", "last_rate"):
        rate = training.get(name)
        if rate is not None and (type(rate) not in (int, float) or not (rate >= 0 and isfinite(rate))):
            raise ModelFileError(f"{what}: {name} must be a finite number or null, got {shorten(repr(rate))}.")
    run = training.get("run", {})
    if not isinstance(run, dict) or any(type(value) is int and value >= 2**63 for value in run.values()):
        raise ModelFileError(f"{what}: run must be an object of numbers below 2^63, got {shorten(repr(run))}.")


def _build(document: Mapping[str, Any]) -> Model:
    """Make the model, compiled, with its weights not drawn yet."""
    from fastann.models import Model, Sequential

    classes: dict[str, type[Model]] = {"Model": Model, "Sequential": Sequential}
    kind, config = document["model"]["class_name"], document["model"]["config"]
    if kind not in classes:
        raise ValueError(f"the kind of model {shorten(str(kind))} is unknown; known are {', '.join(classes)}.")
    if len(config["nodes"]) > _MAX_LAYERS:
        raise ValueError(f"the network has {len(config['nodes']):,} layers, at most {_MAX_LAYERS:,} are read.")
    model = classes[kind].from_config(config)
    if document["compile"] is not None:
        model.compile_from_config(document["compile"])
        _check_outputs(model)
    return model


def _check_outputs(model: Model) -> None:
    """Raise ValueError unless losses, their weights and metrics are for the outputs that the model has."""
    spec, outputs = model.compile_spec, len(model.graph.outputs)
    if spec.optimizer is None:
        raise ValueError("the arguments of compile name no optimizer.")
    if not len(spec.losses) == len(spec.loss_weights) == outputs or any(m.output >= outputs for m in spec.metrics):
        raise ValueError(f"the arguments of compile are not for a network with {outputs} output(s).")


def _tensors(archive: Archive, name: str, shapes: Mapping[str, Shape], shown: str) -> dict[str, Array]:
    """Read one safetensors member, after making sure that it is as large as tensors of these shapes."""
    numbers = sum(prod(shape) for shape in shapes.values())
    size = archive.claimed_size(name)
    if size < 4 * numbers:
        raise ModelFileError(
            f"{shown}: the network needs {numbers:,} numbers in {name}, which has {size:,} bytes only."
        )
    return unpack(archive.read(name, size_limit(shapes)), shapes, f"{shown}: {name}")


def _slots(archive: Archive, document: Mapping[str, Any], shapes: Mapping[str, Shape], shown: str) -> Array | None:
    """Return the optimizer's state, float[S, P], or None if the file has none."""
    count = 0 if document["training"] is None else document["training"]["slots"]
    if (count > 0) != (_OPTIMIZER in archive):
        there, said = ("is there", "none") if count == 0 else ("is missing", f"{count} vectors of optimizer state")
        raise ModelFileError(f"{shown}: {_OPTIMIZER} {there}, while {_JSON} announces {said}.")
    if count == 0:
        return None
    expected = {f"{number}/{name}": shape for number in range(count) for name, shape in shapes.items()}
    parts = [part.ravel() for part in _tensors(archive, _OPTIMIZER, expected, shown).values()]
    return np.concatenate(parts).reshape(count, -1) if parts else np.empty((count, 0))


@contextmanager
def _malformed(shown: str) -> Iterator[None]:
    """Turn what constructors raise for settings that make no sense into a `ModelFileError`."""
    try:
        yield
    except ModelFileError as error:
        raise ModelFileError(f"{shown} cannot be read: {error}") from error
    except _MALFORMED as error:
        kind = "" if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: "
        reason = kind + cleaned(error, 400)
        raise ModelFileError(f"{shown} describes no network that can be built: {reason}.") from error
