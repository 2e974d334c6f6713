"""One network on handwritten digits with each optimizer, learning rates with schedules, and the range test."""

from __future__ import annotations

from fastann import Sequential, datasets, find_learning_rate
from fastann.layers import Dense, Input
from fastann.optimizers import SGD, Adagrad, Adam, RMSprop
from fastann.schedules import CosineDecay, ExponentialDecay, InverseTimeDecay, OneCycle

EPOCHS, BATCH = 10, 32


def network() -> Sequential:
    """Return the network, with the same weights each time."""
    return Sequential([Input((64,)), Dense(32, activation="relu"), Dense(10, activation="softmax")], seed=1)


def main() -> dict[str, float]:
    """Train with each and return the accuracies on the training rows."""
    data = datasets.load("digits")
    x, y = data.x / 16.0, data.y
    steps = EPOCHS * -(-len(x) // BATCH)
    choices = {
        "SGD": SGD(learning_rate=0.1),
        "SGD with momentum": SGD(learning_rate=0.1, momentum=0.9, nesterov=True),
        "RMSprop": RMSprop(learning_rate=0.002),
        "Adagrad": Adagrad(learning_rate=0.05),
        "Adam": Adam(learning_rate=0.002),
        "Adam, exponential decay": Adam(ExponentialDecay(0.01, decay_steps=steps // 4, decay_rate=0.5)),
        "Adam, cosine decay": Adam(CosineDecay(0.01, decay_steps=steps)),
        "SGD, inverse time decay": SGD(InverseTimeDecay(0.5, decay_steps=steps, decay_rate=4.0)),
        "SGD, one cycle": SGD(OneCycle(0.1, total_steps=steps), momentum=0.9),
    }
    results = {}
    for name, optimizer in choices.items():
        model = network()
        model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, epochs=EPOCHS, batch_size=BATCH, verbose=0)
        results[name] = history.history["accuracy"][-1]
        print(f"{name:24} loss {history.history['loss'][-1]:.4f}  accuracy {results[name]:.3f}")
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    search = find_learning_rate(model, x, y, batch_size=BATCH, verbose=0)
    assert search.suggestion is not None
    print(f"the range test suggests a learning rate of {search.suggestion:.3g} for Adam")
    results["suggested rate"] = search.suggestion
    return results


if __name__ == "__main__":
    main()
