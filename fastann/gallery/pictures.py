"""What hangs in the gallery: a title, a sentence, the call that draws it, and how to draw it from the workshop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastann import plots
from fastann.evaluation import confusion_matrix
from fastann.finder import find_learning_rate
from fastann.gallery.networks import digits_network, residual_example
from fastann.gallery.workshop import START, VALLEY, Workshop, mean_square
from fastann.optimizers import SGD, Adagrad, Adam, Optimizer, RMSprop

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: of its file, without the ending.
        title: a heading.
        caption: what it shows and how to read it.
        call: the lines of Python that draw it, after `import fastann` and `from fastann import plots`.
        draw: makes it.
    """

    name: str
    title: str
    caption: str
    call: str
    draw: Callable[[Workshop], Figure]


def _optimizer_paths(shop: Workshop) -> Figure:
    optimizers: dict[str, Optimizer] = {
        "SGD, rate 0.02": SGD(0.02), "SGD, momentum 0.8, rate 0.02": SGD(0.02, momentum=0.8),
        "RMSprop, rate 0.1": RMSprop(0.1), "Adagrad, rate 0.8": Adagrad(0.8), "Adam, rate 0.3": Adam(0.3),
    }  # fmt: skip
    target = np.zeros(2)
    steps = 40
    paths = {name: shop.path(optimizer, VALLEY, target, START, steps, 2) for name, optimizer in optimizers.items()}
    return plots.optimizer_paths(paths, mean_square(VALLEY, target))


def _descent_paths(shop: Workshop) -> Figure:
    x, y = shop.patients
    sizes = {"batch (all 442 rows)": 442, "mini-batch (32 rows)": 32, "stochastic (1 row)": 1}
    epochs = {442: 40, 32: 5, 1: 1}
    paths = {name: shop.path(SGD(0.05), x, y, (-0.6, 0.9), epochs[size], size) for name, size in sizes.items()}
    return plots.descent_paths(
        paths, mean_square(x, y), sizes, axes_names=("slope (weight of body-mass index)", "intercept"),
        title="Batch, mini-batch and stochastic gradient descent, rate 0.05",
    )  # fmt: skip


def _confusion(shop: Workshop) -> Figure:
    _, (x, y) = shop.digits
    counts = confusion_matrix(y, shop.classifier.predict(x, verbose=0))
    return plots.confusion_matrix(counts, title="Digits that were not trained on")


def _dense_activations(shop: Workshop) -> Figure:
    _, (x, y) = shop.digits
    rows = np.argsort(y, kind="stable")[:: max(1, len(y) // 50)]
    return plots.layer_activations(
        shop.classifier, x[rows], title=f"Outputs of each layer for {len(rows)} digits, sorted from 0 to 9"
    )


def _image_activations(shop: Workshop) -> Figure:
    _, (x, _) = shop.digits
    return plots.layer_activations(
        shop.convolutional, x[:40].reshape(-1, 8, 8, 1), title="Outputs of a convolutional network"
    )


def _range_test(shop: Workshop) -> Figure:
    (x, y), _ = shop.digits
    model = digits_network(seed=1)
    model.compile("adam", "sparse_categorical_crossentropy", backend=shop.backend)
    return find_learning_rate(model, x, y, verbose=0).plot()


def _weights(shop: Workshop) -> Figure:
    model = shop.classifier
    return plots.weight_histograms(model, shop.untrained, title="Weights before (line) and after training")


def _projections(shop: Workshop) -> Figure:
    _, (x, y) = shop.digits
    return plots.projections(shop.classifier, x, y)


def _deep(shop: Workshop) -> Figure:
    norms, accuracies = shop.by_depth
    return plots.gradient_norms(norms, accuracies, title="Gradient norms of networks of 20 layers")


PICTURES: tuple[Picture, ...] = (
    Picture(
        "learning_curves_overfitting", "Learning curves: overfitting",
        "A large network trained for long on 200 digits. The training loss goes to nothing while the validation loss "
        "turns and rises: the network learns the rows by heart.",
        "history = model.fit(x, y, epochs=100, validation_data=(x_test, y_test))\nplots.learning_curves(history)",
        lambda shop: plots.learning_curves(shop.overfitted, title="A large network on 200 digits"),
    ),
    Picture(
        "learning_curves_good_fit", "Learning curves: a better fit",
        "A smaller network with dropout on all rows, its learning rate falling to nothing. Both losses level off "
        "together; the training loss lies above the validation loss since dropout is at work in training only.",
        "history = model.fit(x, y, epochs=60, validation_data=(x_test, y_test))\nplots.learning_curves(history)",
        lambda shop: plots.learning_curves(
            shop.regularized, title=f"A network with dropout on {len(shop.digits[0][0]):,} digits"
        ),
    ),
    Picture(
        "activation_functions", "Activation functions",
        "Each function f with its derivative f': what a layer puts out, and what it lets through on the way back.",
        "plots.activation_functions()", lambda shop: plots.activation_functions(),
    ),
    Picture(
        "step_and_sigmoid", "Step and sigmoid",
        "The perceptron's step decides but has no slope to learn from; the sigmoid is its smooth relative.",
        "plots.step_and_sigmoid()", lambda shop: plots.step_and_sigmoid(),
    ),
    Picture(
        "decision_boundary_two_classes", "Decision boundary of two classes",
        "Tumours by two measurements (breast cancer data). Shades are the predicted probability, the line is 0.5.",
        "plots.decision_boundary(model, x, y)",
        lambda shop: plots.decision_boundary(
            shop.two_classes, *shop.tumours, names=("malignant", "benign"),
            axes_names=("mean radius (standard deviations)", "mean texture (standard deviations)"),
            title="Breast cancer by two measurements",
        ),
    ),
    Picture(
        "decision_boundary_three_classes", "Decision boundary of three classes",
        "Irises by the size of their petals: the region in which the network chooses each species.",
        "plots.decision_boundary(model, x, y)",
        lambda shop: plots.decision_boundary(
            shop.three_classes, *shop.flowers, names=("setosa", "versicolor", "virginica"),
            axes_names=("petal length (cm)", "petal width (cm)"), title="Irises by their petals",
        ),
    ),
    Picture(
        "layer_activations_dense", "Activations of dense layers",
        "Rows of data against units, dark for 0. Rows are sorted by digit: in the last layer each digit lights its "
        "own unit.",
        "plots.layer_activations(model, x)", _dense_activations,
    ),
    Picture(
        "layer_activations_images", "Activations of a convolutional network",
        "What the filters of the convolution see in one digit, what pooling leaves of it, and the dense layers behind.",
        "plots.layer_activations(model, x)", _image_activations,
    ),
    Picture(
        "optimizer_paths", "Optimizers on one surface",
        "Forty updates of each optimizer down a slanting valley, thirty times as steep across as along. Plain "
        "descent creeps along its floor, momentum swings across it, the others give each weight a step of its own. "
        "Where ways coincide, the thinner line lies on top.",
        "path = fastann.callbacks.WeightPath()\nmodel.fit(x, y, epochs=40, callbacks=[path])  # once an optimizer\n"
        'plots.optimizer_paths({"SGD": path.points, ...}, surface)',
        _optimizer_paths,
    ),
    Picture(
        "optimizer_curves", "Optimizers on one network",
        "The same network on the digits, from the same weights and over the same rows, with each optimizer. The rates "
        "are not tuned: which curve lies lowest says little about the optimizers.",
        'histories = fastann.compare_optimizers(model, x, y, optimizers={"Adam": Adam(0.001), ...}, epochs=30)\n'
        "plots.optimizer_curves(histories)",
        lambda shop: plots.optimizer_curves(shop.by_optimizer),
    ),
    Picture(
        "learning_rate_effect", "The effect of the learning rate",
        "A small network on the diabetes data, all rows an update. Too low a rate hardly gets anywhere, a good one "
        "learns fast, one that is almost too high first climbs; too high a one throws the weights ever further, until "
        "the loss is no number any more. The cross is where it leaves the picture.",
        "histories = fastann.compare_learning_rates(model, x, y, rates=[0.002, 0.1, 0.3, 0.4], epochs=60)\n"
        "plots.learning_rate_effect(histories)",
        lambda shop: plots.learning_rate_effect(shop.by_learning_rate),
    ),
    Picture(
        "learning_rate_finder", "Learning-rate range test",
        "The loss while the rate grows from tiny to huge. A good rate lies where it falls fastest.",
        "fastann.find_learning_rate(model, x, y).plot()", _range_test,
    ),
    Picture(
        "descent_paths", "Batch, mini-batch and stochastic descent",
        "Linear regression of the progression of diabetes on body-mass index. Fewer rows an update make the way "
        "noisier, and get near the bottom after fewer rows.",
        "path = fastann.callbacks.WeightPath()\n"
        "model.fit(x, y, batch_size=32, epochs=5, callbacks=[path])  # once a batch size\n"
        'plots.descent_paths({"mini-batch": path.points, ...}, surface, {"mini-batch": 32, ...})',
        _descent_paths,
    ),
    Picture(
        "gradient_norms", "Vanishing gradients",
        "Norm of the gradient of each layer of 20, over training. Through sigmoids it shrinks by orders of magnitude "
        "on the way to the first layers and nothing is learnt; batch normalisation and residual connections keep it.",
        "watch = fastann.callbacks.GradientNorms(x[:256], y[:256])\n"
        "history = model.fit(x, y, epochs=25, callbacks=[watch])  # once a network\n"
        'plots.gradient_norms({"ReLU": watch.norms, ...}, {"ReLU": history.history["accuracy"], ...})',
        _deep,
    ),
    Picture(
        "projections", "The data before and after",
        "Digits in two dimensions, as pixels and as the last hidden layer sees them: training has parted the classes.",
        "plots.projections(model, x, y)", _projections,
    ),
    Picture(
        "weight_histograms", "Weights of each layer",
        "How many weights have which size, before (line) and after training: training has spread them.",
        "before = model.get_weights()\nmodel.fit(x, y, epochs=30)\nplots.weight_histograms(model, before)", _weights,
    ),
    Picture(
        "confusion_matrix", "Confusion matrix",
        "Which digit is taken for which, on rows that were not trained on.",
        "counts = fastann.evaluation.confusion_matrix(y, model.predict(x))\nplots.confusion_matrix(counts)", _confusion,
    ),
    Picture(
        "network_diagram", "Network diagram",
        "The layers of a residual network with their output shapes and numbers of weights.",
        "plots.network_diagram(model)", lambda shop: plots.network_diagram(residual_example(seed=1)),
    ),
)  # fmt: skip
