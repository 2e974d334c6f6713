"""The work of a step, counted by hand, and predictions that behave."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from fastann_kernels.backend import choose_backend
from fastann_kernels.cost import KINDS, SHIPPED, Work, work_of
from fastann_kernels.program import Program, UpdateRule

from tests.programs import Chain

ADAM = UpdateRule("adam", slots=(0.0, 0.0))


def network(*widths: int, frozen: tuple[int, ...] = ()) -> Program:
    """Return dense layers of these widths under Adam; `frozen` are numbers of layers that are not trained."""
    chain = Chain(widths[0])
    value = 0
    for number, units in enumerate(widths[1:]):
        value = chain.dense(units, "relu", x=value, trainable=number not in frozen)
    return chain.program(update=ADAM)


def test_a_dense_network_by_hand() -> None:
    """5-3-2 at batch 4: three products a layer, but for the first one, whose input needs no gradient."""
    work = work_of(network(5, 3, 2), 4)
    assert work.steps == 1
    assert work.instructions == 2
    assert work.flops == 2 * 2 * 4 * 5 * 3 + 3 * 2 * 4 * 3 * 2
    assert work.operands == 2 * (4 * 5 + 5 * 3 + 4 * 3) + 3 * (4 * 3 + 3 * 2 + 4 * 2)
    assert work.elements == 2 * 4 * (3 + 2)
    # Adam reads w, g, m and v and writes w, m and v, 4 bytes each
    assert work.update_bytes == 28 * (5 * 3 + 3 + 3 * 2 + 2)
    assert work.far_bytes == 0
    assert work.gathered_bytes == 2 * 4 * 4 * 5
    assert work.convolution_flops == 0


def test_large_updates_come_from_memory() -> None:
    work = work_of(network(1000, 1000), 4)
    assert work.update_bytes == 28 * (1000 * 1000 + 1000)
    assert work.far_bytes == work.update_bytes - 8 * 2**20


def test_what_is_not_trained_has_no_gradients() -> None:
    work = work_of(network(5, 3, 2, frozen=(0,)), 4)
    assert work.flops == 1 * 2 * 4 * 5 * 3 + 2 * 2 * 4 * 3 * 2
    assert work.elements == 4 * 3 + 2 * 4 * 2
    assert work.update_bytes == 28 * (3 * 2 + 2)
    below = work_of(network(5, 3, 2, frozen=(1,)), 4)
    assert below.flops == 2 * 2 * 4 * 5 * 3 + 2 * 2 * 4 * 3 * 2, "the gradient passes through a frozen layer"


def test_images_by_hand() -> None:
    """6 x 6 x 1, two filters of 3 x 3, pools of 2 x 2, flattened."""
    chain = Chain(6, 6, 1)
    kernel = chain.parameter("kernel", (3, 3, 1, 2))
    value = chain.emit("conv2d", 0, (4, 4, 2), (kernel,))
    value = chain.emit("max_pool2d", value, (2, 2, 2), pool_h=2, pool_w=2)
    value = chain.emit("reshape", value, (8,))
    work = work_of(chain.program(update=ADAM), 10)
    assert work.convolution_flops == 2 * 2 * 10 * (4 * 4) * (3 * 3 * 1 * 2)
    assert work.flops == work.operands == 0
    assert work.elements == 2 * 10 * (4 * 4 * 2 + 4 * 4 * 2), "a pool reads its input; a reshape moves nothing"


def test_double_precision_is_twice_the_work() -> None:
    single, double = (work_of(network(5, 3, 2), 4, precision) for precision in ("float32", "float64"))
    for kind in KINDS:
        factor = 1 if kind in ("steps", "instructions") else 2
        assert getattr(double, kind) == factor * getattr(single, kind)


def test_threads_share_rows_but_not_weights() -> None:
    program = network(512, 512, 10)
    alone, shared = work_of(program, 4096), work_of(program, 4096, threads=8)
    for kind in ("flops", "elements"):
        assert 6 < getattr(alone, kind) / getattr(shared, kind) < 8
    assert shared.update_bytes == alone.update_bytes
    assert shared.steps == alone.steps
    assert 2 * 512 * 512 < shared.operands < alone.operands
    assert work_of(program, 1, threads=8) == work_of(program, 1), "a row is one thread's"
    tiny = network(30, 16, 1)
    assert work_of(tiny, 32, threads=8).flops > 0.9 * work_of(tiny, 32).flops


@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("device", SHIPPED)
def test_predictions_grow_with_batch_and_width(device: str, threads: int) -> None:
    unit = SHIPPED[device]
    for width in (4, 64, 1024):
        times = [work_of(network(64, width, 10), 1 << k, threads=threads).seconds(unit) for k in range(14)]
        assert times[0] > 0
        assert all(a < b for a, b in pairwise(times))
    for batch in (1, 32, 4096):
        times = [work_of(network(64, 1 << k, 10), batch, threads=threads).seconds(unit) for k in range(14)]
        assert times[0] > 0
        assert all(a < b for a, b in pairwise(times))


@pytest.mark.parametrize("device", SHIPPED)
def test_a_larger_rate_is_faster(device: str) -> None:
    unit, work = SHIPPED[device], work_of(network(784, 512, 10), 1024)
    assert work.seconds(replace(unit, flops=unit.flops / 2)) < work.seconds(unit)


@pytest.mark.parametrize("device", SHIPPED)
def test_the_rate_of_a_product_saturates(device: str) -> None:
    unit = replace(SHIPPED[device], steps=0, instructions=0, elements=0, update_bytes=0, gathered_bytes=0)
    works = [work_of(network(1024, 1024, 1024), 4**k) for k in range(8)]
    rates = [work.flops / work.seconds(unit) for work in works]
    assert all(a < b for a, b in pairwise(rates))
    assert rates[-1] < 1 / unit.flops


def test_work_survives_being_data() -> None:
    work = work_of(network(5, 3, 2), 4)
    assert Work.from_dict(work.as_dict()) == work
    with pytest.raises(ValueError, match="expected the numbers steps, instructions"):
        Work.from_dict({"steps": 1})
    for wrong in (-1.0, float("nan"), float("inf"), "fast", True, None):
        with pytest.raises(ValueError, match="flops must be a number of at least 0"):
            Work.from_dict({**work.as_dict(), "flops": wrong})


def test_small_convolutions_stay_with_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """XLA's convolutions on a CPU are several times slower than Numba's."""
    monkeypatch.setattr("fastann_kernels.backend.available_backends", lambda: ("numba", "jax"))
    chain = Chain(28, 28, 1)
    chain.emit("conv2d", 0, (26, 26, 32), (chain.parameter("kernel", (3, 3, 1, 32)),))
    assert choose_backend(chain.program(update=ADAM), {"JAX_PLATFORMS": "cpu"}).name == "numba"
