"""Changes of single images against what one computes by hand on small ones."""

from __future__ import annotations

import numpy as np
import pytest

from fastann.preprocessing.image import ImageDataGenerator
from fastann.preprocessing.image.transforms import affine, brighten, shift_channels

#: 4 x 5, three channels, all values different.
IMAGE = np.arange(60.0).reshape(4, 5, 3)
SQUARE = np.arange(48.0).reshape(4, 4, 3)

#: `numpy.pad` knows the same ways of filling, by these names.
PAD = {"constant": "constant", "nearest": "edge", "reflect": "symmetric", "wrap": "wrap"}


def change(image, fill_mode="nearest", cval=0.0, order=1, **parameters):
    generator = ImageDataGenerator(fill_mode=fill_mode, cval=cval, interpolation_order=order, dtype="float64")
    return generator.apply_transform(image, parameters)


def test_flips():
    np.testing.assert_array_equal(change(IMAGE, flip_horizontal=True), IMAGE[:, ::-1])
    np.testing.assert_array_equal(change(IMAGE, flip_vertical=True), IMAGE[::-1])
    np.testing.assert_array_equal(change(IMAGE, flip_vertical=True, flip_horizontal=True), IMAGE[::-1, ::-1])


def test_nothing_changes_nothing_and_makes_a_copy():
    made = change(IMAGE)
    np.testing.assert_array_equal(made, IMAGE)
    assert not np.shares_memory(made, IMAGE)


@pytest.mark.parametrize("fill_mode", PAD)
@pytest.mark.parametrize("turns", [-1, 1, 2, 3])
def test_right_angles(turns, fill_mode):
    made = change(SQUARE, fill_mode, cval=-7, theta=90.0 * turns)
    np.testing.assert_allclose(made, np.rot90(SQUARE, turns), atol=1e-9)


@pytest.mark.parametrize("fill_mode", PAD)
def test_a_half_turn_of_an_image_that_is_no_square(fill_mode):
    np.testing.assert_allclose(change(IMAGE, fill_mode, cval=-7, theta=180), IMAGE[::-1, ::-1], atol=1e-9)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill_mode", PAD)
@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, 2), (-2, 1), (3, -3), (-4, 5)])
def test_whole_shifts(down, right, fill_mode, order):
    settings = {"constant_values": -7} if fill_mode == "constant" else {}
    padded = np.pad(IMAGE, ((5, 5), (5, 5), (0, 0)), PAD[fill_mode], **settings)
    expected = padded[5 - down : 9 - down, 5 - right : 10 - right]
    np.testing.assert_allclose(change(IMAGE, fill_mode, -7, order, tx=-down, ty=-right), expected, atol=1e-9)


def test_half_a_pixel_is_the_mean_of_two():
    made = change(IMAGE, tx=0.5)
    np.testing.assert_allclose(made[:3], (IMAGE[:3] + IMAGE[1:]) / 2, atol=1e-9)
    np.testing.assert_allclose(made[3], IMAGE[3], atol=1e-9)


def test_twofold_zoom():
    """Pixel (i, j) shows the place 0.75 + i/2, 0.75 + j/2 of a 4 x 4 image, half as far from the centre 1.5."""
    rows = np.array([0.75, 1.25, 1.75, 2.25])
    expected = (rows[:, None] * 12 + rows[None] * 3)[:, :, None] + np.arange(3)
    np.testing.assert_allclose(change(SQUARE, zx=0.5, zy=0.5), expected, atol=1e-9)
    wide = change(SQUARE, zx=1.0, zy=0.5)
    np.testing.assert_allclose(
        wide, (np.arange(4)[:, None] * 12 + rows[None] * 3)[:, :, None] + np.arange(3), atol=1e-9
    )


def test_zoom_out_by_two_fills_around():
    inner = change(np.ones((5, 5, 1)), "constant", zx=2.0, zy=2.0)[:, :, 0]
    expected = np.zeros((5, 5))
    expected[1:4, 1:4] = 1
    np.testing.assert_allclose(inner, expected, atol=1e-9)


def test_shear_moves_columns_by_the_sine_times_rows_from_the_centre():
    image = np.broadcast_to(np.arange(9.0), (3, 9))[:, :, None]
    made = change(image, shear=30.0)[:, :, 0]
    for row in range(3):
        np.testing.assert_allclose(made[row, 1:-1], np.arange(1, 8) - 0.5 * (row - 1), atol=1e-9)


def test_places_are_turned_then_moved_then_sheared_then_zoomed():
    one_by_one = affine(theta=20) @ affine(tx=1, ty=-2) @ affine(shear=10) @ affine(zx=0.5, zy=2)
    np.testing.assert_allclose(affine(20, 1, -2, 10, 0.5, 2), one_by_one, atol=1e-11)


def test_values():
    image = np.array([[[10.0, 100.0], [50.0, 200.0]]])
    np.testing.assert_array_equal(shift_channels(image, 60), [[[70, 160], [110, 200]]])
    np.testing.assert_array_equal(shift_channels(image, -60), [[[10, 40], [10, 140]]])
    np.testing.assert_array_equal(brighten(image, 1.5), [[[15, 150], [75, 255]]])
    np.testing.assert_allclose(brighten(image / 255, 0.5), image / 510)
    beyond = np.array([[[-100.0], [100.0], [300.0]]])
    np.testing.assert_allclose(brighten(beyond, 0.5), [[[-100.0], [0.0], [100.0]]], atol=1e-9)
    np.testing.assert_array_equal(brighten(np.full((1, 1, 1), -3.0), 0.5), [[[-3.0]]])
    np.testing.assert_array_equal(change(image, channel_shift_intensity=60, brightness=0.5), [[[35, 80], [55, 100]]])


def test_images_of_bytes_become_floats():
    made = change(IMAGE.astype(np.uint8), tx=0.5)
    assert made.dtype == np.float64
    np.testing.assert_allclose(made, change(IMAGE, tx=0.5))


def test_an_image_has_three_axes():
    with pytest.raises(ValueError, match=r"^an image must have shape \(rows, columns, channels\), got \(4, 5\)"):
        change(IMAGE[:, :, 0])
