"""Several labels at once, in the book's coding: [1, 1] both, [1, 0] and [0, 1] one of them, [0, 0] neither.

A softmax could not say so, as its outputs sum to 1. Each output is a sigmoid unit with a cross-entropy of its own (the
book leaves that open). The labels here say which of two discs, which overlap, a point of the plane lies in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn

from . import _draw
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CENTERS, RADIUS = np.array([[-0.6, 0.0], [0.6, 0.0]]), 1.1
CODES = {(1, 1): "both", (1, 0): "left", (0, 1): "right", (0, 0): "neither"}


def run(seed: int) -> Result:
    x = np.random.default_rng(seed).uniform(-2, 2, (2000, 2)).astype(np.float32)
    labels = np.linalg.norm(x[:, None] - CENTERS, axis=2) < RADIUS
    train, test = fnn.datasets.split(x, labels.astype(np.float32), [0.5, 0.5], seed=seed)
    net = fnn.Network(2, [fnn.Dense(24, "tanh"), fnn.Dense(2)], seed=seed)
    trainer = fnn.Trainer(net, "sigmoid_cross_entropy", fnn.Adam(0.02))
    trainer.fit(train.x, train.y, epochs=100, batch_size=20)
    said, lines, right = net.predict(test.x), [], {}
    for code, name in CODES.items():
        rows = (test.y == code).all(axis=1)
        right[name] = float((said[rows] == code).all(axis=1).mean())
        lines.append(f"{list(code)} {name:<8}{rows.sum():4d} points, {right[name]:.1%} get exactly this code")
    whole = float((said == test.y).all(axis=1).mean())
    shown = f"both labels right for {whole:.1%} of {len(test)} unseen points, 'both' and 'neither' among them"
    return Result(shown, lines, {"both_labels_right": whole, **right}, scene=(net, test))


def plot(result: Result) -> Figure:
    net, test = result.scene
    figure, (ax,) = _draw.panels(1)
    index = {code: i for i, code in enumerate(CODES)}

    def which(labels: np.ndarray) -> np.ndarray:
        return np.array([index[tuple(row)] for row in labels.astype(int).tolist()])

    names = [f"{list(code)} {name}" for code, name in CODES.items()]
    fnn.plots.decision_regions(lambda x: which(net.predict(x)), test.x[:400], which(test.y[:400]), names=names, ax=ax)
    ax.set(title="Labels: within the left disc, the right disc", aspect="equal")
    for center in CENTERS:
        angle = np.linspace(0, 2 * np.pi, 100)
        ax.plot(center[0] + RADIUS * np.cos(angle), center[1] + RADIUS * np.sin(angle), color="black", linewidth=1)
    _draw.legend(ax)
    return figure
