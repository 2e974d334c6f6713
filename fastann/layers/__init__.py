"""Layers: frozen descriptions without arrays, one kind a file. `Sequential` puts them together."""

from __future__ import annotations

from fastann.layers.activation import Activation
from fastann.layers.base import Layer, WeightSpec
from fastann.layers.dense import Dense
from fastann.layers.dropout import Dropout
from fastann.layers.elu import ELU
from fastann.layers.flatten import Flatten
from fastann.layers.input import Input, InputLayer
from fastann.layers.leaky_relu import LeakyReLU
from fastann.layers.relu import ReLU
from fastann.layers.softmax import Softmax

__all__ = [
    "ELU",
    "Activation",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "ReLU",
    "Softmax",
    "WeightSpec",
]
