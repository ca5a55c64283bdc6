"""What the layers put out: against the specification, and the same bits as predictions."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core
from fastnn import reference as ref

N, N_IN = 600, 35  # more rows than the engine takes at a time
X = _core.draw("normal", N * N_IN, 0.0, 1.0, 5, 0).reshape(N, N_IN)
NAIVE = fnn.Dropout(0.5, naive=True)


def make_net(**rescaling: float) -> fnn.Network:
    layers = [
        fnn.Rescaling(**rescaling or {"scale": 0.5, "offset": 0.25}),
        NAIVE,
        fnn.Dense(33, "relu", name="first"),
        NAIVE,
        fnn.Dense(17, "tanh", bias_initializer="random_normal", name="second"),
        fnn.Dense(5, "softmax", name="last"),
    ]
    return fnn.Network(N_IN, layers, seed=8)


@pytest.mark.parametrize("n", [1, 37, N])
def test_activities_are_the_specifications(isa: str, n: int) -> None:
    """Those of a layer come before its dropout; dropout in prediction mode scales what the next layer reads."""
    net = make_net()
    drop = ref.Dropout(32768, 1.0, 0.5)
    layers = [ref.Layer(33, "relu", drop), ref.Layer(17, "tanh"), ref.Layer(5, "linear")]
    params = [np.asarray(variable, np.float64) for variable in net.variables.values()]
    _, expected = ref.forward(ref.Network(N_IN, 0.5, 0.25, drop, layers), params, X[:n])
    found = net.activities(X[:n])
    assert list(found) == ["first", "second", "last"]
    for array, values in zip(found.values(), expected[1:], strict=True):
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, values, rtol=1e-5, atol=1e-5)
    assert found["last"].tobytes() == net(X[:n]).tobytes()


def test_activities_have_the_same_bits(isa: str) -> None:
    """With any number of threads, as any selection, and as bytes, floats or a sparse matrix."""
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    net = make_net(scale=1 / 255)
    pixels = np.where(X > 1, 50 * X, 0).astype(np.uint8)
    once = net.activities(pixels, num_threads=1)
    for x, num_threads in [(pixels, 3), (pixels, None), (pixels.astype(np.float32), 2), (sparse.csr_matrix(pixels), 2)]:
        again = net.activities(x, num_threads=num_threads)
        assert all(again[name].tobytes() == once[name].tobytes() for name in once)
    some = net.activities(pixels, ["last", "first"])
    assert list(some) == ["last", "first"]
    assert all(some[name].tobytes() == once[name].tobytes() for name in some)
    _core.use_isa(_core.available_isas()[-1])
    assert net.activities(pixels)["second"].tobytes() == once["second"].tobytes()


@pytest.mark.parametrize("activation", ["gelu", "silu", "softplus"])
def test_those_before_a_naive_dropout_are_no_slopes(activation: str) -> None:
    layers = [fnn.Dense(5, activation, name="first"), NAIVE, fnn.Dense(2)]
    nets = [fnn.Network(N_IN, some, seed=1) for some in (layers, [layers[0], fnn.Dense(2)])]
    scaled, plain = (net.activities(X, ["first"])["first"] for net in nets)
    np.testing.assert_array_equal(scaled, plain)


def test_no_rows_have_activities_too() -> None:
    assert {name: a.shape for name, a in make_net().activities(X[:0]).items()} == {
        "first": (0, 33),
        "second": (0, 17),
        "last": (0, 5),
    }


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        ("first", TypeError, "names must be a sequence of names of Dense layers, got 'first' (str)"),
        (3, TypeError, "names must be a sequence of names of Dense layers, got 3 (int)"),
        ([0], TypeError, "names[0] must be one of 'first', 'second', 'last', got 0 (int)"),
        (["last", "third"], ValueError, "names[1] must be one of 'first', 'second', 'last', got 'third'"),
    ],
)
def test_bad_names(names: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        make_net().activities(X, names)
