"""A feed-forward network: three layers of three neurons (Fig. 1-9), each unit a neuron that reads the layer below.

An image becomes a vector of its pixels' values (Fig. 1-3), grey or in colours. "Not every neuron needs every
connection": where a 0/1 mask takes a weight away, what is behind it no longer matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn

from . import _draw
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MASK = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]])  # of the second layer: from unit (row) to unit (column)
SHAPES = {"grey, 28 x 28": (28, 28), "RGB, 32 x 32 x 3": (32, 32, 3)}


def run(seed: int) -> Result:
    masks = {"layer_1": None, "layer_2": MASK, "layer_3": None}
    net = fnn.Network(3, [fnn.Dense(3, "tanh", mask=mask, name=name) for name, mask in masks.items()], seed=seed)
    x = np.random.default_rng(seed).normal(size=3).astype(np.float32)
    inside = activities(net, x)
    lines = [
        f"{name:<8}{', '.join(f'{value:+.4f}' for value in values)}" for name, values in {"input": x, **inside}.items()
    ]
    difference = max(float(abs(a - b).max()) for a, b in zip(inside.values(), by_neurons(net, x), strict=True))
    lines.append(f"nine neurons, one by one: the same within {difference:.0e}")

    net.variables["layer_1/b"] = np.array([5, 0, 0])  # another output of the first unit
    reached = (activities(net, x)["layer_2"] != inside["layer_2"]).astype(int).tolist()
    lines.append(
        f"the first unit of layer 1 changes: units of layer 2 that notice {reached}, its mask {MASK[0].tolist()}"
    )
    numbers = {"difference": difference, "reached": reached}
    for name, shape in SHAPES.items():
        image = picture(shape, seed)
        reader = fnn.Network(image.size, [fnn.Rescaling(1 / 255), fnn.Dense(30, "relu"), fnn.Dense(10)], seed=seed)
        numbers[name] = reader.n_in
        lines.append(f"image {name}: a vector of {image.size} values, {reader}")
    shown = (
        f"a network is its neurons, layer by layer (within {difference:.0e}); units notice what they are connected to"
    )
    return Result(shown, lines, numbers, (net, {"input": x, **inside}, picture(SHAPES["grey, 28 x 28"], seed)))


def activities(net: fnn.Network, x: np.ndarray) -> dict[str, np.ndarray]:
    """What each layer puts out for one sample."""
    return {name: values[0] for name, values in net.activities(x[None]).items()}


def by_neurons(net: fnn.Network, x: np.ndarray) -> list[np.ndarray]:
    """The same, a neuron at a time."""
    outputs = [x]
    for i in (1, 2, 3):
        w, b = (np.asarray(net.variables[f"layer_{i}/{name}"]) for name in "Wb")
        neurons = [fnn.Neuron(w[:, j], b[j], np.tanh) for j in range(3)]
        outputs.append(np.array([neuron.forward(outputs[-1]) for neuron in neurons]))
    return outputs[1:]


def picture(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A drawn digit; in colours, noise."""
    if len(shape) == 2:
        return np.reshape(fnn.datasets.synthetic_digits(1, seed=seed).x[0], shape)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def plot(result: Result) -> Figure:
    net, outputs, image = result.scene
    figure, (graph, seen, vector) = _draw.panels(3)
    for i in (1, 2, 3):
        w = net.variables[f"layer_{i}/W"].value
        for a, b in zip(*np.nonzero(w), strict=True):
            color = "tab:blue" if w[a, b] > 0 else "tab:orange"
            graph.plot([i - 1, i], [-a, -b], color=color, linewidth=1 + 2 * abs(w[a, b]), alpha=0.7, zorder=1)
    across, down = np.repeat(range(4), 3), np.tile(range(3), 4)
    values = np.concatenate(list(outputs.values()))
    units = graph.scatter(across, -down, s=500, c=values, cmap="RdBu", vmin=-1, vmax=1, edgecolors="black")
    figure.colorbar(units, ax=graph, label="output", shrink=0.8)
    graph.set_xticks(range(4), list(outputs))
    graph.set(
        xlabel="weights: blue positive, orange negative",
        yticks=[],
        xlim=(-0.4, 3.4),
        ylim=(-2.5, 0.5),
        title="Three layers of three (Fig. 1-9)",
    )
    seen.imshow(image, cmap="gray_r")
    seen.set(xlabel="column", ylabel="row", title="An image (Fig. 1-3)")
    vector.plot(image.ravel(), linewidth=0.7)
    vector.set(xlabel="input", ylabel="value", title="The same as a vector")
    return figure
