"""Whole trainings on real backends: against numbers recorded from Keras 3.15 (JAX, float32), and properties of runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fastann import Sequential, layers
from fastann.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint
from fastann.errors import NonFiniteLossError
from fastann.metrics import MeanMetricWrapper, SparseCategoricalCrossentropy
from fastann.optimizers import SGD
from fastann.regularizers import L2
from fastann.schedules import ExponentialDecay


def wave(*shape, phase=0.0):
    return np.sin(np.arange(np.prod(shape)) * 1.7 + phase).reshape(shape)


X, LABELS = wave(50, 4), np.arange(50) * 7 % 3
SAMPLE_WEIGHT = 1 + wave(50, phase=1.0) * 0.5
WEIGHTS = [wave(4, 5, phase=0.3), wave(5, phase=0.5) * 0.1, wave(5, 3, phase=0.7), np.zeros(3)]
CROSSENTROPY = "sparse_categorical_crossentropy"


def classifier(backend, optimizer="adam", precision="float32", **settings):
    model = Sequential(
        [layers.Dense(5, activation="tanh", kernel_regularizer=L2(0.01), input_shape=(4,)), layers.Dense(3, "softmax")],
        seed=5,
    )
    model.compile(optimizer, CROSSENTROPY, backend=backend, precision=precision, **settings)
    model.set_weights(WEIGHTS)
    return model


def matches(history, expected):
    assert list(history.history) == list(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(history.history[key], values, rtol=2e-5, err_msg=key)


# ---- recorded from Keras


def test_sample_weights_and_split_as_in_keras(backend):
    model = classifier(
        backend,
        SGD(0.1, momentum=0.9),
        metrics=["accuracy"],
        weighted_metrics=[SparseCategoricalCrossentropy(name="wce")],
    )
    history = model.fit(
        X, LABELS, batch_size=16, epochs=3, shuffle=False, verbose=0, sample_weight=SAMPLE_WEIGHT, validation_split=0.2
    )
    matches(history, {
        "loss": [1.963893, 1.507566, 1.178531], "accuracy": [0.325, 0.325, 0.35], "wce": [1.859025, 1.414459, 1.098762],
        "val_loss": [2.074288, 1.421564, 1.248343], "val_accuracy": [0.3, 0.3, 0.3],
        "val_wce": [1.887365, 1.278418, 1.121718],
    })  # fmt: skip
    evaluated = model.evaluate(X, LABELS, sample_weight=SAMPLE_WEIGHT, batch_size=7, verbose=0)
    np.testing.assert_allclose(evaluated, [1.235515, 0.34, 1.150667], rtol=2e-5)


def test_class_weights_and_validation_data_as_in_keras(backend):
    model = classifier(backend, metrics=["acc"])
    history = model.fit(
        X, LABELS, batch_size=16, epochs=2, shuffle=False, verbose=0, class_weight={0: 2.0, 2: 0.25},
        validation_data=(X[:9], LABELS[:9]),
    )  # fmt: skip
    matches(history, {
        "loss": [2.210353, 2.186802], "acc": [0.32, 0.32], "val_loss": [1.836378, 1.826332], "val_acc": [0.3333333] * 2,
    })  # fmt: skip


def test_batch_logs_as_in_keras(backend):
    seen = []
    model = classifier(backend, metrics=["accuracy"])
    watch = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs))
    model.fit(X, LABELS, batch_size=20, shuffle=False, verbose=0, callbacks=[watch])
    np.testing.assert_allclose([logs["loss"] for logs in seen], [2.079031, 2.119699, 2.119694], rtol=2e-5)
    np.testing.assert_allclose([logs["accuracy"] for logs in seen], [0.3, 0.325, 0.32], rtol=2e-5)


def test_single_batches_as_in_keras(backend):
    model = classifier(backend, SGD(0.1), metrics=["accuracy"])
    first = model.train_on_batch(X, LABELS, sample_weight=SAMPLE_WEIGHT)
    np.testing.assert_allclose(first, [2.13916016, 0.32], rtol=2e-5)
    np.testing.assert_allclose(model.test_on_batch(X, LABELS), [2.0434246, 0.32], rtol=2e-5)
    last = model.train_on_batch(X[:5], LABELS[:5], return_dict=True)
    np.testing.assert_allclose([last["loss"], last["accuracy"]], [1.909672, 0.2], rtol=2e-5)


def test_weights_become_their_average_at_the_end_as_in_keras(backend):
    model = classifier(backend, SGD(0.1, use_ema=True, ema_momentum=0.9))
    model.fit(X, LABELS, batch_size=16, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[3], [-0.00602182, 0.04174308, -0.03572125], rtol=2e-5)
    assert model.get_weights()[0].sum() == pytest.approx(0.8632008, rel=2e-5)


def test_schedules_as_in_keras(backend):
    model = classifier(backend, SGD(ExponentialDecay(0.1, 5, 0.5)))
    history = model.fit(X, LABELS, batch_size=16, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[3], [-0.003646393, 0.0727402, -0.06909381], rtol=1e-4)
    assert model.optimizer.learning_rate == pytest.approx(0.0329876953, rel=1e-7)
    # that of the last update of each epoch
    np.testing.assert_allclose(
        history.history["learning_rate"], [0.1 * 0.5 ** (3 / 5), 0.1 * 0.5 ** (7 / 5)], rtol=1e-12
    )


# ---- properties


def test_calls_of_any_length_give_the_same_bits(backend):
    whole, single = classifier(backend), classifier(backend)
    settings = {"batch_size": 8, "epochs": 2, "verbose": 0}
    expected = whole.fit(X, LABELS, **settings)
    history = single.fit(X, LABELS, callbacks=LambdaCallback(on_train_batch_begin=lambda batch, logs: None), **settings)
    for got, wanted in zip(single.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-7)
        if backend == "numba":
            np.testing.assert_array_equal(got, wanted)
    np.testing.assert_allclose(history.history["loss"], expected.history["loss"], rtol=1e-6)


def test_every_form_of_the_same_data_gives_the_same_run(backend):
    names = list("abcd")
    x32 = X.astype(np.float32)
    forms = [
        (x32, LABELS), (np.asfortranarray(x32), LABELS[:, None]), (X.tolist(), LABELS.tolist()),
        (pd.DataFrame(X, columns=names), pd.Series(LABELS)), (pl.DataFrame(X, schema=names), pl.Series(LABELS)),
        (pl.DataFrame(X, schema=names).to_arrow(), LABELS.astype(np.float16)),
        (x32[::-1][::-1], LABELS.astype(np.uint8)),
    ]  # fmt: skip
    runs = []
    for x, y in forms:
        model = classifier(backend, metrics=["accuracy"])
        runs.append(model.fit(x, y, epochs=2, verbose=0).history)
    for run in runs[1:]:
        assert run == runs[0]


def test_bytes_are_trained_on_as_they_are(backend):
    pixels = (wave(50, 4) * 100 + 120).astype(np.uint8)
    history = classifier(backend, SGD(1e-4)).fit(pixels, LABELS, verbose=0)
    expected = classifier(backend, SGD(1e-4)).fit(pixels.astype(np.float32), LABELS, verbose=0)
    np.testing.assert_allclose(history.history["loss"], expected.history["loss"], rtol=1e-6)


def test_read_only_data_is_not_touched(backend):
    x = X.astype(np.float32)
    x.flags.writeable = False
    before = x.copy()
    model = classifier(backend)
    model.fit(x, LABELS, verbose=0)
    model.predict(x, verbose=0)
    np.testing.assert_array_equal(x, before)


def test_outputs_of_predict_do_not_depend_on_the_batch_size(backend):
    model = classifier(backend, precision="float64")
    whole = model.predict(X, verbose=0)
    assert whole.shape == (50, 3)
    assert whole.dtype == np.float64
    for size in (1, 7, 50, 1000):
        np.testing.assert_allclose(model.predict(X, batch_size=size, verbose=0), whole, rtol=1e-12)
    np.testing.assert_allclose(model.predict_on_batch(X), whole, rtol=1e-12)
    np.testing.assert_allclose(model.predict(X[:1], verbose=0), whole[:1], rtol=1e-12)


def test_predict_tells_of_batches_and_can_be_stopped(backend):
    model = classifier(backend)
    shapes = []

    def look(batch, logs):
        shapes.append((batch, logs["outputs"].shape))
        model.stop_predicting = batch == 1

    watch = LambdaCallback(on_predict_batch_end=look)
    assert model.predict(X, batch_size=20, verbose=0, callbacks=watch).shape == (40, 3)
    assert shapes == [(0, (20, 3)), (1, (20, 3))]
    assert model.predict(X, batch_size=20, steps=1, verbose=0).shape == (20, 3)


def test_evaluate_returns_a_number_a_list_or_a_dict(backend):
    assert isinstance(classifier(backend).evaluate(X, LABELS, verbose=0), float)
    model = classifier(backend, metrics=["accuracy"])
    loss, accuracy = model.evaluate(X, LABELS, verbose=0)
    assert model.evaluate(X, LABELS, verbose=0, return_dict=True) == {"loss": loss, "accuracy": accuracy}
    assert accuracy == pytest.approx((model.predict(X, verbose=0).argmax(1) == LABELS).mean())
    first = model.evaluate(X, LABELS, batch_size=20, steps=1, verbose=0)
    np.testing.assert_allclose(first, model.evaluate(X[:20], LABELS[:20], verbose=0), rtol=1e-6)


def test_evaluate_tells_of_batches_with_running_means(backend):
    model = classifier(backend, metrics=["accuracy"])
    seen = []
    watch = LambdaCallback(on_test_batch_end=lambda batch, logs: seen.append((batch, logs["loss"])))
    loss, _ = model.evaluate(X, LABELS, batch_size=20, verbose=0, callbacks=watch)
    assert [batch for batch, _ in seen] == [0, 1, 2]
    assert seen[-1][1] == loss
    assert seen[0][1] == pytest.approx(model.evaluate(X[:20], LABELS[:20], verbose=0)[0], rel=1e-6)


def test_metrics_in_python_work_beside_streamed_ones(backend):
    def share_right(y_true, y_pred):
        return (y_pred.argmax(axis=-1) == y_true).astype(float)

    model = classifier(backend, metrics=["accuracy", MeanMetricWrapper(share_right, name="right")])
    history = model.fit(X, LABELS, batch_size=16, epochs=3, verbose=0, validation_split=0.2).history
    np.testing.assert_allclose(history["right"], history["accuracy"], rtol=1e-6)
    np.testing.assert_allclose(history["val_right"], history["val_accuracy"], rtol=1e-6)
    _, accuracy, right = model.evaluate(X, LABELS, verbose=0)
    assert right == pytest.approx(accuracy)
    assert model.train_on_batch(X, LABELS, return_dict=True)["right"] == pytest.approx(accuracy)


def test_gradients_are_those_of_central_differences(backend):
    model = classifier(backend, precision="float64")
    loss, gradients = model.loss_and_gradients(X, LABELS, SAMPLE_WEIGHT)
    assert loss == pytest.approx(2.13916, rel=1e-5)
    weights = model.get_weights()
    assert [g.shape for g in gradients] == [w.shape for w in weights]
    for number, place in [(0, (1, 2)), (1, (3,)), (2, (4, 0)), (3, (2,))]:
        sides = []
        for h in (1e-6, -1e-6):
            moved = [w.copy() for w in weights]
            moved[number][place] += h
            model.set_weights(moved)
            sides.append(model.test_on_batch(X, LABELS, SAMPLE_WEIGHT))
        assert gradients[number][place] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6)


def test_gradients_drop_nothing_out_and_train_nothing(backend):
    model = Sequential([layers.Dropout(0.5, input_shape=(4,)), layers.Dense(1)], seed=1)
    model.compile("sgd", "mse", backend=backend, precision="float64")
    before = model.get_weights()
    first = model.loss_and_gradients(X, LABELS)
    again = model.loss_and_gradients(X, LABELS)
    assert first[0] == again[0] == pytest.approx(model.evaluate(X, LABELS, verbose=0), rel=1e-12)
    np.testing.assert_array_equal(first[1][0], again[1][0])
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    assert model.optimizer.iterations == 0


def test_early_stopping_on_the_loss_of_full_batches_restores_exactly(backend):
    model = classifier(backend, SGD(lambda step: 0.5 if step < 4 else 8.0), precision="float64")
    stopping = EarlyStopping("loss", patience=3, restore_best_weights=True)
    history = model.fit(X, LABELS, batch_size=50, epochs=30, verbose=0, callbacks=[stopping])
    assert len(history.epoch) < 30
    assert model.evaluate(X, LABELS, verbose=0) == pytest.approx(min(history.history["loss"]), rel=1e-12)


def test_early_stopping_on_the_validation_restores_exactly(backend):
    model = classifier(backend, SGD(0.8), precision="float64")
    stopping = EarlyStopping(patience=3, restore_best_weights=True)
    validation = (X[:20], LABELS[::-1][:20])
    history = model.fit(X, LABELS, epochs=60, verbose=0, callbacks=[stopping], validation_data=validation)
    assert len(history.epoch) < 60
    assert model.evaluate(*validation, verbose=0) == pytest.approx(min(history.history["val_loss"]), rel=1e-12)


def test_a_checkpoint_is_a_model_that_goes_on(backend, tmp_path):
    from fastann import load_model

    model = classifier(backend)
    model.fit(X, LABELS, epochs=4, verbose=0, callbacks=ModelCheckpoint(tmp_path / "m-{epoch}.fastann"))
    resumed = load_model(tmp_path / "m-2.fastann")
    resumed.fit(X, LABELS, epochs=4, initial_epoch=2, verbose=0)
    for got, wanted in zip(resumed.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_divergence_is_an_error_that_leaves_a_usable_model(backend):
    model = Sequential([layers.Dense(1, input_shape=(4,))], seed=2)
    model.compile(SGD(30.0), "mse", backend=backend)
    with pytest.raises(NonFiniteLossError, match="the loss must stay finite"):
        model.fit(X, LABELS, batch_size=10, epochs=500, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert len(model.history.epoch) == len(model.history.history["loss"])
    model.set_weights([np.full((4, 1), 1e30), np.zeros(1)])
    with pytest.raises(NonFiniteLossError, match="this batch"):
        model.train_on_batch(X, LABELS)


def test_a_one_dimensional_input_needs_no_second_axis(backend):
    model = Sequential([layers.Dense(1)], seed=2)
    model.compile("sgd", "mse", backend=backend)
    model.fit(X[:, 0], LABELS, verbose=0)
    assert model.predict(X[:, 0], verbose=0).shape == (50, 1)


def test_images_are_flattened_by_the_model_not_behind_its_back(backend):
    model = Sequential([layers.Flatten(input_shape=(2, 2)), layers.Dense(3, "softmax")], seed=2)
    model.compile("sgd", CROSSENTROPY, backend=backend)
    model.fit(X.reshape(50, 2, 2), LABELS, verbose=0)
    with pytest.raises(ValueError, match=r"x must have shape \(rows, 2, 2\), got \(50, 4\); reshape it"):
        model.fit(X, LABELS, verbose=0)
