"""Images in files: read back as they were written, and folders of them as batches."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from fastann.preprocessing.image import ImageDataGenerator, array_to_img, img_to_array, load_img

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)


def pixels(*shape):
    return RNG.integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize(("channels", "mode"), [(1, "grayscale"), (3, "rgb"), (4, "rgba")])
def test_there_and_back(tmp_path, channels, mode):
    array = pixels(5, 7, channels)
    array_to_img(array, scale=False).save(tmp_path / "a.png")
    made = img_to_array(load_img(tmp_path / "a.png", color_mode=mode))
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, array)


def test_scale_and_size(tmp_path):
    image = array_to_img([[-1.0, 0.0], [1.0, 0.5]])
    np.testing.assert_array_equal(np.asarray(image), [[0, 127], [255, 191]])
    np.testing.assert_array_equal(np.asarray(array_to_img(np.full((2, 2, 1), 3.0))), np.zeros((2, 2)))
    image.save(tmp_path / "a.png")
    large = img_to_array(load_img(tmp_path / "a.png", "grayscale", (4, 6)))
    np.testing.assert_array_equal(large[:, :, 0], np.repeat(np.repeat([[0, 127], [255, 191]], 2, axis=0), 3, axis=1))


def test_wrong_arguments(tmp_path):
    for call, match in (
        (lambda: load_img("a.png", "cmyk"), "^color_mode must be one of"),
        (lambda: load_img("a.png", interpolation="sinc"), "^interpolation must be one of"),
        (lambda: img_to_array(np.ones(3)), "^an image must have two or three axes"),
        (lambda: array_to_img(np.ones((2, 2, 2))), "^an image must have 1, 3 or 4 channels"),
        (lambda: img_to_array(np.ones((2, 2)), "channels_first"), "^data_format must be 'channels_last'"),
    ):
        with pytest.raises(ValueError, match=match):
            call()


def test_without_pillow(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "PIL", None)
    for call in (lambda: load_img("a.png"), lambda: ImageDataGenerator().flow_from_directory(tmp_path)):
        with pytest.raises(ImportError, match=r"pip install 'fastann\[images\]'"):
            call()


@pytest.fixture
def folder(tmp_path):
    """Return a folder with 4 images of cats and 6 of dogs, by name, and their pixels."""
    arrays = {}
    for name, count in (("cats", 4), ("dogs", 6)):
        (tmp_path / name / "more").mkdir(parents=True)
        for i in range(count):
            place = f"{name}/more/{i}.png" if i == 3 else f"{name}/{i}.png"
            arrays[place] = pixels(4, 4, 3)
            array_to_img(arrays[place], scale=False).save(tmp_path / place)
    (tmp_path / "cats" / "notes.txt").write_text("no image")
    return tmp_path, arrays


def test_a_folder_in_batches(folder):
    path, arrays = folder
    flow = ImageDataGenerator(rescale=0.5).flow_from_directory(path, (4, 4), batch_size=4, shuffle=False)
    assert flow.class_indices == {"cats": 0, "dogs": 1}
    assert flow.filenames == sorted(arrays, key=lambda name: (name[:4], name))
    assert (flow.n, len(flow), flow.image_shape, flow.num_classes) == (10, 3, (4, 4, 3), 2)
    assert flow.filepaths[0] == str(path / flow.filenames[0])
    x, y = flow[1]
    np.testing.assert_array_equal(x, [arrays[name] * np.float32(0.5) for name in flow.filenames[4:8]])
    np.testing.assert_array_equal(y, [[0, 1]] * 4)
    assert [len(flow[i][0]) for i in range(3)] == [4, 4, 2]


def test_kinds_of_targets(folder):
    path, _ = folder

    def batch(**settings):
        return ImageDataGenerator().flow_from_directory(path, (4, 4), shuffle=False, **settings)[0]

    for mode in ("binary", "sparse"):
        np.testing.assert_array_equal(batch(class_mode=mode)[1], [0] * 4 + [1] * 6)
    np.testing.assert_array_equal(batch(class_mode="sparse", classes=["dogs", "cats"])[1], [0] * 6 + [1] * 4)
    assert batch(class_mode=None, color_mode="grayscale").shape == (10, 4, 4, 1)
    x, y = batch(class_mode="input")
    np.testing.assert_array_equal(x, y)


def test_parts_of_a_folder_hold_every_class(folder):
    path, _ = folder
    generator = ImageDataGenerator(validation_split=0.5)
    held = generator.flow_from_directory(path, (4, 4), subset="validation")
    rest = generator.flow_from_directory(path, (4, 4), subset="training")
    assert sorted(held.classes) == sorted(rest.classes) == [0, 0, 1, 1, 1]
    assert not set(held.filenames) & set(rest.filenames)


def test_folders_that_will_not_do(folder, tmp_path_factory):
    path, _ = folder
    generator = ImageDataGenerator()
    with pytest.raises(ValueError, match=r"^class_mode 'binary' needs two classes, got 1: dogs"):
        generator.flow_from_directory(path, classes=["dogs"], class_mode="binary")
    with pytest.raises(ValueError, match=r"^class_mode must be one of"):
        generator.flow_from_directory(path, class_mode="raw")
    with pytest.raises(ValueError, match=r"^color_mode must be one of"):
        generator.flow_from_directory(path, color_mode="hsv")
    with pytest.raises(ValueError, match=r"^expected images in folders, one a class, got none"):
        generator.flow_from_directory(tmp_path_factory.mktemp("empty"))
