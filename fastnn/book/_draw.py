"""What the figures of the examples share; the rest is ``fastnn.plots``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def panels(columns: int, rows: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure, which needs no screen, and its axes, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.0 * columns, 4.0 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.ravel())


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
