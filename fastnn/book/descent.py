"""Batch, stochastic and mini-batch descent: the same Trainer with batches of all examples, of one, of a few.

A network of one weight, y = tanh(w x), whose batch error has a spurious minimum (Fig. 2-6): one example wants a
negative weight, and soon no longer cares; the others want a positive one. Batch descent stays in that minimum; the
error surface of stochastic descent changes from example to example (Fig. 2-7), and so it gets out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn

from . import _draw
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

X = np.array([[4.0], [0.5], [0.55], [0.6], [0.65], [0.7]], dtype=np.float32)
T = np.array([[-1.0], [0.9], [0.9], [0.9], [0.9], [0.9]], dtype=np.float32)
START, RATE, UPDATES = -3.0, 0.4, 600
SIZES = {"batch": len(X), "stochastic": 1, "mini-batch": 2}


def run(seed: int) -> Result:
    paths = {name: walk(size, seed) for name, size in SIZES.items()}
    grid = np.linspace(-4, 6, 2001)
    e = errors(grid).mean(axis=1)
    minima = [float(grid[i]) for i in range(1, len(e) - 1) if e[i] < min(e[i - 1], e[i + 1])]
    at = {w: float(errors(np.array([w])).mean()) for w in minima}
    lines = ["minima of the mean error: " + ", ".join(f"w = {w:.2f} (E = {error:.3f})" for w, error in at.items())]
    ends = {name: float(path[-1]) for name, path in paths.items()}
    for name, w in ends.items():
        error = errors(np.array([w])).mean()
        lines.append(f"{name:<11}({SIZES[name]} a step) goes from w = {START:g} to w = {w:.2f}, E = {error:.3f}")
    left = " and ".join(name for name, w in ends.items() if w > 1) or "no"
    shown = f"{left} descent reaches the lower minimum; batch descent ends at w = {ends['batch']:.2f}"
    return Result(shown, lines, {"minima": minima, "ends": ends}, (grid, paths))


def walk(batch_size: int, seed: int) -> np.ndarray:
    """The weight before and after each epoch."""
    net = fnn.Network(1, [fnn.Dense(1, "tanh", name="unit")], seed=seed)
    net.variables["unit/W"] = [[START]]
    net.variables["unit/b"].trainable = False
    trainer = fnn.Trainer(net, "squared_error", fnn.SGD(RATE))
    path = [START]
    while trainer.step < UPDATES:
        trainer.fit(X, T, batch_size=batch_size)
        path.append(net.variables["unit/W"].value[0, 0])
    return np.array(path)


def errors(w: np.ndarray) -> np.ndarray:
    """Of each example at each weight: (len(w), len(X))."""
    return 0.5 * (np.tanh(w[:, None] * X[:, 0]) - T[:, 0]) ** 2


def plot(result: Result) -> Figure:
    grid, paths = result.scene
    figure, (whole, each, walks) = _draw.panels(3)
    e = errors(grid)
    whole.plot(grid, e.mean(axis=1), color="black", label="mean error")
    for (name, path), color in zip(paths.items(), ("C0", "C1", "C2"), strict=True):
        end = path[-1:]
        whole.plot(end, errors(end).mean(axis=1), "o", color=color, label=f"{name} ends")
        walks.plot(np.linspace(0, UPDATES, len(path)), path, color=color, label=name, linewidth=1)
    whole.set(xlabel="weight w", ylabel="E(w)", title="The batch's error (Fig. 2-6)")
    each.plot(grid, e[:, 0], label="the first example")
    each.plot(grid, e[:, 1], color="C1", label="the others")
    each.plot(grid, e[:, 2:], color="C1")
    each.set(xlabel="weight w", ylabel="E(w)", title="The examples' errors (Fig. 2-7)")
    walks.set(xlabel="update", ylabel="weight w", xlim=(-5, 205), title=f"From w = {START:g} at the same rate")
    for ax in (whole, each, walks):
        _draw.legend(ax)
    return figure
