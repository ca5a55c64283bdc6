"""Sharing (section "Variable scopes and sharing variables"): one set of variables for two inputs.

The book's my_network is 784-100-50-10, linear, weights uniform(-1, 1), biases zero; called twice, it makes variables
twice. A network here is made once and called as often as one likes, and a second one in the same scope is refused as
over-sharing unless it asks for reuse. Beyond the book: one layer in two places of a network sums the gradients of both.
"""

from __future__ import annotations

import numpy as np

import fastnn as fnn

from ._result import Result

WIDTHS = (100, 50, 10)
UNIFORM = fnn.RandomUniform(-1.0, 1.0)
WIDTH, ROWS = 20, 64  # of the network that has one layer twice


def my_network(scope: fnn.Scope, seed: int | None = None) -> fnn.Network:
    layers = [fnn.Dense(units, initializer=UNIFORM, name=f"layer_{i}") for i, units in enumerate(WIDTHS, 1)]
    return fnn.Network(784, layers, seed=seed, scope=scope)


def run(seed: int) -> Result:
    random, scope = np.random.default_rng(seed), fnn.Scope("my_network")
    i_1, i_2 = (random.normal(size=(1000, 784)).astype(np.float32) for _ in range(2))
    net = my_network(scope, seed)
    lines = [f"{name:<22}{variable.shape}" for name, variable in net.variables.items()]
    lines.append(f"called on two inputs {i_1.shape}: outputs {net(i_1).shape} and {net(i_2).shape}")

    refusal = refused(scope, seed)
    lines += ["a second one in the same scope:", f"  {refusal}"]
    twin = my_network(scope.reuse())  # has nothing to draw, and takes no seed
    same = np.array_equal(net(i_2), twin(i_2))
    net.variables["my_network/layer_3/b"] = np.ones(10)
    noticed = np.array_equal(net(i_2), twin(i_2))
    lines.append(f"a second one that reuses: the same outputs {same}, also after a variable was assigned {noticed}")

    shared, first, second = gradients_of_places(seed)
    error = float(abs(shared - (first + second)).max() / abs(shared).max())
    lines.append(f"one layer twice: its gradient is the sum of two separate layers', within {error:.0e} of the largest")
    numbers = {
        "variables": len(net.variables),
        "error": refusal,
        "same": same and noticed,
        "sum_error": error,
        "share_of_first": float(np.linalg.norm(first) / np.linalg.norm(shared)),
    }
    return Result(f"two inputs, two networks, {len(scope.variables)} variables", lines, numbers)


def refused(scope: fnn.Scope, seed: int) -> str:
    try:
        my_network(scope, seed)
    except ValueError as error:
        return str(error)
    return "nothing"


def gradients_of_places(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At the weights of a layer that stands twice, and at those of two that stand there with the same values."""
    random = np.random.default_rng(seed)
    x, t = (random.normal(size=(ROWS, WIDTH)).astype(np.float32) for _ in range(2))
    layer = fnn.Dense(WIDTH, "tanh", initializer="glorot", name="a")
    once = fnn.Network(WIDTH, [layer, layer], seed=seed)
    apart = fnn.Network(WIDTH, [fnn.Dense(WIDTH, "tanh", name="a"), fnn.Dense(WIDTH, "tanh", name="b")])
    for name in ("a/W", "b/W"):
        apart.variables[name] = once.variables["a/W"]
    both = apart.gradients(x, t, loss="squared_error")
    return once.gradients(x, t, loss="squared_error")["a/W"], both["a/W"], both["b/W"]
