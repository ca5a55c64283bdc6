"""Backpropagation, three times: by the engine, by the book's recursion, and by central differences.

The book's recursion, from the outputs down, for sigmoid units and E = 1/2 sum (t - y)^2:

    outputs  dE/dy_j = -(t_j - y_j)
    below    dE/dy_i = sum_j w_ij y_j (1 - y_j) dE/dy_j
    weights  dE/dw_ij = y_i y_j (1 - y_j) dE/dy_j

It is written out here in float64; differences (E(w + h) - E(w - h)) / 2h are taken of the float64 specification. For
other activations y (1 - y) becomes their slope.
"""

from __future__ import annotations

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
ACTIVATIONS = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "linear"}  # of hidden layers and of the output
DEPTHS = (1, 2, 3, 5, 8)


def run(seed: int) -> Result:
    random = np.random.default_rng(seed)
    x, t = (random.normal(size=(N, n)).astype(np.float32) for n in (4, 3))
    lines, pairs, worst = [], {}, {"differences": 0.0, "recursion": 0.0}
    for activation in ACTIVATIONS:
        for depth in DEPTHS:
            net = network(activation, depth, seed)
            engine = flat(net.gradients(x, t, loss="squared_error").values())
            exact = {"differences": differences(net, x, t), "recursion": recursion(net, x, t)}
            errors = {name: float(abs(engine - g).max() / abs(g).max()) for name, g in exact.items()}
            worst = {name: max(worst[name], error) for name, error in errors.items()}
            size = f"{activation:<8}{depth} layers, {len(engine):3d} parameters"
            lines.append(f"{size}: largest difference {max(errors.values()):.1e} of the largest component")
            pairs[activation, depth] = (exact["differences"], engine)
    shown = "engine and central differences agree within {differences:.0e}, engine and recursion within {recursion:.0e}"
    shown = shown.format(**worst)
    return Result(shown, lines, {f"from_{name}": error for name, error in worst.items()}, pairs)


def network(activation: str, depth: int, seed: int) -> fnn.Network:
    bias = fnn.RandomNormal(stddev=0.1)
    layers = [fnn.Dense(WIDTH, activation, bias_initializer=bias) for _ in range(depth - 1)]
    output = fnn.Dense(3, ACTIVATIONS[activation], bias_initializer=bias)
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
    layers = [reference.Layer(len(b), name) for b, name in zip(params[1::2], activations(net), strict=True)]
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
    params, ys = parameters(net), [x.astype(np.float64)]
    for name, w, b in zip(activations(net), params[::2], params[1::2], strict=True):
        ys.append(FUNCTIONS[name](ys[-1] @ w + b))
    gradient: list[np.ndarray] = []
    above = -(t - ys[-1]) / len(x)
    for i, name in reversed(list(enumerate(activations(net)))):
        at_logits = SLOPES[name](ys[i + 1]) * above
        gradient[:0] = [ys[i].T @ at_logits, at_logits.sum(axis=0)]
        above = at_logits @ params[2 * i].T
    return flat(gradient)


Function = Callable[[np.ndarray], np.ndarray]
FUNCTIONS: dict[str, Function] = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "linear": lambda z: z,
}
SLOPES: dict[str, Function] = {  # by the output y
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
    "relu": lambda y: np.where(y > 0, 1.0, 0.0),
    "linear": np.ones_like,
}


def plot(result: Result) -> Figure:
    figure, axes = _draw.panels(len(ACTIVATIONS))
    for ax, activation in zip(axes, ACTIVATIONS, strict=True):
        for depth in DEPTHS:
            exact, engine = result.scene[activation, depth]
            ax.loglog(abs(exact), abs(engine), ".", label=f"depth {depth}")
        ax.set(xlabel="central difference, size", ylabel="engine, size", title=activation)
        _draw.legend(ax)
    return figure
