"""One layer in several places of a network: one pair of variables, gradients summed, updated once."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import _core
from fastnn import reference as ref

Floats = NDArray[np.float64]

N, WIDTH = 61, 23
X = _core.draw("normal", N * WIDTH, 0.0, 1.0, 5, 0).reshape(N, WIDTH)
Y = np.arange(N) % WIDTH
SAME_AS = [0, 0, 1, 2, 1]  # twice, other, twice, other, twice
KEEP = ref.Dropout(49152, float(np.float32(4 / 3)), 1.0)


def make_net(**options: Any) -> fnn.Network:
    """Square layers, so that each can stand first, in the middle and last; a dropout between two uses."""
    twice = fnn.Dense(WIDTH, "tanh", initializer="glorot", bias_initializer="random_normal", name="twice", **options)
    other = fnn.Dense(WIDTH, "tanh", initializer="glorot", name="other")
    return fnn.Network(WIDTH, [twice, fnn.Dropout(0.75), other, twice, other, twice], seed=4)


def as_spec() -> ref.Network:
    return ref.Network(WIDTH, 1.0, 0.0, None, [ref.Layer(WIDTH, "tanh", KEEP if i == 0 else None) for i in range(5)])


def spread(variables: list[Floats]) -> list[Floats]:
    """W and b of each place, from those of each layer."""
    owners = [0, 1, 0, 1, 0]
    return [variables[2 * owner + k] for owner in owners for k in (0, 1)]


def values(net: fnn.Network) -> list[Floats]:
    return [np.asarray(v, np.float64) for v in net.variables.values()]


def test_variables_of_a_shared_layer_are_there_once() -> None:
    net = make_net()
    assert list(net.variables) == ["twice/W", "twice/b", "other/W", "other/b"]
    assert net.n_parameters == len(net.get_flat()) == 2 * (WIDTH + 1) * WIDTH
    outs, _ = ref.forward(as_spec(), spread(values(net)), X)
    np.testing.assert_allclose(net(X), outs[-1], rtol=1e-4, atol=1e-5)
    assert list(net.activities(X)) == ["twice", "other", "twice:2", "other:2", "twice:3"]
    net.variables["twice/W"].trainable = False
    rows = net.summary().splitlines()
    assert [row.split()[-1] for row in rows[3:9]] == ["552", "0", "552", "shared", "shared", "shared"]
    assert rows[-1] == "1,104 parameters, 529 of them frozen"


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("dropout", [None, (7, 3)])
def test_gradients_are_the_sums_of_the_specifications(isa: str, dropout: Any, n_threads: int) -> None:
    net, spec = make_net(), as_spec()
    keeps = None if dropout is None else ref.keep_masks(spec, *dropout, N)
    each, losses, _ = ref.gradients(spec, spread(values(net)), X, Y, "softmax_cross_entropy", keeps)
    expected = ref.sum_shared(each, SAME_AS)
    data = _core.Data(net._net, X, Y, "softmax_cross_entropy")
    total, found = net._net.gradients(data, "softmax_cross_entropy", n_threads, dropout=dropout, poison=255)
    assert total == pytest.approx(losses.sum(), rel=2e-6)
    for g, e in zip(found, expected, strict=True):
        assert np.linalg.norm(g - e) <= 2e-6 * np.linalg.norm(e)  # as of layers that share nothing


def test_the_specification_is_the_derivative() -> None:
    """Central differences in float64, in the direction of each variable's gradient."""
    spec, variables = as_spec(), values(make_net())
    each, _, _ = ref.gradients(spec, spread(variables), X, Y, "softmax_cross_entropy")
    for i, g in enumerate(ref.sum_shared(each, SAME_AS)):
        direction, means = g / np.linalg.norm(g), []
        for step in (1e-5, -1e-5):
            moved = [v + step * direction if k == i else v for k, v in enumerate(variables)]
            means.append(ref.gradients(spec, spread(moved), X, Y, "softmax_cross_entropy")[1].mean())
        assert (means[0] - means[1]) / 2e-5 == pytest.approx(np.linalg.norm(g), rel=1e-8)


RULES = {
    "momentum": (fnn.SGD(0.1, momentum=0.9, weight_decay=0.01), "momentum"),
    "adam": (fnn.Adam(0.003, epsilon=1e-3), "adam"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_shared_layer_is_updated_once(isa: str, rule: str) -> None:
    """L2, max-norm, velocity and moments too, over ten steps, and nothing of it for a frozen variable."""
    optimizer, name = RULES[rule]
    net, spec = make_net(regularizer=fnn.L2(0.015625), constraint=fnn.MaxNorm(0.75)), as_spec()
    net.variables["other/b"].trainable = False
    variables, rows = values(net), np.arange(N)
    before, state = variables, [np.zeros((2, *v.shape)) if name == "adam" else np.zeros_like(v) for v in variables]
    restraint = ref.Restraint(0.015625, 0.0, 0.75)
    trainer = fnn.Trainer(net, optimizer=optimizer, seed=7)
    history = trainer.fit(X, Y, batch_size=13, epochs=2, shuffle=False, num_threads=2)
    losses = []
    for step in range(10):
        batch = rows[13 * (step % 5) : 13 * (step % 5) + 13]
        keeps = ref.keep_masks(spec, 7, step, len(batch))
        each, more, _ = ref.gradients(spec, spread(variables), X[batch], Y[batch], "softmax_cross_entropy", keeps)
        losses.append(more)
        gradients, kept = ref.sum_shared(each, SAME_AS), variables[3]
        constants = ref.Adam(*(optimizer.rule.get(k, 0.0) for k in ("beta1", "beta2", "epsilon")), step + 1)
        options = {"constants": constants if name == "adam" else None, "momentum": optimizer.rule.get("momentum", 0.0)}
        rate = float(optimizer.schedule.rates(step, 1)[0])
        moved = []
        for i, (w, v, g) in enumerate(zip(variables, state, gradients, strict=True)):
            held = restraint if i == 0 else ref.Restraint()
            decay = optimizer.rule["decay"] if i % 2 == 0 else 0.0
            moved.append(ref.restrained_update(w, v, g, name, rate, held, decay, **options))
        variables, state = [w for w, _ in moved], [v for _, v in moved]
        variables[3] = kept
    assert history["loss"][1] == pytest.approx(np.concatenate(losses[5:]).mean(), rel=1e-5)
    assert np.array_equal(net.variables["other/b"].value, before[3])
    norms = np.linalg.norm(net.variables["twice/W"].value.astype(np.float64), axis=0)
    assert np.linalg.norm(before[0], axis=0).max() > 0.75 >= norms.max()
    assert history["penalty"][1] == pytest.approx(0.015625 / 2 * (norms**2).sum(), rel=1e-6)
    moved_by = np.linalg.norm(net.get_flat() - np.concatenate([b.ravel() for b in before]))
    difference = np.linalg.norm(net.get_flat() - np.concatenate([v.ravel() for v in variables]))
    assert difference <= 2e-5 * moved_by  # as in test_engine.py


@pytest.mark.peer
def test_ten_steps_equal_pytorchs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch", reason="torch is not installed")
    twice, last = fnn.Dense(WIDTH, "tanh", name="twice"), fnn.Dense(WIDTH, name="last")
    net = fnn.Network(WIDTH, [twice, twice, twice, last], seed=2)
    linears = [torch.nn.Linear(WIDTH, WIDTH) for _ in range(2)]
    with torch.no_grad():
        for linear, name in zip(linears, ("twice", "last"), strict=True):
            linear.weight.copy_(torch.from_numpy(net.variables[f"{name}/W"].value.T.copy()))
            linear.bias.copy_(torch.from_numpy(net.variables[f"{name}/b"].value.copy()))
    before, tanh = net.get_flat(), torch.nn.Tanh()
    twin = torch.nn.Sequential(linears[0], tanh, linears[0], tanh, linears[0], tanh, linears[1])
    sgd = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    for _ in range(10):
        sgd.zero_grad()
        torch.nn.functional.cross_entropy(twin(torch.from_numpy(X)), torch.from_numpy(Y)).backward()
        sgd.step()
    fnn.Trainer(net, optimizer=fnn.SGD(0.1, momentum=0.9)).fit(X, Y, batch_size=N, epochs=10, shuffle=False)
    arrays = [a.detach().numpy() for linear in linears for a in (linear.weight.T, linear.bias)]
    difference = net.get_flat() - np.concatenate([a.ravel() for a in arrays])
    assert np.linalg.norm(difference) <= 1e-5 * np.linalg.norm(net.get_flat() - before)


def test_a_file_keeps_what_is_shared(tmp_path: Path) -> None:
    net = make_net()
    fnn.Trainer(net).fit(X, Y, epochs=1)
    net.save(tmp_path / "net")
    back = fnn.load(tmp_path / "net")
    assert list(back.variables) == list(net.variables)
    assert back.summary() == net.summary()
    for each in (net, back):
        fnn.Trainer(each, seed=1).fit(X, Y, epochs=2)
    assert back.get_flat().tobytes() == net.get_flat().tobytes()


def test_places_must_fit() -> None:
    layer = fnn.Dense(WIDTH, name="a")
    message = f"a layer in two places must read as many values in both, got 7 and {WIDTH} for a, Dense(units={WIDTH}"
    with pytest.raises(ValueError, match=re.escape(message)):
        fnn.Network(7, [layer, layer])


def test_equal_layers_share_nothing() -> None:
    net = fnn.Network(5, [fnn.Dense(5), fnn.Dense(5)])
    assert list(net.variables) == ["dense_1/W", "dense_1/b", "dense_2/W", "dense_2/b"]


def test_shared_layers_leave_the_library(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    net = make_net()
    net.to_onnx(tmp_path / "net.onnx")
    (outputs, *_) = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, {"x": X})
    np.testing.assert_allclose(outputs, net(X), rtol=1e-5, atol=1e-5)
