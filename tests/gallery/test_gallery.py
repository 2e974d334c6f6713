"""The gallery: its page names what it holds, and every picture is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fastann.cli.app import app
from fastann.evaluation import read_curves
from fastann.gallery import PICTURES, make_gallery
from fastann.gallery.networks import deep_network
from fastann.gallery.workshop import START, VALLEY, Workshop, mean_square
from fastann.optimizers import SGD

for library in ("matplotlib", "sklearn", "jinja2"):
    pytest.importorskip(library)

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.slow
def test_every_picture_is_made(tmp_path: Path) -> None:
    seen: list[str] = []
    page = make_gallery(tmp_path / "out", quick=True, report=lambda done, picture: seen.append(picture.name))
    names = [picture.name for picture in PICTURES]
    assert seen == names
    assert len(set(names)) == len(names)
    text = page.read_text(encoding="utf-8")
    for picture in PICTURES:
        assert (page.parent / f"{picture.name}.png").read_bytes().startswith(PNG)
        assert f'src="{picture.name}.png"' in text
        assert picture.title in text
    assert sorted(path.name for path in page.parent.iterdir()) == sorted([*(f"{n}.png" for n in names), "index.html"])
    assert "http" not in text


def test_the_command_makes_what_it_is_asked_for(tmp_path: Path) -> None:
    arguments = ["gallery", "--out", str(tmp_path), "--only", "step_and_sigmoid", "--only", "network_diagram"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "2 pictures in" in result.output
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["index.html", "network_diagram.png", "step_and_sigmoid.png"]


def test_an_unknown_picture_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["gallery", "--out", str(tmp_path / "x"), "--only", "mona_lisa"])
    assert result.exit_code == 2
    assert "there is no picture 'mona_lisa'; there are learning_curves_overfitting" in result.output
    assert not (tmp_path / "x").exists()


def test_paths_are_those_of_gradient_descent(backend: str) -> None:
    path = Workshop(backend=backend).path(SGD(0.01), VALLEY, np.zeros(2), START, epochs=8, batch=2)
    w = np.array(START)
    for point in path:
        np.testing.assert_allclose(point, w, rtol=1e-10)
        w = w - 0.01 * VALLEY.T @ (VALLEY @ w)
    assert len(path) == 9


def test_learning_curves_are_what_their_titles_say() -> None:
    shop = Workshop(backend="numba")
    assert read_curves(shop.overfitted).verdict == "overfitting"
    assert read_curves(shop.regularized).verdict == "good fit"


def test_rates_go_from_too_low_to_too_high() -> None:
    histories = Workshop(backend="numba").by_learning_rate
    assert [name.split(", ")[1] for name in histories] == ["too low", "good", "almost too high", "too high"]
    low, good, high, too_high = (np.array(history.history["loss"]) for history in histories.values())
    assert (np.diff(low) < 0).all()
    assert low[-1] > 1.2 * good[-1]
    assert high.max() > 1.5 * high[0]
    assert high[-1] < 0.5
    assert not np.isfinite(too_high[-1])


def test_the_surface_is_the_loss() -> None:
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(9, 2)), rng.normal(size=9), rng.normal(size=(5, 2))
    expected = [((x @ point - y) ** 2).mean() for point in w]
    np.testing.assert_allclose(mean_square(x, y)(w[:, 0], w[:, 1]), expected)


@pytest.mark.parametrize("kind", ["sigmoid", "relu", "residual"])
def test_deep_networks_have_twenty_layers(kind: str) -> None:
    dense = [layer for layer in deep_network(kind, seed=1).layers if layer.class_name == "Dense"]
    assert len(dense) == 20
