"""Against overfitting: penalties, dropout, batch normalisation, early stopping; on few digits, where it shows."""

from __future__ import annotations

from fastann import Sequential, datasets
from fastann.callbacks import EarlyStopping
from fastann.evaluation import read_curves, train_validation_test_split
from fastann.layers import BatchNormalization, Dense, Dropout
from fastann.optimizers import Adam
from fastann.regularizers import l1, l2


def networks() -> dict[str, Sequential]:
    """Return one network for each technique, all of the same size."""
    output = Dense(10, activation="softmax")
    return {
        "plain": Sequential([Dense(128, activation="relu"), Dense(64, activation="relu"), output], seed=1),
        "L2 and L1": Sequential(
            [
                Dense(128, activation="relu", kernel_regularizer=l2(0.003)),
                Dense(64, activation="relu", kernel_regularizer=l1(0.0003)),
                output,
            ],
            seed=1,
        ),
        "dropout": Sequential(
            [Dense(128, activation="relu"), Dropout(0.4), Dense(64, activation="relu"), Dropout(0.4), output], seed=1
        ),
        "batch normalisation": Sequential(
            [Dense(128, activation="relu"), BatchNormalization(), Dense(64, activation="relu"), output], seed=1
        ),
    }


def main() -> dict[str, float]:
    """Train all with early stopping, gradients clipped, and return their accuracies on unseen rows."""
    data = datasets.load("digits")
    (x, x_val, x_test), (y, y_val, y_test) = train_validation_test_split(
        data.x / 16.0, data.y, validation=0.4, test=0.3, stratify=data.y, seed=1
    )
    results = {}
    for name, model in networks().items():
        stop = EarlyStopping(monitor="val_loss", patience=8, restore_best_weights=True)
        model.compile(Adam(0.002, clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, validation_data=(x_val, y_val), epochs=100, callbacks=[stop], verbose=0)
        results[name] = model.evaluate(x_test, y_test, verbose=0)[1]
        epochs = len(history.history["loss"])
        print(f"{name:20} {epochs:3d} epochs, test accuracy {results[name]:.3f}; {read_curves(history).verdict}")
    return results


if __name__ == "__main__":
    main()
