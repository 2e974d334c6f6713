"""Thousands of wrong calls: each is refused with one clear sentence or simply works; none reaches a kernel and none
crashes."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastann import layers, optimizers
from fastann.models import Sequential

ROWS, COLUMNS, CLASSES = 20, 6, 3
CALLS = 2000

GOOD_X = np.linspace(-1, 1, ROWS * COLUMNS).reshape(ROWS, COLUMNS)
GOOD_Y = np.arange(ROWS) % CLASSES


def _bad_arrays(rng: random.Random) -> list[Any]:
    """Arrays of wrong shape, type or content, and things that are no arrays."""
    holes = GOOD_X.copy()
    holes[rng.randrange(ROWS), rng.randrange(COLUMNS)] = rng.choice([np.nan, np.inf, -np.inf])
    return [
        None, "x", b"x", 3, 2.5, True, object(), {}, {"a": 1}, [], [[]], [[1, 2], [3]], ["a", "b"], [None] * ROWS,
        {1, 2},
        np.zeros((0, COLUMNS)), np.zeros((ROWS, 0)), np.zeros(ROWS), np.zeros((ROWS, COLUMNS, 2)), np.zeros(()),
        np.zeros((rng.randrange(1, 60), rng.randrange(1, 12))), holes, GOOD_X.astype(complex), GOOD_X.astype("U3"),
        GOOD_X.astype(object), np.array([object()] * ROWS), np.ma.masked_array(GOOD_X, GOOD_X > 0),
        GOOD_X[:, ::-1][::2],
        np.full((ROWS, COLUMNS), "1"), np.array(["2020-01-01"] * ROWS, "M8[D]"), (GOOD_X, GOOD_X),
        iter([1, 2]), 10**400,
    ]  # fmt: skip


def _bad_targets(rng: random.Random) -> list[Any]:
    return [
        GOOD_Y - 1, GOOD_Y + rng.randrange(1, 9), GOOD_Y + 0.5, GOOD_Y[: rng.randrange(ROWS)], GOOD_Y * -(2**40),
        np.eye(CLASSES)[GOOD_Y], np.where(GOOD_Y == 1, np.nan, GOOD_Y), GOOD_Y.astype("U1"), np.zeros((ROWS, 2, 2)),
        *_bad_arrays(rng),
    ]  # fmt: skip


BAD_SETTINGS: list[Any] = [
    -1,
    0,
    1.5,
    -0.0,
    "a",
    "",
    None,
    [],
    (),
    {},
    object(),
    float("nan"),
    float("inf"),
    10**30,
    True,
    b"1",
]


def _model() -> Sequential:
    model = Sequential([layers.Dense(4, "relu", input_shape=(COLUMNS,)), layers.Dense(CLASSES, "softmax")], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend="numba")
    return model


def _calls(rng: random.Random, model: Sequential) -> list[Callable[[], Any]]:
    """One wrong call of each kind, with random wrong arguments."""
    x, y, setting = rng.choice(_bad_arrays(rng)), rng.choice(_bad_targets(rng)), rng.choice(BAD_SETTINGS)
    key = rng.choice(
        ["batch_size", "validation_split", "validation_data", "class_weight", "sample_weight", "callbacks",
         "validation_batch_size", "validation_freq", "steps_per_epoch"]
    )  # fmt: skip
    if key == "steps_per_epoch" and setting == 10**30:
        setting = -3  # that many steps are a legitimate wish
    names = ["relu", "adam", "mse", "nothing", "", 3, None, object(), ["relu"], -1]
    shape = rng.choice([(-1,), (0,), (2.5,), ("a",), None, (), 3, "x", [3, -2], (10**30,), (None,), (True,)])
    return [
        lambda: model.fit(x, GOOD_Y, verbose=0),
        lambda: model.fit(GOOD_X, y, verbose=0),
        lambda: model.fit(x, y, verbose=0),
        lambda: model.fit(GOOD_X, GOOD_Y, verbose=0, **{key: setting}),
        lambda: model.fit(GOOD_X, GOOD_Y, verbose=0, sample_weight=rng.choice(_bad_targets(rng))),
        lambda: model.evaluate(x, y, verbose=0),
        lambda: model.evaluate(GOOD_X, GOOD_Y, batch_size=setting, verbose=0),
        lambda: model.predict(x, verbose=0),
        lambda: model.predict(GOOD_X, batch_size=setting, verbose=0),
        lambda: model.train_on_batch(x, y),
        lambda: model.loss_and_gradients(x, y),
        lambda: model.set_weights(rng.choice([[], [GOOD_X], x, model.get_weights()[:-1], None])),
        lambda: layers.Dense(setting, rng.choice(names)),
        lambda: layers.Dense(3, kernel_initializer=rng.choice(names), kernel_regularizer=rng.choice(names)),
        lambda: layers.Dropout(setting),
        lambda: Sequential(
            [layers.Dense(2, input_shape=shape), rng.choice([layers.Flatten(), 3, None, "dense", layers])]
        ),
        lambda: _model().compile(
            rng.choice(names), rng.choice(names), metrics=rng.choice([["nothing"], 3, [None], "acc"])
        ),
        lambda: _model().compile("adam", "mse", backend=setting, precision=rng.choice(["float16", None, 3, "float32"])),
        lambda: optimizers.Adam(setting, beta_1=rng.choice(BAD_SETTINGS), clipnorm=rng.choice(BAD_SETTINGS)),
        lambda: optimizers.SGD(0.1, momentum=setting, weight_decay=rng.choice(BAD_SETTINGS)),
    ]


def _check_refusal(error: Exception) -> None:
    """A refusal is one sentence, or a few short ones, that says something."""
    text = str(error)
    assert isinstance(error, ValueError | TypeError | ArithmeticError), f"{type(error).__name__}: {text}"
    assert 15 < len(text) < 1000, text
    assert "\n" not in text, text
    assert "Traceback" not in text


def test_wrong_calls_are_refused_in_words() -> None:
    rng = random.Random(20)
    model, made, refused = _model(), 0, 0
    unclear: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while made < CALLS:
            for number, call in enumerate(_calls(rng, model)):
                made += 1
                try:
                    call()
                except Exception as error:
                    refused += 1
                    try:
                        _check_refusal(error)
                    except AssertionError as unmet:
                        unclear[f"call {number}: {type(error).__name__}"] = str(unmet).splitlines()[0]
    assert not unclear
    assert refused > CALLS / 2
    assert model.predict(GOOD_X, verbose=0).shape == (ROWS, CLASSES)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_survive_a_refused_call(bad: float, backend: str) -> None:
    model = _model()
    model.compile("adam", "sparse_categorical_crossentropy", backend=backend)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"finite|NaN|infin"):
        model.fit(np.full_like(GOOD_X, bad), GOOD_Y, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
