"""Callbacks: what may look on, and step in, while a model trains."""

from __future__ import annotations

from fastann.callbacks.base import Callback
from fastann.callbacks.callback_list import CallbackList
from fastann.callbacks.csv_logger import CSVLogger
from fastann.callbacks.early_stopping import EarlyStopping
from fastann.callbacks.gradient_norms import GradientNorms
from fastann.callbacks.history import History
from fastann.callbacks.lambda_callback import LambdaCallback
from fastann.callbacks.learning_rate_scheduler import LearningRateScheduler
from fastann.callbacks.model_checkpoint import ModelCheckpoint
from fastann.callbacks.monitor import MonitorCallback
from fastann.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from fastann.callbacks.terminate_on_nan import TerminateOnNaN
from fastann.callbacks.weight_path import WeightPath

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "GradientNorms",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
    "WeightPath",
]
