"""What a user does with every kind of model: compile, train, ask, save."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fastann.models.compile import CompileSpec, check
from fastann.models.connected import ConnectedNetwork
from fastann.models.graph import LayerGraph
from fastann.models.optimizer_view import OptimizerView
from fastann.optimizers import get as get_optimizer

if TYPE_CHECKING:
    from fastann.callbacks.base import Callback
    from fastann.callbacks.history import History
    from fastann.losses import LossLike
    from fastann.metrics import MetricLike
    from fastann.optimizers import Optimizer

Array = NDArray[Any]
Path = str | PathLike[str]


class Model(ConnectedNetwork):
    """A network of any shape that can be trained, from `inputs` to `outputs`; `Sequential` is one of layers in a row.

    Layers are called on what `Input` and other layers return. One that is called several times has the same weights
    each time, and two models that are made of the same layers share their weights: what one learns, the other knows.

    A model has one seed: initial weights, the order of rows and dropout masks are functions of it, the same on every
    backend.

    Args:
        inputs: what `Input` returned: one, a list, or a dict by name.
        outputs: what layers returned: one, a list, or a dict by name; `predict` returns the like.
        name: for `summary`, and for the names of its layers within other models.
        seed: a whole number below 2^64; by default the next after `fastann.utils.set_random_seed`.

    Attributes:
        history: the `History` of the last `fit`.
        stop_training: set it to True in a callback to end `fit` after the epoch.

    Raises:
        TypeError: something else than symbolic values.
        ValueError: an output does not follow from the inputs, or two layers were given one name.

    >>> from fastann.layers import Dense, Input
    >>> x = Input((8,))
    >>> hidden = Dense(8, activation="relu")(x)
    >>> model = Model(x, Dense(1)(x + hidden), seed=1)
    >>> model.count_params()
    81
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, seed: int | None = None) -> None:
        self._begin("model" if name is None else name, seed)
        self._connect(inputs, outputs)

    def _begin(self, name: str, seed: int | None) -> None:
        """Begin as a model without layers."""
        super().__init__(name, seed)
        self.history: History | None = None
        self.stop_training = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of {len(self.layers)} layers>"

    # ---- compile

    def compile(
        self,
        optimizer: str | Optimizer = "rmsprop",
        loss: LossLike | Sequence[LossLike] | Mapping[str, LossLike] = None,
        loss_weights: float | Sequence[float] | Mapping[str, float] | None = None,
        metrics: Sequence[MetricLike | Sequence[MetricLike] | None] | Mapping[str, Any] | None = None,
        weighted_metrics: Sequence[MetricLike | Sequence[MetricLike] | None] | Mapping[str, Any] | None = None,
        *,
        backend: str = "auto",
        precision: str = "float32",
        on_nonfinite: str = "raise",
    ) -> None:
        """Say how the model is trained. The optimizer starts anew; weights stay.

        A model with several outputs takes loss, loss_weights and metrics for each of them: as a list in their order, or
        as a dict by their names. The loss that is minimised is the sum of the outputs' losses times their weights;
        `History` has it as "loss" and each output's own as "name_loss", metrics as "name_metric".

        Args:
            optimizer: name or object of `fastann.optimizers`.
            loss: name, object of `fastann.losses`, or a function f(y_true, y_pred) -> loss per row (JAX only).
            loss_weights: a factor on the loss.
            metrics: names or objects of `fastann.metrics`; "accuracy" is the kind that fits loss and shapes.
            weighted_metrics: metrics in which `sample_weight` and `class_weight` count.
            backend: "numba", "jax", or "auto", which `explain_backend` explains.
            precision: "float32" or "float64", of weights, data and arithmetic. Two more keep all that in float32 but
                for the factors of matrix products and convolutions, forward and backward: "bfloat16" rounds them, for
                a multiple of the speed on hardware that multiplies such numbers, and "tensorfloat32" allows TF32 where
                a GPU has it and is float32 elsewhere. "float32" is never rounded, on no device.
            on_nonfinite: "raise" to stop at a loss that is NaN or infinite, "ignore" to go on.

        Raises:
            ValueError, TypeError: an unknown name or a wrong kind of object.
        """
        self.compile_spec = check(
            self._compiled_outputs(), optimizer, loss, loss_weights, metrics, weighted_metrics, backend, precision,
            on_nonfinite,
        )  # fmt: skip
        self._begin_training()

    def recompile(self, optimizer: str | Optimizer) -> None:
        """Let another optimizer take over and start anew; loss, metrics, backend and precision stay."""
        if not self.compiled:
            raise ValueError("the model must be compiled first: call model.compile(optimizer, loss).")
        self.compile_spec = replace(self.compile_spec, optimizer=get_optimizer(optimizer))
        self._begin_training()

    def _begin_training(self) -> None:
        """Let the optimizer start anew, for what is trainable now."""
        self._live.forget_training()
        self._prepared, self._compiled_graph = None, self._graph

    def _compiled_outputs(self) -> tuple[str, ...]:
        """Return the names of the outputs; a model that waits for the shape of its input has one."""
        return self.output_names if self.built else ("output",)

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self.compile_spec.optimizer is not None

    @property
    def optimizer(self) -> OptimizerView | None:
        """The optimizer with its learning rate and count of updates; None before `compile`."""
        spec = self.compile_spec.optimizer
        return None if spec is None else OptimizerView(spec, self)

    def compile_config(self) -> dict[str, Any]:
        """Return the arguments of `compile` as JSON-able data; raises TypeError for Python functions among them."""
        return self.compile_spec.get_config()

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile the model as `compile_config` described."""
        self.compile_spec = CompileSpec.from_config(config)
        self._begin_training()

    # ---- train and ask

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | str | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Callback | Iterable[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | str | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Train for some epochs and return their `History`.

        Args:
            x: rows of data: an array, a memory map, lists or a table of pandas, polars or pyarrow; for several inputs
                a list with one of these for each, or a dict by the inputs' names. Or an object that
                brings batches (x, y) or (x, y, sample_weight): a generator, a `fastann.utils.PyDataset` or anything
                else with `__len__` and `__getitem__`, a PyTorch DataLoader. It is read ahead in a thread.
            y: targets, as many rows, for several outputs as a list or dict; none with batches.
            batch_size: rows an update, 32 by default; the last batch of an epoch may have fewer. "auto" takes what
                `fastann.scaling.advise` recommends after a short probe, and says so unless verbose is 0. It sets the
                learning rate, too, if that is the optimizer's default; one of your own is kept, and with a schedule
                there is no advice.
            epochs: number of the epoch to stop before.
            verbose: 0 silent, 1 a progress bar, 2 a line an epoch, "auto" 1.
            callbacks: objects of `fastann.callbacks`.
            validation_split: fraction of the rows, the last ones, to hold back for validation.
            validation_data: (x, y) or (x, y, sample_weight) to validate on after an epoch, or an object that brings
                batches. A generator without `validation_steps` is read once and its batches are kept.
            shuffle: visit the rows in a new order each epoch; of batches, those that can be asked for by number.
            class_weight: weight of each class by its number, or "balanced".
            sample_weight: weight of each row; for several outputs also a list or dict with one array for each.
            initial_epoch: number of the first epoch, for resumed runs.
            steps_per_epoch: updates an epoch; by default one pass over the data. An endless generator needs it. A pass
                that ends within an epoch is followed by another one; a generator that ends, ends the training.
            validation_steps: batches of a validation; by default all.
            validation_batch_size: by default `batch_size`.
            validation_freq: validate every so many epochs, or after those listed, counted from 1.

        Raises:
            ValueError, TypeError: the model is not compiled, or data and model do not fit.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        from fastann.training import loop

        if isinstance(batch_size, str):
            from fastann.scaling.automatic import take_advice

            batch_size = take_advice(
                self, batch_size, x, y, sample_weight, class_weight, validation_split, validation_data, verbose
            )
        return loop.fit(
            self,
            x=x,
            y=y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Return the loss on rows with targets, followed by the metrics if there are any; nothing is trained.

        Args:
            x, y, batch_size, verbose, sample_weight, callbacks: as in `fit`.
            steps: batches to look at; by default all.
            return_dict: return names with values in place of a list.

        Returns:
            The loss alone, [loss, metric, ...], or a dict.
        """
        from fastann.training import loop

        return loop.evaluate(
            self,
            x=x,
            y=y,
            batch_size=batch_size,
            verbose=verbose,
            sample_weight=sample_weight,
            steps=steps,
            callbacks=callbacks,
            return_dict=return_dict,
        )

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
    ) -> Any:
        """Return what the network makes of each row, an array (N, ...) in the model's precision.

        Of several outputs there is a list of arrays, or a dict if the model was made with one.

        Args:
            x, verbose, callbacks: as in `fit`; batches may be x, (x,) or (x, y).
            batch_size: rows at a time; it has no influence on the result beyond rounding.
            steps: batches to look at; by default all.
        """
        live = self._live.session
        if live is not None and live.quick is not None and verbose == 0:
            outputs = live.quick(x) if batch_size is None and steps is None and callbacks is None else None
            if outputs is not None:
                return outputs
        from fastann.training import loop

        return loop.predict(self, x=x, batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | str | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Take one update on all rows given and return their loss and metrics, in the forms of `evaluate`."""
        from fastann.training import loop

        return loop.train_on_batch(
            self, x=x, y=y, sample_weight=sample_weight, class_weight=class_weight, return_dict=return_dict
        )

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> float | list[float] | dict[str, float]:
        """Return loss and metrics of all rows given as one batch, in the forms of `evaluate`; nothing is trained."""
        from fastann.training import loop

        return loop.test_on_batch(self, x=x, y=y, sample_weight=sample_weight, return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Return what the network makes of each row, all rows as one batch."""
        from fastann.training import loop

        return loop.predict_on_batch(self, x=x)

    def loss_and_gradients(
        self, x: Any, y: Any, sample_weight: Any = None, training: bool = False
    ) -> tuple[float, list[Array]]:
        """Return the loss of all rows as one batch and its gradient; nothing is trained.

        Args:
            x, y, sample_weight: as in `fit`.
            training: True lets layers behave as in training: dropout draws a mask, batch normalisation takes the
                statistics of these rows. By default they behave as in `evaluate`.

        Returns:
            The loss, penalties included, and for each array of `get_weights` one of its shape: the derivative of the
            loss with respect to it, before any clipping.
        """
        from fastann.training import loop

        return loop.loss_and_gradients(self, x=x, y=y, sample_weight=sample_weight, training=training)

    # ---- show and save

    def summary_text(self) -> str:
        """Return what `summary` prints."""
        from fastann.models.summary import summary_text

        return summary_text(self)

    def summary(self, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print the layers with their output shapes and numbers of weights, or hand the text to `print_fn`."""
        (print if print_fn is None else print_fn)(self.summary_text())

    def get_config(self) -> dict[str, Any]:
        """Return name, seed, `nodes` (each a layer and the nodes it reads), `outputs` and keys as JSON-able data."""
        keys = {name: getattr(self, name) for name in ("input_keys", "output_keys")}
        keys = {name: None if given is None else list(given) for name, given in keys.items()}
        return {"name": self.name, "seed": self.seed, **self.graph.get_config(), **keys}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Model:
        """Make a model from what `get_config` returned, with weights drawn anew from its seed."""
        model = cls.__new__(cls)
        model._begin(config["name"], config["seed"])
        model._take_graph(LayerGraph.from_config(config), config.get("input_keys"), config.get("output_keys"))
        return model

    def save(self, filepath: Path, overwrite: bool = True) -> None:
        """Write architecture, weights, compile arguments and the state of training to one file.

        `fastann.load_model` reads it, and training goes on from there exactly as it would have.

        Args:
            filepath: the file, written beside and renamed into place.
            overwrite: False raises FileExistsError if it exists.
        """
        from fastann import io

        io.save_model(self, filepath, overwrite=overwrite)

    def save_weights(self, filepath: Path, overwrite: bool = True) -> None:
        """Write the weights alone to a file; arguments as in `save`."""
        from fastann import io

        io.save_weights(self, filepath, overwrite=overwrite)

    def load_weights(self, filepath: Path) -> None:
        """Take the weights from a file that `save_weights` wrote; raises ValueError where they do not fit."""
        from fastann import io

        io.load_weights(self, filepath)
