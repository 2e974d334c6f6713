"""The table of instructions: each a function of the instruction, its inputs, its parameters and the batch's context."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax

from fastann_kernels.jax_backend import augment, merge, norms, pool2d, scale
from fastann_kernels.jax_backend.activations import activate
from fastann_kernels.jax_backend.activity import activity_penalty
from fastann_kernels.jax_backend.context import Context
from fastann_kernels.jax_backend.conv2d import conv2d
from fastann_kernels.jax_backend.dense import dense
from fastann_kernels.jax_backend.depthwise_conv2d import depthwise_conv2d
from fastann_kernels.jax_backend.dropout import dropout
from fastann_kernels.jax_backend.embedding import embedding
from fastann_kernels.jax_backend.noise import gaussian_noise
from fastann_kernels.jax_backend.pad2d import pad2d
from fastann_kernels.jax_backend.prelu import prelu
from fastann_kernels.program import Instruction

Array = jax.Array
Operation = Callable[[Instruction, Sequence[Array], Sequence[Array], Context], Array]


def _dense(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    b = tensors[1] if i.get("use_bias") else None
    activation, alpha = str(i.get("activation", "linear")), float(i.get("alpha"))
    return dense(inputs[0], tensors[0], b, activation, alpha, context.precision, context.shifts.get(i.output))


def _activation(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    return activate(str(i.get("activation")), inputs[0], float(i.get("alpha")))


def _dropout(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    rate = float(i.get("rate"))
    return dropout(inputs[0], rate, context.stream(i)) if context.training and rate > 0 else inputs[0]


def _reshape(i: Instruction, inputs: Sequence[Array], tensors: Sequence[Array], context: Context) -> Array:
    return inputs[0].reshape(context.shape)


OPERATIONS: Mapping[str, Operation] = {
    "dense": _dense,
    "activation": _activation,
    "dropout": _dropout,
    "reshape": _reshape,
    "add": merge.add,
    "subtract": merge.subtract,
    "multiply": merge.multiply,
    "average": merge.average,
    "maximum": merge.maximum,
    "minimum": merge.minimum,
    "concatenate": merge.concatenate,
    "scale": scale.scale,
    "normalize": scale.normalize,
    "prelu": prelu,
    "batch_norm": norms.batch_norm,
    "layer_norm": norms.layer_norm,
    "gaussian_noise": gaussian_noise,
    "activity_penalty": activity_penalty,
    "embedding": embedding,
    "conv2d": conv2d,
    "depthwise_conv2d": depthwise_conv2d,
    "max_pool2d": pool2d.max_pool2d,
    "average_pool2d": pool2d.average_pool2d,
    "pad2d": pad2d,
    "random_flip": augment.random_flip,
    "random_affine": augment.random_affine,
}
