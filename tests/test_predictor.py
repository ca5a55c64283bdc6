"""Predictors: the bits of the dense kernels, their errors, and what their callers rely on.

The specification is ``dense``: batches of so many rows that no kernel for few rows, none that skips zeros, takes part.
The driver's tests hold it to the plan's forward pass.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import _core

Array = NDArray[Any]

MANY = 120  # rows of a chunk that goes the dense way
LINKS = ("identity", "sigmoid", "softmax")


def make(n_in: int, layers: Sequence[Any], link: str = "softmax") -> fnn.Network:
    """With biases that are not zero, and new layers."""
    net = fnn.Network(n_in, copy.deepcopy(layers), seed=3)
    net.link = link
    for i, variable in enumerate(net.variables.values()):
        if variable.name.endswith("/b"):
            variable.assign(_core.draw("normal", variable.size, 0.0, 0.3, 7, i))
    return net


def mlp() -> fnn.Network:
    return make(50, [fnn.Dense(37, "relu"), fnn.Dense(150, "relu"), fnn.Dense(10)])


def rows(n: int, n_in: int, density: float = 1.0, dtype: Any = np.float32) -> Array:
    rng = np.random.default_rng(n)
    x = rng.integers(1, 256, (n, n_in)) if dtype == np.uint8 else rng.standard_normal((n, n_in))
    return np.asarray(x * (rng.random((n, n_in)) < density), dtype)


def dense(net: fnn.Network, x: Array) -> Array:
    """Beside rows without zeros, so that no layer lists what is not zero."""
    many = np.concatenate([x, np.full((MANY - len(x), x.shape[1]), 3, x.dtype)])
    predict = net if net.link == "identity" else net.predict_proba
    return predict(many, num_threads=1)[: len(x)]


def same_bits(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


# ---- bits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("density", [0.0, 0.15, 0.5, 1.0])
def test_every_batch(isa: str, density: float) -> None:
    net = mlp()
    p = net.predictor(40)
    for n in range(1, 41):
        x = rows(n, 50, density)
        assert same_bits(p(x), dense(net, x)), n


@pytest.mark.parametrize("n_in", [1, 15, 16, 17, 127, 129, 300])
@pytest.mark.parametrize("units", [1, 16, 70, 129, 150])
def test_every_width(isa: str, n_in: int, units: int) -> None:
    net = make(n_in, [fnn.Dense(units, "relu"), fnn.Dense(3)])
    p = net.predictor(30)
    for n, density in [(1, 1.0), (2, 0.4), (5, 0.2), (30, 0.2)]:
        x = rows(n, n_in, density)
        assert same_bits(p(x), dense(net, x)), n


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("activation", ["linear", "sigmoid", "tanh", "relu"])
def test_every_activation_and_link(isa: str, activation: str, link: str) -> None:
    for n_out in (1, 16, 21):
        net = make(20, [fnn.Dense(33, activation), fnn.Dense(n_out, activation)], link)
        p = net.predictor(9)
        for n in (1, 2, 7, 8, 9):
            x = rows(n, 20, 0.5)
            assert same_bits(p(x), dense(net, x)), (n_out, n)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("first", [fnn.Rescaling(1 / 255), fnn.Rescaling(1 / 127, -1.0), None], ids=str)
def test_rescaling_and_naive_dropout(isa: str, first: Any, dtype: Any) -> None:
    naive = fnn.Dropout(0.8, naive=True)
    layers = [naive, fnn.Dense(40, "relu"), fnn.Dropout(0.5, naive=True), fnn.Dense(20, "tanh"), fnn.Dense(5)]
    for chosen in (layers, layers[1:]):
        net = make(35, [first, *chosen] if first is not None else chosen)
        p = net.predictor(20)
        for n in (1, 3, 20):
            x = rows(n, 35, 0.2, dtype)
            assert same_bits(p(x), dense(net, x)), n


def test_negative_zeros_and_nan(isa: str) -> None:
    net = mlp()
    p = net.predictor(3)
    x = rows(3, 50, 0.2)
    expected = dense(net, x)
    x[x == 0] = -0.0
    assert same_bits(p(x), expected)
    assert same_bits(p(x[:1]), expected[:1])
    x[1, 7] = np.nan
    assert np.isnan(p(x)[1]).all()
    assert np.isnan(p(x[1:2])).all()
    assert same_bits(p(x)[[0, 2]], expected[[0, 2]])


def test_a_zero_hides_an_infinite_weight() -> None:
    """As documented: a product with zero may be left out."""
    net = make(4, [fnn.Dense(2)], "identity")
    net.variables["dense_1/W"].assign(np.full((4, 2), 3e38))
    x = np.zeros((1, 4), np.float32)
    assert same_bits(net.predictor(1)(x), np.asarray(net.variables["dense_1/b"])[None])


@pytest.mark.parametrize("num_threads", [1, 2, 3, 8])
def test_threads_and_chunks(num_threads: int) -> None:
    """Enough work for several threads, in chunks of which the last is ragged."""
    net = make(400, [fnn.Dense(300, "relu"), fnn.Dense(10)])
    x = rows(701, 400, 0.3)
    p = net.predictor(1000, num_threads=num_threads)
    assert p.n_threads == num_threads
    expected = net.predictor(1)
    for n in (130, 250, 701):
        assert same_bits(p(x[:n]), np.concatenate([expected(row) for row in np.split(x[:n], n)])), n


def test_what_memory_held_before_does_not_matter(isa: str) -> None:
    net = mlp()
    x = rows(5, 50, 0.3)
    expected = dense(net, x)
    for byte in (0, 255, 127):
        p = net.predictor(5)
        p.poison(byte)
        assert same_bits(p(x), expected)
        assert same_bits(p(x[:1]), expected[:1])


# ---- what callers rely on --------------------------------------------------------------------------------------------


def test_results() -> None:
    x = rows(4, 50)
    net = mlp()
    p = net.predictor(4)
    assert same_bits(p(x), net.predict_proba(x))
    first = p(x)
    kept = first.copy()
    assert p(x[:2]) is not first
    assert same_bits(first, kept), "a result was overwritten"
    assert p(x[:0]).shape == (0, 10)
    values = make(50, [fnn.Dense(3)], "identity")
    assert same_bits(values.predictor(4)(x), values(x))
    silent = fnn.Network(50, [fnn.Dense(3)], seed=0)
    assert same_bits(silent.predictor(4)(x), silent(x))


def test_out() -> None:
    net = mlp()
    p = net.predictor(4)
    x, out = rows(4, 50), np.full((6, 10), 7, np.float32)
    view = out[1:5]
    assert p(x, out=view) is view
    assert same_bits(view, p(x))
    assert (out[[0, 5]] == 7).all()
    view[...] = 7
    assert p(x, view) is view
    assert same_bits(view, p(x))


def test_nothing_is_allocated() -> None:
    net = mlp()
    for n in (1, 40, 300):
        p, x, out = net.predictor(n), rows(n, 50), np.empty((n, 10), np.float32)
        before = _core.alloc_count()
        for i in range(1, n + 1):
            p(x[:i], out=out[:i])
        assert _core.alloc_count() == before
    net.predict(rows(9, 50))
    before = _core.alloc_count()
    for n in range(1, 17):
        net.predict(rows(n, 50))
    assert _core.alloc_count() == before


def test_it_sees_changes_of_the_network() -> None:
    net = mlp()
    p, x = net.predictor(2), rows(2, 50)
    before = p(x)
    net.variables["dense_2/b"] = np.full(150, 0.5)
    assert not np.array_equal(p(x), before)
    assert same_bits(p(x), dense(net, x))
    fnn.Trainer(net).fit(rows(64, 50), np.arange(64) % 10, epochs=1, batch_size=16, progress=False)
    assert same_bits(p(x), dense(net, x))


def test_it_keeps_its_network_alive() -> None:
    x = rows(1, 50)
    expected, p = mlp().predict_proba(x), mlp().predictor(1)
    assert same_bits(p(x), expected)


@pytest.mark.parametrize("convert", [np.float64, np.int32, np.asfortranarray, lambda x: x[::-1][::-1], list, "other"])
def test_input_that_is_not_plain_is_converted(convert: Any) -> None:
    net = mlp()
    x = np.arange(4 * 50, dtype=np.float32).reshape(4, 50) % 7
    expected = dense(net, x)
    if convert == "other":
        given: Any = x.astype(x.dtype.newbyteorder())
    else:
        given = convert(x) if convert is not list else x.tolist()
    assert same_bits(net.predictor(4)(given), expected)


def test_unaligned_input() -> None:
    net, x = mlp(), rows(2, 50)
    raw = np.zeros(x.nbytes + 1, np.uint8)
    raw[1:] = x.view(np.uint8).ravel()
    assert same_bits(net.predictor(2)(raw[1:].view(np.float32).reshape(2, 50)), dense(net, x))


def test_threads_share_a_predictor() -> None:
    net = make(300, [fnn.Dense(300, "relu"), fnn.Dense(10)])
    few, many = net.predictor(2), net.predictor(64, num_threads=2)
    x = rows(64, 300, 0.4)
    expected, wrong = dense(net, x), []

    def work(first: int) -> None:
        for i in range(first, first + 60):
            at = i % 62
            good = same_bits(few(x[at : at + 2]), expected[at : at + 2]) and same_bits(many(x), expected)
            if not (good and same_bits(net.predict_proba(x[at : at + 1]), expected[at : at + 1])):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---- errors ----------------------------------------------------------------------------------------------------------

X = np.ones((2, 50), np.float32)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones(50, np.float32), ValueError, r"x must have shape \(n, 50\), got 1 dimension.*x\[None, :\]"),
        (np.ones((2, 49), np.float32), ValueError, r"x must have shape \(n, 50\), got \(2, 49\)"),
        (np.ones((1, 2, 50), np.float32), ValueError, r"x must have shape \(n, 50\), got 3 dimension"),
        (np.ones((5, 50), np.float32), ValueError, "x must have at most 4 rows, got 5"),
        (np.ones((5, 50)), ValueError, "x must have at most 4 rows, got 5"),
        (np.full((2, 50), "a"), TypeError, "x must hold real numbers, got dtype <U1"),
        (np.ones((2, 50), complex), TypeError, "x must hold real numbers, got dtype complex128"),
        (None, TypeError, "x must hold real numbers"),
    ],
)
def test_wrong_x(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mlp().predictor(4)(x)


READ_ONLY = np.zeros((2, 10), np.float32)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([[0.0] * 10] * 2, TypeError, "out must be a float32 NumPy array, got list"),
        (np.zeros((2, 10)), TypeError, "out must be a float32 NumPy array, got one of float64"),
        (np.zeros((2, 10), ">f4"), TypeError, "out must be a float32 NumPy array, got one of >f4"),
        (np.zeros((2, 40), np.uint8), TypeError, "out must be a float32 NumPy array, got one of uint8"),
        (np.zeros((3, 10), np.float32), ValueError, r"out must have shape \(2, 10\), got \(3, 10\)"),
        (np.zeros((2, 9), np.float32), ValueError, r"out must have shape \(2, 10\), got \(2, 9\)"),
        (np.zeros(20, np.float32), ValueError, r"out must have shape \(2, 10\), got \(20,\)"),
        (np.zeros((10, 2), np.float32).T, ValueError, "out must be C-contiguous, aligned and writeable"),
        (np.zeros((2, 20), np.float32)[:, ::2], ValueError, "out must be C-contiguous, aligned and writeable"),
        (READ_ONLY, ValueError, "out must be C-contiguous, aligned and writeable"),
    ],
)
def test_wrong_out(out: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mlp().predictor(4)(X, out=out)


def test_out_must_not_overlap_x() -> None:
    net = make(10, [fnn.Dense(10)])
    x = np.ones((4, 10), np.float32)
    with pytest.raises(ValueError, match="out must not share memory with x"):
        net.predictor(2)(x[:2], out=x[1:3])
    net.predictor(2)(x[:2], out=x[2:])


@pytest.mark.parametrize(
    ("batch", "error"), [(0, ValueError), (2**31, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_wrong_batch(batch: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="batch must be an integer from 1 to 2147483647"):
        mlp().predictor(batch)


@pytest.mark.parametrize(("num_threads", "error"), [(0, ValueError), (257, ValueError), ("2", TypeError)])
def test_wrong_num_threads(num_threads: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="num_threads must be an integer from 1 to 256"):
        mlp().predictor(1, num_threads=num_threads)


def test_errors_release_what_they_held() -> None:
    """An array that is still lent out could not be resized."""
    p, x, out = mlp().predictor(4), np.ones((5, 50), np.float32), np.zeros((3, 10), np.float32)
    for bad in (lambda: p(x), lambda: p(x[:2].copy(), out=out)):
        with pytest.raises(ValueError, match="must have"):
            bad()
    x.resize((6, 50), refcheck=False)
    out.resize((4, 10), refcheck=False)
