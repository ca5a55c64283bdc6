"""How the examples draw: figures that need no screen, regions that a network tells apart, surfaces of an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

COLORS = ("tab:blue", "tab:orange")  # of classes 0 and 1


def panels(columns: int, rows: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.0 * columns, 3.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.ravel())


def points(ax: Axes, x: NDArray[Any], y: NDArray[Any], labels: tuple[str, str] = ("class 0", "class 1")) -> None:
    """Rows of x (n, 2) of the classes y, 0 and 1."""
    for k, marker in enumerate("os"):
        ax.scatter(
            x[y == k, 0],
            x[y == k, 1],
            s=14,
            marker=marker,
            color=COLORS[k],
            edgecolors="white",
            linewidths=0.4,
            label=labels[k],
        )


def regions(
    ax: Axes,
    classify: Callable[[NDArray[np.float32]], NDArray[Any]],
    x: NDArray[Any],
    y: NDArray[Any],
    labels: tuple[str, str] = ("class 0", "class 1"),
) -> None:
    """The points, over what classify, of rows (n, 2), takes each place for: 0 or 1."""
    low, high = x.min(axis=0), x.max(axis=0)
    edge = 0.08 * (high - low)
    across, up = (np.linspace(low[k] - edge[k], high[k] + edge[k], 300) for k in (0, 1))
    grid = np.stack(np.meshgrid(across, up), axis=-1)
    taken_for = classify(grid.reshape(-1, 2).astype(np.float32)).reshape(300, 300)
    ax.contourf(across, up, taken_for, levels=[-0.5, 0.5, 1.5], colors=COLORS, alpha=0.25)
    points(ax, x, y, labels)
    ax.set_xlabel("$x_1$")
    ax.set_ylabel("$x_2$")


def legend(ax: Axes) -> None:
    """Below the axes, where it hides nothing."""
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, frameon=False, fontsize="small")


def line(ax: Axes, weights: NDArray[Any], bias: float, **options: Any) -> None:
    """Where w . x + b = 0, within the axes as they are."""
    bounds = ax.axis()
    w1, w2 = (float(w) for w in weights)
    if abs(w2) >= abs(w1):
        ends = np.array(bounds[:2])
        ax.plot(ends, -(bias + w1 * ends) / w2, **options)
    else:
        ends = np.array(bounds[2:])
        ax.plot(-(bias + w2 * ends) / w1, ends, **options)
    ax.axis(bounds)
