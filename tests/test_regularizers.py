"""Regularisers and constraints: their descriptions, what they do to a training, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import _core, regularizers
from fastnn import reference as ref

N, N_IN = 60, 18
X = _core.draw("normal", N * N_IN, 0.0, 1.0, 1, 0).reshape(N, N_IN)
Y = np.arange(N) * 7 % 5
EPSILON = 2.0**-24  # what one rounding to float32 errs by, relatively


def make_net(**dense: Any) -> fnn.Network:
    return fnn.Network(N_IN, [fnn.Dense(20, "tanh", **dense), fnn.Dense(5, **dense)], seed=3)


def weights(net: fnn.Network) -> list[NDArray[np.float64]]:
    return [np.asarray(v, np.float64) for name, v in net.variables.items() if name.endswith("/W")]


def bits(net: fnn.Network) -> bytes:
    return b"".join(variable.value.tobytes() for variable in net.variables.values())


# ---- descriptions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", [fnn.L2(0.01), fnn.L1(1), fnn.L2(0)], ids=repr)
def test_config_round_trip(each: regularizers.Regularizer) -> None:
    assert regularizers.from_config(json.loads(json.dumps(each.to_config()))) == each
    assert each.to_config() == {"kind": f"regularizer.{type(each).__name__.lower()}", "strength": each.strength}  # type: ignore[attr-defined]


def test_config_of_a_constraint() -> None:
    config = json.loads(json.dumps(fnn.MaxNorm(3).to_config()))
    assert config == {"kind": "constraint.max_norm", "radius": 3.0}
    assert regularizers.Constraint.from_config(config) == fnn.MaxNorm(3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fnn.MaxNorm(0), ValueError, "radius must be a finite number of at least 1e-15, got 0$"),
        (lambda: fnn.MaxNorm(-3), ValueError, "radius must be a finite number of at least 1e-15, got -3$"),
        (lambda: fnn.MaxNorm(math.inf), ValueError, "radius must be a finite number of at least 1e-15, got inf$"),
        (lambda: fnn.MaxNorm(None), TypeError, "radius must be a finite number of at least 1e-15, got None"),
        (lambda: fnn.L2(-1), ValueError, "strength must be a non-negative finite number, got -1$"),
        (lambda: fnn.L1(math.nan), ValueError, "strength must be a non-negative finite number, got nan$"),
        (lambda: fnn.L1("1"), TypeError, r"strength must be a non-negative finite number, got '1' \(str\)$"),
        (lambda: fnn.L2(True), TypeError, r"strength must be a non-negative finite number, got True \(bool\)$"),
        (
            lambda: fnn.Trainer(make_net(), regularizer="l2"),
            TypeError,
            r"regularizer must be None, an L1 or an L2, got 'l2' \(str\)$",
        ),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()


def test_a_network_keeps_its_regularizers_in_a_file(tmp_path: Path) -> None:
    net = fnn.Network(4, [fnn.Dense(3, regularizer=fnn.L1(0.25)), fnn.Dense(2, constraint=fnn.MaxNorm(3))], seed=0)
    net.save(tmp_path / "net.safetensors")
    assert fnn.load(tmp_path / "net.safetensors").layers == net.layers


# ---- the penalty -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restraint", [ref.Restraint(l2=0.3), ref.Restraint(l1=0.2), ref.Restraint(0.3, 0.2)], ids=repr)
def test_gradient_of_the_penalty(restraint: ref.Restraint) -> None:
    """Central differences; no weight is so near 0 that |w| bends between them."""
    w, h = np.array([[0.5, -2.0, 1e-3], [3.0, -0.25, -1e-3]]), 1e-5
    for at in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[at] = h
        slope = (ref.penalty(w + step, restraint) - ref.penalty(w - step, restraint)) / (2 * h)
        assert slope == pytest.approx(ref.penalty_gradient(w, restraint)[at], rel=1e-6)


def test_soften_is_the_proximal_step() -> None:
    """What minimises 1/2 (u - w)^2 + t |u|, found among many u."""
    candidates = np.linspace(-3, 3, 60_001)
    for w, t in [(2.0, 0.5), (-2.0, 0.5), (0.3, 0.5), (-0.5, 0.5), (0.0, 0.1), (1.0, 0.0)]:
        best = candidates[np.argmin(0.5 * (candidates - w) ** 2 + t * np.abs(candidates))]
        assert ref.soften(np.array(w), t) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("regularizer", [fnn.L2(0.3), fnn.L1(0.2)], ids=repr)
def test_penalty_in_the_history(regularizer: regularizers.Regularizer) -> None:
    """The sum over all layers after each epoch; the loss is that of the data alone."""
    net = make_net()
    trainer = fnn.Trainer(net, regularizer=regularizer)
    before = trainer.evaluate(X, Y)["loss"]
    for _ in range(2):
        history = trainer.fit(X, Y, batch_size=N, shuffle=False)
        strength = float(np.float32(regularizer.strength))  # type: ignore[attr-defined]
        restraint = ref.Restraint(**{type(regularizer).__name__.lower(): strength})
        expected = sum(ref.penalty(w, restraint) for w in weights(net))
        assert history["penalty"] == [pytest.approx(expected, rel=1e-12)]
        assert history["loss"] == [pytest.approx(before, rel=1e-6)]
        before = trainer.evaluate(X, Y)["loss"]
    assert len(trainer.history["penalty"]) == 2


def test_no_penalty_without_a_regularizer() -> None:
    assert "penalty" not in fnn.Trainer(make_net(), optimizer=fnn.SGD(0.1, weight_decay=0.1)).fit(X, Y)


# ---- training --------------------------------------------------------------------------------------------------------


def trained(regularizer: Any = None, *, optimizer: Any = None, dense: Any = None, **fit: Any) -> fnn.Network:
    net = make_net(regularizer=dense)
    optimizer = optimizer or fnn.SGD(0.1, momentum=0.5)
    fnn.Trainer(net, optimizer=optimizer, regularizer=regularizer).fit(X, Y, batch_size=25, **fit)
    return net


@pytest.mark.parametrize("each", [fnn.L2(0.1), fnn.L1(0.01)], ids=repr)
def test_a_trainers_regularizer_is_that_of_layers_without_one(each: Any) -> None:
    assert bits(trained(each)) == bits(trained(dense=each)) != bits(trained())
    assert bits(trained(each, dense=fnn.L2(0))) == bits(trained())
    assert bits(trained(fnn.L2(0.7), dense=each)) == bits(trained(each))


@pytest.mark.parametrize(
    ("optimizer", "strength"), [(fnn.SGD(0.1), 0.01), (fnn.SGD(0.1, momentum=0.5), 0.03), (fnn.Adam(0.01), 0.1)]
)
def test_l1_makes_weights_exactly_zero(isa: str, optimizer: Any, strength: float) -> None:
    zeros = [np.mean(w == 0) for w in weights(trained(fnn.L1(strength), optimizer=optimizer, epochs=100))]
    assert 0.05 < min(zeros) < max(zeros) < 0.9
    assert not any((w == 0).any() for w in weights(trained(optimizer=optimizer, epochs=100)))
    assert all((w == 0).all() for w in weights(trained(fnn.L1(1000.0), optimizer=optimizer)))


def test_l2_of_a_network_without_gradient_is_a_power() -> None:
    """Inputs of 0 leave the first layer nothing but its penalty: each step w loses rate * strength * w."""
    net = make_net()
    before = weights(net)[0]
    fnn.Trainer(net, optimizer=fnn.SGD(0.5), regularizer=fnn.L2(0.25)).fit(np.zeros_like(X), Y, batch_size=10, epochs=2)
    # 12 steps of three roundings each, of rate and product too
    np.testing.assert_allclose(weights(net)[0], before * 0.875**12, rtol=36 * EPSILON)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_decay_is_beside_the_velocity(momentum: float) -> None:
    """Of the same network: the velocity stays 0, so decay is the same power with and without momentum; L2 is not."""
    net = make_net()
    before, optimizer = weights(net)[0], fnn.SGD(0.5, momentum=momentum, weight_decay=0.25)
    fnn.Trainer(net, optimizer=optimizer).fit(np.zeros_like(X), Y, batch_size=10, epochs=2)
    np.testing.assert_allclose(weights(net)[0], before * 0.875**12, rtol=36 * EPSILON)


@pytest.mark.parametrize("each", [fnn.L2(0.1), fnn.L1(0.01)], ids=repr)
def test_adam_has_regularizers_too(each: Any) -> None:
    adam = fnn.Adam(0.01)
    assert bits(trained(each, optimizer=adam)) == bits(trained(dense=each, optimizer=adam))
    assert bits(trained(each, optimizer=adam)) != bits(trained(optimizer=adam))


def test_biases_and_frozen_weights_do_not_shrink() -> None:
    net = make_net(bias_initializer="ones")
    net.variables["dense_2/W"].trainable = False
    kept = net.variables["dense_2/W"].value
    fnn.Trainer(net, optimizer=fnn.SGD(1e-30, weight_decay=1e29), regularizer=fnn.L1(1e28)).fit(X, Y, batch_size=N)
    assert (net.variables["dense_1/b"].value == 1).all()
    assert (net.variables["dense_2/W"].value == kept).all()
    assert (net.variables["dense_1/W"].value != make_net().variables["dense_1/W"].value).all()


@pytest.mark.parametrize("regularizer", [fnn.L2(0.1), fnn.L1(0.01)], ids=repr)
def test_gradients_are_those_of_the_data(regularizer: Any) -> None:
    one, other = make_net(), make_net(regularizer=regularizer)
    for name, gradient in one.gradients(X, Y, loss="softmax_cross_entropy").items():
        assert (other.gradients(X, Y, loss="softmax_cross_entropy")[name] == gradient).all()


# ---- max-norm --------------------------------------------------------------------------------------------------------


def norms(w: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.norm(w, axis=0)


@pytest.mark.parametrize("units", [1, 16, 17, 63, 64, 65, 150])
@pytest.mark.parametrize("n_in", [1, 18])
def test_norms_stay_within_the_radius(isa: str, n_in: int, units: int) -> None:
    """A rate of 1e-30 changes no bit, so that what is left is the projection: of some units, the others stay."""
    net = fnn.Network(n_in, [fnn.Dense(units, constraint=fnn.MaxNorm(1.25)), fnn.Dense(5)], seed=3)
    first, second = weights(net)
    fnn.Trainer(net, optimizer=fnn.SGD(1e-30)).fit(X[:, :n_in], Y, batch_size=N)
    found, untouched = weights(net)
    np.testing.assert_allclose(found, ref.max_norm(first, 1.25), rtol=(n_in + 4) * EPSILON)
    assert (norms(found) <= 1.25 * (1 + (n_in + 4) * EPSILON)).all()
    assert (found[:, norms(first) < 1.249] == first[:, norms(first) < 1.249]).all()
    assert (untouched == second).all()


def test_norms_stay_within_the_radius_while_training(isa: str) -> None:
    """At a rate at which the network diverges without."""
    net = make_net(constraint=fnn.MaxNorm(3))
    fnn.Trainer(net, "squared_error", optimizer=fnn.SGD(1.0)).fit(X, np.eye(5)[Y], batch_size=20, epochs=20)
    assert all(norms(w).max() <= 3 * (1 + (len(w) + 4) * EPSILON) for w in weights(net))
    trainer = fnn.Trainer(make_net(), "squared_error", optimizer=fnn.SGD(1.0))
    with pytest.raises(FloatingPointError):
        trainer.fit(X, np.eye(5)[Y], batch_size=20, epochs=20)


def test_norms_whose_squares_overflow(isa: str) -> None:
    net = fnn.Network(N_IN, [fnn.Dense(20, "tanh", constraint=fnn.MaxNorm(3)), fnn.Dense(5)], seed=3)
    w = weights(net)[0]
    w[:, 4] *= 1e20
    w[:, 5] *= 1e38
    net.variables["dense_1/W"] = w
    expected = ref.max_norm(weights(net)[0], 3.0)
    fnn.Trainer(net, optimizer=fnn.SGD(1e-30)).fit(X, Y, batch_size=N)
    np.testing.assert_allclose(weights(net)[0], expected, rtol=(N_IN + 5) * EPSILON)


def test_a_weight_that_is_not_finite_is_seen() -> None:
    net = make_net(constraint=fnn.MaxNorm(3))
    with pytest.raises(FloatingPointError, match="parameters are not finite"):
        fnn.Trainer(net, "squared_error", optimizer=fnn.SGD(3e38)).fit(X * 100, np.eye(5)[Y] * 100, batch_size=N)


def test_frozen_weights_are_not_projected() -> None:
    net = make_net(constraint=fnn.MaxNorm(0.5))
    net.variables["dense_1/W"].trainable = False
    before = weights(net)
    fnn.Trainer(net, optimizer=fnn.SGD(0.1)).fit(X, Y, batch_size=N)
    assert (weights(net)[0] == before[0]).all()
    assert norms(weights(net)[1]).max() <= 0.5 * (1 + 24 * EPSILON) < norms(before[1]).max()


def test_max_norm_is_no_penalty() -> None:
    assert "penalty" not in fnn.Trainer(make_net(constraint=fnn.MaxNorm(1))).fit(X, Y)
