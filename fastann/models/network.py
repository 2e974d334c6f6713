"""A network with its weights and, once it runs, its session: what all of `Model`'s methods stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from fastann_kernels.backend import USUAL_BATCH, Choice, HostState, storage_dtype
from fastann_kernels.program import Parameter
from numpy.typing import NDArray

from fastann.lowering import lower, parameters
from fastann.models import sharing
from fastann.models import weights as flat
from fastann.models.compile import CompileSpec, resolve
from fastann.models.explanation import BackendExplanation, explain
from fastann.models.graph import LayerGraph
from fastann.models.state import ModelState
from fastann.random import next_seed
from fastann.spec import whole
from fastann.training.session import stamp

if TYPE_CHECKING:
    from fastann.layers.base import Shape
    from fastann.training.session import Session
    from fastann.training.targets import Target

Array = NDArray[Any]


class Network:
    """Layers, weights and the way to a running session; `Model` adds what a user does with them.

    Args:
        name: for `summary`.
        seed: a whole number below 2^64; by default the next after `fastann.utils.set_random_seed`.

    Attributes:
        name: as above.
        compile_spec: the arguments of `compile`, checked.
    """

    def __init__(self, name: str, seed: int | None = None) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a model's name must be a string, got {name!r}.")
        self.name = name
        self.compile_spec = CompileSpec()
        self._graph: LayerGraph | None = None
        #: the graph as it was when the model was compiled: what is trainable is decided then
        self._compiled_graph: LayerGraph | None = None
        self._live = ModelState(next_seed() if seed is None else seed)
        self._prepared: tuple[Target, ...] | None = None
        #: the backend of the session, and why
        self._choice: Choice | None = None

    # ---- layers

    @property
    def graph(self) -> LayerGraph:
        """The layers and what each reads; raises ValueError while the shape of the input is unknown."""
        if self._graph is None:
            raise ValueError(
                f"the shape of the input of model {self.name!r} is not known yet: give the first layer an input_shape, "
                "begin with Input((n,)), or call build or fit."
            )
        return self._graph

    @property
    def built(self) -> bool:
        """Whether the shape of the input, and so every weight, is known."""
        return self._graph is not None

    @property
    def input_shape(self) -> Any:
        """Shape of the data, None standing for the rows; a list of shapes for several inputs."""
        shapes = [(None, *self.graph.shapes[i]) for i in self.graph.inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """Shape of what `predict` returns, None standing for the rows; a list of shapes for several outputs."""
        shapes = [(None, *self.graph.shapes[i]) for i in self.graph.outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    # ---- weights

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The weights' names, shapes and places in the flat vector."""
        return parameters(self.graph, self.compile_spec.optimizer)

    @property
    def state(self) -> HostState:
        """Flat weights and optimizer state as NumPy arrays, not to be written to."""
        params = self._params()
        slots = self._live.slots
        return HostState(params, np.zeros((0, len(params)), params.dtype) if slots is None else slots)

    def count_params(self) -> int:
        """Return how many numbers the weights are."""
        return sum(parameter.size for parameter in self.parameters)

    def get_weights(self) -> list[Array]:
        """Return copies of all weights, layer by layer: [kernel, bias, kernel, bias], in the model's precision."""
        dtype = storage_dtype(self.compile_spec.precision)
        return [array.astype(dtype, copy=False) for array in flat.split(self._params(), self.parameters)]

    def set_weights(self, weights: Any) -> None:
        """Replace all weights; the optimizer's state stays.

        Args:
            weights: arrays in the order and of the shapes of `get_weights`.

        Raises:
            ValueError: another number of arrays, or another shape; then no weight was changed.
        """
        self.replace_weights(weights, range(len(self.parameters)), "set_weights")

    def replace_weights(self, weights: Any, numbers: range, what: str) -> None:
        """Replace the weights that have these numbers in `parameters`; `what` does so, in messages."""
        all_new = self._live.params is None and len(numbers) == len(self.parameters)
        vector = np.empty(self.count_params()) if all_new else self._params().copy()
        flat.fill(vector, self.parameters[numbers.start : numbers.stop], weights, what)
        self._live.set_params(vector)

    def reseed(self, seed: int) -> None:
        """Become the model that this one was when it was made, with another seed: weights are drawn anew.

        Layers, and how the model is compiled, stay; optimizer and counters start anew.

        Raises:
            ValueError, TypeError: the seed is no whole number below 2^64.
        """
        self._live.reseed(seed)
        self._prepared = None

    @property
    def changed(self) -> int:
        """A number that grows whenever weights change, comparable between models; 0 before they were drawn."""
        return self._live.changed

    def _params(self) -> Array:
        """Return the flat vector, drawing it if this is the first time anybody asks."""
        if self._live.params is None:
            self._live.set_params(flat.draw(self.graph, self._live.seed), changed=0)
            self._catch_up()
            self._live.note_change(stamp())
        else:
            self._catch_up()
        params = self._live.params
        assert params is not None
        return params

    def _catch_up(self) -> None:
        """Take over what other models have made of shared layers."""
        fresh = sharing.news(self)
        if not fresh or self._live.params is None:
            return
        vector, changed = self._live.params.copy(), self.changed
        for name, (source, its_name) in fresh.items():
            given = source._live.params
            if given is not None:
                vector[self._place(name)] = given[source._place(its_name)]
                changed = max(changed, source.changed)
        self._live.set_params(vector, changed)

    def _place(self, name: str) -> slice:
        """Return where the weights of a layer lie in the flat vector."""
        numbers = self.graph.weights_of(name)
        own = self.parameters[numbers.start : numbers.stop]
        return slice(own[0].offset, own[-1].offset + own[-1].size) if own else slice(0, 0)

    # ---- counters

    @property
    def seed(self) -> int:
        """What initial weights, orders of rows and dropout masks are functions of."""
        return self._live.seed

    @property
    def iterations(self) -> int:
        """Updates made since the model was compiled."""
        return self._live.iterations

    @property
    def epochs_trained(self) -> int:
        """Epochs of `fit` in the life of the model; epoch number e visits the rows in an order that depends on e."""
        return self._live.epochs_trained

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update; settable unless a schedule decides it."""
        return self._live.learning_rate(self.compile_spec)

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._live.set_learning_rate(self.compile_spec, value)

    def training_state(self) -> dict[str, Any]:
        """Return what a resumed training needs beside the weights.

        The keys are seed, iterations, epochs_trained, learning_rate (None where a schedule decides) and slots
        (float[S, P], or None where there are none); run and last_rate where the optimizer asks what the last `fit` and
        the last update were.
        """
        return self._live.export(self.compile_spec)

    def set_training_state(self, state: Mapping[str, Any]) -> None:
        """Take what `training_state` returned; raises ValueError where it does not fit the model and its optimizer."""
        optimizer = self.compile_spec.optimizer
        slots = 0 if optimizer is None else len(optimizer.update_rule().slots)
        if self.built:
            self._params()  # before the seed changes
        self._live.restore(state, (slots, self.count_params() if self.built else 0))

    # ---- at work

    def explain_backend(self, batch_size: int | None = None) -> BackendExplanation:
        """Return the backend the model runs on, with the reasons, and the speed that is predicted and was measured.

        `str` of it is a sentence and a table: the predicted time of a training step on each backend that is installed,
        where these figures come from, and after `fit` the time its steps took. With `backend="auto"` the model is given
        the backend that is predicted to be the faster at batch size 32; `fastann bench calibrate` makes the predictions
        those of this machine.

        Args:
            batch_size: rows of a step; by default those of the last `fit`, else 32.

        Raises:
            TypeError, ValueError: batch_size is no positive whole number.
        """
        session = self._live.session
        measured = None if session is None or session.times is None else session.times.mean
        if batch_size is None:
            batch_size = USUAL_BATCH if measured is None else measured.batch_size
        graph = self._compiled_graph or self._graph
        program = None if graph is None else lower(graph, optimizer=self.compile_spec.optimizer)
        choice = self._choice if session is not None and self._choice else self.compile_spec.choice(program)
        return explain(choice, program, self.compile_spec.precision, whole(batch_size, "batch_size", 1), measured)

    @property
    def session(self) -> Session:
        """The running state; made if there is none yet, for predicting only until `fit` or `evaluate` show targets."""
        self._catch_up()
        return self._live.session or self._start(None)

    def prepare(self, x_shape: Sequence[int], targets: Sequence[Target] | None = None) -> Session:
        """Make sure that the model can run on such data, and return its session.

        Builds a model that waited for the shape of its input. A session that fits is kept; otherwise a new one takes
        over weights, optimizer state and counters.

        Args:
            x_shape: shape of the data, rows first; of several inputs, that of the first one.
            targets: what is known of the targets of each output; None to predict.

        Raises:
            ValueError: a layer cannot read such data, there is no loss, or loss and metrics do not fit the network.
        """
        if self._graph is None:
            self._build(tuple(x_shape[1:]) or (1,))
            self._compiled_graph = self._graph
        self._catch_up()
        wanted = None if targets is None else tuple(targets)
        session = self._live.session
        if session is not None and (wanted is None or wanted == self._prepared):
            return session
        return self._start(wanted)

    def _build(self, shape: Shape) -> None:
        """Set `_graph` for rows of this shape; only for kinds of models that can wait for it."""
        raise ValueError(f"{type(self).__name__} has no layers.")

    def _start(self, targets: tuple[Target, ...] | None) -> Session:
        graph = self._compiled_graph or self.graph
        resolved = resolve(graph, self.compile_spec, targets)
        session = self._live.session
        if session is None or not resolved.fits(session):
            self._params()
            self._choice = self.compile_spec.choice(lower(graph, optimizer=self.compile_spec.optimizer))
            session = self._live.start(resolved, self.compile_spec, self._choice.name, graph.penalties())
        self._prepared = targets
        return session
