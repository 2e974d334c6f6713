"""The gradient noise scale while a model trains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastann.callbacks.base import Callback, Logs
from fastann.scaling.noise import NoiseEstimate, estimate_noise
from fastann.spec import whole

if TYPE_CHECKING:
    from fastann.training.gradient_squares import GradientSquares


class NoiseScale(Callback):
    """Estimate tr(Sigma), |G|^2 and their ratio, the simple noise scale, in every epoch.

    The noise scale is a batch size: far below it, twice the batch takes about half the steps; far above, as many
    (McCandlish et al. 2018, arXiv:1812.06162). For formulas and intervals see `fastann.scaling.noise`. The trained
    weights are those that training without the callback gives, bit for bit.

    Networks of dense layers get exact norms of the gradients of single rows out of their backward pass. Where other
    layers learn, a layer is used twice or rows interact (batch normalisation), now and then a batch and its quarters
    are run once more, at the weights with which a call of the kernels begins.

    Gradients are those of the loss times sample weights (w_i l_i, whose mean is what training lowers), penalties on
    weights left out, before clipping. The noise of dropout counts as noise of the rows. Where the data's size is known,
    batches are taken for random draws of its rows: with `shuffle=False` they are not. It is a callback of `fit`;
    `fit_many` has none.

    Args:
        every: measure every that many updates. By default in an epoch of many steps every 8th of a network of dense
            layers (1 to 3 % of the time on 784-128-10) and every 50th of others (4 %); more often where an epoch would
            have fewer than 16 or 8 measurements. More measurements make narrower intervals.

    Attributes:
        estimates: a `NoiseEstimate` for each epoch.
        method: "per-example" or "two-batch", once an epoch is over.
        history: "noise_scale", "noise_scale_low", "noise_scale_high", "gradient_variance", "gradient_signal": lists
            with a number for each epoch, NaN where it was refused; `estimates` say why. The first is added to the logs
            of each epoch.

    >>> import numpy as np
    >>> from fastann import Sequential
    >>> from fastann.layers import Dense
    >>> x = np.random.default_rng(0).normal(size=(640, 3))
    >>> model = Sequential([Dense(1, input_shape=(3,))], seed=1)
    >>> model.compile("sgd", "mse")
    >>> noise = NoiseScale()
    >>> _ = model.fit(x, x @ [1.0, -2.0, 0.5], epochs=1, verbose=0, callbacks=[noise])
    >>> noise.method, noise.estimates[0].steps, noise.history["noise_scale"][0] > 0
    ('per-example', 20, True)
    """

    def __init__(self, every: int | None = None) -> None:
        super().__init__()
        self.squares_every = None if every is None else whole(every, "every", 1)
        self.method: str | None = None
        self.estimates: list[NoiseEstimate] = []
        self.history: dict[str, list[float]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget what an earlier training gave."""
        self.method, self.estimates, self.history = None, [], {}

    def on_gradient_squares(self, epoch: int, squares: GradientSquares) -> None:
        """Estimate from what was measured."""
        found = estimate_noise(squares)
        self.method = squares.method
        self.estimates.append(found)
        numbers = {
            "noise_scale": found.scale.value,
            "noise_scale_low": found.scale.low,
            "noise_scale_high": found.scale.high,
            "gradient_variance": found.variance.value,
            "gradient_signal": found.signal.value,
        }
        for key, value in numbers.items():
            self.history.setdefault(key, []).append(value)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the noise scale to the logs."""
        if logs is not None:
            logs["noise_scale"] = self.estimates[-1].scale.value if self.estimates else math.nan
