"""Calibrating the cost model: real steps of several networks on each backend, and the figures that explain them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from fastann_kernels.backend import available_backends
from fastann_kernels.calibration import device_of, threads_of
from fastann_kernels.cost import KINDS, SHIPPED, Work, work_of

from fastann.bench.cases import NETWORKS, Case
from fastann.bench.contenders import CONTENDERS, ours
from fastann.bench.images import ImageCase
from fastann.bench.isolated import call_isolated
from fastann.lowering import lower

if TYPE_CHECKING:
    from fastann.bench.contenders.ours import Fastann

_WIDE, _DEEP = (256, 1024, 1024, 10), (100, *(128,) * 8, 10)


def _case(widths: tuple[int, ...], batch_size: int, steps: int) -> Case:
    return Case(widths, batch_size, batch_size * steps)


#: Networks that each kind of work dominates in turn, small enough for a few seconds a backend.
CASES = (
    _case(NETWORKS["tiny"], 32, 512),
    _case(NETWORKS["tiny"], 1024, 64),
    _case(NETWORKS["small"], 32, 128),
    _case(NETWORKS["small"], 512, 16),
    _case(_DEEP, 32, 64),
    _case(_DEEP, 512, 8),
    _case(NETWORKS["pyramid"], 128, 16),
    _case(NETWORKS["pyramid"], 2048, 2),
    _case(_WIDE, 32, 16),
    _case(_WIDE, 512, 4),
    ImageCase(batch_size=16, rows=128),
    ImageCase(batch_size=64, rows=192),
)

#: Beside them where JAX has a GPU, which all of the above leave idle.
LARGE_CASES = (_case((2048, 8192, 8192, 10), 4096, 2),)

_SECONDS, _LONGEST, _FITS = 0.15, 0.6, 3

#: How much the shipped figures count against one measurement: they stand where no case says anything.
_PRIOR = 0.03

#: Rounds of the fit, and the factor beyond which a prediction counts as no worse.
_ROUNDS, _FAR = 20, 10.0


@dataclass(frozen=True)
class Timed:
    """One case on one device.

    Attributes:
        name: of the case.
        work: what a step of it is.
        seconds: the fastest mean step of several fits.
    """

    name: str
    work: Work
    seconds: float


def calibrate(
    backends: Sequence[str] | None = None, report: Callable[[str], None] = lambda what: None
) -> dict[str, tuple[Work, list[Timed]]]:
    """Return, for each device, seconds of a unit of each kind of work, and the steps that were timed.

    A backend is measured in a process of its own, through `Model.fit`.

    Args:
        backends: by default those installed.
        report: told what comes next.
    """
    found = {}
    for backend in available_backends() if backends is None else backends:
        device = device_of(backend, os.environ)
        report(f"calibrating {device}")
        entries = call_isolated("fastann.bench.calibrate:time_cases", backend=backend)
        timed = [Timed(entry["name"], Work(**entry["work"]), entry["seconds"]) for entry in entries]
        found[device] = (fit_units(timed, SHIPPED[device]), timed)
    return found


def time_cases(backend: str, cases: Sequence[Case] = CASES) -> list[dict[str, Any]]:
    """Time the cases on a backend in this process; the entries are those of `Timed`, as plain data."""
    device = device_of(backend, os.environ)
    if cases is CASES and device == "jax-gpu":
        cases = CASES + LARGE_CASES
    return [asdict(_timed(case, backend, threads_of(device, os.environ))) for case in cases]


def _timed(case: Case, backend: str, threads: int) -> Timed:
    """Time fits of one epoch; the first one, which compiles, does not count."""
    entry = CONTENDERS[backend]
    contender: Fastann = getattr(ours, str(entry.images if isinstance(case, ImageCase) else entry.dense))(case)
    model = contender.model
    contender.epochs(1)
    seconds: list[float] = []
    began = time.perf_counter()
    while not _enough(len(seconds), time.perf_counter() - began):
        contender.epochs(1)
        measured = model.explain_backend().measured
        assert measured is not None
        seconds.append(measured.seconds)
    program = lower(model.graph, optimizer=model.compile_spec.optimizer)
    return Timed(case.name, work_of(program, case.batch_size, threads=threads), min(seconds))


def _enough(fits: int, seconds: float) -> bool:
    return fits > 0 and (seconds > _LONGEST or (fits >= _FITS and seconds > _SECONDS))


def fit_units(timed: Sequence[Timed], shipped: Work, prior: float = _PRIOR) -> Work:
    """Return the seconds of a unit of each kind of work that explain measured steps best.

    minimise sum_i (p_i - t_i)^2 / (p_i t_i) + prior^2 sum_k (u_k / s_k - 1)^2  over  u >= 0

    with predictions p_i = sum_k a_ik u_k of the amounts a, times t and the shipped figures s: squares of relative
    errors, in which half the time weighs as much as twice the time. Each round takes p in the denominator from the one
    before, which leaves a problem for SciPy's `nnls` (Lawson & Hanson 1974, chapter 23).

    Args:
        timed: steps with their work.
        shipped: what to fall back to for kinds of work that no step has much of.
        prior: how much that counts; 0 for not at all.
    """
    from scipy.optimize import nnls

    scale = np.array(shipped.amounts())
    amounts = np.array([entry.work.amounts() for entry in timed]) * scale
    times = np.array([entry.seconds for entry in timed])
    predicted = times
    for _ in range(_ROUNDS):
        weights = 1.0 / np.sqrt(times * np.clip(predicted, times / _FAR, times * _FAR))
        matrix = np.concatenate([weights[:, None] * amounts, prior * np.eye(len(KINDS))])
        factors, _ = nnls(matrix, np.concatenate([weights * times, np.full(len(KINDS), prior)]))
        predicted = amounts @ factors
    return Work(*(float(number) for number in factors * scale))
