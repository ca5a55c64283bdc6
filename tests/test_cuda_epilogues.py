"""What cuBLASLt does to sums of products itself: biases, ReLUs and their gradients; by tests/c/cublaslt.c."""

from __future__ import annotations

import contextlib
import copy
import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core

IS_EMULATED = fnn.cuda.is_available() and fnn.cuda.device_name(0) == "emulated on the host"
pytestmark = [
    pytest.mark.skipif(not IS_EMULATED, reason="there is no emulated CUDA module"),
    pytest.mark.usefixtures("blas"),
]

N, N_IN, N_STEPS = 45, 70, 5
RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(N, N_IN)).astype(np.float32)
LABELS = RANDOM.integers(0, 5, N)

# cublasLtEpilogue_t
DEFAULT, BIAS, BIAS_RELU, BIAS_RELU_MASK, MASKED, MASKED_BIAS = 1, 4, 6, 134, 136, 152
# FAKE_BLAS_FAILURE
NO_EPILOGUES, NO_COLUMN_SUMS = "3", "4"

LOSS = "softmax_cross_entropy"

Counts = Callable[[], dict[int, int]]


@pytest.fixture
def counts(blas: ctypes.CDLL) -> Counts:
    """How many products have had each epilogue since it was last asked."""
    products = (ctypes.c_int * 256).in_dll(blas, "fake_blas_epilogues")
    before = list(products)

    def ask() -> dict[int, int]:
        nonlocal before
        now = list(products)
        new = {i: now[i] - before[i] for i in range(256) if now[i] > before[i]}
        before = now
        return new

    return ask


@contextlib.contextmanager
def library_without(what: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if what:
            patch.setenv("FAKE_BLAS_FAILURE", what)
        yield


def network(precision: str, *layers: Any) -> fnn.Network:
    """Its biases are not zero, and have few enough digits for bfloat16."""
    net = fnn.Network(N_IN, copy.deepcopy(list(layers)), seed=7, device="gpu:0", precision=precision)
    for name, variable in net.variables.items():
        if name.endswith("/b"):
            variable.assign(np.random.default_rng(1).integers(-4, 5, variable.shape).astype(np.float32) / 8)
    return net


def both(precision: str, *layers: Any, lacks: str = "", fit: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What a network comes to, with the library's epilogues but those that it lacks, and without any."""
    results = []
    for without in (lacks, NO_EPILOGUES):
        with library_without(without):
            net = network(precision, *layers)
            result = {"y": net(X), "gradients": net.gradients(X, LABELS, loss=LOSS), "activities": net.activities(X)}
            coach = fnn.Trainer(net, optimizer=fnn.SGD(0.05))
            coach.fit(X, LABELS, **({"epochs": 2, "batch_size": 10} | (fit or {})))
            results.append(result | {"flat": net.get_flat(), "losses": coach.batch_losses})
    return results


def assert_alike(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    """Before training all is equal but the order in which biases' gradients are summed up."""
    np.testing.assert_array_equal(one["y"], other["y"])
    for name in one["activities"]:
        np.testing.assert_array_equal(one["activities"][name], other["activities"][name])
    for name, gradient in one["gradients"].items():
        expected = other["gradients"][name]
        if name.endswith("/b"):
            close(gradient, expected, tolerance)
        else:
            np.testing.assert_array_equal(gradient, expected)


def close(one: Any, other: Any, tolerance: float) -> None:
    """Within that share of the largest value."""
    np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(1e-30, np.abs(other).max()))


DEEP = [fnn.Dense(64, "relu"), fnn.Dense(66, "relu"), fnn.Dense(80), fnn.Dense(65, "tanh"), fnn.Dense(70)]
# A bfloat16 has 8 bits; the library rounds a bias's gradient to one, the kernel adds up ones.
BIAS_TOLERANCES = {"fp32-blas": 2e-6, "bf16": 2.0**-8}


# ---- which ones ----


@pytest.mark.parametrize("precision", ["fp32-blas", "bf16"])
def test_products_of_a_training(precision: str, counts: Counts) -> None:
    """Forward of three layers whose next one is the library's too, backward to the two with ReLUs."""
    coach = fnn.Trainer(network(precision, *DEEP))
    coach.fit(X, LABELS, batch_size=9)
    counts()
    coach.fit(X, LABELS, batch_size=9)
    each = {BIAS_RELU_MASK: 2, BIAS: 1, MASKED_BIAS: 2, DEFAULT: 3 * 5 - 1 - 5}
    assert counts() == {epilogue: N_STEPS * n for epilogue, n in each.items()}


@pytest.mark.parametrize("precision", ["fp32-blas", "bf16"])
def test_products_of_a_prediction(precision: str, counts: Counts) -> None:
    net = network(precision, *DEEP)
    net(X)
    assert counts() == {BIAS_RELU: 2, BIAS: 1, DEFAULT: 2}
    fnn.Trainer(net).evaluate(X, LABELS)
    assert counts() == {BIAS_RELU: 2, BIAS: 1, DEFAULT: 2}
    net.activities(X)  # which are floats
    assert counts() == {DEFAULT: 5}


@pytest.mark.parametrize(("n_inputs", "is_fused"), [(1023, False), (1024, True)])
def test_few_units_of_many_inputs(n_inputs: int, is_fused: bool, counts: Counts) -> None:
    fnn.Trainer(network("bf16", fnn.Dense(n_inputs, "relu"), fnn.Dense(5))).fit(X, LABELS, batch_size=N)
    products = counts()
    assert (BIAS_RELU_MASK in products, MASKED_BIAS in products) == (is_fused, is_fused)


def test_few_units_after_own_kernels(counts: Counts) -> None:
    """A layer that reads what an own kernel puts out stays with these."""
    fnn.Trainer(fnn.Network(1024, [fnn.Dense(5)], seed=1, device="gpu:0", precision="bf16")).fit(
        np.ones((9, 1024), np.float32), LABELS[:9]
    )
    assert counts() == {}


@pytest.mark.parametrize(("precision", "of_each"), [("tf32", 1), ("3xtf32", 3)])
def test_factors_that_the_library_does_not_round(precision: str, of_each: int, counts: Counts) -> None:
    net = network(precision, *DEEP)
    net(X)
    fnn.Trainer(net).fit(X, LABELS, batch_size=N)
    products = counts()
    assert set(products) == {DEFAULT}
    assert products[DEFAULT] % of_each == 0


@pytest.mark.parametrize(
    "layers",
    [
        [fnn.Dense(64, "relu"), fnn.Dropout(0.5), fnn.Dense(66)],
        [fnn.Dense(64, "leaky_relu"), fnn.Dense(66)],
        [fnn.Dense(64, "relu"), fnn.Dense(63, "relu"), fnn.Dense(66)],
        [fnn.Dense(66, "relu")],
    ],
    ids=["dropout", "another activation", "a narrow layer", "the last layer"],
)
def test_layers_that_are_not_fused(layers: list[Any], counts: Counts) -> None:
    fnn.Trainer(network("bf16", *layers)).fit(X, LABELS, batch_size=N)
    assert set(counts()) == {DEFAULT}


def test_library_that_has_no_epilogues(counts: Counts) -> None:
    with library_without(NO_EPILOGUES):
        net = network("bf16", *DEEP)
        net(X)
        coach = fnn.Trainer(net)
        coach.fit(X, LABELS, batch_size=N)
    coach.fit(X, LABELS, batch_size=N)  # decided once and for all
    assert set(counts()) == {DEFAULT}


def test_library_that_sums_no_columns(counts: Counts) -> None:
    with library_without(NO_COLUMN_SUMS):
        coach = fnn.Trainer(network("bf16", *DEEP))
        coach.fit(X, LABELS, batch_size=9)
    products = counts()
    assert MASKED_BIAS not in products
    assert products[MASKED] == products[BIAS_RELU_MASK] > 0


# ---- what they come to ----


@pytest.mark.parametrize("precision", ["fp32-blas", "bf16"])
@pytest.mark.parametrize("lacks", ["", NO_COLUMN_SUMS], ids=["all", "no sums of columns"])
def test_they_compute_what_kernels_do(precision: str, lacks: str) -> None:
    fused, unfused = both(precision, *DEEP, lacks=lacks)
    assert_alike(fused, unfused, 0 if lacks else BIAS_TOLERANCES[precision])
    after = 5e-6 if precision == "fp32-blas" else 1e-2
    close(fused["flat"], unfused["flat"], after)
    close(fused["losses"], unfused["losses"], after)


@pytest.mark.parametrize("fit", [{"batch_size": 1}, {"batch_size": 64}, {"batch_size": 17}], ids=repr)
def test_batches_that_do_not_fill_their_room(fit: dict[str, Any]) -> None:
    fused, unfused = both("fp32-blas", fnn.Dense(64, "relu"), fnn.Dense(100, "relu"), fnn.Dense(70), fit=fit)
    assert_alike(fused, unfused, 2e-6)
    close(fused["flat"], unfused["flat"], 5e-6)


def test_masks_of_several_words() -> None:
    """Wider than the 128 bits that their lines are padded to."""
    fused, unfused = both("fp32-blas", fnn.Dense(200, "relu"), fnn.Dense(300, "relu"), fnn.Dense(64))
    assert_alike(fused, unfused, 2e-6)


def test_shared_layers() -> None:
    shared = fnn.Dense(72, "relu", name="shared")
    fused, unfused = both("fp32-blas", fnn.Dense(72, "relu"), shared, shared, fnn.Dense(70))
    assert_alike(fused, unfused, 2e-6)
    close(fused["flat"], unfused["flat"], 5e-6)


@pytest.mark.parametrize("frozen", [("a/W",), ("a/b",), ("a/W", "a/b"), ("b/W", "c/W"), ("b/b",)], ids=repr)
def test_frozen_variables(frozen: tuple[str, ...]) -> None:
    flats = []
    for without in ("", NO_EPILOGUES):
        with library_without(without):
            net = network("fp32-blas", *(fnn.Dense(72, "relu", name=name) for name in "abc"))
            for name in frozen:
                net.variables[name].trainable = False
            before = {name: net.variables[name].value for name in net.variables}
            fnn.Trainer(net, optimizer=fnn.SGD(0.1)).fit(X, LABELS, batch_size=10)
            for name, value in before.items():
                assert (net.variables[name].value == value).all() == (name in frozen)
            flats.append(net.get_flat())
    close(flats[0], flats[1], 5e-6)


@pytest.mark.parametrize("precision", ["fp32-blas", "bf16"])
@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_what_memory_held_changes_nothing(precision: str, byte: int) -> None:
    net = network(precision, *DEEP)
    data = _core.Data(net._net, X, LABELS, LOSS)
    plain = net._net.gradients(data, LOSS, 1)
    poisoned = net._net.gradients(data, LOSS, 1, poison=byte)
    for one, other in zip(plain[1], poisoned[1], strict=True):
        np.testing.assert_array_equal(one, other)
