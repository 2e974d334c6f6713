"""The numbers of a model - weights, optimizer state, counters - wherever they are at the moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from fastann_kernels.backend import HostState, storage_dtype
from fastann_kernels.program import Program
from numpy.typing import NDArray

from fastann.models.weights import with_slots
from fastann.random import check_seed
from fastann.schedules import Run
from fastann.spec import bounded, whole
from fastann.training.rates import LearningRate
from fastann.training.session import Session, stamp

if TYPE_CHECKING:
    from fastann.models.compile import CompileSpec, Resolved

Array = NDArray[Any]


class ModelState:
    """Weights, slots, counters and learning rate of one model.

    They live in a `Session` while there is one and in plain attributes before and after, so that a model may be
    compiled anew, or go on with another program or backend, and lose nothing.
    """

    def __init__(self, seed: int) -> None:
        self.session: Session | None = None
        self._seed = check_seed(seed)
        self._params: Array | None = None
        self._slots: Array | None = None
        self._iterations = 0
        self._epochs_trained = 0
        self._rate: float | None = None
        self._run: Run | None = None
        self._last_rate: float | None = None
        self._changed = 0

    def __getstate__(self) -> dict[str, Any]:
        """Return everything but the session, for copies: the model that is copied goes on undisturbed."""
        return {**self.__dict__, **self._snapshot(), "session": None}

    def _snapshot(self) -> dict[str, Any]:
        session = self.session
        if session is None:
            return {}
        host = session.state
        rate = None if session.optimizer is None or session.scheduled else session.learning_rate
        return {
            "_params": host.params.copy(),
            "_slots": host.slots.copy(),
            "_iterations": session.iterations,
            "_epochs_trained": session.epochs_trained,
            "_rate": rate,
            "_run": session.run,
            "_last_rate": session.last_rate,
            "_changed": session.changed,
        }

    def release(self) -> None:
        """Take everything out of the session and let it go."""
        self.__dict__.update(self._snapshot())
        self.session = None

    # ---- weights

    @property
    def params(self) -> Array | None:
        """The flat vector, not to be written to; None before weights were drawn."""
        return self._params if self.session is None else self.session.state.params

    @property
    def slots(self) -> Array | None:
        """The optimizer's state, float[S, P]; None if there is none yet."""
        return self._slots if self.session is None else self.session.state.slots

    @property
    def changed(self) -> int:
        """`stamp` of the last change of the weights; 0 before they were drawn."""
        return self._changed if self.session is None else self.session.changed

    def set_params(self, vector: Array, changed: int | None = None) -> None:
        """Replace the flat vector and keep the rest; `changed` is when its newest part was made, by default now."""
        if self.session is None:
            self._params = vector
        else:
            self.session.set_params(vector)
        self.note_change(stamp() if changed is None else changed)

    def note_change(self, changed: int) -> None:
        """Say when the weights were last changed."""
        if self.session is None:
            self._changed = changed
        else:
            self.session.changed = changed

    def resize(self, vector: Array | None) -> None:
        """Take the vector of a network whose layers have changed; the optimizer starts anew."""
        self.forget_training()
        self._params = vector
        self._changed = 0 if vector is None else stamp()

    def forget_training(self) -> None:
        """Let the optimizer start anew; weights and the number of epochs, on which orders depend, stay."""
        self.release()
        self._slots, self._iterations, self._rate = None, 0, None
        self._run = self._last_rate = None

    def reseed(self, seed: int) -> None:
        """Forget everything, as if the model had just been made with this seed."""
        self.__dict__.update(ModelState(seed).__dict__)

    # ---- counters

    @property
    def seed(self) -> int:
        """Seed of weights, orders and masks."""
        return self._seed

    @property
    def iterations(self) -> int:
        """Updates made since the model was compiled."""
        return self._iterations if self.session is None else self.session.iterations

    @property
    def epochs_trained(self) -> int:
        """Epochs of `fit` in the life of the model."""
        return self._epochs_trained if self.session is None else self.session.epochs_trained

    def learning_rate(self, spec: CompileSpec) -> float:
        """Return the learning rate of the next update."""
        return self._rates(spec).at(self.iterations) if self.session is None else self.session.learning_rate

    def set_learning_rate(self, spec: CompileSpec, value: float) -> None:
        """Replace the learning rate; raises TypeError if a schedule decides it."""
        if self.session is not None:
            self.session.learning_rate = value
            return
        rates = self._rates(spec)
        rates.set(value)
        self._rate = rates.at(0)

    def _rates(self, spec: CompileSpec) -> LearningRate:
        if spec.optimizer is None:
            raise ValueError("the model has no optimizer; compile it first.")
        return LearningRate(spec.optimizer.learning_rate, self._rate, self._run)

    # ---- as data

    def export(self, spec: CompileSpec) -> dict[str, Any]:
        """Return seed, counters, learning rate (None where a schedule decides) and slots (None if there are none).

        Where something asks for them, also run, the last `fit` as a schedule in epochs knows it, and last_rate.
        """
        scheduled = spec.optimizer is None or callable(spec.optimizer.learning_rate)
        slots, session = self.slots, self.session
        run = self._run if session is None else session.run
        last_rate = self._last_rate if session is None else session.last_rate
        return {
            "seed": self.seed,
            "iterations": self.iterations,
            "epochs_trained": self.epochs_trained,
            "learning_rate": None if scheduled else self.learning_rate(spec),
            "slots": None if slots is None or len(slots) == 0 else slots.copy(),
            **({} if run is None else {"run": run.get_config()}),
            **({} if last_rate is None else {"last_rate": last_rate}),
        }

    def restore(self, state: Mapping[str, Any], expected_slots: tuple[int, int]) -> None:
        """Take what `export` returned; raises ValueError where it does not fit the model."""
        slots = None if state.get("slots") is None else np.array(state["slots"])
        if slots is not None and slots.shape != expected_slots:
            raise ValueError(f"the optimizer's state must have shape {expected_slots}, got {slots.shape}.")
        seed = check_seed(state["seed"])
        iterations, epochs = (whole(state[name], name) for name in ("iterations", "epochs_trained"))
        rate = state.get("learning_rate")
        rate = None if rate is None else bounded(rate, "learning_rate")
        run = Run.from_config(state["run"]) if "run" in state else None
        last_rate = bounded(state["last_rate"], "last_rate") if "last_rate" in state else None
        self.release()
        self._seed, self._slots, self._rate = seed, slots, rate
        self._iterations, self._epochs_trained = iterations, epochs
        self._run, self._last_rate = run, last_rate

    # ---- at work

    def start(self, resolved: Resolved, spec: CompileSpec, backend: str, penalties: NDArray[np.float64]) -> Session:
        """Go on with a program on a backend."""
        self.release()
        assert self._params is not None
        self.session = Session(
            program=resolved.program,
            backend=backend,
            precision=spec.precision,
            host=self._host(self._params, resolved.program, spec),
            seed=self._seed,
            optimizer=spec.optimizer,
            penalties=penalties,
            metrics=resolved.metrics,
            on_nonfinite=spec.on_nonfinite,
            iterations=self._iterations,
            epochs_trained=self._epochs_trained,
            learning_rate=self._rate,
            run=self._run,
            last_rate=self._last_rate,
            loss_keys=resolved.loss_keys,
        )
        self.session.changed = self._changed
        return self.session

    def _host(self, params: Array, program: Program, spec: CompileSpec) -> HostState:
        return with_slots(params.astype(storage_dtype(spec.precision)), program.update, self._slots)
