"""Several models at once against one after the other: in threads of the user's own, and by `fit_many`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastann.bench.cases import Case, case_of, check_networks
from fastann.bench.isolated import call_isolated
from fastann.bench.record import spread
from fastann.bench.throughput import build

AT_ONCE_HEADINGS = ("network", "models", "in turn, us", "at once, us", "ratio", "of minima")


def measure_threads(
    networks: Sequence[str] = ("tiny",),
    batch_size: int = 32,
    rows: Sequence[int] = (8192, 20_480),
    backends: Sequence[str] = ("numba",),
    models: int = 4,
    rounds: int = 7,
    seconds: float = 1.0,
    report: Callable[[str], None] = lambda what: None,
) -> list[dict[str, Any]]:
    """Return, for each network, number of rows and backend, how `fit` in threads compares with `fit` in turn.

    Args:
        networks, batch_size, rows, backends: what to measure.
        models: as many threads.
        rounds: measurements of each, in turns.
        seconds: least time of all models one after the other.
        report: told what comes next.
    """
    return _measure("threads", networks, batch_size, rows, backends, models, rounds, seconds, report)


def measure_many(
    networks: Sequence[str] = ("tiny",),
    batch_size: int = 32,
    rows: Sequence[int] = (455, 8192, 20_480),
    backends: Sequence[str] = ("numba", "jax"),
    models: int = 16,
    rounds: int = 7,
    seconds: float = 1.0,
    report: Callable[[str], None] = lambda what: None,
) -> list[dict[str, Any]]:
    """Return the like of `measure_threads` for `fit_many` of as many learning rates."""
    return _measure("many", networks, batch_size, rows, backends, models, rounds, seconds, report)


def _measure(
    way: str,
    networks: Sequence[str],
    batch_size: int,
    rows: Sequence[int],
    backends: Sequence[str],
    models: int,
    rounds: int,
    seconds: float,
    report: Callable[[str], None],
) -> list[dict[str, Any]]:
    check_networks(networks)
    found = []
    for network in networks:
        for count in rows:
            for backend in backends:
                report(f"{network}, {count} rows, {backend}")
                found.append(
                    call_isolated(
                        "fastann.bench.threads:compare", way=way, network=network, batch_size=batch_size, rows=count,
                        backend=backend, models=models, rounds=rounds, seconds=seconds,
                    )
                )  # fmt: skip
    return found


def compare(
    way: str, network: str, batch_size: int, rows: int, backend: str, models: int, rounds: int, seconds: float
) -> dict[str, Any]:
    """Time models at once and one after the other, in turns, in this process; what is compiled is so before.

    Args:
        way: "threads" for `fit` in a Python thread of each model, "many" for `fit_many`.
        network, batch_size, rows, backend, models, rounds, seconds: as in `measure_threads`.

    Times are those of `fit` and `fit_many`, the copies of the models that `fit_many` makes included. The ratio is of
    the medians. Processor seconds, of all threads, tell how many cores were to be had.
    """
    case = Case(case_of(network, batch_size).widths, batch_size, rows)
    trainer = _Trainer(case, backend, models)
    together = {"threads": trainer.in_threads, "many": trainer.by_fit_many}[way]
    trainer.in_turn(1)
    began = time.perf_counter()
    trainer.in_turn(2)
    epochs = max(1, round(2 * seconds / (time.perf_counter() - began)))
    together(epochs)
    turns: dict[str, list[float]] = {"in_turn": [], "at_once": []}
    processor: dict[str, list[float]] = {"in_turn": [], "at_once": []}
    for _ in range(rounds):
        for name, train in (("in_turn", trainer.in_turn), ("at_once", together)):
            began, used = time.perf_counter(), time.process_time()
            train(epochs)
            turns[name].append((time.perf_counter() - began) / epochs / models)
            processor[name].append((time.process_time() - used) / epochs / models)
    spreads = {name: spread(times) for name, times in turns.items()}
    return {
        "way": way, "network": network, "rows": rows, "batch_size": batch_size, "backend": backend, "models": models,
        "epochs": epochs, "seconds_an_epoch": spreads,
        "processor_seconds_an_epoch": {name: spread(times) for name, times in processor.items()},
        "ratio": spreads["in_turn"]["median"] / spreads["at_once"]["median"],
        "ratio_of_minima": spreads["in_turn"]["min"] / spreads["at_once"]["min"],
    }  # fmt: skip


class _Trainer:
    """As many models of one network, and the ways to train all of them."""

    def __init__(self, case: Case, backend: str, models: int) -> None:
        self._models = [build(case, backend, "float32") for _ in range(models)]
        for model, rate in zip(self._models, np.geomspace(1e-4, 1e-2, models), strict=True):
            model.learning_rate = float(rate)
        self._rates = [model.learning_rate for model in self._models]
        self._x, self._y = case.data()
        self._size = case.batch_size

    def in_turn(self, epochs: int) -> None:
        for model in self._models:
            self._fit(model, epochs)

    def in_threads(self, epochs: int) -> None:
        threads = [threading.Thread(target=self._fit, args=(model, epochs)) for model in self._models]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def by_fit_many(self, epochs: int) -> None:
        from fastann.many import fit_many

        fit_many(
            self._models[0], self._x, self._y, learning_rates=self._rates, batch_size=self._size, epochs=epochs,
            verbose=0,
        )  # fmt: skip

    def _fit(self, model: Any, epochs: int) -> None:
        model.fit(self._x, self._y, batch_size=self._size, epochs=epochs, verbose=0)


def at_once_cells(entry: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of a comparison under `AT_ONCE_HEADINGS`: medians of an epoch of one model."""
    times = [1e6 * entry["seconds_an_epoch"][name]["median"] for name in ("in_turn", "at_once")]
    return (
        f"{entry['network']}, {entry['rows']:,} rows, batch {entry['batch_size']}, {entry['backend']}",
        str(entry["models"]), *(f"{time:,.0f}" for time in times), f"{entry['ratio']:.2f}x",
        f"{entry['ratio_of_minima']:.2f}x",
    )  # fmt: skip
