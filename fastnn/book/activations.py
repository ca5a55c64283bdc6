"""The functions of units (Figs. 1-11 to 1-13), and why they must not all be linear: such layers collapse into one.

The meal neuron of the book is linear, f(z) = a z + b, with a = 1 and b = 0. The perceptron's threshold has no slope to
learn by. Those of LATER the book does not have: most are ReLU with something left of 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn

from . import _draw
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTHS = (6, 8, 8, 3)
LINE = fnn.Linear(slope=0.5, intercept=1.0)  # a, b
LATER = ("leaky_relu", "elu", "gelu", "silu", "softplus")
FUNCTIONS: dict[str, str | fnn.activations.Activation] = {
    "linear": "linear",
    "z / 2 + 1": LINE,
    **{name: name for name in ("sigmoid", "tanh", "relu", "threshold", *LATER)},
}


def run(seed: int) -> Result:
    z = np.linspace(-4, 4, 201, dtype=np.float32)
    curves = {name: unit(function)(z[:, None])[:, 0] for name, function in FUNCTIONS.items()}
    lines = [
        f"{name:<11}f(-1) {f[z == -1][0]:+.4f}   f(0) {f[z == 0][0]:+.4f}   f(1) {f[z == 1][0]:+.4f}"
        for name, f in curves.items()
    ]
    x = np.random.default_rng(seed).normal(size=(500, WIDTHS[0])).astype(np.float32)
    numbers, pairs = {}, {}
    for name in ("linear", "tanh"):
        deep = stack(name, seed)(x)
        pairs[name] = deep, best_layer(x, deep)(x)
        numbers[name] = rest = float(np.sqrt(np.mean((deep - pairs[name][1]) ** 2)) / (deep - deep.mean(axis=0)).std())
        lines.append(
            f"{'-'.join(map(str, WIDTHS))} {name}: the best linear layer leaves {rest:.1e} of the spread unexplained"
        )
    rests = numbers["linear"], numbers["tanh"]
    shown = "three linear layers are one (unexplained: {:.0e}), three of tanh are not ({:.0%})".format(*rests)
    return Result(shown, lines, numbers, scene=(z, curves, pairs))


def unit(activation: str | fnn.activations.Activation) -> fnn.Network:
    """f(z), a unit with weight 1 and bias 0."""
    return fnn.Network(1, [fnn.Dense(1, activation, initializer="ones")])


def stack(activation: str, seed: int) -> fnn.Network:
    layers = [
        fnn.Dense(n, activation, bias_initializer=fnn.RandomNormal(), name=f"layer_{i}")
        for i, n in enumerate(WIDTHS[1:])
    ]
    return fnn.Network(WIDTHS[0], layers, seed=seed)


def best_layer(x: np.ndarray, y: np.ndarray) -> fnn.Network:
    """The linear layer whose outputs come closest to y: least squares."""
    weights = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]).astype(np.float64), y, rcond=None)[0]
    layer = fnn.Network(x.shape[1], [fnn.Dense(y.shape[1], name="one")])
    layer.variables["one/W"], layer.variables["one/b"] = weights[:-1], weights[-1]
    return layer


def plot(result: Result) -> Figure:
    _, _, pairs = result.scene
    figure, axes = _draw.panels(4, 2)
    titles: dict[str, list[str | fnn.activations.Activation]] = {
        "Linear, and a threshold": ["linear", LINE, "threshold"],
        "Sigmoid (Fig. 1-11)": ["sigmoid"],
        "Tanh (Fig. 1-12)": ["tanh"],
        "ReLU (Fig. 1-13)": ["relu"],
        "Later: a slope left of 0": [fnn.LeakyReLU(0.2), "elu"],
        "Later: without a kink": ["gelu", "silu", "softplus"],
    }
    for ax, (title, functions) in zip(axes, titles.items(), strict=False):
        fnn.plots.activations(functions, bounds=(-4, 4), ax=ax)
        ax.set_title(title)
        _draw.legend(ax)
    for ax, (name, (deep, shallow)) in zip(axes[6:], pairs.items(), strict=True):
        ax.plot(deep.ravel(), shallow.ravel(), ".", markersize=3)
        ax.set(xlabel=f"three {name} layers", ylabel="the best linear layer", title=f"Outputs: {name} stack")
    return figure
