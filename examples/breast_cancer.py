"""From a table to a judged classifier: split, scale, train, look, evaluate, save."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import fastann
from fastann import Sequential, datasets, metrics
from fastann.evaluation import classification_report, roc_curve, train_validation_test_split
from fastann.layers import Dense, Input, Normalization


def main() -> dict[str, float]:
    """Train on the Wisconsin breast-cancer data and return accuracy and area under the ROC curve on unseen rows."""
    data = datasets.load("breast_cancer")
    (x, x_val, x_test), (y, y_val, y_test) = train_validation_test_split(
        data.x, data.y, validation=0.15, test=0.2, stratify=data.y, seed=42
    )
    scaling = Normalization()
    scaling.adapt(x)
    model = Sequential(
        [Input((30,)), scaling, Dense(16, "relu"), Dense(8, "relu"), Dense(1, "sigmoid")], name="tumours", seed=1
    )
    model.summary()
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", metrics.AUC(name="auc"), metrics.Recall()])
    model.fit(x, y, epochs=50, batch_size=32, validation_data=(x_val, y_val), verbose=0)
    loss, accuracy, area, recall = model.evaluate(x_test, y_test, verbose=0)
    print(f"test: loss {loss:.3f}, accuracy {accuracy:.3f}, AUC {area:.3f}, recall {recall:.3f}")
    predictions = model.predict(x_test, verbose=0)
    print(classification_report(y_test, predictions, names=data.class_names))
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "tumours.fastann")
        again = fastann.load_model(Path(folder) / "tumours.fastann")
        assert np.array_equal(again.predict(x_test, verbose=0), predictions)
    return {"accuracy": accuracy, "ROC area": roc_curve(y_test, predictions).area}


if __name__ == "__main__":
    main()
