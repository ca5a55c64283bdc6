"""The cafeteria: what do a burger, fries and a soda cost, if only the bills of some days are known?

A linear neuron with three weights and no bias learns the prices (here of our choice) by the delta rule of chapter 2,

    E = 1/2 sum (t - y)^2,   dw_k = eps sum x_k (t - y)

which sums over the days: ``reduction="sum"``, where a Trainer otherwise takes the mean. With two weights the error is a
bowl (Fig. 2-2), down which the weights go (Fig. 2-3), unless the rate is too large (Fig. 2-4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn

from . import _draw
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PRICES = np.array([4.5, 2.0, 1.25], dtype=np.float32)
DAYS = 30


def run(seed: int) -> Result:
    random = np.random.default_rng(seed)
    servings = random.integers(0, 6, (DAYS, 3)).astype(np.float32)
    bills = servings @ PRICES
    path = descent(servings, bills, start(random, 3), share=0.5, steps=200)
    error = float(abs(path[-1] - PRICES).max())
    lines = [
        f"{n:3d} steps: burger {path[n][0]:.3f}, fries {path[n][1]:.3f}, soda {path[n][2]:.3f}" for n in (0, 5, 20, 100)
    ]

    two, bills_of_two = servings[:, :2], servings[:, :2] @ PRICES[:2]
    first = start(random, 2)
    paths = {share: descent(two, bills_of_two, first, share, steps=12) for share in (0.3, 0.9, 1.05)}
    for share, walked in paths.items():
        errors = [bowl(two, bills_of_two)(w[None])[0] for w in (walked[0], walked[-1])]
        lines.append(f"two weights, rate {share:g} of the largest stable one: E {errors[0]:.0f} -> {errors[1]:.2g}")
    shown = f"prices found to {error:.0e} from {DAYS} bills; beyond the largest stable rate the error grows"
    return Result(shown, lines, {"largest_error": error, "prices": path[-1].tolist()}, (two, bills_of_two, paths))


def start(random: np.random.Generator, n: int) -> np.ndarray:
    return random.uniform(-4, 4, n).astype(np.float32)


def descent(x: np.ndarray, t: np.ndarray, first: np.ndarray, share: float, steps: int) -> np.ndarray:
    """The weights before and after each step (steps + 1, n), with that share of the largest rate that does not diverge:
    2 divided by the largest curvature of the error, which is the largest eigenvalue of x^T x."""
    eps = share * 2 / float(np.linalg.eigvalsh(x.T @ x)[-1])
    net = fnn.Network(x.shape[1], [fnn.Dense(1, name="prices")])
    net.variables["prices/W"] = first[:, None]
    net.variables["prices/b"].trainable = False
    trainer = fnn.Trainer(net, "squared_error", fnn.SGD(eps), reduction="sum")
    path = [first]
    for _ in range(steps):
        trainer.fit(x, t, batch_size=len(x), shuffle=False)
        path.append(net.variables["prices/W"].value[:, 0])
    return np.array(path)


def bowl(x: np.ndarray, t: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """E of each row of weights (n, 2)."""
    return lambda w: np.sum(0.5 * (t - w @ x.T) ** 2, axis=1)


def plot(result: Result) -> Figure:
    x, t, paths = result.scene
    surface = bowl(x, t)

    def error(burger: float, fries: float) -> float:
        return float(surface(np.array([[burger, fries]]))[0])

    figure, axes = _draw.panels(3)
    axes[0].remove()
    space = figure.add_subplot(1, 3, 1, projection="3d")
    draw, bounds = fnn.plots.error_surface, ((-5.0, 10.0), (-5.0, 10.0))
    draw(error, bounds=bounds, bowl=True, labels=("burger", "fries"), ax=space)
    space.set_title("A quadratic bowl (Fig. 2-2)")
    space.set_zlabel("")  # the title of a colour bar beside it says so
    space.set_box_aspect(None, zoom=0.85)
    for ax, share, title in ((axes[1], 0.3, "Descent (Fig. 2-3)"), (axes[2], 1.05, "Too large a rate (Fig. 2-4)")):
        draw(error, paths[share][:9], bounds=bounds, labels=("weight of burgers", "weight of fries"), ax=ax)
        ax.plot(*PRICES[:2], "*", color="tab:red", markersize=12, label="the prices", zorder=5)
        ax.set_title(title)
        _draw.legend(ax)
    return figure
