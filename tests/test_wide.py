"""Products whose input is larger than FNN_NEAR (csrc/kernels.h) go by blocks, with the bits of small ones.

No size here is a multiple of a tile, of a panel, or of a block.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import _core

Float32 = NDArray[np.float32]

NEAR = 128 * 1024  # floats


def normal(variable: int, *shape: int) -> Float32:
    return _core.draw("normal", int(np.prod(shape)), 0.0, 1.0, 5, variable).reshape(shape)


def gradients(net: fnn.Network, x: Float32, t: Float32, n_threads: int = 1) -> list[Float32]:
    data = _core.Data(net._net, x, t, "squared_error")
    found: list[Float32] = net._net.gradients(data, "squared_error", n_threads, poison=0xFF)[1]
    return found


@pytest.mark.parametrize(
    ("n", "units", "n_threads"),
    [
        (404, (37, 1031, 21), 1),  # two blocks of places, four of rows
        (404, (37, 1031, 21), 2),
        (404, (37, 1031, 21), 5),
        (132, (1039, 1031, 3), 7),  # two blocks of places and of rows; panels are turned in two goes, of 64 and of one
        (260, (7, 521, 35), 3),  # one block of places
    ],
)
def test_rows_of_a_large_batch_have_the_bits_of_small_ones(
    isa: str, n: int, units: tuple[int, int, int], n_threads: int
) -> None:
    """Row i has input i alone, so row i of the first weights' gradient is its own gradient at the first layer's logits:
    through the last layer's product, the loss and the two transposed products. The mean over four times as many rows is
    a quarter, to the bit.
    """
    net = fnn.Network(n, [fnn.Dense(units[0], "tanh"), fnn.Dense(units[1], "tanh"), fnn.Dense(units[2])], seed=1)
    x, t, small = np.eye(n, dtype=np.float32), normal(1, n, units[2]), n // 4
    assert n * units[1] > NEAR >= small * max(units)
    found = gradients(net, x, t, n_threads)[0]
    assert np.count_nonzero(found) > 0.99 * found.size
    for rows in (slice(first, first + small) for first in range(0, n, small)):
        expected = gradients(net, x[rows], t[rows])[0]
        np.testing.assert_array_equal(found[rows], expected[rows] / 4)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_many_units_have_the_bits_of_few(isa: str, n_threads: int) -> None:
    """Gradients of 1,031 units' weights; a unit's are its own."""
    n, n_in, units, few = 133, 35, 1031, 29
    net = fnn.Network(n_in, [fnn.Dense(units, "sigmoid")], seed=2)
    w, b = (variable.value for variable in net.variables.values())
    x, t = normal(1, n, n_in), normal(2, n, units)
    assert n * units > NEAR
    found = gradients(net, x, t, n_threads)
    for columns in (slice(first, min(first + few, units)) for first in range(0, units, few)):
        small = fnn.Network(n_in, [fnn.Dense(len(b[columns]), "sigmoid")], seed=2)
        for variable, value in zip(small.variables.values(), (w[:, columns], b[columns]), strict=True):
            variable.assign(value)
        for whole, part in zip(found, gradients(small, x, t[:, columns]), strict=True):
            np.testing.assert_array_equal(whole[..., columns], part)


@pytest.mark.parametrize("optimizer", [fnn.SGD(1.0), fnn.SGD(1.0, momentum=0.5)], ids=["plain", "momentum"])
@pytest.mark.parametrize(
    ("n", "n_in", "n_out", "n_threads"),
    [
        (161, 150, 50, 1),  # samples go by in two ranges, inputs in two rounds of blocks
        (160, 290, 17, 2),
        (500, 131, 35, 3),
        (333, 7, 100, 1),
        (13, 21, 81, 2),
    ],
)
def test_gradients_of_whole_numbers_are_exact(
    isa: str, n: int, n_in: int, n_out: int, n_threads: int, optimizer: fnn.SGD
) -> None:
    """From weights of zero, with a rate of 1, the first step along the gradient of sum (y - t)^2 / 2 leads to x^T t."""
    x = 1 + np.arange(n * n_in, dtype=np.float32).reshape(n, n_in) * 7 % 5
    t = np.arange(n * n_out, dtype=np.float32).reshape(n, n_out) * 3 % 11 - 5
    net = fnn.Network(n_in, [fnn.Dense(n_out, initializer="zeros", name="only")])
    trainer = fnn.Trainer(net, loss="squared_error", optimizer=optimizer, reduction="sum")
    trainer.fit(x, t, batch_size=n, shuffle=False, num_threads=n_threads)
    scale = net.variables["only/b"].value[0] / t[:, 0].sum()
    assert scale in (1, 2)
    np.testing.assert_array_equal(net.variables["only/W"].value, scale * (x.T @ t))
    np.testing.assert_array_equal(net.variables["only/b"].value, scale * t.sum(axis=0))
