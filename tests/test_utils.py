"""The small public functions of `fastann.utils`."""

from __future__ import annotations

import numpy as np
import pytest

from fastann.utils import normalize


@pytest.mark.parametrize("order", [1, 2, np.inf])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_vectors_have_length_one(order, axis):
    x = np.random.default_rng(0).normal(size=(4, 3, 2))
    made = normalize(x, axis, order)
    np.testing.assert_allclose(np.linalg.norm(made, order, axis), 1)
    np.testing.assert_allclose(made * np.linalg.norm(x, order, axis, keepdims=True), x)


def test_zeros_stay_zeros():
    np.testing.assert_array_equal(normalize([[0, 0], [3, 4]]), [[0, 0], [0.6, 0.8]])
    np.testing.assert_allclose(normalize([3, 4]), [0.6, 0.8])
    with pytest.raises(TypeError, match=r"^normalize expects real numbers"):
        normalize(["a"])
