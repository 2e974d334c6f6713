"""`random_flip` and `random_affine`: each row of each step against a literal definition, one cell at a time."""

from __future__ import annotations

from math import cos, floor, sin

import numpy as np
import pytest

from tests import reference
from tests.operations import (
    KEY,
    Array,
    Network,
    check_everywhere,
    check_gradients,
    network,
    predict,
    training_batches,
    training_values,
)
from tests.programs import Chain

H, W, C = 5, 4, 2
STREAM = 9


def flipped(horizontal: bool, vertical: bool, dense: bool = True) -> Network:
    chain = Chain(H, W, C)
    if dense:
        chain.dense(C)
    last = len(chain.values) - 1
    chain.emit("random_flip", last, (H, W, C), horizontal=horizontal, vertical=vertical, stream=STREAM)
    return network(chain, 7)


def bits_of_step(step: int, count: int):
    return reference.random_bits(reference.fold_in(reference.fold_in(KEY, 5 + step), STREAM), (count,))


@pytest.mark.parametrize("flags", [(True, False), (False, True), (True, True)], ids=["left-right", "up-down", "both"])
def test_flips(backend, flags):
    net = flipped(*flags, dense=False)
    seen = set()
    for step, (rows, y) in enumerate(zip(training_batches(net), training_values(net, backend), strict=True)):
        bits = bits_of_step(step, 2 * len(rows)) < 2**31
        for r, row in enumerate(rows):
            image = net.x[row].reshape(H, W, C)
            turn = (bool(flags[0] and bits[2 * r]), bool(flags[1] and bits[2 * r + 1]))
            seen.add(turn)
            image = image[:, ::-1] if turn[0] else image
            np.testing.assert_array_equal(y[r], image[::-1] if turn[1] else image)
    assert len(seen) == 2 ** sum(flags)


def test_nothing_is_changed_outside_of_training(backend):
    for net in (flipped(True, True, dense=False), moved(dense=False)):
        np.testing.assert_array_equal(predict(net, backend).reshape(net.x.shape), net.x)


def test_gradients_of_flips(backend):
    check_gradients(flipped(True, True), backend)
    check_gradients(flipped(True, True), backend, key=None)


RANGES = {
    "angle_low": -0.7, "angle_high": 0.9, "shift_h_low": -3.0, "shift_h_high": 2.0, "shift_w_low": -1.5,
    "shift_w_high": 4.0, "zoom_h_low": 0.6, "zoom_h_high": 1.7, "zoom_w_low": 0.8, "zoom_w_high": 1.1,
}  # fmt: skip


def moved(fill="constant", interpolation="bilinear", square=False, dense=True, channels=C, **ranges) -> Network:
    chain = Chain(H, W, channels)
    if dense:
        chain.dense(channels)
    chain.emit(
        "random_affine", len(chain.values) - 1, (H, W, channels), fill=fill, interpolation=interpolation,
        zoom_square=square, fill_value=0.3, stream=STREAM, **{**RANGES, **ranges},
    )  # fmt: skip
    return network(chain, 7)


def place(i: int, length: int, fill: str) -> int | None:
    """The cell that stands for cell i of an axis."""
    if 0 <= i < length:
        return i
    if fill == "nearest":
        return min(max(i, 0), length - 1)
    if fill == "wrap":
        return i % length
    if fill == "reflect":
        there_and_back = [*range(length), *reversed(range(length))]
        return there_and_back[i % (2 * length)]
    return None


def cell(image: Array, p: int, q: int, fill: str) -> Array | float:
    i, j = place(p, image.shape[0], fill), place(q, image.shape[1], fill)
    return 0.3 if i is None or j is None else np.asarray(image[i, j])


def affine(image: Array, bits, fill: str, interpolation: str, square: bool, ranges: dict[str, float]) -> Array:
    """Read every cell at its place, as `Instruction` says."""
    names = ("angle", "shift_h", "shift_w", "zoom_h", "zoom_w")
    u = (bits[:5] >> 8) * 2.0**-24
    a, s_h, s_w, z_h, z_w = (
        ranges[f"{n}_low"] + u_k * (ranges[f"{n}_high"] - ranges[f"{n}_low"]) for n, u_k in zip(names, u, strict=True)
    )
    z_w = z_h if square else z_w
    rotation = np.array([[cos(a), sin(a)], [-sin(a), cos(a)]])
    middle = np.array([(image.shape[0] - 1) / 2, (image.shape[1] - 1) / 2])
    out = np.empty_like(image)
    for p in range(image.shape[0]):
        for q in range(image.shape[1]):
            p_, q_ = middle + rotation @ (np.array([z_h, z_w]) * ([p, q] - middle)) - [s_h, s_w]
            if interpolation == "nearest":
                out[p, q] = cell(image, floor(p_ + 0.5), floor(q_ + 0.5), fill)
                continue
            i, j = floor(p_), floor(q_)
            b, c = p_ - i, q_ - j
            upper = (1 - c) * cell(image, i, j, fill) + c * cell(image, i, j + 1, fill)
            lower = (1 - c) * cell(image, i + 1, j, fill) + c * cell(image, i + 1, j + 1, fill)
            out[p, q] = (1 - b) * upper + b * lower
    return out


CASES = [
    ("constant", "bilinear", False),
    ("nearest", "bilinear", False),
    ("reflect", "nearest", True),
    ("wrap", "bilinear", False),
    ("constant", "nearest", False),
    ("reflect", "bilinear", False),
]


def check_affine(backend: str, net: Network, case: tuple[str, str, bool], ranges: dict[str, float]) -> None:
    for step, (rows, y) in enumerate(zip(training_batches(net), training_values(net, backend), strict=True)):
        bits = bits_of_step(step, 8 * len(rows)).reshape(-1, 8)
        for r, row in enumerate(rows):
            expected = affine(net.x[row].reshape(y[r].shape), bits[r], *case, ranges)
            np.testing.assert_allclose(y[r], expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_affine_maps(backend, case):
    if backend == "jax" and CASES.index(case) > 3:
        pytest.skip("JAX compiles every case")
    check_affine(backend, moved(*case, dense=False), case, RANGES)


@pytest.mark.parametrize("fill", ["nearest", "reflect", "wrap"])
def test_far_outside(backend, fill):
    """Shifts of many times the size of the image, with one channel."""
    if backend == "jax" and fill != "reflect":
        pytest.skip("JAX compiles every case")
    ranges = {**RANGES, "shift_h_low": -40.0, "shift_w_high": 60.0}
    net = moved(fill, dense=False, channels=1, **ranges)
    check_affine(backend, net, (fill, "bilinear", False), ranges)


@pytest.mark.parametrize("case", CASES[:4], ids=str)
def test_gradients_of_affine_maps(backend, case):
    if backend == "jax" and case is not CASES[0]:
        pytest.skip("JAX compiles every case")
    check_gradients(moved(*case), backend)


def test_ranges_of_nothing_change_nothing(backend):
    nothing = {name: 1.0 if name.startswith("zoom") else 0.0 for name in RANGES}
    for interpolation in ("bilinear", "nearest"):
        net = moved("constant", interpolation, dense=False, **nothing)
        for rows, y in zip(training_batches(net), training_values(net, backend), strict=True):
            np.testing.assert_allclose(y, net.x[rows].reshape(-1, H, W, C), rtol=0, atol=1e-14)


def test_everywhere_the_same():
    check_everywhere(flipped(True, True))
    check_everywhere(moved("reflect"))
    check_everywhere(moved("constant"))
