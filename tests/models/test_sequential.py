"""Sequential models: building, names, weights, views, summaries, errors."""

from __future__ import annotations

import numpy as np
import pytest

from fastann import Input, Sequential
from fastann.layers import Activation, Dense, Dropout, Flatten, InputLayer, LeakyReLU, ReLU
from fastann.random import weight_generator
from fastann.utils import set_random_seed
from tests.models.small import small

# ---- building and names


def test_four_ways_to_say_the_shape_of_the_input() -> None:
    models = [
        Sequential([Input((3,)), Dense(4), Dense(2)], seed=1),
        Sequential([InputLayer(input_shape=(3,)), Dense(4), Dense(2)], seed=1),
        Sequential([Dense(4, input_shape=(3,)), Dense(2)], seed=1),
        Sequential([Dense(4, input_dim=3), Dense(2)], seed=1),
    ]
    later = Sequential([Dense(4), Dense(2)], seed=1)
    assert not later.built
    later.build((None, 3))
    for model in [*models, later]:
        assert model.built
        assert (model.input_shape, model.output_shape) == ((None, 3), (None, 2))
        assert model.count_params() == 3 * 4 + 4 + 4 * 2 + 2
        assert [layer.name for layer in model.layers] == ["dense", "dense_1"]
        for mine, first in zip(model.get_weights(), models[0].get_weights(), strict=True):
            np.testing.assert_array_equal(mine, first)


def test_names_are_numbered_in_the_model_and_leave_out_given_ones() -> None:
    layers = [Input((3,)), Dense(2), LeakyReLU(), Dense(2, name="dense_1"), Dense(2), ReLU(), Dropout(0.1), Dense(2)]
    for _ in range(2):
        names = [layer.name for layer in Sequential(layers).layers]
        assert names == ["dense", "leaky_re_lu", "dense_1", "dense_2", "re_lu", "dropout", "dense_3"]


def test_one_layer_object_may_be_used_twice() -> None:
    relu = Activation("relu")
    model = Sequential([Input((3,)), Dense(2), relu, Dense(2), relu])
    assert [layer.name for layer in model.layers] == ["dense", "activation", "dense_1", "activation_1"]


def test_add_and_pop_keep_the_weights_of_the_others() -> None:
    model = Sequential(seed=1)
    model.add(Dense(4, input_shape=(3,)))
    model.add(Dense(2))
    first = [w + 1 for w in model.get_weights()]
    model.set_weights(first)
    model.add(Dense(5))
    assert model.output_shape == (None, 5)
    grown = model.get_weights()
    assert len(grown) == 6
    for mine, expected in zip(grown, first, strict=False):
        np.testing.assert_array_equal(mine, expected)
    assert model.pop() == Dense(5)
    for mine, expected in zip(model.get_weights(), first, strict=True):
        np.testing.assert_array_equal(mine, expected)
    assert [type(model.pop()).__name__ for _ in range(2)] == ["Dense", "Dense"]
    assert model.layers == ()


def test_building_again() -> None:
    model = small()
    model.build((None, 3))
    model.build((3,))
    with pytest.raises(ValueError, match=r"built for rows of shape \(3,\), got \(4,\)"):
        model.build((None, 4))


def test_views_of_layers() -> None:
    model = Sequential([Input((4, 3)), Flatten(), Dense(5, "relu", trainable=False), Dropout(0.25), Dense(2)], seed=1)
    flatten, dense, dropout, last = model.layers
    assert (flatten.input_shape, flatten.output_shape) == ((None, 4, 3), (None, 12))
    assert (dense.units, dense.trainable, dense.count_params(), dense.index) == (5, False, 65, 1)
    assert (dropout.rate, dropout.count_params(), dropout.get_weights()) == (0.25, 0, [])
    assert (
        model.get_layer("dense_1").name == model.get_layer(index=3).name == model.get_layer(index=-1).name == last.name
    )
    kernel, bias = last.get_weights()
    last.set_weights([kernel + 1, bias - 1])
    np.testing.assert_array_equal(model.get_weights()[2], kernel + 1)
    np.testing.assert_array_equal(model.get_weights()[3], bias - 1)
    with pytest.raises(AttributeError):
        dense.unit  # noqa: B018
    assert "'dense'" in repr(dense)


# ---- weights


def test_weights_are_drawn_from_the_seed_in_float64_and_then_rounded() -> None:
    model = small()
    kernel = model.get_weights()[0]
    limit = np.sqrt(6 / 7)
    expected = weight_generator(1, 0).uniform(-limit, limit, (3, 4))
    np.testing.assert_array_equal(kernel, expected.astype(np.float32))
    assert kernel.dtype == np.float32
    model.compile("sgd", "mse", precision="float64")
    np.testing.assert_array_equal(model.get_weights()[0], expected)


def test_seeds() -> None:
    set_random_seed(5)
    a, b = Sequential([Dense(2, input_dim=2)]), Sequential([Dense(2, input_dim=2)])
    set_random_seed(5)
    c = Sequential([Dense(2, input_dim=2)])
    assert a.seed == c.seed != b.seed
    np.testing.assert_array_equal(a.get_weights()[0], c.get_weights()[0])
    assert not np.array_equal(a.get_weights()[0], b.get_weights()[0])


def test_get_weights_returns_copies() -> None:
    model = small()
    model.get_weights()[0][:] = 7
    assert not np.any(model.get_weights()[0] == 7)


def test_set_weights() -> None:
    model = small()
    rng = np.random.default_rng(0)
    given = [rng.normal(size=w.shape) for w in model.get_weights()]
    model.set_weights([given[0].tolist(), np.asfortranarray(given[1]), given[2][::-1][::-1], given[3]])
    for mine, expected in zip(model.get_weights(), given, strict=True):
        np.testing.assert_array_equal(mine, expected.astype(np.float32))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda w: w[:3], ValueError, r"set_weights expects 4 arrays \(dense/kernel, .*\), got 3"),
        (lambda w: [w[0].T, *w[1:]], ValueError, r"shape \(3, 4\) for dense/kernel, got \(4, 3\)"),
        (lambda w: [w[0], w[1][:, None], *w[2:]], ValueError, r"shape \(4,\) for dense/bias, got \(4, 1\)"),
        (lambda w: [w[0].astype(str), *w[1:]], TypeError, "real numbers for dense/kernel, got an array of dtype <U"),
        (lambda w: [w[0] + 1j, *w[1:]], TypeError, "real numbers for dense/kernel"),
        (lambda w: [[[1, 2], [3]], *w[1:]], ValueError, "dense/kernel, got a ragged list"),
        (lambda w: 3, TypeError, "expects a list of 4 arrays, got int"),
    ],
)
def test_wrong_weights_are_refused_and_change_nothing(change: object, error: type[Exception], message: str) -> None:
    model = small()
    before = model.get_weights()
    with pytest.raises(error, match=message):
        model.set_weights(change([w + 1 for w in before]))  # type: ignore[operator]
    for mine, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, expected)


# ---- summary


def test_summary() -> None:
    model = Sequential([Input((28, 28)), Flatten(), Dense(100, "relu", trainable=False), Dense(10)], name="net")
    text = model.summary_text()
    lines = text.splitlines()
    assert lines[0] == 'Model: "net"'
    table = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert table == [
        ["flatten (Flatten)", "(None, 784)", "0"],
        ["dense (Dense)", "(None, 100)", "78,500"],
        ["dense_1 (Dense)", "(None, 10)", "1,010"],
    ]
    assert [line.strip() for line in lines[-3:]] == [
        "Total params: 79,510 (310.59 KB)",
        "Trainable params: 1,010 (3.95 KB)",
        "Non-trainable params: 78,500 (306.64 KB)",
    ]
    assert max(map(len, lines)) <= 80
    printed: list[str] = []
    model.summary(print_fn=printed.append)
    assert printed == [text]


def test_summary_prints(capsys: pytest.CaptureFixture[str]) -> None:
    model = Sequential([Dense(3, name="a_layer_whose_name_is_longer_than_the_column_of_the_table_is_wide")])
    model.summary()
    out = capsys.readouterr().out
    assert "unbuilt" in out
    assert "Total params: 0 (0.00 B)" in out


# ---- errors


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Sequential([Dense(2), "relu"]), TypeError, "layers such as Dense.*, got 'relu' at place 1"),
        (lambda: Sequential([Dense]), TypeError, r"got the class Dense; call it: Dense\(...\)"),
        (lambda: Sequential(Dense(2)), TypeError, "expects a list of layers, got Dense"),
        (lambda: Sequential(3), TypeError, "expects a list of layers, got 3"),
        (lambda: Sequential("abc"), TypeError, "expects a list of layers, got 'abc'"),
        (lambda: Sequential([None]), TypeError, "got None at place 0"),
        (
            lambda: Sequential([Dense(2), Input((3,))]),
            ValueError,
            "Input must come first in a Sequential, got it at place 1",
        ),
        (lambda: Sequential([Dense(2, name="a"), Dense(2, name="a")]), ValueError, "unique in a model, got 'a' twice"),
        (
            lambda: Sequential([Input((3,)), Dense(2), Dense(2, input_shape=(3,))]),
            ValueError,
            r"'dense_1' has input_shape",
        ),
        (lambda: Sequential(name=3), TypeError, "name must be a string, got 3"),
        (lambda: Sequential(seed=-1), ValueError, "seed must lie between"),
        (lambda: Sequential(seed=1.5), TypeError, "seed must be a whole number"),
        (lambda: Sequential().pop(), ValueError, "pop expects a model with layers"),
        (lambda: Sequential().build((None, 3)), ValueError, "has no layers"),
        (lambda: Sequential([Dense(2)]).build((None, 0)), ValueError, "input_shape must be a tuple of positive"),
        (
            lambda: Sequential([Dense(2)]).get_weights(),
            ValueError,
            "shape of the input of model 'sequential' is not known",
        ),
        (lambda: Sequential([Dense(2)]).count_params(), ValueError, "is not known yet: give the first layer"),
        (lambda: Sequential([Dense(2)]).output_shape, ValueError, "is not known yet"),
        (lambda: Sequential([Dense(2)]).layers[0].count_params(), ValueError, "is not known yet"),
        (lambda: small().get_layer("other"), ValueError, "no layer 'other'; it has dense, dense_1"),
        (lambda: small().get_layer(index=2), ValueError, "no layer 2"),
        (lambda: small().get_layer(), ValueError, "a name or an index"),
        (lambda: small().learning_rate, ValueError, "has no optimizer; compile it"),
    ],
)
def test_misuse_is_refused(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()  # type: ignore[operator]


def test_a_refused_layer_leaves_the_model_as_it_was() -> None:
    model = small()
    with pytest.raises(TypeError, match="layers such as"):
        model.add(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unique"):
        model.add(Dense(2, name="dense")), model.add(Dense(2, name="dense"))
    assert model.count_params() == 26 or len(model.layers) == 3
