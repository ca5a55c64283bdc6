"""L2 regularisation on the net of 20 hidden units, strengths 0.01, 0.1 and 1, mini-batches of 10 (Fig. 2-15).

Chapter 2 sums its error over the batch, our loss is a mean over its 10 rows: the book's lambda is our lambda / 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn

from . import _draw, _points
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRENGTHS = (0.0, 0.01, 0.1, 1.0)
BATCH = 10


def run(seed: int) -> Result:
    x, y = _points.moons(400, seed)
    train, added = fnn.datasets.split(x, y, [100, 300], seed=seed)
    lines, nets = [], {}
    numbers: dict[str, dict[str, float]] = {}
    for strength in STRENGTHS:
        net = fnn.Network(2, [fnn.Dense(20, "tanh"), fnn.Dense(2)], seed=seed)
        trainer = fnn.Trainer(
            net, "softmax_cross_entropy", fnn.SGD(0.1, momentum=0.9), regularizer=fnn.L2(strength / BATCH)
        )
        trainer.fit(train.x, train.y, epochs=300, batch_size=BATCH)
        right = {name: trainer.evaluate(s.x, s.y)["accuracy"] for name, s in (("training", train), ("added", added))}
        numbers[f"{strength:g}"] = {"norm": norm(net), **right}
        nets[strength] = net
        lines.append(
            f"lambda {strength:<5g}norm of the weights {norm(net):6.3f}, {right['training']:.1%} right in training, "
            f"{right['added']:.1%} of added data"
        )
    norms = " > ".join(f"{each['norm']:.2f}" for each in numbers.values())
    return Result(f"the stronger L2, the smaller the weights: {norms}", lines, numbers, (train, nets))


def norm(net: fnn.Network) -> float:
    """Of all weights, without biases."""
    weights = [variable.value for name, variable in net.variables.items() if name.endswith("/W")]
    return float(np.sqrt(sum(np.square(w, dtype=np.float64).sum() for w in weights)))


def plot(result: Result) -> Figure:
    train, nets = result.scene
    figure, axes = _draw.panels(2, 2)
    for ax, (strength, net) in zip(axes, nets.items(), strict=True):
        fnn.plots.decision_regions(net, train.x, train.y, ax=ax)
        ax.set_title(f"L2 of {strength:g}: norm {norm(net):.2f}")
        _draw.legend(ax)
    return figure
