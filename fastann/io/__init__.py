"""Model files and weight files: written all or nothing, read without executing or trusting anything."""

from __future__ import annotations

from fastann.io.archive import ModelFileError
from fastann.io.model_file import FORMAT_VERSION, load_model, save_model
from fastann.io.weights_file import load_weights, save_weights

__all__ = ["FORMAT_VERSION", "ModelFileError", "load_model", "load_weights", "save_model", "save_weights"]
