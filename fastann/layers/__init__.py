"""Layers: frozen descriptions without arrays, one kind a file. `Sequential` puts them together."""

from __future__ import annotations

from fastann.layers.activation import Activation
from fastann.layers.activity_regularization import ActivityRegularization
from fastann.layers.base import Layer, WeightSpec
from fastann.layers.batch_normalization import BatchNormalization
from fastann.layers.concatenate import Concatenate, concatenate
from fastann.layers.conv2d import Conv2D
from fastann.layers.dense import Dense
from fastann.layers.depthwise_conv2d import DepthwiseConv2D
from fastann.layers.dropout import Dropout
from fastann.layers.elu import ELU
from fastann.layers.embedding import Embedding
from fastann.layers.flatten import Flatten
from fastann.layers.gaussian_noise import GaussianNoise
from fastann.layers.global_pooling1d import (
    GlobalAveragePooling1D,
    GlobalAvgPool1D,
    GlobalMaxPool1D,
    GlobalMaxPooling1D,
)
from fastann.layers.global_pooling2d import (
    GlobalAveragePooling2D,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GlobalMaxPooling2D,
)
from fastann.layers.identity import Identity
from fastann.layers.input import Input, InputLayer
from fastann.layers.layer_normalization import LayerNormalization
from fastann.layers.leaky_relu import LeakyReLU
from fastann.layers.merging import (
    Add,
    Average,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    maximum,
    minimum,
    multiply,
    subtract,
)
from fastann.layers.normalization import Normalization
from fastann.layers.pooling2d import AveragePooling2D, AvgPool2D, MaxPool2D, MaxPooling2D
from fastann.layers.prelu import PReLU
from fastann.layers.random_affine import RandomRotation, RandomTranslation, RandomZoom
from fastann.layers.random_flip import RandomFlip
from fastann.layers.relu import ReLU
from fastann.layers.rescaling import Rescaling
from fastann.layers.reshape import Reshape
from fastann.layers.separable_conv2d import SeparableConv2D
from fastann.layers.softmax import Softmax
from fastann.layers.symbolic import SymbolicTensor
from fastann.layers.zero_padding2d import ZeroPadding2D

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "Average",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "Identity",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SeparableConv2D",
    "Softmax",
    "Subtract",
    "SymbolicTensor",
    "WeightSpec",
    "ZeroPadding2D",
    "add",
    "average",
    "concatenate",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
