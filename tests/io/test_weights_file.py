"""Weights alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fastann import Sequential
from fastann.io import ModelFileError
from fastann.layers import Dense, Input


def network(*sizes: int, seed: int = 1) -> Sequential:
    return Sequential([Input((sizes[0],)), *(Dense(units, name=f"d{units}") for units in sizes[1:])], seed=seed)


def test_round_trip_and_other_libraries(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model, other = network(3, 4, 2), network(3, 4, 2, seed=2)
    model.save_weights(path)
    for name, weight in zip(("d4/kernel", "d4/bias", "d2/kernel", "d2/bias"), model.get_weights(), strict=True):
        np.testing.assert_array_equal(load_file(path)[name], weight)
    assert not np.array_equal(other.get_weights()[0], model.get_weights()[0])
    other.load_weights(path)
    for found, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_precisions_may_differ(tmp_path: Path) -> None:
    model, other = network(3, 2), network(3, 2, seed=2)
    model.compile("sgd", "mse", precision="float64")
    model.save_weights(tmp_path / "w")
    assert load_file(tmp_path / "w")["d2/kernel"].dtype == np.float64
    other.load_weights(tmp_path / "w")
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0].astype(np.float32))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((3, 4), "holds the tensors 'd2/bias', 'd2/kernel', which this network does not have"),
        ((3, 4, 2, 5), "lacks the tensors 'd5/kernel', 'd5/bias'; it belongs to another network"),
        ((4, 4, 2), r"the tensor 'd4/kernel' must have shape \(4, 4\), got \(3, 4\)"),
    ],
)
def test_another_network(tmp_path: Path, sizes: tuple[int, ...], message: str) -> None:
    network(3, 4, 2).save_weights(tmp_path / "w")
    model = network(*sizes)
    before = model.get_weights()
    with pytest.raises(ModelFileError, match=message):
        model.load_weights(tmp_path / "w")
    for weight, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_not_a_weight_file(tmp_path: Path) -> None:
    model = network(3, 2)
    with pytest.raises(FileNotFoundError, match="no such file"):
        model.load_weights(tmp_path / "none")
    (tmp_path / "big").write_bytes(bytes(200_000))
    with pytest.raises(ModelFileError, match="has 200,000 bytes, the weights of this network take at most"):
        model.load_weights(tmp_path / "big")
    (tmp_path / "small").write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelFileError, match="header is cut short"):
        model.load_weights(tmp_path / "small")
    save_file({"d2/kernel": np.zeros((3, 2), np.int32), "d2/bias": np.zeros(2, np.float32)}, tmp_path / "int")
    with pytest.raises(ModelFileError, match="must be of type F32 or F64, got 'I32'"):
        model.load_weights(tmp_path / "int")


def test_overwriting_can_be_refused(tmp_path: Path) -> None:
    model = network(3, 2)
    model.save_weights(tmp_path / "w", overwrite=False)
    model.save_weights(tmp_path / "w")
    with pytest.raises(FileExistsError, match="choose another name or pass overwrite=True"):
        model.save_weights(tmp_path / "w", overwrite=False)


def test_a_model_without_shape_has_no_weights(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not known yet"):
        Sequential([Dense(2)]).save_weights(tmp_path / "w")
    assert not (tmp_path / "w").exists()
