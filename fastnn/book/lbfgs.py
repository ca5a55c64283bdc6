"""A network as a function of a vector: trained by SciPy's L-BFGS-B on its whole training set, beside gradient descent.

The book calls what ``Trainer`` does batch gradient descent when the batch is the whole training set (chapter 2); any
other optimiser needs from a network no more than its loss and its gradient at a vector of parameters. Needs SciPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn

from . import _draw, _points
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

POINTS = 400
ITERATIONS = 30
LEARNING_RATE = 0.5  # of gradient descent


def minimize(net: fnn.Network, x: ArrayLike, y: ArrayLike, iterations: int) -> list[float]:
    """Brings the mean loss of all rows of x down, and returns its values: before, and after each iteration."""
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise ImportError("L-BFGS is SciPy's: pip install scipy") from error

    losses: list[float] = []

    def function(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        net.set_flat(parameters)
        loss, gradient = net.loss_and_gradient(x, y)
        if not losses:
            losses.append(loss)
        return loss, gradient.astype(np.float64)  # SciPy counts in double

    def after_iteration(intermediate_result: object) -> None:
        losses.append(float(intermediate_result.fun))  # type: ignore[attr-defined]

    found = minimize(
        function,
        net.get_flat(),
        jac=True,
        method="L-BFGS-B",
        callback=after_iteration,
        options={"maxiter": iterations, "ftol": 0, "gtol": 0},
    )
    net.set_flat(found.x)
    return losses


def descend(net: fnn.Network, x: ArrayLike, y: ArrayLike, learning_rate: float, iterations: int) -> list[float]:
    """The same by batch gradient descent at a constant rate."""
    trainer = fnn.Trainer(net, "softmax_cross_entropy", fnn.SGD(learning_rate))
    losses = trainer.fit(x, y, epochs=iterations, batch_size=len(np.asarray(x)), shuffle=False)["loss"]
    return [*losses, trainer.evaluate(x, y)["loss"]]


def network(seed: int) -> fnn.Network:
    layers = [fnn.Dense(16, "tanh", initializer="glorot"), fnn.Dense(2, "softmax", initializer="glorot")]
    return fnn.Network(2, layers, seed=seed)


def run(seed: int) -> Result:
    """Both ways from the same start."""
    x, y = _points.rings(POINTS, seed)
    losses = {
        "L-BFGS": minimize(network(seed), x, y, ITERATIONS),
        "gradient descent": descend(network(seed), x, y, LEARNING_RATE, ITERATIONS),
    }
    lines = [f"{name}: loss {each[0]:.4f}, after {ITERATIONS} steps {each[-1]:.2g}" for name, each in losses.items()]
    ours, descent = (each[-1] for each in losses.values())
    shown = f"L-BFGS brings the loss to {ours:.1g} where gradient descent has {descent:.2g}"
    return Result(shown, lines, {"losses": losses}, losses)


def plot(result: Result) -> Figure:
    figure, (ax,) = _draw.panels(1)
    for name, losses in result.scene.items():
        ax.semilogy(losses, label=name)
    ax.set(xlabel="iteration", ylabel="mean loss")
    _draw.legend(ax)
    return figure
