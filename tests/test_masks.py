"""Masks: connections that a layer does not have stay +0 through everything, and the others train as without them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core, layers

N, N_IN = 60, 37
X = _core.draw("normal", N * N_IN, 0.0, 1.0, 1, 0).reshape(N, N_IN)
Y = np.arange(N) * 7 % 5
FIRST = (_core.draw("uniform", N_IN * 50, 0.0, 1.0, 1, 1).reshape(N_IN, 50) < 0.4).astype(int)
LAST = np.kron(np.eye(5, dtype=bool), np.ones((10, 1), bool))  # five groups of ten units, an output each
WAYS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": fnn.SGD(0.1)},
    "decay": {"optimizer": fnn.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.1)},
    "adam_l1": {"optimizer": fnn.Adam(0.01), "regularizer": fnn.L1(0.001)},
    "rmsprop_clipped": {"optimizer": fnn.RMSProp(0.001, momentum=0.5), "clip_norm": 0.5},
    "l2_clipped": {"optimizer": fnn.SGD(0.1, momentum=0.5), "regularizer": fnn.L2(0.1), "clip_value": 0.01},
}


def make_net(first: Any = FIRST, last: Any = LAST, **dense: Any) -> fnn.Network:
    hidden = fnn.Dense(50, "tanh", mask=first, name="hidden", **dense)
    return fnn.Network(N_IN, [hidden, fnn.Dense(5, mask=last, name="output")], seed=3)


def bits(net: fnn.Network) -> bytes:
    return b"".join(variable.value.tobytes() for variable in net.variables.values())


def assert_masked(net: fnn.Network) -> None:
    for name, mask in (("hidden/W", FIRST), ("output/W", LAST)):
        w = net.variables[name].value
        assert (w.view(np.uint32)[mask == 0] == 0).all()  # +0
        assert np.count_nonzero(w) == np.sum(mask)


@pytest.mark.parametrize("way", WAYS)
def test_missing_connections_stay_zero(isa: str, way: str) -> None:
    """With any number of threads the same bits."""
    found = []
    for num_threads in (1, 2, 3, 8):
        net = make_net(constraint=fnn.MaxNorm(1.2))
        assert_masked(net)
        before = bits(net)
        fnn.Trainer(net, **WAYS[way]).fit(X, Y, epochs=2, batch_size=25, num_threads=num_threads)
        assert_masked(net)
        assert bits(net) != before
        found.append(bits(net))
    _core.use_isa(_core.available_isas()[-1])
    net = make_net(constraint=fnn.MaxNorm(1.2))
    fnn.Trainer(net, **WAYS[way]).fit(X, Y, epochs=2, batch_size=25)
    assert set(found) == {bits(net)}


@pytest.mark.parametrize("way", WAYS)
def test_a_mask_of_ones_changes_no_bit(isa: str, way: str) -> None:
    one, other = make_net(None, None), make_net(np.ones_like(FIRST), np.ones_like(LAST))
    for net in (one, other):
        fnn.Trainer(net, **WAYS[way]).fit(X, Y, epochs=2, batch_size=25)
    assert bits(one) == bits(other)


def test_gradients_are_those_of_the_connections(isa: str) -> None:
    masked, whole = make_net(), make_net(None, None)
    for name, variable in masked.variables.items():
        whole.variables[name] = variable
    found, expected = (net.gradients(X, Y, loss="softmax_cross_entropy", num_threads=3) for net in (masked, whole))
    for name, mask in (("hidden/W", FIRST), ("output/W", LAST), ("hidden/b", 1), ("output/b", 1)):
        np.testing.assert_array_equal(found[name], expected[name] * mask)
    assert (expected["hidden/W"][FIRST == 0] != 0).all()
    history = fnn.Trainer(masked, clip_norm=1.0).fit(X, Y, batch_size=N, shuffle=False)
    norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in found.values()))
    assert history["gradient_norm"] == [pytest.approx(norm, rel=1e-12)]


def test_frozen_weights_stay() -> None:
    net = make_net()
    net.variables["hidden/W"].trainable = False
    kept = net.variables["hidden/W"].value
    fnn.Trainer(net).fit(X, Y, batch_size=25)
    assert (net.variables["hidden/W"].value == kept).all()
    assert_masked(net)


def test_assigned_values_keep_the_mask() -> None:
    net = make_net()
    net.variables["output/W"] = np.where(LAST, 2.0, -0.0)
    assert_masked(net)
    w = np.where(LAST, 2.0, 0.0)
    w[11, 3] = -0.5
    with pytest.raises(ValueError, match=r"^output/W must be 0 where its mask is, got -0\.5 at \(11, 3\)$"):
        net.variables["output/W"] = w
    assert_masked(net)


def test_files_and_configs(tmp_path: Path) -> None:
    net = make_net()
    fnn.Trainer(net).fit(X, Y)
    net.save(tmp_path / "net.safetensors")
    loaded = fnn.load(tmp_path / "net.safetensors")
    assert loaded.layers == net.layers
    assert bits(loaded) == bits(net)
    fnn.Trainer(loaded).fit(X, Y)
    assert_masked(loaded)
    dense = net.layers[0]
    assert layers.from_config(json.loads(json.dumps(dense.to_config()))) == dense
    assert hash(fnn.Dense(50, "tanh", mask=FIRST.tolist(), name="hidden")) == hash(dense)
    assert fnn.Dense(50, "tanh", mask=1 - FIRST, name="hidden") != dense


def test_counts_are_of_connections() -> None:
    net, n = make_net(), int(FIRST.sum())
    assert net.n_parameters == n + 50 + 50 + 5
    summary = net.summary().splitlines()
    assert summary[3].endswith(f" {n + 50:,}")
    assert summary[-1] == f"{n + 105:,} parameters"


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.full((4, 3), 2), ValueError, r"mask must be a matrix of 0 and 1 \(n_in, units\), got array"),
        (np.full((4, 3), np.nan), ValueError, r"mask must be a matrix of 0 and 1 \(n_in, units\), got array"),
        ([1, 0, 1], ValueError, r"mask must be a matrix of 0 and 1 \(n_in, units\), got \[1, 0, 1\]$"),
        ("ones", TypeError, r"mask must be a matrix of 0 and 1 \(n_in, units\), got 'ones' \(str\)$"),
        (np.ones((4, 2)), ValueError, r"mask must have a column for each of 3 units, got shape \(4, 2\)$"),
        (
            np.ones((5, 3)),
            ValueError,
            r"mask of 'dense_1' must have a row for each of 4 inputs, got Mask\(15 of 5 x 3\)$",
        ),
    ],
)
def test_bad_masks(mask: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        fnn.Network(4, [fnn.Dense(3, mask=mask)])
