"""Parameters as one vector, the loss and gradient that go with it, and an optimiser from elsewhere on top of them."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core

X = _core.draw("normal", 40 * 7, 0.0, 1.0, 5, 0).reshape(40, 7)
Y = np.arange(40) % 3


def make_net(seed: int = 1) -> fnn.Network:
    return fnn.Network(7, [fnn.Dense(19, "tanh", name="a"), fnn.Dense(3, "softmax", name="b")], seed=seed)


def test_a_vector_of_all_parameters() -> None:
    net = make_net()
    vector = net.get_flat()
    assert vector.dtype == np.float32
    assert vector.shape == (net.n_parameters,) == (7 * 19 + 19 + 19 * 3 + 3,)
    assert vector.tobytes() == b"".join(v.value.tobytes() for v in net.variables.values())

    new = np.arange(net.n_parameters) / 64  # float64 that float32 holds
    net.variables["a/W"].trainable = False
    net.set_flat(new)
    assert np.array_equal(net.get_flat(), new)
    assert np.array_equal(net.variables["a/W"].value, new[: 7 * 19].reshape(7, 19))
    vector[:] = 0
    assert np.array_equal(net.get_flat(), new), "a vector must be a copy"


def test_masked_weights_have_their_place() -> None:
    layers = [fnn.Dense(19, "tanh", name="a"), fnn.Dense(3, mask=np.arange(57).reshape(19, 3) % 2, name="b")]
    net = fnn.Network(7, layers, seed=1)
    vector = net.get_flat()
    assert len(vector) == net.n_parameters + 29
    net.link = "softmax"
    _, gradient = net.loss_and_gradient(X, Y)
    net.set_flat(vector - gradient)
    assert np.array_equal(net.get_flat(), vector - gradient)
    with pytest.raises(ValueError, match=re.escape("b/W must be 0 where its mask is, got 1.0 at (0, 0)")):
        net.set_flat(np.ones(len(vector)))
    assert np.array_equal(net.get_flat(), vector - gradient), "nothing must change"


@pytest.mark.parametrize(
    ("vector", "kind", "message"),
    [
        (np.zeros(211), ValueError, "vector must have shape (212,), got (211,)"),
        (np.zeros((1, 212)), ValueError, "vector must have shape (212,), got (1, 212)"),
        (np.full(212, np.nan), ValueError, "vector must be finite, got nan at index 0"),
        (np.full(212, 1e39), ValueError, "vector must be finite, got inf at index 0"),
        ("zeros", TypeError, "vector must hold real numbers"),
    ],
)
def test_a_bad_vector_changes_nothing(vector: Any, kind: type[Exception], message: str) -> None:
    net = make_net()
    before = net.get_flat()
    with pytest.raises(kind, match=re.escape(message)):
        net.set_flat(vector)
    assert np.array_equal(net.get_flat(), before)


@pytest.mark.parametrize(("loss", "y"), [(None, Y), ("squared_error", np.eye(3)[Y])])
def test_loss_and_gradient(loss: str | None, y: Any) -> None:
    """They are those of evaluate and gradients, and the gradient is that of the loss."""
    net = make_net()
    value, gradient = net.loss_and_gradient(X, y, loss=loss)
    arrays = net.gradients(X, y, loss=loss, num_threads=2)
    assert gradient.tobytes() == b"".join(g.tobytes() for g in arrays.values())
    point, direction = net.get_flat(), gradient / np.linalg.norm(gradient)
    step = 1e-2  # by which a loss of about 1 changes far more than it is rounded
    net.set_flat(point + step * direction)
    above, _ = net.loss_and_gradient(X, y, loss=loss)
    net.set_flat(point - step * direction)
    below, _ = net.loss_and_gradient(X, y, loss=loss)
    assert (above - below) / (2 * step) == pytest.approx(np.linalg.norm(gradient), rel=1e-3)
    if loss is None:
        net.set_flat(point)
        assert value == fnn.Trainer(net).evaluate(X, y)["loss"]


def test_scipys_optimiser_trains_a_network() -> None:
    pytest.importorskip("scipy", reason="SciPy is not installed")
    from fastnn.book import lbfgs

    losses = lbfgs.run(seed=3).numbers["losses"]
    ours, descent = losses["L-BFGS"], losses["gradient descent"]
    assert ours[0] == descent[0] > 0.5
    assert len(ours) == len(descent) == 31
    assert all(below < above for above, below in itertools.pairwise(ours))
    assert ours[-1] < 0.01 < 0.3 < descent[-1]
