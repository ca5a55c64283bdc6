"""Variables that networks have in common, that have no values yet, and that scopes name."""

from __future__ import annotations

import copy
import gc
import pickle
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core

N = 40
X = _core.draw("normal", N * 7, 0.0, 1.0, 5, 0).reshape(N, 7)
Y = np.arange(N) % 3


def make_two(shared: fnn.Dense | None = None) -> tuple[fnn.Network, fnn.Network]:
    """A classifier and a regression with a first layer in common, which each calls otherwise."""
    shared = shared or fnn.Dense(19, "tanh")
    one = fnn.Network(7, [shared, fnn.Dense(3, "softmax", name="classes")], seed=1)
    other = fnn.Network(7, [shared, fnn.Dense(7, name="dense_1")], seed=2)
    return one, other


def train(one: fnn.Network, other: fnn.Network, between: Callable[[], object] = lambda: None) -> None:
    """In turns, with momentum."""
    trainers = [fnn.Trainer(one, optimizer=fnn.SGD(0.1, momentum=0.9))]
    trainers += [fnn.Trainer(other, "squared_error", fnn.SGD(0.02, momentum=0.9))]
    for _ in range(3):
        for trainer, y in zip(trainers, (Y, X), strict=True):
            trainer.fit(X, y, batch_size=10)
            between()


# ---- one layer in two networks ---------------------------------------------------------------------------------------


def test_what_one_network_learns_the_other_knows(isa: str) -> None:
    """The bits are those of two networks whose values are copied after every change."""
    one, other = make_two()
    first, second = (fnn.Network(7, [copy.copy(layer) for layer in net.layers], seed=net.seed) for net in (one, other))
    second.variables["dense_2/W"] = first.variables["dense_1/W"]  # the seeds differ
    fits = iter(range(6))

    def copy_values() -> None:
        pair = (first, "dense_1"), (second, "dense_2")
        (source, a), (target, b) = pair if next(fits) % 2 == 0 else pair[::-1]
        for k in "Wb":
            target.variables[f"{b}/{k}"] = source.variables[f"{a}/{k}"]

    train(one, other)
    train(first, second, copy_values)
    assert one.get_flat().tobytes() == first.get_flat().tobytes()
    assert other.get_flat().tobytes() == second.get_flat().tobytes()
    assert one(X).tobytes() == first(X).tobytes()


def test_every_way_to_use_a_network_sees_the_change(tmp_path: Path) -> None:
    one, other = make_two()
    trainer, predictor = fnn.Trainer(one), one.predictor(N)
    assert next(iter(other.variables)) == "dense_2/W"

    def everything() -> list[bytes]:
        one.save(tmp_path / "net")
        loss, gradient = one.loss_and_gradient(X, Y)
        arrays = [one(X), predictor(X), one.activities(X)["dense_1"], gradient, one.get_flat()]
        arrays += [one.variables["dense_1/W"].histogram().counts]
        arrays += [np.float64(loss), np.float64(trainer.evaluate(X, Y)["loss"]), fnn.load(tmp_path / "net").get_flat()]
        return [array.tobytes() for array in arrays]

    before = everything()
    other.variables["dense_2/W"] = np.full((7, 19), 0.125)
    after = everything()
    assert all(a != b for a, b in zip(before, after, strict=True))
    fresh = fnn.load(tmp_path / "net")
    assert (fresh.variables["dense_1/W"].value == 0.125).all()
    assert after[0] == fresh(X).tobytes()

    other.variables["dense_2/W"].trainable = False
    assert not one.variables["dense_1/W"].trainable
    assert "133 of them frozen" in one.summary()
    trainer.fit(X, Y)
    assert (one.variables["dense_1/W"].value == 0.125).all()
    assert np.array_equal(one.variables["dense_1/b"].value, other.variables["dense_2/b"].value)
    assert one.variables["dense_1/b"].value.any()


def test_an_autoencoder_of_two_networks_layers() -> None:
    """Their layers in a third one, whose training trains them; layers keep their values when networks are gone."""
    coder, decoder = fnn.Dense(4, "tanh", name="code"), fnn.Dense(7, name="back")
    halves = [fnn.Network(7, [coder], seed=0), fnn.Network(4, [decoder], seed=1)]
    whole = fnn.Network(7, [coder, decoder])
    assert whole(X).tobytes() == halves[1](halves[0](X)).tobytes()
    fnn.Trainer(whole, "squared_error").fit(X, X)
    outputs = whole(X).tobytes()
    assert outputs == halves[1](halves[0](X)).tobytes()
    del whole, halves
    gc.collect()
    assert fnn.Network(7, [coder, decoder])(X).tobytes() == outputs


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))])
def test_a_copy_is_a_new_layer(make: Any) -> None:
    layer = fnn.Dense(3, name="a")
    net = fnn.Network(7, [layer], seed=0)
    fnn.Network(7, [make(layer)], seed=0).variables["a/W"] = np.zeros((7, 3))
    assert make(layer) == layer
    assert net.variables["a/W"].value.all()


def test_nothing_is_shared_unseen() -> None:
    layers = [fnn.Dense(3)]
    fnn.Network(7, layers, seed=0)
    with pytest.raises(ValueError, match="seed must be left out where nothing is to be initialised: all layers have"):
        fnn.Network(7, layers, seed=1)
    message = "dense_1/W must have shape (8, 3) here, got a layer that has (7, 3) already"
    with pytest.raises(ValueError, match=re.escape(message)):
        fnn.Network(8, layers)


def test_threads_share_a_layer() -> None:
    """Predictions while another network trains: no deadlock, and each sees the end."""
    one, other = make_two()
    threads = [threading.Thread(target=lambda: [one(X) for _ in range(200)])]
    threads += [threading.Thread(target=lambda: fnn.Trainer(other, "squared_error").fit(X, X, epochs=100))]
    threads += [threading.Thread(target=lambda: [other(X) for _ in range(200)])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert np.array_equal(one.variables["dense_1/W"].value, other.variables["dense_2/W"].value)


# ---- without values --------------------------------------------------------------------------------------------------


def test_variables_without_values_are_not_used(tmp_path: Path) -> None:
    net = fnn.Network(7, [fnn.Dense(5, name="a"), fnn.Dense(3, initializer=None, name="b")], seed=0)
    trainer = fnn.Trainer(net)
    assert repr(net.variables["b/W"]) == "Variable('b/W', shape=(5, 3), without values)"
    uses: list[Callable[[], object]] = [
        lambda: net(X),
        lambda: net.predict(X),
        lambda: net.predict_proba(X),
        lambda: net.predictor(1),
        lambda: net.activities(X, ["a"]),
        lambda: net.gradients(X, Y),
        lambda: net.loss_and_gradient(X, Y),
        lambda: net.get_flat(),
        lambda: net.variables["b/W"].value,
        lambda: trainer.fit(X, Y),
        lambda: trainer.evaluate(X, Y),
        lambda: net.save(tmp_path / "net"),
    ]
    for use in uses:
        with pytest.raises(RuntimeError, match=r"variable 'b/W' must be initialised before it is used: .*\['b/W'\] = "):
            use()
    assert trainer.epoch == 0
    assert not list(tmp_path.iterdir())
    net.variables["b/W"] = np.ones((5, 3))
    for use in uses:
        use()
    assert fnn.load(tmp_path / "net").get_flat().tobytes() == net.get_flat().tobytes()


def test_values_that_come_all_at_once() -> None:
    net = fnn.Network(7, [fnn.Dense(3, initializer=None, bias_initializer=None)])
    net.set_flat(np.arange(24))
    assert net(np.zeros((1, 7))).tolist() == [[21, 22, 23]]


def test_initialize() -> None:
    def make(seed: int) -> fnn.Network:
        return fnn.Network(7, [fnn.Dense(5, bias_initializer="random_normal"), fnn.Dense(3)], seed=seed)

    net = make(1)
    fnn.Trainer(net).fit(X, Y)
    assert net.get_flat().tobytes() != make(1).get_flat().tobytes()
    net.initialize()
    assert net.get_flat().tobytes() == make(1).get_flat().tobytes()
    net.initialize(seed=2)
    assert net.seed == 2
    assert net.get_flat().tobytes() == make(2).get_flat().tobytes()


def test_bad_flags() -> None:
    net = fnn.Network(7, [fnn.Dense(5, name="a")], seed=0)
    with pytest.raises(TypeError, match=re.escape("trainable must be True or False, got 'no' (str)")):
        net.variables["a/W"].trainable = "no"  # type: ignore[assignment]
    assert net.variables["a/W"].trainable


# ---- scopes ----------------------------------------------------------------------------------------------------------


def my_network(scope: fnn.Scope, n_in: int = 7, **options: Any) -> fnn.Network:
    """The book's my_network, smaller: linear layers, uniform weights, zero biases; new layers at every call."""
    uniform = fnn.RandomUniform(-1, 1)
    layers = [fnn.Dense(n, initializer=uniform, name=f"layer_{i}") for i, n in enumerate((5, 4, 3), start=1)]
    return fnn.Network(n_in, layers, scope=scope, **options)


def test_scopes_name_variables() -> None:
    scope = fnn.Scope("my_network")
    names = list(my_network(scope, seed=0).variables)
    assert names == [f"my_network/layer_{i}/{k}" for i in (1, 2, 3) for k in "Wb"]
    tower = fnn.Network(7, [fnn.Dense(5, name="layer_1"), fnn.Dense(2)], scope=scope / "towers/first", seed=0)
    whole = "my_network/towers/first/"
    assert list(tower.variables) == [f"{whole}{name}" for name in ("layer_1/W", "layer_1/b", "dense_2/W", "dense_2/b")]
    assert list(tower.activities(X)) == ["my_network/towers/first/layer_1", "my_network/towers/first/dense_2"]
    assert list(scope.variables) == [*names, *tower.variables]
    assert list((scope / "towers").variables) == list(tower.variables)
    assert np.array_equal(scope.variables[next(iter(tower.variables))], tower.get_flat()[:35].reshape(7, 5))


def test_over_sharing_and_reuse() -> None:
    """The book's my_network, called on two inputs."""
    scope = fnn.Scope("my_network")
    one = my_network(scope, seed=3)
    before = list(scope.variables)
    with pytest.raises(ValueError, match=r"^Over-sharing: Variable my_network/layer_1/W already exists, disallowed"):
        my_network(scope, seed=4)
    assert list(scope.variables) == before
    two = my_network(scope.reuse())
    assert list(two.variables) == list(one.variables)
    assert two(X).tobytes() == one(X).tobytes()
    fnn.Trainer(two).fit(X, Y)
    assert two.get_flat().tobytes() == one.get_flat().tobytes()
    assert two(X).tobytes() == one(X).tobytes()
    strangers = my_network(fnn.Scope("my_network"), seed=3)
    assert strangers.get_flat().tobytes() != one.get_flat().tobytes()


def test_what_cannot_be_reused() -> None:
    scope = fnn.Scope("a")
    with pytest.raises(ValueError, match=r"^Under-sharing: Variable a/layer_1/W does not exist, so scope 'a' cannot"):
        my_network(scope.reuse())
    my_network(scope)
    with pytest.raises(ValueError, match=r"^Under-sharing: Variable a/b/layer_1/W does not exist"):
        my_network(scope.reuse() / "b")
    with pytest.raises(ValueError, match=re.escape("a/layer_1/W must have shape (9, 5) here, got a layer that")):
        my_network(scope.reuse(), n_in=9)
    with pytest.raises(ValueError, match="seed must be left out"):
        my_network(scope.reuse(), seed=1)
    taken = fnn.Dense(5, name="layer_1")
    fnn.Network(7, [taken])
    with pytest.raises(ValueError, match="a/layer_1 must be a new layer to share the scope's variables, got one"):
        fnn.Network(7, [taken], scope=scope.reuse())


def test_shared_weights_have_one_mask() -> None:
    """Else a network without it would give values to connections that the other does not have."""
    scope = fnn.Scope("a")
    mask = np.eye(7)

    def masked(scope: fnn.Scope, mask: Any) -> fnn.Network:
        return fnn.Network(7, [fnn.Dense(7, mask=mask, name="b")], scope=scope)

    masked(scope, mask)
    for other in (None, 1 - mask):
        with pytest.raises(ValueError, match=r"^mask of 'a/b' must be its variables', Mask\(7 of 7 x 7\), got "):
            masked(scope.reuse(), other)
    assert masked(scope.reuse(), mask).n_parameters == 7 + 7


def test_two_layers_of_the_same_variables_are_no_network() -> None:
    """Neither would be told what the other learns within a step."""
    scope = fnn.Scope("a")
    fnn.Network(7, [fnn.Dense(7)], scope=scope)
    twins = [fnn.Dense(7), fnn.Dense(7)]
    for twin in twins:
        fnn.Network(7, [twin], scope=scope.reuse())
    with pytest.raises(ValueError, match="layers must have variables of their own, or be the same object, got two"):
        fnn.Network(7, twins)


def test_a_file_keeps_the_scope(tmp_path: Path) -> None:
    net = my_network(fnn.Scope("a") / "b", seed=0)
    net.save(tmp_path / "net")
    back = fnn.load(tmp_path / "net")
    assert list(back.variables) == list(net.variables)
    assert back.scope is not None
    assert back.scope.name == "a/b"
    assert back.get_flat().tobytes() == net.get_flat().tobytes()


@pytest.mark.parametrize(("name", "kind"), [("", ValueError), ("a//b", ValueError), ("a/", ValueError), (3, TypeError)])
def test_bad_scopes(name: Any, kind: type[Exception]) -> None:
    for call in (fnn.Scope, fnn.Scope("a").__truediv__):
        with pytest.raises(kind, match=re.escape('name must be a name such as "my_network" or') + f".*, got {name!r}"):
            call(name)
    with pytest.raises(TypeError, match=r"scope must be a Scope or None, got 'a' \(str\)"):
        fnn.Network(7, [fnn.Dense(3)], scope="a")  # type: ignore[arg-type]
