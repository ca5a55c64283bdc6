"""Backpropagation, three times: by the engine, by the book's recursion, and by central differences.

The book's recursion, from the outputs down, for sigmoid units and E = 1/2 sum (t - y)^2:

    outputs  dE/dy_j = -(t_j - y_j)
    below    dE/dy_i = sum_j w_ij y_j (1 - y_j) dE/dy_j
    weights  dE/dw_ij = y_i y_j (1 - y_j) dE/dy_j

It is written out here in float64; differences (E(w + h) - E(w - h)) / 2h are taken of the float64 specification. For
other activations y (1 - y) becomes their slope f'(z).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn
from fastnn import reference

from . import _draw
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N, WIDTH, H = 16, 5, 1e-5
ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus")  # of hidden layers
DEPTHS = (1, 2, 3, 5, 8)


def run(seed: int) -> Result:
    random = np.random.default_rng(seed)
    x, t = (random.normal(size=(N, n)).astype(np.float32) for n in (4, 3))
    depths = ", ".join(map(str, DEPTHS))
    lines = [f"networks of {depths} layers; largest error of a component, by the largest component:"]
    pairs: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
    errors = np.empty((len(ACTIVATIONS), len(DEPTHS), 2))  # from differences, from recursion
    for i, activation in enumerate(ACTIVATIONS):
        for j, depth in enumerate(DEPTHS):
            net = network(activation, depth, seed)
            engine = flat(net.gradients(x, t, loss="squared_error").values())
            exact = (differences(net, x, t), recursion(net, x, t))
            errors[i, j] = [abs(engine - g).max() / abs(g).max() for g in exact]
            pairs[activation, depth] = (exact[0], engine)
        differ, recur = errors[i].max(axis=0)
        lines.append(f"{activation:<11}from differences {differ:.1e}, from recursion {recur:.1e}")
    differ, recur = errors.max(axis=(0, 1)).tolist()
    shown = f"engine and central differences agree within {differ:.0e}, engine and recursion within {recur:.0e}"
    return Result(shown, lines, {"from_differences": differ, "from_recursion": recur}, pairs)


def network(activation: str, depth: int, seed: int) -> fnn.Network:
    bias = fnn.RandomNormal(stddev=0.1)
    layers = [fnn.Dense(WIDTH, activation, bias_initializer=bias) for _ in range(depth - 1)]
    output = fnn.Dense(3, activation if activation in ("sigmoid", "tanh") else "linear", bias_initializer=bias)
    return fnn.Network(4, [*layers, output], seed=seed)


def activations(net: fnn.Network) -> list[str]:
    return [str(layer.activation) for layer in net.layers if isinstance(layer, fnn.Dense)]


def flat(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(array) for array in arrays])


def parameters(net: fnn.Network) -> list[np.ndarray]:
    return [np.asarray(variable, np.float64) for variable in net.variables.values()]


def differences(net: fnn.Network, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """(E(w + h) - E(w - h)) / 2h of the mean error, a parameter at a time."""
    params = parameters(net)
    rules = [fnn.activations.get(name).rule for name in activations(net)]
    layers = [reference.Layer(len(b), rule) for b, rule in zip(params[1::2], rules, strict=True)]
    specification = reference.Network(net.n_in, 1.0, 0.0, None, layers)

    def error() -> float:
        y = reference.forward(specification, params, x)[0][-1]
        return float(reference.squared_error(y, t)[0].mean())

    gradient = []
    for values in (p.reshape(-1) for p in params):
        for i, value in enumerate(values):
            values[i] = value + H
            above = error()
            values[i] = value - H
            gradient.append((above - error()) / (2 * H))
            values[i] = value
    return np.array(gradient)


def recursion(net: fnn.Network, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The book's, of the mean error."""
    params, names, zs, ys = parameters(net), activations(net), [], [x.astype(np.float64)]
    for name, w, b in zip(names, params[::2], params[1::2], strict=True):
        zs.append(ys[-1] @ w + b)
        ys.append(FUNCTIONS[name](zs[-1]))
    gradient: list[np.ndarray] = []
    above = -(t - ys[-1]) / len(x)
    for i in reversed(range(len(names))):
        at_logits = SLOPES[names[i]](zs[i], ys[i + 1]) * above
        gradient[:0] = [ys[i].T @ at_logits, at_logits.sum(axis=0)]
        above = at_logits @ params[2 * i].T
    return flat(gradient)


def sigmoid(z: np.ndarray) -> np.ndarray:
    y: np.ndarray = 1 / (1 + np.exp(-z))
    return y


def normal(z: np.ndarray) -> np.ndarray:
    """The normal distribution function."""
    y: np.ndarray = (1 + np.vectorize(math.erf)(z / math.sqrt(2))) / 2
    return y


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # of z
    "linear": lambda z: z,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "gelu": lambda z: z * normal(z),
    "silu": lambda z: z * sigmoid(z),
    "softplus": lambda z: np.log(1 + np.exp(z)),
}
SLOPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {  # of z and y = f(z)
    "linear": lambda z, y: np.ones_like(z),
    "sigmoid": lambda z, y: y * (1 - y),
    "tanh": lambda z, y: 1 - y * y,
    "relu": lambda z, y: np.where(z > 0, 1.0, 0.0),
    "leaky_relu": lambda z, y: np.where(z > 0, 1.0, 0.01),
    "elu": lambda z, y: np.where(z > 0, 1.0, np.exp(z)),
    "gelu": lambda z, y: normal(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi),
    "silu": lambda z, y: sigmoid(z) * (1 + z * (1 - sigmoid(z))),
    "softplus": lambda z, y: sigmoid(z),
}


def plot(result: Result) -> Figure:
    figure, axes = _draw.panels(4, 2)
    for ax, activation in zip(axes, ACTIVATIONS, strict=True):
        for depth in DEPTHS:
            exact, engine = result.scene[activation, depth]
            ax.loglog(abs(exact), abs(engine), ".", label=f"depth {depth}")
        ax.set(xlabel="central difference, size", ylabel="engine, size", title=activation)
        _draw.legend(ax)
    return figure
