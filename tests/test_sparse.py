"""The first layer that skips zeros, and updates fused with the backward pass: the bits of the plain way.

The plain way is the specification: dense kernels, all gradients of a step stored before any update.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core

UNITS = 70  # panels: four whole and one of six lanes


def sparse_rows(n: int, n_in: int, density: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 256, (n, n_in)) * (rng.random((n, n_in)) < density)
    return x.astype(np.uint8)


def trained(
    x: np.ndarray,
    layers: Sequence[Any],
    *,
    skip: bool,
    unfused: bool = False,
    batch_size: int = 24,
    momentum: float = 0.0,
    nesterov: bool = False,
    frozen: Sequence[int] = (),
    n_threads: int = 2,
) -> list[bytes]:
    """Bytes of every variable after two epochs, and the losses."""
    net = fnn.Network(x.shape[1], layers, seed=3)
    training = _core.Training(net._net, "softmax_cross_entropy", momentum, nesterov, 5)
    data = _core.Data(net._net, x, np.arange(len(x)) % net.n_out, "softmax_cross_entropy")
    if skip:
        data.find_zeros()
        assert data.is_sparse
    rates = np.full(-(-len(x) // batch_size), 0.1, np.float32)
    trainable = np.array([i not in frozen for i in range(len(net.variables))], np.uint8)
    order = np.empty(len(x), np.uint32)
    losses = [training.run_epoch(data, batch_size, rates, trainable, order, n_threads, None, unfused) for _ in range(2)]
    return [np.asarray(variable).tobytes() for variable in net.variables.values()] + [repr(losses).encode()]


def mlp(*extra: Any, units: int = UNITS) -> list[Any]:
    return [fnn.Rescaling(1 / 255), fnn.Dense(units, "relu"), *extra, fnn.Dense(5)]


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
@pytest.mark.parametrize("unfused", [False, True])
def test_skipping_gives_the_bits_of_the_dense_unfused_way(isa: str, unfused: bool, n_threads: int) -> None:
    x = sparse_rows(100, 150, 0.2)
    plain = trained(x, mlp(), skip=False, unfused=True, n_threads=1)
    assert trained(x, mlp(), skip=True, unfused=unfused, n_threads=n_threads) == plain
    assert trained(x, mlp(), skip=False, unfused=unfused, n_threads=n_threads) == plain


@pytest.mark.parametrize("n_in", [1, 15, 16, 17, 127, 128, 129, 300])
@pytest.mark.parametrize("units", [64, 65, 128, 150])
def test_every_width(n_in: int, units: int) -> None:
    x = sparse_rows(50, n_in, 0.15, seed=n_in)
    assert trained(x, mlp(units=units), skip=True) == trained(x, mlp(units=units), skip=False, unfused=True)


@pytest.mark.parametrize("batch_size", [1, 7, 31, 32, 33, 50])
def test_every_batch_size(batch_size: int) -> None:
    x = sparse_rows(50, 40, 0.2)
    plain = trained(x, mlp(), skip=False, unfused=True, batch_size=batch_size)
    assert trained(x, mlp(), skip=True, batch_size=batch_size) == plain


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"frozen": [0]},
        {"frozen": [1, 2]},
        {"momentum": 0.5, "frozen": [0, 3]},
    ],
    ids=str,
)
def test_every_update(settings: dict[str, Any]) -> None:
    x = sparse_rows(60, 90, 0.1)
    layers = mlp(fnn.Dropout(0.7))
    plain = trained(x, layers, skip=False, unfused=True, **settings)
    assert trained(x, layers, skip=True, **settings) == plain
    assert trained(x, layers, skip=True, unfused=True, **settings) == plain
    assert trained(x, layers, skip=False, **settings) == plain


def test_single_layer_and_naive_dropout() -> None:
    x = sparse_rows(60, 90, 0.1)
    for layers in ([fnn.Dense(64)], mlp(fnn.Dropout(0.5, naive=True)), [fnn.Dense(80, "tanh"), fnn.Dense(6, "relu")]):
        assert trained(x, layers, skip=True) == trained(x, layers, skip=False, unfused=True)


def test_rows_and_columns_without_entries_and_signed_zeros() -> None:
    x = sparse_rows(60, 90, 0.1).astype(np.float32)
    x[10:40] = 0
    x[:, 20:70] = 0
    assert trained(x, mlp(), skip=True) == trained(x, mlp(), skip=False, unfused=True)
    x[x == 0] = -0.0
    assert trained(x, mlp(), skip=True) == trained(np.abs(x), mlp(), skip=False, unfused=True)
    nothing = np.zeros_like(x)
    assert trained(nothing, mlp(), skip=True) == trained(nothing, mlp(), skip=False, unfused=True)


def test_evaluation_skips_to_the_same_numbers(isa: str) -> None:
    x, y = sparse_rows(300, 90, 0.1), np.arange(300) % 5
    net = fnn.Network(90, mlp(), seed=1)
    dense, sparse = (_core.Data(net._net, x, y, "softmax_cross_entropy") for _ in range(2))
    sparse.find_zeros()
    assert sparse.is_sparse
    for n_threads in (1, 2, 3):
        assert net._net.evaluate(sparse, "softmax_cross_entropy", n_threads) == net._net.evaluate(
            dense, "softmax_cross_entropy", 1
        )


@pytest.mark.parametrize(
    ("why", "layers", "density"),
    [
        ("zero does not stay zero", [fnn.Rescaling(1 / 255, -0.5), fnn.Dense(UNITS)], 0.1),
        ("too few zeros", [fnn.Dense(UNITS)], 0.9),
        ("too few units to gain", [fnn.Dense(10)], 0.1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_zeros_are_not_skipped(why: str, layers: list[Any], density: float) -> None:
    net = fnn.Network(50, layers, seed=0)
    data = _core.Data(net._net, sparse_rows(40, 50, density))
    data.find_zeros()
    assert not data.is_sparse, why


def test_dropout_on_the_input_takes_the_dense_way() -> None:
    x = sparse_rows(60, 90, 0.1)
    layers = [fnn.Rescaling(1 / 255), fnn.Dropout(0.8), fnn.Dense(UNITS, "relu"), fnn.Dense(5)]
    assert trained(x, layers, skip=True) == trained(x, layers, skip=False, unfused=True)


def test_nan_is_not_a_zero() -> None:
    x = sparse_rows(40, 90, 0.1).astype(np.float32)
    x[3, 4] = np.nan
    with pytest.raises(_core.Diverged):
        trained(x, mlp(), skip=True)


def test_fit_skips_zeros_and_allocates_nothing_in_a_step() -> None:
    x = sparse_rows(200, 90, 0.1)
    trainer = fnn.Trainer(fnn.Network(90, mlp(), seed=0))
    trainer.fit(x, np.arange(200) % 5, epochs=1, batch_size=10)
    net, training = trainer.network._net, trainer._training
    data = _core.Data(net, x, np.arange(200) % 5, "softmax_cross_entropy")
    data.find_zeros()
    rates, trainable, order = np.full(20, 0.1, np.float32), np.ones(4, np.uint8), np.empty(200, np.uint32)
    training.run_epoch(data, 10, rates, trainable, order, 2)
    before = _core.alloc_count()
    training.run_epoch(data, 10, rates, trainable, order, 2)
    assert _core.alloc_count() == before


def test_a_plan_without_room_for_entries_takes_the_dense_way() -> None:
    """As a training does whose batch would have more entries than 32 bits can number."""
    x, y = sparse_rows(60, 90, 0.1), np.arange(60) % 5
    net = fnn.Network(90, mlp(), seed=1)
    dense, sparse = (_core.Data(net._net, x, y, "softmax_cross_entropy") for _ in range(2))
    sparse.find_zeros()
    found, expected = (net._net.gradients(data, "softmax_cross_entropy", 2) for data in (sparse, dense))
    assert found[0] == expected[0]
    assert all(np.array_equal(a, b) for a, b in zip(found[1], expected[1], strict=True))
