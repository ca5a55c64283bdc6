"""The first layer that skips zeros, by bits or by the lists of a sparse matrix, and updates fused with the backward
pass: the bits of the plain way.

The plain way is the specification: dense kernels, all gradients of a step stored before any update.
"""

from __future__ import annotations

import copy
import itertools
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


class Csr:
    """What fastnn looks at in one of SciPy's sparse matrices."""

    format = "csr"

    def __init__(self, x: np.ndarray) -> None:
        self.shape = x.shape
        rows, self.indices = np.nonzero(x)
        self.data = x[rows, self.indices]
        self.indptr = np.r_[0, np.cumsum(np.bincount(rows, minlength=len(x)))]

    def tocsr(self) -> Csr:
        return self


WAYS = ["bits", "lists"]


def make_data(net: fnn.Network, x: np.ndarray, y: np.ndarray, way: str) -> _core.Data:
    data = _core.Data(net._net, Csr(x) if way == "lists" else x, y, "softmax_cross_entropy")
    if way == "bits":
        data.find_zeros()
        assert data.skips_zeros
    return data


def trained(
    x: np.ndarray,
    layers: Sequence[Any],
    *,
    way: str = "dense",
    unfused: bool = False,
    batch_size: int = 24,
    frozen: Sequence[int] = (),
    n_threads: int = 2,
    **rule: Any,
) -> list[bytes]:
    """Bytes of every variable after two epochs, and the losses."""
    net = fnn.Network(x.shape[1], copy.deepcopy(layers), seed=3)
    training = _core.Training(net._net, "softmax_cross_entropy", 5, **rule)
    data = make_data(net, x, np.arange(len(x)) % net.n_out, way)
    rates = np.full(-(-len(x) // batch_size), 0.1, np.float32)
    trainable = np.array([i not in frozen for i in range(len(net.variables))], np.uint8)
    order = np.empty(len(x), np.uint32)
    losses = [training.run_epoch(data, batch_size, rates, trainable, order, n_threads, None, unfused) for _ in range(2)]
    return [np.asarray(variable).tobytes() for variable in net.variables.values()] + [repr(losses).encode()]


def mlp(*extra: Any, units: int = UNITS) -> list[Any]:
    return [fnn.Rescaling(1 / 255), fnn.Dense(units, "relu"), *extra, fnn.Dense(5)]


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
@pytest.mark.parametrize("unfused", [False, True])
def test_every_way_gives_the_bits_of_the_dense_unfused_way(isa: str, unfused: bool, n_threads: int) -> None:
    x = sparse_rows(100, 150, 0.2)
    plain = trained(x, mlp(), unfused=True, n_threads=1)
    for way in ("dense", *WAYS):
        assert trained(x, mlp(), way=way, unfused=unfused, n_threads=n_threads) == plain


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("n_in", [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 300])
@pytest.mark.parametrize("units", [1, 33, 64, 65, 128, 150])
def test_every_width(n_in: int, units: int, way: str) -> None:
    x = sparse_rows(50, n_in, 0.15, seed=n_in)
    assert trained(x, mlp(units=units), way=way) == trained(x, mlp(units=units), unfused=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("batch_size", [1, 7, 63, 64, 65, 150])
def test_every_batch_size(batch_size: int, way: str) -> None:
    x = sparse_rows(150, 40, 0.2)
    plain = trained(x, mlp(), unfused=True, batch_size=batch_size)
    assert trained(x, mlp(), way=way, batch_size=batch_size) == plain


@pytest.mark.parametrize(
    "settings",
    [
        {"update": "momentum", "momentum": 0.9},
        {"update": "nesterov", "momentum": 0.9},
        {"frozen": [0]},
        {"frozen": [1, 2]},
        {"update": "momentum", "momentum": 0.5, "frozen": [0, 3]},
        {"decay": 0.1},
        {"update": "adam", "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
        {
            "update": "adam",
            "beta2": 0.9,
            "epsilon": 0.1,
            "decay": 0.1,
            "restraints": [(0, 0.01, 0), (0.1, 0, 0)],
            "frozen": [1],
        },
        {"restraints": [(0.1, 0, 0), (0, 0, 0)]},
        {"restraints": [(0, 0.01, 0), (0.1, 0, 0)]},
        {
            "update": "momentum",
            "momentum": 0.9,
            "decay": 0.1,
            "restraints": [(0.1, 0.02, 0), (0, 0.01, 0)],
            "frozen": [2],
        },
        {"restraints": [(0, 0, 1.0), (0, 0, 0.5)]},
        {"update": "momentum", "momentum": 0.9, "restraints": [(0.1, 0, 1.0), (0, 0, 0.5)], "frozen": [2]},
        {"update": "nesterov", "momentum": 0.9, "restraints": [(0, 0.01, 0), (0.1, 0, 0)], "frozen": [0]},
    ],
    ids=str,
)
def test_every_update(isa: str, settings: dict[str, Any]) -> None:
    """Also of inputs that no row of a batch has, whose weights may change all the same."""
    x = sparse_rows(60, 90, 0.1)
    x[:, 20:40] = 0
    layers = mlp(fnn.Dropout(0.7))
    plain = trained(x, layers, unfused=True, n_threads=1, **settings)
    for n_threads, way, unfused in itertools.product((1, 2, 3, 8), ("dense", *WAYS), (False, True)):
        assert trained(x, layers, way=way, unfused=unfused, n_threads=n_threads, **settings) == plain


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "layers",
    [
        [fnn.Dense(64)],
        mlp(fnn.Dropout(0.5, naive=True)),
        [fnn.Dense(80, "tanh"), fnn.Dense(6, "relu")],
        [fnn.Rescaling(1 / 255), fnn.Dropout(0.8), fnn.Dense(UNITS, "relu"), fnn.Dense(5)],
        [fnn.Rescaling(0.01), fnn.Dropout(0.7, naive=True), fnn.Dense(9)],
    ],
    ids=["single", "naive_dropout", "activations", "input_dropout", "naive_input_dropout"],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_every_network(layers: list[Any], way: str, dtype: type) -> None:
    x = sparse_rows(60, 90, 0.1).astype(dtype)
    assert trained(x, layers, way=way) == trained(x, layers, unfused=True)


@pytest.mark.parametrize("way", WAYS)
def test_rows_and_columns_without_entries_and_signed_zeros(way: str) -> None:
    x = sparse_rows(60, 90, 0.1).astype(np.float32)
    x[10:40] = 0
    x[:, 20:70] = 0
    assert trained(x, mlp(), way=way) == trained(x, mlp(), unfused=True)
    x[x == 0] = -0.0
    assert trained(x, mlp(), way=way) == trained(np.abs(x), mlp(), unfused=True)
    nothing = np.zeros_like(x)
    assert trained(nothing, mlp(), way=way) == trained(nothing, mlp(), unfused=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("naive", [False, True])
def test_evaluation_skips_to_the_same_numbers(isa: str, way: str, naive: bool) -> None:
    x, y = sparse_rows(300, 90, 0.1), np.arange(300) % 5
    net = fnn.Network(90, [fnn.Dropout(0.5, naive=naive), fnn.Dense(UNITS, "relu"), fnn.Dense(5)], seed=1)
    dense, sparse = make_data(net, x, y, "dense"), make_data(net, x, y, way)
    expected = net._net.evaluate(dense, "softmax_cross_entropy", 1)
    for n_threads in (1, 2, 3):
        assert net._net.evaluate(sparse, "softmax_cross_entropy", n_threads) == expected


@pytest.mark.parametrize(
    ("why", "layers", "density"),
    [
        ("zero does not stay zero", [fnn.Rescaling(1 / 255, -0.5), fnn.Dense(UNITS)], 0.1),
        ("too few zeros", [fnn.Dense(UNITS)], 0.9),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_zeros_are_not_skipped(why: str, layers: list[Any], density: float) -> None:
    net = fnn.Network(50, layers, seed=0)
    data = _core.Data(net._net, sparse_rows(40, 50, density))
    data.find_zeros()
    assert not data.skips_zeros, why


def test_dense_data_after_a_sparse_start_is_found() -> None:
    x = np.ones((3000, 40), np.uint8)
    x[:1100, 1:] = 0
    net = fnn.Network(40, [fnn.Dense(3)], seed=0)
    data = _core.Data(net._net, x)
    data.find_zeros()
    assert not data.skips_zeros


@pytest.mark.parametrize("use", ["fit", "validation", "evaluate", "activities"])
def test_zeros_are_found_by_whatever_reads_rows(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits do not tell: they are the same either way."""
    seen = []

    class Data(_core.Data):
        def find_zeros(self) -> None:
            super().find_zeros()
            seen.append((len(self), self.skips_zeros))

    monkeypatch.setattr(_core, "Data", Data)
    x, y, few = sparse_rows(40, 90, 0.1), np.arange(40) % 5, np.ones((20, 90), np.uint8)
    trainer = fnn.Trainer(fnn.Network(90, mlp(), seed=0))
    if use == "activities":
        trainer.network.activities(x)
    elif use == "evaluate":
        trainer.evaluate(x, y)
    elif use == "fit":
        trainer.fit(x, y, epochs=1)
    else:
        trainer.fit(few, y[:20], epochs=1, validation_data=(x, y))
    assert (40, True) in seen


@pytest.mark.parametrize("way", WAYS)
def test_nan_is_not_a_zero(way: str) -> None:
    x = sparse_rows(40, 90, 0.1).astype(np.float32)
    x[3, 4] = np.nan
    with pytest.raises(_core.Diverged):
        trained(x, mlp(), way=way)


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


# ---- sparse matrices ----


def sparse_network(*layers: Any) -> fnn.Network:
    return fnn.Network(90, [*layers, fnn.Dense(UNITS, "relu"), fnn.Dense(5)], seed=2)


def test_a_sparse_matrix_is_taken_wherever_rows_are() -> None:
    x, y = sparse_rows(70, 90, 0.1).astype(np.float32), np.arange(70) % 5
    results = []
    for rows in (x, Csr(x)):
        net = sparse_network(fnn.Rescaling(1 / 3))
        trainer = fnn.Trainer(net)
        history = trainer.fit(rows, y, epochs=2, batch_size=16, validation_data=(rows, y), progress=False)
        results.append((history["loss"], history["val_loss"], trainer.evaluate(rows, y), net(rows).tobytes()))
        gradients = net.gradients(rows, y)
        results[-1] += ({name: value.tobytes() for name, value in gradients.items()},)
    assert results[0] == results[1]


def test_scipy_gives_the_same() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    x = sparse_rows(50, 90, 0.1).astype(np.float64)
    net = sparse_network()
    expected = net(x)
    for matrix in (sparse.csr_matrix(x), sparse.csc_array(x), sparse.coo_array(x)):
        np.testing.assert_array_equal(net(matrix), expected)


def test_unsorted_and_repeated_entries_are_put_in_order() -> None:
    x = sparse_rows(30, 90, 0.2).astype(np.float32)
    matrix = Csr(x)
    for begin, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        matrix.indices[begin:end] = matrix.indices[begin:end][::-1].copy()
        matrix.data[begin:end] = matrix.data[begin:end][::-1].copy()
    net = sparse_network()
    np.testing.assert_array_equal(net(matrix), net(x))

    halves = Csr(x)  # every entry twice, as two halves
    halves.indptr = 2 * halves.indptr
    halves.indices, halves.data = np.repeat(halves.indices, 2), np.repeat(halves.data / 2, 2)
    np.testing.assert_array_equal(net(halves), net(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: setattr(m, "shape", (30, 89)),
            r"x must have shape \(n, 90\), got a sparse matrix of shape \(30, 89\)",
        ),
        (lambda m: m.indices.__setitem__(3, 90), "x must be a valid CSR matrix"),
        (lambda m: m.indices.__setitem__(3, -1), "x must be a valid CSR matrix"),
        (lambda m: m.indptr.__setitem__(3, 10**6), "x must be a valid CSR matrix"),
        (lambda m: setattr(m, "indptr", m.indptr[:-1]), "x must be a valid CSR matrix"),
    ],
)
def test_a_broken_sparse_matrix_is_an_error(change: Any, message: str) -> None:
    matrix = Csr(sparse_rows(30, 90, 0.2))
    change(matrix)
    with pytest.raises(ValueError, match=message):
        sparse_network()(matrix)


def test_a_sparse_matrix_needs_zero_to_stay_zero() -> None:
    with pytest.raises(ValueError, match="x must be dense for a Rescaling that does not leave zero at zero"):
        sparse_network(fnn.Rescaling(1 / 255, -0.5))(Csr(sparse_rows(30, 90, 0.2)))


def test_a_sparse_matrix_holds_real_numbers() -> None:
    matrix = Csr(sparse_rows(30, 90, 0.2))
    matrix.data = matrix.data.astype(complex)
    with pytest.raises(TypeError, match=r"x\.data must hold real numbers"):
        sparse_network()(matrix)
