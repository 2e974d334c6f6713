"""Whether a loss fits the output of a network and the shape of its targets."""

from __future__ import annotations

import warnings

from fastann_kernels.program import SPARSE

from fastann.losses.base import Loss

Shape = tuple[int, ...]

#: Losses that compare classes, so that an output needs a column for each of at least two.
CATEGORICAL = frozenset({"categorical_crossentropy", "sparse_categorical_crossentropy", "categorical_hinge"})

#: Activations whose values a loss of probabilities can take. Rows of categorical ones are divided by their sum.
PROBABILITIES = {
    "binary_crossentropy": frozenset({"sigmoid", "hard_sigmoid", "softmax"}),
    "categorical_crossentropy": frozenset({"sigmoid", "hard_sigmoid", "softmax", "softplus", "exponential"}),
    "sparse_categorical_crossentropy": frozenset({"sigmoid", "hard_sigmoid", "softmax", "softplus", "exponential"}),
    "kl_divergence": frozenset({"sigmoid", "hard_sigmoid", "softmax"}),
}


def check_fits(
    loss: Loss, output_shape: Shape, target_shape: Shape, last_activation: str, output_name: str = "output"
) -> None:
    """Check that a loss fits an output before anything is trained with it.

    Args:
        loss: the loss.
        output_shape: shape of a row of predictions, batch left out.
        target_shape: shape of a row of targets; axes of length 1 at the end do not matter.
        last_activation: name of the activation that makes the output.
        output_name: what the output is called in messages.

    Raises:
        ValueError: the loss cannot be computed for these shapes, or has settings that training does not support.
        UserWarning: it can, but the values of that activation are not the probabilities, or logits, it expects.
    """
    if loss.op == "callable":
        return
    if getattr(loss, "ignore_class", None) is not None:
        raise ValueError(
            f"loss {loss.name!r} of {output_name!r} must have ignore_class=None in training; give such rows the "
            "sample weight 0 instead."
        )
    _check_classes(loss, output_shape, output_name)
    _check_target(loss, output_shape, target_shape, output_name)
    _check_activation(loss, output_shape, last_activation, output_name)


def _check_classes(loss: Loss, output_shape: Shape, output_name: str) -> None:
    if loss.op in CATEGORICAL and output_shape[-1] < 2:
        instead = "hinge" if loss.op == "categorical_hinge" else "binary_crossentropy"
        raise ValueError(
            f"loss {loss.name!r} expects one column for each class in {output_name!r}, got rows of shape "
            f"{output_shape}; use {instead} for a single column."
        )


def _check_target(loss: Loss, output_shape: Shape, target_shape: Shape, output_name: str) -> None:
    expected = output_shape[:-1] if loss.op in SPARSE else output_shape
    if _trimmed(target_shape) == _trimmed(expected):
        return
    hint = "reshape the targets, or change the units of the last layer"
    if loss.op in SPARSE and target_shape == output_shape:
        hint = "use categorical_crossentropy for one column a class"
    elif loss.op in CATEGORICAL and _trimmed(target_shape) == _trimmed(output_shape[:-1]):
        hint = "encode class labels with to_categorical"
        if loss.op == "categorical_crossentropy":
            hint += ", or use sparse_categorical_crossentropy"
    raise ValueError(
        f"loss {loss.name!r} expects a target of shape {expected} for each row of {output_name!r}, which has shape "
        f"{output_shape}, got {target_shape}; {hint}."
    )


def _check_activation(loss: Loss, output_shape: Shape, last_activation: str, output_name: str) -> None:
    if last_activation == "softmax" and output_shape[-1] == 1:
        _warn(f"softmax over the single column of {output_name!r} is always 1; use sigmoid, or more columns.")
    elif loss.from_logits and last_activation in ("sigmoid", "softmax"):
        _warn(
            f"loss {loss.name!r} with from_logits=True expects {output_name!r} before its activation, got values "
            f"after {last_activation}; use from_logits=False, or a linear last layer."
        )
    elif not loss.from_logits and last_activation not in PROBABILITIES.get(loss.op, (last_activation,)):
        usual = "sigmoid" if loss.op == "binary_crossentropy" else "softmax"
        logits = "" if loss.op == "kl_divergence" else ", or from_logits=True"
        _warn(
            f"loss {loss.name!r} expects probabilities from {output_name!r}, got values after {last_activation}, which "
            f"are clipped to [0, 1]; use {usual} as the last activation{logits}."
        )


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=4)


def _trimmed(shape: Shape) -> Shape:
    """Return the shape without axes of length 1 at its end."""
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape
