"""L1 makes weights exactly zero: a unit uses few of its inputs, and shows which. L2 leaves all small and none zero.

Of 20 inputs three say which class it is, the others are noise. The proximal step behind ``L1`` makes the zeros exact
(the book has weights "very close to" zero).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn

from . import _draw
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_IN, N_USED = 20, 3
REGULARIZERS = {
    "none": None,
    "L1 of 0.001": fnn.L1(0.001),
    "L1 of 0.003": fnn.L1(0.003),
    "L1 of 0.01": fnn.L1(0.01),
    "L2 of 0.01": fnn.L2(0.01),
}


def run(seed: int) -> Result:
    random = np.random.default_rng(seed)
    x = random.normal(size=(1000, N_IN)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(np.int64)
    train, added = fnn.datasets.split(x, y, [0.5, 0.5], seed=seed)
    lines, weights = [], {}
    numbers: dict[str, dict[str, float]] = {}
    for name, regularizer in REGULARIZERS.items():
        net = fnn.Network(
            N_IN, [fnn.Dense(12, "tanh", regularizer=regularizer, name="hidden"), fnn.Dense(2)], seed=seed
        )
        trainer = fnn.Trainer(net, "softmax_cross_entropy", fnn.SGD(0.2))
        trainer.fit(train.x, train.y, epochs=200, batch_size=10)
        weights[name] = w = net.variables["hidden/W"].value
        zeros, inputs = float(np.mean(w == 0)), float(np.count_nonzero(w, axis=0).mean())
        right = trainer.evaluate(added.x, added.y)["accuracy"]
        numbers[name] = {"zeros": zeros, "inputs_of_a_unit": inputs, "added": right}
        use = f"{zeros:6.1%} of the weights are 0, a unit uses {inputs:4.1f} of {N_IN} inputs"
        lines.append(f"{name:<13}{use}; {right:.1%} of added data right")
    shares = ", ".join(f"{numbers[name]['zeros']:.0%}" for name in REGULARIZERS if name.startswith("L1"))
    return Result(f"weights exactly zero with L1, by strength: {shares}; with L2 none", lines, numbers, weights)


def plot(result: Result) -> Figure:
    figure, (*axes, shares) = _draw.panels(3, 2)
    for ax, (name, w) in zip(axes, result.scene.items(), strict=True):
        largest = abs(w).max()
        image = ax.imshow(w, cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto")
        figure.colorbar(image, ax=ax, label="weight", shrink=0.8)
        ax.set(xlabel="hidden unit", ylabel="input (0 to 2 matter)", title=f"{name}: {np.mean(w == 0):.0%} zero")
        ax.set_yticks(range(0, N_IN, 2))
    shares.barh(list(result.scene), [np.mean(w == 0) for w in result.scene.values()])
    shares.set(xlabel="share of weights that are exactly 0", xlim=(0, 1))
    shares.invert_yaxis()
    return figure
