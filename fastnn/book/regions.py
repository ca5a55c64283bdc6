"""Decision regions grow finer with the network: 3, 6 and 20 hidden units (Fig. 2-10), and 1, 2 and 4 layers of 3
(Fig. 2-11), two inputs, a softmax of two, mini-batches of 10.

And how many parameters is that? The MNIST net 784-30-30-10 of the book has "nearly 25,000".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn as fnn

from . import _draw, _points
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORKS = {
    "3 hidden units": [3],
    "6 hidden units": [6],
    "20 hidden units": [20],
    "1 layer of 3": [3],
    "2 layers of 3": [3, 3],
    "4 layers of 3": [3, 3, 3, 3],
}


def run(seed: int) -> Result:
    x, y = _points.board(400, seed)
    train, added = fnn.datasets.split(x, y, [200, 200], seed=seed)
    lines, nets = [], {}
    numbers: dict[str, Any] = {}
    for name, widths in NETWORKS.items():
        nets[name], trainer = classifier(widths, seed)
        trainer.fit(train.x, train.y, epochs=200, batch_size=10)
        seen, new = (trainer.evaluate(split.x, split.y)["accuracy"] for split in (train, added))
        numbers[name] = {"training": seen, "added": new, "parameters": nets[name].n_parameters}
        lines.append(
            f"{name:<16}{nets[name].n_parameters:3d} parameters, {seen:.1%} right in training, {new:.1%} of added data"
        )
    summary = mnist_net().summary()
    numbers["mnist_parameters"] = mnist_net().n_parameters
    lines += ["the MNIST net:", *(f"  {line}" for line in summary.splitlines())]
    accuracies = ", ".join(f"{numbers[name]['training']:.1%}" for name in list(NETWORKS)[:3])
    shown = f"3, 6 and 20 hidden units have {accuracies} of the training data right"
    return Result(shown, lines, numbers, (train, nets))


def classifier(widths: list[int], seed: int) -> tuple[fnn.Network, fnn.Trainer]:
    hidden = [fnn.Dense(n, "tanh", initializer="glorot") for n in widths]
    net = fnn.Network(2, [*hidden, fnn.Dense(2, "softmax")], seed=seed)
    return net, fnn.Trainer(net, "softmax_cross_entropy", fnn.Adam(0.01))


def mnist_net() -> fnn.Network:
    layers = [fnn.Dense(30, "sigmoid", name="hidden_1"), fnn.Dense(30, "sigmoid", name="hidden_2")]
    return fnn.Network(784, [*layers, fnn.Dense(10, "softmax", name="output")], seed=0)


def plot(result: Result) -> Figure:
    train, nets = result.scene
    figure, axes = _draw.panels(3, 2)
    for i, (ax, (name, net)) in enumerate(zip(axes, nets.items(), strict=True)):
        fnn.plots.decision_regions(net, train.x, train.y, ax=ax)
        right = np.mean(net.predict(train.x) == train.y)
        ax.set_title(f"{name}: {right:.1%} right" + (" (Fig. 2-10)", "", "", " (Fig. 2-11)", "", "")[i])
        _draw.legend(ax)
    return figure
