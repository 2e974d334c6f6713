"""Products of bfloat16 on the Numba backend: what is rounded, how, and that nothing else is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastann_kernels.backend import HostState, available_backends
from numpy.typing import NDArray

from tests.programs import state_for, steps_for

if "numba" not in available_backends():
    pytest.skip("numba is not installed", allow_module_level=True)

import llvmlite.binding
import numba
from fastann_kernels.numba_backend import blas
from fastann_kernels.numba_backend.executor import NumbaExecutor
from fastann_kernels.numba_backend.halves import as_halves, round_to_halves
from fastann_kernels.program import Instruction, Loss, Parameter, Program, UpdateRule, Value

needs_halves = pytest.mark.skipif(
    blas.why_no_halves() is not None, reason=f"no products of bfloat16: {blas.why_no_halves()}"
)

#: 3 -> 5 tanh -> 2, squared errors
SHAPES = ((3, 5), (5,), (5, 2), (2,))


@numba.njit
def rounded(x, room):  # type: ignore[no-untyped-def]
    round_to_halves(x, as_halves(room))


def program() -> Program:
    offsets = np.cumsum([0, *(int(np.prod(shape)) for shape in SHAPES)])
    return Program(
        values=(Value((3,)), Value((5,)), Value((2,))),
        inputs=(0,),
        outputs=(2,),
        instructions=(
            Instruction("dense", (0,), 1, (0, 1), (("use_bias", True), ("activation", "tanh"), ("alpha", 0.0))),
            Instruction("dense", (1,), 2, (2, 3), (("use_bias", True), ("activation", "linear"), ("alpha", 0.0))),
        ),
        parameters=tuple(
            Parameter(f"{i}", shape, int(offset))
            for i, (shape, offset) in enumerate(zip(SHAPES, offsets, strict=False))
        ),
        losses=(Loss("mean_squared_error", 2, target_shape=(2,)),),
        update=UpdateRule("sgd", (), ()),
    )


def test_numbers_are_rounded_to_the_nearest_and_ties_to_even() -> None:
    exact = [0.0, -0.0, 1.0, -1.5, 2.0**127, 2.0**-126, np.inf, -np.inf]
    ties = [1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-8 + 2.0**-20]
    x = np.array([*exact, *ties, np.finfo(np.float32).max], np.float32)
    room = np.zeros(len(x), np.float32)
    rounded(x, room)
    got = (room.view(np.uint16)[: len(x)].astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(got, np.array([*exact, 1.0, 1 + 2.0**-6, 1 + 2.0**-7, np.inf], np.float32))
    np.testing.assert_array_equal(np.signbit(got[:2]), [False, True])


def test_no_nan_becomes_a_number() -> None:
    bits = np.array([0x7FC00000, 0x7F800001, 0xFF800001, 0xFFFFFFFF], np.uint32)
    room = np.zeros(4, np.float32)
    rounded(bits.view(np.float32), room)
    assert np.isnan((room.view(np.uint16)[:4].astype(np.uint32) << 16).view(np.float32)).all()


def nearest(x: NDArray[Any]) -> NDArray[np.float64]:
    """Round to 8 significant bits."""
    mantissa, exponent = np.frexp(x.astype(np.float32).astype(np.float64))
    return np.ldexp(np.rint(mantissa * 256), exponent - 8)


@needs_halves
@pytest.mark.parametrize("members", [1, 2])
def test_a_step_is_one_with_rounded_factors(members: int) -> None:
    """Against NumPy in float64: only the factors of the five products are rounded."""
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((9, 3)).astype(np.float32), rng.standard_normal((9, 2)).astype(np.float32)
    params = rng.standard_normal(SHAPES[0][0] * 5 + 5 + 10 + 2).astype(np.float32)
    W1, b1, W2, b2 = (part.reshape(shape) for part, shape in zip(np.split(params, [15, 20, 30]), SHAPES, strict=True))
    hidden = np.tanh(nearest(x) @ nearest(W1) + b1)
    output = nearest(hidden) @ nearest(W2) + b2
    delta = (output - y) / 9
    before = (nearest(delta) @ nearest(W2).T) * (1 - hidden**2)
    grads = (nearest(x).T @ nearest(before), before.sum(0), nearest(hidden).T @ nearest(delta), delta.sum(0))
    expected = params - 0.1 * np.concatenate([grad.ravel() for grad in grads])

    net = program()
    executor = NumbaExecutor(net, "bfloat16")
    assert executor.dtype == np.float32
    state = executor.put_state(HostState(params, np.zeros((0, params.size), np.float32)))
    steps = steps_for(net, 9, 9)
    steps.coefficients[:] = 0
    assert net.update is not None
    steps.coefficients[:, net.update.columns.index("lr")] = 0.1
    trained, record = executor.train(state, executor.put_data(x, y), steps, members)
    np.testing.assert_allclose(trained.params, expected, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(record.losses, np.square(output - y).mean(), rtol=1e-5)
    assert not np.allclose(trained.params, expected + 1e-3, rtol=0, atol=1e-4)


@needs_halves
def test_predictions_follow_the_weights() -> None:
    """The rounded copy of the weights is that of the state at hand."""
    net = program()
    executor = NumbaExecutor(net, "bfloat16")
    x = np.random.default_rng(6).standard_normal((200, 3)).astype(np.float32)
    for scale in (1.0, 3.0):
        params = np.full(net.parameter_count, scale, np.float32)
        state = executor.put_state(HostState(params, np.zeros((0, params.size), np.float32)))
        hidden = np.tanh(nearest(x) @ np.full((3, 5), scale) + scale)
        expected = nearest(hidden) @ np.full((5, 2), scale) + scale
        np.testing.assert_allclose(executor.predict(state, x, 32), expected, rtol=1e-5)
        np.testing.assert_allclose(executor.predict(state, x[:3], 32), expected[:3], rtol=1e-5)


@needs_halves
def test_float64_and_float32_are_not_touched() -> None:
    net = program()
    x = np.random.default_rng(7).standard_normal((8, 3))
    params = np.random.default_rng(8).standard_normal(net.parameter_count)
    results = []
    for precision in ("float64", "float32", "bfloat16"):
        executor = NumbaExecutor(net, precision)
        host = state_for(net, params)
        results.append(executor.predict(executor.put_state(host), x.astype(executor.dtype), 8))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5, atol=1e-5)
    assert np.abs(results[2] - results[0]).max() > 1e-4


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "bind", lambda: "scipy")
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: {"avx2": True})
    assert "AVX512-BF16 or AMX" in str(blas.why_no_halves()), "MKL would not help"
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: {"avx512bf16": True})
    assert "pip install 'fastann[mkl]'" in str(blas.why_no_halves())
    monkeypatch.setattr(blas, "bind", lambda: "mkl")
    assert blas.why_no_halves() is None
