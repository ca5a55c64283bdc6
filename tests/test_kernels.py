"""The kernels of every instruction set against float64: element-wise functions, matrix products, random bits."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastnn import _core
from fastnn import reference as ref

Float32 = NDArray[np.float32]

ISAS = _core.available_isas()
SEED = 0xFEDCBA9876543210
SIZES = [1, 8, 9, 15, 16, 17, 35]

# Largest distances from the exact result in units in the last place: as test_every_float measures them, rounded up.
ULPS = {
    "exp": 1.01,
    "log": 1.97,
    "log1p": 1.98,
    "sigmoid": 2.0,
    "tanh": 2.0,
    "relu": 0.0,
    "leaky_relu": 0.9,  # of the slope 0.01: its own rounding to a float, and the product's
    "elu": 1.0,
    "threshold": 0.0,
    "gelu": 4.36,
    "silu": 2.0,
    "softplus": 2.87,
}
CONSTANTS = {"leaky_relu": (0.01,), "elu": (1.0,)}

# Where the functions are used: log sees sums of exponentials, log1p exp(-|z|).
LEAST, NORMAL, MOST = 2.0**-149, 2.0**-126, float(np.finfo(np.float32).max)
RANGES = {
    "exp": [(LEAST, 89.0), (-LEAST, -104.0)],
    "log": [(NORMAL, MOST)],
    "log1p": [(LEAST, 1.0)],
    "sigmoid": [(LEAST, MOST), (-LEAST, -MOST)],
    "tanh": [(LEAST, MOST), (-LEAST, -MOST)],
    "relu": [(LEAST, MOST), (-LEAST, -MOST)],
    "leaky_relu": [(LEAST, MOST), (-LEAST, -MOST)],
    "elu": [(LEAST, MOST), (-LEAST, -MOST)],
    "threshold": [(LEAST, MOST), (-LEAST, -MOST)],
    "gelu": [(LEAST, MOST), (-LEAST, -MOST)],
    "silu": [(LEAST, MOST), (-LEAST, -MOST)],
    "softplus": [(LEAST, MOST), (-LEAST, -MOST)],
}
CURVES = {  # nearer to 0 a function is its tangent, further out it is flat
    "exp": [(2.0**-12, 89.0), (-(2.0**-12), -104.0)],
    "log": [(0.25, 4.0)],
    "log1p": [(2.0**-12, 1.0)],
    "sigmoid": [(2.0**-12, 20.0), (-(2.0**-12), -104.0)],
    "tanh": [(2.0**-12, 12.0), (-(2.0**-12), -12.0)],
    "relu": [(2.0**-12, 1.0), (-(2.0**-12), -1.0)],
    "leaky_relu": [(2.0**-12, 1.0), (-(2.0**-12), -1.0)],
    "threshold": [(2.0**-12, 1.0), (-(2.0**-12), -1.0)],
    "elu": [(-(2.0**-12), -20.0)],
    "gelu": [(2.0**-12, 6.0), (-(2.0**-12), -15.0)],
    "silu": [(2.0**-12, 20.0), (-(2.0**-12), -110.0)],
    "softplus": [(2.0**-12, 20.0), (-(2.0**-12), -104.0)],
}
ENDS = {  # input, output
    "exp": [(0, 1), (-0.0, 1), (89, np.inf), (np.inf, np.inf), (3e38, np.inf), (-104, 0), (-np.inf, 0)],
    "log": [(1, 0), (np.inf, np.inf)],
    "log1p": [(0, 0)],
    "sigmoid": [(0, 0.5), (-0.0, 0.5), (np.inf, 1), (-np.inf, 0), (200, 1), (-200, 0)],
    "tanh": [(0, 0), (-0.0, 0), (np.inf, 1), (-np.inf, -1), (50, 1), (-50, -1)],
    "relu": [(0, 0), (-0.0, 0), (np.inf, np.inf), (-np.inf, 0), (-1e-45, 0), (1e-45, 1e-45)],
    "leaky_relu": [(0, 0), (np.inf, np.inf), (-np.inf, -np.inf), (1e-45, 1e-45)],
    "elu": [(0, 0), (np.inf, np.inf), (-np.inf, -1), (-50, -1), (1e-45, 1e-45), (-1e-45, -1e-45)],
    "threshold": [(0, 1), (-0.0, 1), (np.inf, 1), (-np.inf, -1), (1e-45, 1), (-1e-45, -1)],
    "gelu": [(0, 0), (-0.0, 0), (np.inf, np.inf), (-np.inf, 0), (20, 20), (-20, 0), (-3e38, 0), (3e38, 3e38)],
    "silu": [(0, 0), (-0.0, 0), (np.inf, np.inf), (-np.inf, 0), (120, 120), (-120, 0), (-3e38, 0), (3e38, 3e38)],
    "softplus": [(np.inf, np.inf), (-np.inf, 0), (120, 120), (-120, 0), (3e38, 3e38)],
}
SLOPE_ENDS = {  # at minus infinity, -3e38, 0, 3e38, infinity
    "leaky_relu": [0.01, 0.01, 0.01, 1, 1],
    "elu": [0, 0, 1, 1, 1],
    "gelu": [0, 0, 0.5, 1, 1],
    "silu": [0, 0, 0.5, 1, 1],
    "softplus": [0, 0, 0.5, 1, 1],
}


def patterns(low: float, high: float, step: int = 1, chunk: int = 1 << 16) -> Iterator[range]:
    """The bits of every step-th float32 between two of one sign, both ends among them, in chunks."""
    first, last = sorted(np.array([low, high], np.float32).view(np.uint32).tolist())
    for begin in range(first, last + 1, chunk * step):
        yield range(begin, min(begin + chunk * step, last + 1), step)
    yield range(last, last + 1)


def floats(bits: range) -> Float32:
    return np.arange(bits.start, bits.stop, bits.step, dtype=np.uint32).view(np.float32)


def distance(y: Float32, exact: NDArray[np.float64]) -> float:
    """Largest |y - exact| in units in the last place of a float32 near exact.  What overflows must be infinite."""
    overflows = exact >= MOST + 2.0**103
    if overflows.any():
        assert np.isinf(y[overflows]).all()
        exact, y = exact[~overflows], y[~overflows]
    exponent = exact.view(np.int64) & 0x7FF0000000000000  # of a float64 read as one: the power of two below |exact|
    ulp = np.maximum(exponent.view(np.float64), NORMAL) * 2.0**-23
    return float((np.abs(y - exact) / ulp).max(initial=0.0))


def named(function: str) -> tuple[Any, ...]:
    return (function, *CONSTANTS.get(function, ()))


def worst(function: str, isa: str, ranges: list[tuple[float, float]], step: int) -> float:
    """Largest distance over every step-th float of the ranges, on all processors."""

    def of_chunk(bits: range) -> float:
        x = floats(bits)
        with np.errstate(over="ignore", under="ignore"):
            return distance(_core.apply(named(function), x, isa), ref.apply(x, named(function)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return max(pool.map(of_chunk, (bits for low, high in ranges for bits in patterns(low, high, step))))


# ---- element-wise ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ULPS)
def test_functions_are_near_exact(function: str, isa: str) -> None:
    assert worst(function, isa, RANGES[function], 1009) <= ULPS[function]
    assert worst(function, isa, CURVES[function], 101) <= ULPS[function]


def test_exp_below_the_normal_numbers(isa: str) -> None:
    x = np.linspace(-104, -86, 50_001, dtype=np.float32)
    y = _core.apply("exp", x, isa)
    assert ((y > 0) & (y < 2.0**-126)).sum() > 40_000  # no flush to zero
    assert distance(y, ref.apply(x, "exp")) <= ULPS["exp"]


@pytest.mark.slow
@pytest.mark.parametrize("function", ULPS)
def test_every_float(function: str) -> None:
    """Where it curves; of exp and the logarithms, wherever they are used. One instruction set: others have its bits.

    Of GELU every seventh: its float64 form is slow.
    """
    if function in ("exp", "log", "log1p"):
        assert worst(function, ISAS[0], RANGES[function], 1) <= ULPS[function]
        return
    assert worst(function, ISAS[0], CURVES[function], 7 if function == "gelu" else 1) <= ULPS[function]
    assert worst(function, ISAS[0], RANGES[function], 53) <= ULPS[function]


@pytest.mark.parametrize("function", SLOPE_ENDS)
def test_slopes(function: str, isa: str) -> None:
    """Within 4 roundings of 1, the size of the largest terms that they are sums of."""
    x = np.float32([*np.linspace(-110, 110, 20_001), *np.linspace(-8, 8, 20_001)])
    difference = _core.apply(named(function), x, isa, slope=True) - ref.slope(x, named(function))
    assert np.abs(difference).max() <= 4 * 2.0**-24
    ends = np.float32([-np.inf, -3e38, 0, 3e38, np.inf])
    found = _core.apply(named(function), ends, isa, slope=True)
    assert found.tolist() == np.float32(SLOPE_ENDS[function]).tolist()


@pytest.mark.parametrize("function", ENDS)
def test_functions_at_the_ends(function: str, isa: str) -> None:
    x, expected = np.array(ENDS[function], np.float32).T.copy()
    y = _core.apply(named(function), x, isa)
    assert y.tolist() == expected.tolist()
    assert not np.signbit(y[expected >= 0]).any()
    assert np.isnan(_core.apply(named(function), np.float32([np.nan]), isa)).all()


@pytest.mark.parametrize("function", ULPS)
def test_functions_do_not_depend_on_place(function: str, isa: str) -> None:
    x = _core.draw("uniform", 64, 0.01, 1.0, SEED, 0)
    whole = _core.apply(named(function), x, isa)
    for n, offset in itertools.product([0, *SIZES], [0, 1, 3, 13]):
        assert np.array_equal(_core.apply(named(function), x[offset : offset + n], isa), whole[offset : offset + n])


@pytest.mark.parametrize("function", ULPS)
def test_functions_have_equal_bits_on_every_instruction_set(function: str) -> None:
    for low, high in RANGES[function]:
        for bits in patterns(low, high, 20_011):
            assert len({_core.apply(named(function), floats(bits), isa).tobytes() for isa in ISAS}) == 1


# ---- dense forward ---------------------------------------------------------------------------------------------------


def one_layer(n_in: int, n_out: int, activation: str = "linear") -> tuple[_core.Net, Float32, Float32]:
    w = _core.draw("normal", n_in * n_out, 0.0, 1.0, SEED, 1).reshape(n_in, n_out)
    b = _core.draw("normal", n_out, 0.0, 1.0, SEED, 2)
    net = _core.Net(*ref.Network(n_in, 1.0, 0.0, None, [ref.Layer(n_out, activation)]))
    net.assign(0, "W", w, "W")
    net.assign(0, "b", b, "b")
    return net, w, b


@pytest.mark.parametrize("n_in", [1, 15, 16, 17, 35, 255, 784])
def test_dense_forward(isa: str, n_in: int) -> None:
    x = _core.draw("normal", 100 * n_in, 0.0, 1.0, SEED, 3).reshape(100, n_in)
    for n_out in [1, 8, 9, 15, 16, 17, 35, 255, 784]:
        net, w, b = one_layer(n_in, n_out)
        _, expected = ref.dense_forward(x.astype(np.float64), w.astype(np.float64), b.astype(np.float64))
        tolerance = ref.dense_tolerance(x, w, b)
        for n_batch in [1, 5, 6, 7, 100]:
            y = net.predict(x[:n_batch], "identity", 1)
            assert (np.abs(y - expected[:n_batch]) <= tolerance[:n_batch]).all(), (n_out, n_batch)


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_dense_forward_bits_do_not_depend_on_threads_or_isa(isa: str, n_threads: int) -> None:
    x = _core.draw("normal", 300 * 35, 0.0, 1.0, SEED, 3).reshape(300, 35)
    net, _, _ = one_layer(35, 50, "tanh")
    y = net.predict(x, "softmax", n_threads)
    _core.use_isa(ISAS[-1])
    assert np.array_equal(y, net.predict(x, "softmax", 1))


def test_a_row_does_not_depend_on_its_batch(isa: str) -> None:
    x = _core.draw("normal", 40 * 35, 0.0, 1.0, SEED, 3).reshape(40, 35)
    net, _, _ = one_layer(35, 19, "sigmoid")
    together = net.predict(x, "identity", 1)
    for i in range(40):
        assert np.array_equal(net.predict(x[i : i + 1], "identity", 1)[0], together[i])


@pytest.mark.parametrize("link", ref.LINKS)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_dense_forward_with_activation_and_link(isa: str, activation: str, link: str) -> None:
    x = _core.draw("normal", 20 * 17, 0.0, 1.0, SEED, 3).reshape(20, 17)
    net, w, b = one_layer(17, 35, activation)
    _, y = ref.dense_forward(x.astype(np.float64), w.astype(np.float64), b.astype(np.float64), activation=activation)
    np.testing.assert_allclose(
        net.predict(x, link, 1),
        ref.output(y, link),
        rtol=5e-6,
        atol=2 * ref.dense_tolerance(x, w, b).max(),
    )


@pytest.mark.parametrize("largest", [1e4, 3e38])
def test_softmax_of_any_finite_logits(isa: str, largest: float) -> None:
    net = _core.Net(*ref.Network(3, 1.0, 0.0, None, [ref.Layer(3, "linear")]))
    net.assign(0, "W", np.eye(3), "W")
    x = np.float32([[largest, 0, -largest], [largest, largest, -largest], [-largest, -largest, -largest]])
    p = net.predict(x, "softmax", 1)
    np.testing.assert_allclose(p, [[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6, atol=1e-38)


# ---- what the gather and dropout kernels make, read off a gradient ---------------------------------------------------


def read_off(net: _core.Net, x: Any, layer: int, dropout: tuple[int, int] | None = None) -> Float32:
    """The input of a network's last layer: (n_batch, n_in of it) float32.

    The last layer has an output for each row and zero weights; targets of -1 on the diagonal make its gradient at the
    logits 1/n_batch there and 0 elsewhere.  So dW = input^T / n_batch; the division is exact for powers of two.
    """
    n_batch = len(x)
    data = _core.Data(net, x, -np.eye(n_batch), "squared_error")
    _, gradients = net.gradients(data, "squared_error", 1, dropout)
    return np.ascontiguousarray(gradients[2 * layer].T * n_batch)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (1 / 255, 0.0), (0.1, -0.3), (-3.7, 1e-9)])
def test_input_is_rescaled_exactly(isa: str, dtype: Any, scale: float, offset: float) -> None:
    for n_batch, n_in in itertools.product([1, 16], [*SIZES, 256]):
        x = (np.arange(n_batch * n_in).reshape(n_batch, n_in) % 256).astype(dtype)
        net = _core.Net(*ref.Network(n_in, scale, offset, None, [ref.Layer(n_batch, "linear")]))
        assert np.array_equal(read_off(net, x, 0), ref.rescale(x, scale, offset))


@pytest.mark.parametrize(
    ("threshold", "seed", "step"), [(1, 0, 0), (32768, SEED, 7), (52429, 1, 2**32 - 1), (65535, SEED, 1), (65536, 2, 3)]
)
def test_dropout_masks(isa: str, threshold: int, seed: int, step: int) -> None:
    """Masks of the input, of a hidden layer and of the one after it."""
    p = ref.Dropout(threshold, 2.0, 1.0)
    for n_batch, n in itertools.product([1, 16, 32], SIZES):
        last = ref.Layer(n_batch, "linear")
        specs = [
            ref.Network(n, 1.0, 0.0, p, [last]),
            ref.Network(n, 1.0, 0.0, p, [ref.Layer(n, "linear", p), last]),
            ref.Network(n, 1.0, 0.0, None, [ref.Layer(3, "relu", p), ref.Layer(n, "linear", p), last]),
        ]
        for layer, spec in enumerate(specs):
            net = _core.Net(*spec)
            if layer > 0:
                net.assign(layer - 1, "b", np.ones(n), "b")
            kept = read_off(net, np.ones((n_batch, n), np.float32), layer, (seed, step))
            masks = ref.keep_masks(spec, seed, step, n_batch)
            assert np.array_equal(kept, np.float32(2.0) * masks[layer]), (n_batch, n, layer)
            assert np.array_equal(read_off(net, np.ones((n_batch, n), np.float32), layer), np.ones((n_batch, n)))


def test_dropout_masks_of_a_ragged_group_of_rows(isa: str) -> None:
    spec = ref.Network(35, 1.0, 0.0, ref.Dropout(40000, 1.0, 1.0), [ref.Layer(21, "linear")])
    kept = read_off(_core.Net(*spec), np.ones((21, 35), np.float32), 0, (SEED, 5))
    assert np.array_equal(kept != 0, ref.dropout_keep(40000, SEED, 5, 0, 21, 35))


# ---- randomness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, SEED, 2**64 - 1])
def test_philox(seed: int) -> None:
    for counter in [(0, 0, 0, 0), (1, 2, 3, 4), (2**32 - 1,) * 4]:
        assert _core.philox(counter, seed) == tuple(int(word) for word in ref.philox(counter, seed))


@pytest.mark.parametrize("stream", ["shuffle", "split"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 100, 1001])
def test_permutation(n: int, stream: str) -> None:
    for seed, epoch in itertools.product([0, SEED], [0, 1, 2**32 - 1]):
        order = _core.permutation(n, seed, epoch, stream)
        assert order.dtype == np.uint32
        assert np.array_equal(order, ref.permutation(n, seed, epoch, stream))
