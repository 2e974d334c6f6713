"""One training from the command line: parts of the data, scaling, network, test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastann.cli.network import (
    ClassScore,
    Recipe,
    build_model,
    class_scores,
    columns,
    fold_scaling,
    predicted_classes,
    r_squared,
    targets,
)  # fmt: skip
from fastann.datasets import Dataset, Scaling, split


@dataclass(frozen=True)
class Result:
    """Scores by name on the test part, and for a classification those of each class."""

    scores: dict[str, float]
    classes: list[ClassScore]


class Job:
    """A data set in three parts, each scaled as the first one, and a network for it.

    Args:
        dataset: where the test part is its makers', if they kept one apart.
        recipe: network and training.
        test, validation: fractions, the second of what the first leaves; 0 for no validation.

    Attributes:
        train, validation, test: the parts, unscaled; validation may be None.
        inputs, outputs: scaling of columns and of targets, measured on `train`; outputs is None for classes.
        model: compiled.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe, test: float, validation: float) -> None:
        self.train, self.test = split(dataset, test, recipe.seed)
        self.validation: Dataset | None = None
        if validation:
            self.train, self.validation = split(self.train, validation, recipe.seed)
        self.inputs = Scaling.fit(self.train.x)
        self.outputs = None if dataset.classes else Scaling.fit(columns(self.train.y))
        self.recipe = recipe
        self.model = build_model(self.train, recipe)

    def describe(self) -> str:
        """Return a sentence on network, optimizer and parts."""
        sizes = [self.train.x.shape[1], *self.recipe.hidden, self.model.output_shape[-1]]
        parts = f"{len(self.train.x):,} rows to train"
        if self.validation is not None:
            parts += f", {len(self.validation.x):,} to validate"
        assert self.model.optimizer is not None
        return (
            f"network {'-'.join(map(str, sizes))} ({self.model.count_params():,} weights), "
            f"{self.recipe.optimizer} at learning rate {self.model.optimizer.learning_rate:g}; "
            f"{parts}, {len(self.test.x):,} to test"
        )

    def fit(self, epochs: int, batch_size: int, patience: int | None, verbose: int) -> bool:
        """Train; stop early where `patience` epochs bring no better validation loss, with the best weights restored.

        Returns:
            Whether the training ran to its end; False after Ctrl-C, which leaves the model as after the last batch.
        """
        from fastann.callbacks import EarlyStopping

        callbacks = [] if patience is None else [EarlyStopping(patience=patience, restore_best_weights=True)]
        held_back = None
        if self.validation is not None:
            held_back = (self.inputs.apply(self.validation.x), targets(self.validation, self.outputs))
        try:
            self.model.fit(
                self.inputs.apply(self.train.x),
                targets(self.train, self.outputs),
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_data=held_back,
            )
        except KeyboardInterrupt:
            return False
        return True

    def evaluate(self) -> Result:
        """Return the scores on the test part: loss and accuracy, or R2, and the errors in the target's own units."""
        x = self.inputs.apply(self.test.x)
        outputs = self.model.predict(x, verbose=0)
        if self.outputs is not None:
            predicted = self.outputs.undo(outputs)
            errors = predicted - columns(self.test.y)
            root, mean = float(np.sqrt((errors**2).mean())), float(np.abs(errors).mean())
            return Result({"R2": r_squared(self.test.y, predicted), "RMSE": root, "MAE": mean}, [])
        scores = self.model.evaluate(x, self.test.y, verbose=0, return_dict=True)
        assert isinstance(scores, dict)
        predicted_labels = predicted_classes(outputs)
        return Result(scores, class_scores(self.test.y, predicted_labels, self.test.class_names))

    def save(self, path: Path) -> None:
        """Write the model so that it takes raw columns and gives raw numbers; the state of training is left out."""
        from fastann.io import save_model

        fold_scaling(self.model, self.inputs, self.outputs)
        save_model(self.model, path, include_optimizer=False)
