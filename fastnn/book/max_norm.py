"""Max-norm: after every update the incoming weights of each unit are projected onto the ball of radius 3.

So they stay bounded even where the learning rate is far too high, and nothing is learned; without it they grow, until
the training diverges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn

from . import _draw, _points
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RADIUS, EPOCHS = 3.0, 30
RATES = (0.3, 3.0, 30.0)


def run(seed: int) -> Result:
    x, y = _points.board(200, seed)
    lines, numbers, curves = [], {}, {}
    for rate in RATES:
        for name, constraint in (("free", None), ("max-norm", fnn.MaxNorm(RADIUS))):
            hidden = [fnn.Dense(20, "tanh", initializer="glorot", constraint=constraint) for _ in range(2)]
            net = fnn.Network(2, [*hidden, fnn.Dense(2, constraint=constraint)], seed=seed)
            trainer = fnn.Trainer(net, "softmax_cross_entropy", fnn.SGD(rate))
            norms, has_diverged = norms_of_epochs(trainer, x, y)
            curves[rate, name] = norms
            numbers[f"{name} {rate:g}"] = {"largest_norm": max(norms), "diverged": has_diverged}
            end = (
                f"diverges in epoch {len(norms)}" if has_diverged else f"{trainer.evaluate(x, y)['accuracy']:.1%} right"
            )
            lines.append(f"rate {rate:<4g}{name:<9}largest norm of a unit {max(norms):.4g}; {end}")
    free, bounded = (max(norms) for norms in (curves[RATES[-1], "free"], curves[RATES[-1], "max-norm"]))
    shown = f"at a rate of {RATES[-1]:g} no unit's norm passes {bounded:.4f} with max-norm, {free:.3g} without"
    return Result(shown, lines, numbers, curves)


def norms_of_epochs(trainer: fnn.Trainer, x: np.ndarray, y: np.ndarray) -> tuple[list[float], bool]:
    """The largest norm of a unit's incoming weights before training and after each epoch; whether training diverged."""
    norms = [largest_norm(trainer.network)]
    for _ in range(EPOCHS):
        try:
            trainer.fit(x, y, batch_size=10)
        except FloatingPointError:
            return norms, True
        norms.append(largest_norm(trainer.network))
    return norms, False


def largest_norm(net: fnn.Network) -> float:
    weights = (variable.value for name, variable in net.variables.items() if name.endswith("/W"))
    return float(max(np.linalg.norm(w.astype(np.float64), axis=0).max() for w in weights))


def plot(result: Result) -> Figure:
    figure, axes = _draw.panels(len(RATES), sharey=True)
    for ax, rate in zip(axes, RATES, strict=True):
        for name in ("free", "max-norm"):
            ax.semilogy(result.scene[rate, name], label=name)
        ax.axhline(RADIUS, color="gray", linestyle="--", label=f"radius {RADIUS:g}")
        ax.set(xlabel="epoch", ylabel="largest norm of a unit", title=f"Learning rate {rate:g}")
        _draw.legend(ax)
    return figure
