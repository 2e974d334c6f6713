"""Calls that cannot work: each one is a ValueError or TypeError of one sentence, and no kernel has run."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastann import Sequential, layers
from fastann.callbacks import EarlyStopping
from fastann.errors import NonFiniteLossError

X = np.random.default_rng(0).normal(size=(12, 4))
NAN, INF = X.copy(), X.copy()
NAN[3, 1], INF[11, 3] = np.nan, np.inf

#: Kinds of models with targets that fit them.
MODELS = {
    "sparse": ("sparse_categorical_crossentropy", 3, "softmax", np.arange(12) % 3),
    "one-hot": ("categorical_crossentropy", 3, "softmax", np.eye(3)[np.arange(12) % 3]),
    "binary": ("binary_crossentropy", 1, "sigmoid", np.arange(12) % 2),
    "regression": ("mse", 1, "linear", X[:, 0]),
}

BAD_X = {
    "None": None, "tuple": (X, X), "dict": {"x": X}, "string": "x.csv", "number": 3.5, "generator": (row for row in X),
    "set": {1.0}, "object": object(), "function": len, "class": list, "empty list": [], "no rows": np.ones((0, 4)),
    "no columns": np.ones((12, 0)), "too wide": np.ones((12, 5)), "too narrow": np.ones((12, 3)), "rank 1": X[:, 0],
    "rank 3": np.ones((12, 2, 2)), "rank 4": np.ones((12, 4, 1, 1)), "transposed": X.T, "one row": X[0], "nan": NAN,
    "infinite": INF, "too large": X * 1e300, "complex": X + 1j, "strings": X.astype(str), "objects": X.astype(object),
    "times": np.full((12, 4), "2020-01-01", "M8[D]"), "ragged": [[1, 2, 3, 4], [1, 2]],
    "None inside": [[1, 2, 3, None]] * 12,
    "masked": np.ma.masked_invalid(NAN), "bytes": np.full((12, 4), b"a"), "structured": np.zeros(12, [("a", int)]),
    "frame of text": pd.DataFrame([list("abcd")] * 12), "frame with gaps": pd.DataFrame(NAN),
    "frame of categories": pd.DataFrame({c: pd.Categorical(["u"] * 12) for c in "abcd"}), "lazy frame": pl.LazyFrame(X),
    "frame too wide": pl.DataFrame(np.ones((12, 5))), "module": np, "ellipsis": ..., "exception": ValueError("x"),
}  # fmt: skip

BAD_Y = {
    "None": None, "tuple": (1, 2), "dict": {}, "string": "cat", "number": 1, "empty": [], "too short": np.zeros(11),
    "too long": np.zeros(13), "nan": np.full(12, np.nan), "infinite": np.full(12, np.inf),
    "strings": ["a", "b", "c"] * 4, "objects": [None] * 12, "complex": np.ones(12) * 1j,
    "times": np.full(12, "2020-01-01", "M8[D]"), "too many columns": np.zeros((12, 7)), "rank 3": np.zeros((12, 3, 2)),
    "transposed": np.zeros((1, 12)),
    "series of text": pd.Series(["a"] * 12), "categories": pd.Series(["a", "b"] * 6, dtype="category"),
    "series with gaps": pd.Series([1, None] * 6, dtype="Int64"), "generator": (i for i in range(12)),
}  # fmt: skip

BAD_LABELS = {
    "sparse": {"negative": -1, "too large": 3, "far too large": 1e9, "fractional": 0.5},
    "one-hot": {"negative": -0.1, "above one": 2.0},
    "binary": {"negative": -1, "above one": 2, "percent": 55},
    "regression": {"beyond float32": 1e300},
}

BAD_FIT = [
    {"batch_size": 0}, {"batch_size": -1}, {"batch_size": 2.5}, {"batch_size": "32"}, {"batch_size": True},
    {"batch_size": [32]}, {"batch_size": np.nan}, {"epochs": -1}, {"epochs": 1.5}, {"epochs": "ten"}, {"epochs": None},
    {"epochs": True}, {"verbose": 3}, {"verbose": -1}, {"verbose": "loud"}, {"verbose": None}, {"verbose": 1.0},
    {"callbacks": "early"}, {"callbacks": 3}, {"callbacks": [print]}, {"callbacks": EarlyStopping},
    {"callbacks": {"a": 1}}, {"validation_split": -0.1}, {"validation_split": 1.0}, {"validation_split": 1},
    {"validation_split": 7}, {"validation_split": "half"}, {"validation_split": None}, {"validation_split": np.nan},
    {"validation_split": True}, {"validation_split": 0.01, "x": X[:1], "y": [0.0]}, {"validation_split": 0.999},
    {"validation_data": X}, {"validation_data": (X,)}, {"validation_data": ()}, {"validation_data": (X, X, X, X)},
    {"validation_data": 3}, {"validation_data": "last"}, {"validation_data": {"x": X}},
    {"validation_data": (X, np.zeros(3))}, {"validation_data": (X[:, :2], X[:, 0])},
    {"validation_data": (NAN, X[:, 0])},
    {"validation_data": (X, NAN[:, 1])}, {"validation_data": (X, X[:, 0], np.ones(3))},
    {"validation_data": (X, X[:, 0], -np.ones(12))}, {"validation_data": (None, X[:, 0])},
    {"validation_data": (X, None)}, {"validation_data": (X, np.zeros((12, 2)))}, {"shuffle": 1}, {"shuffle": "batch"},
    {"shuffle": None}, {"class_weight": "uniform"}, {"class_weight": [1, 2]}, {"class_weight": 3.0},
    {"class_weight": {0: 1.0}}, {"class_weight": "balanced"}, {"sample_weight": [1.0]},
    {"sample_weight": np.ones((12, 2))}, {"sample_weight": -np.ones(12)}, {"sample_weight": np.full(12, np.nan)},
    {"sample_weight": "balanced"}, {"sample_weight": ["a"] * 12}, {"sample_weight": {0: 1}}, {"sample_weight": 1.0},
    {"initial_epoch": -1}, {"initial_epoch": 0.5}, {"initial_epoch": None}, {"steps_per_epoch": 0},
    {"steps_per_epoch": -3}, {"steps_per_epoch": 1.5}, {"steps_per_epoch": "all"}, {"validation_steps": 0},
    {"validation_steps": "all"}, {"validation_batch_size": 0}, {"validation_batch_size": 0.5}, {"validation_freq": 0},
    {"validation_freq": -1}, {"validation_freq": 1.5}, {"validation_freq": "often"}, {"validation_freq": [0]},
    {"validation_freq": [1, "two"]}, {"validation_freq": None},
]  # fmt: skip

BAD_CLASS_WEIGHTS = [
    {"a": 1},
    {0.5: 1},
    {3: 1},
    {-1: 1},
    {0: -1},
    {0: np.nan},
    {0: np.inf},
    {0: "1"},
    {0: None},
    {None: 1},
]


class Watch:
    """Notes whether a backend was asked to compute."""

    def __init__(self, model, monkeypatch):
        self.ran = False
        kind = type(model.session.executor)
        for name in ("train", "evaluate", "predict", "gradients"):
            monkeypatch.setattr(kind, name, self._note)

    def _note(self, *arguments, **keywords):
        self.ran = True
        raise AssertionError("a kernel ran")


@pytest.fixture(scope="module")
def models():
    made = {}
    for kind, (loss, units, activation, _) in MODELS.items():
        model = Sequential([layers.Dense(units, activation, input_shape=(4,))], seed=1)
        model.compile("sgd", loss, backend="numba")
        made[kind] = model
    return made


def refused(call, model, monkeypatch):
    """Assert that a call raises ValueError or TypeError with one sentence, before a kernel runs."""
    watch = Watch(model, monkeypatch)
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    assert not watch.ran
    assert caught.type in (ValueError, TypeError)
    assert 15 < len(message) < 320, message
    assert "\n" not in message
    assert message.endswith((".", ")")) or ": " in message, message
    assert "object is not" not in message
    assert "unexpected keyword" not in message
    return message


CALLS = ["fit", "evaluate", "train_on_batch", "test_on_batch", "loss_and_gradients", "predict", "predict_on_batch"]


@pytest.mark.parametrize("bad", BAD_X)
@pytest.mark.parametrize("call", CALLS)
def test_inputs_that_do_not_fit(models, monkeypatch, call, bad):
    model = models["regression"]
    arguments = (BAD_X[bad],) if call.startswith("predict") else (BAD_X[bad], MODELS["regression"][3])
    message = refused(lambda: getattr(model, call)(*arguments), model, monkeypatch)
    assert "x" in message


@pytest.mark.parametrize("bad", BAD_Y)
@pytest.mark.parametrize("kind", MODELS)
def test_targets_that_do_not_fit(models, monkeypatch, kind, bad):
    if kind == "one-hot" and bad == "transposed":
        return
    model = models[kind]
    message = refused(lambda: model.fit(X, BAD_Y[bad], verbose=0), model, monkeypatch)
    assert "y" in message


@pytest.mark.parametrize(("kind", "bad"), [(kind, bad) for kind in MODELS for bad in BAD_LABELS[kind]])
@pytest.mark.parametrize("call", ["fit", "evaluate", "train_on_batch"])
def test_labels_out_of_range(models, monkeypatch, kind, bad, call):
    y = MODELS[kind][3].astype(float)
    y[5] = BAD_LABELS[kind][bad]
    model = models[kind]
    assert "y must" in refused(lambda: getattr(model, call)(X, y), model, monkeypatch)


@pytest.mark.parametrize("arguments", BAD_FIT, ids=lambda a: " ".join(f"{k}={type(v).__name__}" for k, v in a.items()))
def test_arguments_of_fit(models, monkeypatch, arguments):
    model = models["regression"]
    arguments = {"x": X, "y": X[:, 0] / 3 + 0.1, "verbose": 0, **arguments}
    refused(lambda: model.fit(**arguments), model, monkeypatch)


@pytest.mark.parametrize("weights", BAD_CLASS_WEIGHTS, ids=repr)
@pytest.mark.parametrize("kind", ["sparse", "one-hot"])
@pytest.mark.parametrize("call", ["fit", "train_on_batch"])
def test_class_weights(models, monkeypatch, kind, weights, call):
    model = models[kind]
    refused(lambda: getattr(model, call)(X, MODELS[kind][3], class_weight=weights), model, monkeypatch)


@pytest.mark.parametrize("call", ["evaluate", "predict"])
@pytest.mark.parametrize(
    "arguments",
    [{"batch_size": 0}, {"batch_size": "a"}, {"steps": 0}, {"steps": 1.5}, {"verbose": 9}, {"callbacks": 1}],
    ids=repr,
)
def test_arguments_of_evaluate_and_predict(models, monkeypatch, call, arguments):
    model = models["regression"]
    data = {"x": X} if call == "predict" else {"x": X, "y": X[:, 0]}
    refused(lambda: getattr(model, call)(**data, **arguments), model, monkeypatch)


@pytest.mark.parametrize("call", ["fit", "evaluate", "train_on_batch", "test_on_batch", "loss_and_gradients"])
def test_a_model_that_is_not_compiled_says_so(call):
    model = Sequential([layers.Dense(1, input_shape=(4,))], seed=1)
    with pytest.raises(ValueError, match="must be compiled first"):
        getattr(model, call)(X, X[:, 0])
    assert model.predict(X, verbose=0).shape == (12, 1)


def test_there_are_more_than_three_hundred():
    count = len(BAD_X) * len(CALLS) + len(BAD_Y) * len(MODELS) + len(BAD_FIT) + 4 * len(BAD_CLASS_WEIGHTS)
    assert count > 450


# ---- at random

_numbers = st.one_of(st.integers(-3, 40), st.floats(allow_nan=True), st.none(), st.text(max_size=3), st.booleans())
_shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
_arrays = st.builds(
    lambda shape, dtype, fill: np.full(shape, fill).astype(dtype),
    _shapes,
    st.sampled_from(["f8", "f4", "f2", "i8", "u1", "?"]),
    st.sampled_from([0, 1, 2, 100]),
)
_things = st.one_of(
    _arrays, _numbers, st.lists(st.lists(st.integers(0, 3), max_size=5), max_size=5),
    st.dictionaries(st.text(max_size=2), _numbers),
    st.tuples(_arrays, _arrays), st.just(X), st.just(X[:, 0]), st.just(np.arange(12) % 2),
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(sorted(MODELS)), call=st.sampled_from(CALLS), x=_things, y=_things, weight=_things,
    arguments=st.dictionaries(
        st.sampled_from(["batch_size", "validation_split", "steps_per_epoch", "shuffle"]), _numbers
    ),
)  # fmt: skip
def test_random_calls_work_or_say_why_not(models, kind, call, x, y, weight, arguments):
    keywords = {"x": x} if call.startswith("predict") else {"x": x, "y": y, "sample_weight": weight}
    if call in ("fit", "evaluate", "predict"):
        keywords["verbose"] = 0
    if call == "fit":
        keywords |= arguments
    message = _outcome(lambda: getattr(models[kind], call)(**keywords))
    assert message is None or (len(message) > 15 and "\n" not in message)


def _outcome(call):
    """Return None if a call worked or its loss diverged, else the message of its ValueError or TypeError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a split that separates classes
            call()
    except NonFiniteLossError:
        return None
    except (ValueError, TypeError) as error:
        return str(error)
    return None
