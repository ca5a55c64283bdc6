"""A neuron (example 1-1): the logit z = sum_i w_i x_i + b, and any function of it; and a layer of one such unit.

A ``Neuron`` is there to be understood: it takes any callable. A ``Dense`` layer of one unit computes the same in
float32 for the functions that the engine knows, on one sample, as a batch of one row, or on many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn as fnn

from . import _draw
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "threshold": lambda z: np.where(z < 0, -1, 1),
}
WEIGHTS, BIAS = [1.5, -1.0], 0.5


def run(seed: int) -> Result:
    samples = np.random.default_rng(seed).uniform(-2, 2, (50, 2)).astype(np.float32)
    one = samples[0]
    lines = [f"w = {WEIGHTS}, b = {BIAS}, x = [{one[0]:.3f}, {one[1]:.3f}]"]
    largest, outputs = 0.0, {}
    for name, function in FUNCTIONS.items():
        neuron = fnn.Neuron(WEIGHTS, BIAS, function)
        layer = layer_of_one(name)
        outputs[name] = layer(samples)[:, 0]
        largest = max(largest, float(np.max(abs(neuron.forward(samples) - outputs[name]))))
        lines.append(f"{name:<10}neuron {neuron.forward(one):+.6f}, layer of one unit {layer(one[None])[0, 0]:+.6f}")
    hump = fnn.Neuron(WEIGHTS, BIAS, lambda z: np.exp(-z * z))
    lines.append(f"any callable, exp(-z^2): neuron {hump.forward(one):+.6f}")
    shown = f"neuron and layer agree on {len(samples)} samples to {largest:.1e}, float32's precision"
    logits = fnn.Neuron(WEIGHTS, BIAS, FUNCTIONS["linear"]).forward(samples)
    return Result(shown, lines, {"largest_difference": largest}, scene=(logits, outputs))


def layer_of_one(activation: str) -> fnn.Network:
    net = fnn.Network(2, [fnn.Dense(1, activation, name="neuron")])
    net.variables["neuron/W"] = np.reshape(WEIGHTS, (2, 1))
    net.variables["neuron/b"] = [BIAS]
    return net


def plot(result: Result) -> Figure:
    figure, (curves, plane) = _draw.panels(2)
    logits, outputs = result.scene
    z = np.linspace(-5, 5, 200)
    for i, (name, function) in enumerate(FUNCTIONS.items()):
        curves.plot(z, function(z), color=f"C{i}", label=name)
        curves.plot(logits, outputs[name], ".", color=f"C{i}", markersize=4)
    curves.set(xlabel="logit z", ylabel="output f(z)", ylim=(-2, 3), title="Lines: a neuron; dots: a layer of one unit")
    sigmoid = fnn.Neuron(WEIGHTS, BIAS, FUNCTIONS["sigmoid"])
    side = np.linspace(-2, 2, 200)
    rows = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    filled = plane.contourf(side, side, sigmoid.forward(rows).reshape(200, 200), levels=np.linspace(0, 1, 21))
    figure.colorbar(filled, ax=plane, label="output", shrink=0.8)
    plane.annotate("", (WEIGHTS[0], WEIGHTS[1]), (0, 0), arrowprops={"arrowstyle": "->", "linewidth": 2})
    plane.annotate("w", (WEIGHTS[0], WEIGHTS[1]), textcoords="offset points", xytext=(6, -4))
    plane.set(xlabel="$x_1$", ylabel="$x_2$", title="A sigmoid neuron of two inputs", aspect="equal")
    _draw.legend(curves)
    return figure
