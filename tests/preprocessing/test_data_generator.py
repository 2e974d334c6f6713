"""`ImageDataGenerator`: what it draws, the scale it brings images to, and the batches a network is trained on."""

from __future__ import annotations

import numpy as np
import pytest

from fastann import Sequential, layers, utils
from fastann.preprocessing.image import ImageDataGenerator

RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, (20, 6, 5, 2))
Y = np.arange(20) % 2
ALL = {
    "rotation_range": 20, "width_shift_range": 0.2, "height_shift_range": 0.2, "shear_range": 5.0, "zoom_range": 0.2,
    "channel_shift_range": 9.0, "horizontal_flip": True, "vertical_flip": True, "brightness_range": (0.5, 1.5),
}  # fmt: skip


def draws(count=400, shape=(10, 20, 3), **ranges):
    generator = ImageDataGenerator(**ranges)
    made = [generator.get_random_transform(shape, seed=i) for i in range(count)]
    return {key: np.array([one[key] for one in made]) for key in made[0]}


# ---- drawing


def test_ranges():
    drawn = draws(
        rotation_range=30, width_shift_range=0.25, height_shift_range=3.0, shear_range=10, zoom_range=(0.5, 2.0),
        channel_shift_range=50, brightness_range=[0.2, 0.4], horizontal_flip=True,
    )  # fmt: skip
    limits = {
        "theta": (-30, 30), "ty": (-5, 5), "tx": (-3, 3), "shear": (-10, 10), "zx": (0.5, 2), "zy": (0.5, 2),
        "channel_shift_intensity": (-50, 50), "brightness": (0.2, 0.4),
    }  # fmt: skip
    for name, (low, high) in limits.items():
        values = drawn[name]
        assert low <= values.min() < low + 0.05 * (high - low), name
        assert high - 0.05 * (high - low) < values.max() <= high, name
        assert len(set(values)) > 390, name
    assert 150 < drawn["flip_horizontal"].sum() < 250
    assert not drawn["flip_vertical"].any()
    assert not np.array_equal(drawn["zx"], drawn["zy"])


def test_nothing_is_drawn_by_default():
    assert ImageDataGenerator().get_random_transform((3, 3, 1)) == {
        "theta": 0, "tx": 0, "ty": 0, "shear": 0, "zx": 1, "zy": 1, "flip_horizontal": False, "flip_vertical": False,
        "channel_shift_intensity": None, "brightness": None,
    }  # fmt: skip


def test_whole_and_listed_shifts():
    drawn = draws(width_shift_range=3, height_shift_range=[1, 4])
    assert set(drawn["ty"]) == {-2, -1, 0, 1, 2}
    assert set(drawn["tx"]) == {-4, -1, 1, 4}
    assert set(draws(height_shift_range=[0.1, 0.5])["tx"]) == {-5, -1, 1, 5}


def test_zoom_by_one_number():
    values = draws(zoom_range=0.3)["zx"]
    assert 0.7 <= values.min() < 0.73
    assert 1.27 < values.max() <= 1.3


def test_seeds():
    generator = ImageDataGenerator(**ALL)
    np.testing.assert_array_equal(generator.random_transform(X[0], seed=1), generator.random_transform(X[0], seed=1))
    assert generator.get_random_transform((6, 5, 2)) != generator.get_random_transform((6, 5, 2))
    runs = []
    for _ in range(2):
        utils.set_random_seed(5)
        generator = ImageDataGenerator(**ALL)
        runs.append([generator.get_random_transform((6, 5, 2)), next(generator.flow(X))])
    assert runs[0][0] == runs[1][0]
    np.testing.assert_array_equal(runs[0][1], runs[1][1])


# ---- scale


def test_featurewise_statistics_are_those_of_numpy():
    generator = ImageDataGenerator(featurewise_std_normalization=True, rescale=0.5, dtype="float64")
    generator.fit(X)
    mean, std = (X * 0.5).mean(axis=(0, 1, 2)), (X * 0.5).std(axis=(0, 1, 2))
    np.testing.assert_allclose(generator.mean, mean.reshape(1, 1, 2))
    np.testing.assert_allclose(generator.std, std.reshape(1, 1, 2))
    made = next(generator.flow(X, batch_size=20, shuffle=False))
    np.testing.assert_allclose(made, (X * 0.5 - mean) / (std + 1e-6))
    np.testing.assert_allclose(made.mean(axis=(0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(made.std(axis=(0, 1, 2)), 1, rtol=1e-6)


def test_samplewise_statistics():
    made = ImageDataGenerator(samplewise_std_normalization=True, dtype="float64").standardize(X)
    for image, expected in zip(made, X, strict=True):
        np.testing.assert_allclose(image, (expected - expected.mean()) / (expected.std() + 1e-6))
    made = ImageDataGenerator(samplewise_center=True, dtype="float64").standardize(X[3])
    np.testing.assert_allclose(made, X[3] - X[3].mean())


def test_whitened_images_have_the_identity_as_covariance():
    images = RNG.normal(size=(200, 4, 3, 2)) @ RNG.normal(size=(2, 2)) + 3
    generator = ImageDataGenerator(zca_whitening=True, dtype="float64")
    generator.fit(images)
    flat = generator.standardize(images).reshape(200, -1)
    np.testing.assert_allclose(flat.T @ flat / 200, np.eye(24), atol=1e-6)
    np.testing.assert_allclose(generator.zca_whitening_matrix, generator.zca_whitening_matrix.T, atol=1e-12)
    with pytest.warns(UserWarning, match="takes the place of"):
        assert not ImageDataGenerator(zca_whitening=True, featurewise_std_normalization=True).std


def test_fit_on_changed_images():
    generator = ImageDataGenerator(featurewise_center=True, brightness_range=(0.5, 0.5), dtype="float64")
    generator.fit(X, augment=True, rounds=2, seed=1)
    np.testing.assert_allclose(generator.mean.ravel(), X.mean(axis=(0, 1, 2)) / 2)


def test_the_order_of_scaling():
    generator = ImageDataGenerator(preprocessing_function=lambda image: image + 1, rescale=2.0, dtype="float64")
    np.testing.assert_allclose(generator.standardize(X[:3]), (X[:3] + 1) * 2)
    np.testing.assert_allclose(generator.standardize(X[1]), (X[1] + 1) * 2)


def test_images_given_are_not_changed():
    before = X.copy()
    generator = ImageDataGenerator(**ALL, rescale=0.1, featurewise_std_normalization=True, dtype="float64")
    generator.fit(X)
    generator.standardize(X)
    generator.random_transform(X[0])
    next(generator.flow(X))
    np.testing.assert_array_equal(X, before)


# ---- batches


def test_batches_have_all_images_once_an_epoch():
    flow = ImageDataGenerator(dtype="float64").flow(X, np.arange(20), batch_size=8, seed=1)
    assert (len(flow), flow.n, flow.batch_size) == (3, 20, 8)
    epochs = []
    for _ in range(2):
        labels = []
        for _ in range(3):
            images, numbers = next(flow)
            np.testing.assert_array_equal(images, X[numbers])
            labels += list(numbers)
        assert sorted(labels) == list(range(20))
        epochs.append(labels)
    assert epochs[0] != epochs[1]
    assert flow.epoch == 2


def test_a_batch_is_the_same_however_it_is_asked_for():
    first, second = (ImageDataGenerator(**ALL).flow(X, Y, batch_size=8, seed=7) for _ in range(2))
    one_by_one = [next(first) for _ in range(6)]
    by_number = [second[i] for i in (2, 0, 1)]
    second.on_epoch_end()
    by_number = [by_number[1], by_number[2], by_number[0], *(second[i] for i in range(3))]
    for (x, y), (other_x, other_y) in zip(one_by_one, by_number, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)
    assert not np.array_equal(one_by_one[0][0], one_by_one[3][0])
    second.reset()
    np.testing.assert_array_equal(next(second)[0], second[0][0])


def test_changes_differ_between_images_seeds_and_epochs():
    same = np.repeat(X[:1], 4, axis=0)
    flow = ImageDataGenerator(rotation_range=90).flow(same, seed=1, shuffle=False)
    images = flow[0]
    assert not np.allclose(images[0], images[1])
    assert not np.allclose(images, ImageDataGenerator(rotation_range=90).flow(same, seed=2, shuffle=False)[0])
    flow.on_epoch_end()
    assert not np.allclose(images, flow[0])


def test_forms_of_batches():
    generator = ImageDataGenerator()
    weights = np.arange(20.0)
    assert next(generator.flow(X.astype(np.uint8))).dtype == np.float32
    x, y, w = generator.flow(X, Y, 8, False, weights)[2]
    assert x.shape == (4, 6, 5, 2)
    np.testing.assert_array_equal(y, Y[16:])
    np.testing.assert_array_equal(w, weights[16:])


def test_subsets():
    generator = ImageDataGenerator(validation_split=0.3, dtype="float64")
    held = generator.flow(X, Y, subset="validation", shuffle=False, batch_size=50)
    rest = generator.flow(X, Y, subset="training", shuffle=False, batch_size=50)
    np.testing.assert_array_equal(held[0][0], X[:6])
    np.testing.assert_array_equal(rest[0][0], X[6:])
    with pytest.raises(ValueError, match="must have the same classes"):
        generator.flow(X, np.sort(Y), subset="validation")
    assert generator.flow(X, np.arange(20), subset="validation", ignore_class_split=True).n == 6
    with pytest.raises(ValueError, match=r"^subset must be one of"):
        generator.flow(X, Y, subset="test")


# ---- training


def network(backend):
    model = Sequential(
        [layers.Flatten(input_shape=(6, 5, 2)), layers.Dense(4, "tanh"), layers.Dense(1, "sigmoid")], seed=1
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], backend=backend, precision="float64")
    return model


def test_training_on_a_flow_is_training_on_its_batches(backend):
    generator = ImageDataGenerator(**ALL, rescale=1 / 255, dtype="float64")
    flow, copy = (generator.flow(X, Y, batch_size=8, seed=4) for _ in range(2))
    epochs = [[next(copy) for _ in range(3)] for _ in range(3)]
    trained, expected = network(backend), network(backend)
    trained.fit(flow, epochs=3, shuffle=False, validation_data=(X, Y), verbose=0)
    losses = []
    for batches in epochs:
        x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        history = expected.fit(x, y, batch_size=8, shuffle=False, validation_data=(X, Y), verbose=0)
        losses.append([values[0] for values in history.history.values()])
    np.testing.assert_allclose(np.transpose(list(trained.history.history.values())), losses, rtol=1e-9)
    for array, other in zip(trained.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-9)


def test_a_flow_for_validation_and_prediction():
    model = network("auto")
    flow = ImageDataGenerator(rescale=1 / 255, dtype="float64").flow(X, Y, batch_size=8, shuffle=False)
    model.fit(X / 255, Y, epochs=2, validation_data=flow, verbose=0)
    loss = model.evaluate(X / 255, Y, verbose=0)[0]
    assert model.history.history["val_loss"][1] == pytest.approx(loss, rel=1e-9)
    np.testing.assert_allclose(model.predict(flow, verbose=0), model.predict(X / 255, verbose=0), rtol=1e-9)


def test_the_program_of_the_books():
    """rotation_range=20 and horizontal_flip, `flow` with labels, `fit` on the result."""
    datagen = ImageDataGenerator(rotation_range=20, horizontal_flip=True)
    train_generator = datagen.flow(X, Y, batch_size=32)
    model = network("auto")
    history = model.fit(train_generator, epochs=2, steps_per_epoch=len(X) // 4, verbose=0)
    assert history.params["steps"] == 5
    assert len(history.history["loss"]) == 2


# ---- what can go wrong


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"rotation_range": -1}, "rotation_range must be a number of at least 0, got -1"),
        ({"shear_range": "a"}, "shear_range must be a number"),
        ({"zoom_range": 1.0}, "zoom_range must lie above 0"),
        ({"zoom_range": (2, 1)}, "zoom_range must be two numbers"),
        ({"brightness_range": 0.5}, "brightness_range must be two numbers"),
        ({"width_shift_range": [1, -2]}, "each value of width_shift_range must be a number of at least 0"),
        ({"fill_mode": "mirror"}, "fill_mode must be one of 'constant', 'nearest', 'reflect', 'wrap', got 'mirror'"),
        ({"data_format": "channels_first"}, "data_format must be 'channels_last', got 'channels_first'"),
        ({"validation_split": 1.0}, "validation_split must be a fraction"),
        ({"interpolation_order": 7}, "interpolation_order must be one of"),
        ({"dtype": "uint8"}, "dtype must be a type of floats"),
    ],
)
def test_wrong_settings(settings, match):
    with pytest.raises(ValueError, match=f"^{match}"):
        ImageDataGenerator(**settings)


def test_wrong_data():
    generator = ImageDataGenerator(featurewise_center=True)
    with pytest.raises(ValueError, match=r"call fit\(x\) first"):
        next(generator.flow(X))
    with pytest.raises(ValueError, match=r"^fit expects images of shape"):
        generator.fit(X[0])
    for wrong, match in (
        ((X[..., 0],), r"^x must have shape \(images, rows, columns, channels\), got \(20, 6, 5\); for grey images"),
        ((X[:, 0, 0],), "^x must have shape"),
        ((X, Y[:3]), "^y must have as many rows as x, 20, got shape"),
        ((X[:0],), "^expected at least one image, got none"),
        ((X, Y, 0), "^batch_size must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=match):
            generator.flow(*wrong)
    with pytest.raises(ValueError, match=r"^sample_weight must be given together with y"):
        generator.flow(X, sample_weight=Y)
    with pytest.raises(IndexError, match=r"^there are batches from 0 to 0, got 1"):
        generator.flow(X)[1]
