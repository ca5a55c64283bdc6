"""Error surfaces over one or two weights, and the way that descent takes on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from .._arrays import as_array
from ..trainer import Trainer
from ._axes import COLOURS, Drawn, axes, drawn, grid_lines, interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_BEYOND = 0.25  # how far the surface goes beyond the path, in parts of its range
_PATH: dict[str, Any] = {"color": COLOURS[3], "marker": "o", "markersize": 3.5, "linewidth": 1.4}


def error_of(
    trainer: Trainer, x: ArrayLike, y: ArrayLike, weights: Sequence[tuple[str, int | tuple[int, ...]]]
) -> Callable[..., float]:
    """The loss on x and y as a function of some weights alone, all others being as they are when it is called.

    weights: names of variables with an index, as in [("neuron/W", (0, 0)), ("neuron/W", (1, 0))]. The function takes
    one number for each, and leaves the network as it found it.
    TypeError: trainer is no Trainer. KeyError: no such variable. ValueError: an index that it has not.
    """
    if not isinstance(trainer, Trainer):
        raise _checks.wrong_kind("trainer", "a Trainer", trainer)
    places = [(trainer.network.variables[name], index) for name, index in weights]
    for variable, index in places:
        if np.shape(index) not in ((), (len(variable.shape),)) or not _is_index(variable.shape, index):
            raise _checks.wrong_value("weights", f"an index of one value of {variable}", index)

    def error(*values: float) -> float:
        if len(values) != len(places):
            raise ValueError(f"error takes {len(places)} weights, got {len(values)}")
        before = {variable: variable.value for variable, _ in places}
        try:
            for (variable, index), value in zip(places, values, strict=True):
                changed = variable.value.copy()
                changed[index] = value
                variable.assign(changed)
            return trainer.evaluate(x, y)["loss"]
        finally:
            for variable, value_before in before.items():
                variable.assign(value_before)

    return error


def _is_index(shape: tuple[int, ...], index: Any) -> bool:
    try:
        return np.ndim(np.empty(shape, bool)[index]) == 0
    except IndexError:
        return False


def error_surface(
    error: Callable[[float, float], float],
    path: ArrayLike | None = None,
    *,
    bounds: tuple[tuple[float, float], tuple[float, float]] | None = None,
    resolution: int = 60,
    levels: int = 14,
    bowl: bool = False,
    labels: tuple[str, str] = ("w_1", "w_2"),
    ax: Axes | None = None,
) -> Drawn:
    """Contours of the error over two weights, or with bowl=True its surface in three dimensions, with a path on it.

    error: a function of two numbers, such as ``error_of`` gives; called resolution**2 times. path: (n, 2), the weights
    after each step, the start first. bounds: ((low, high), (low, high)) of the two weights; None: where the path goes,
    and a quarter of that more. levels: how many shades, with contours between them, narrower where the error is small,
    so that a quadratic error has contours at even distances. bowl: ax, if given, must have projection="3d".
    TypeError, ValueError: an argument is none of these, or the error is not finite within the bounds.
    Source: Figs. 2-2 to 2-4 of Buduma, Fundamentals of Deep Learning.
    """
    steps = None if path is None else _path(path, 2)
    limits = _limits(bounds, steps)
    resolution = _checks.integer("resolution", resolution, 2)
    levels, bowl = _checks.integer("levels", levels, 2), _checks.flag("bowl", bowl)
    sides = [np.linspace(*limit, resolution) for limit in limits]
    surface = np.array([[error(float(a), float(b)) for a in sides[0]] for b in sides[1]], float)
    _check_finite(surface)
    if bowl:
        return _bowl(axes(ax, (5.0, 4.2), "3d"), error, steps, sides, surface, labels)
    ax = axes(ax, (4.8, 4.0))
    low, high = float(surface.min()), float(surface.max())
    heights = low + (high - low) * np.linspace(0, 1, levels + 1) ** 2
    if high > low:
        shown = ax.contourf(*sides, surface, levels=heights, cmap="Blues", alpha=0.75)
        ax.contour(*sides, surface, levels=heights[1:-1], colors="#444444", linewidths=0.5)
        ax.figure.colorbar(shown, ax=ax, label="error E", format="%.2g")
    if steps is not None:
        ax.plot(steps[:, 0], steps[:, 1], label="path of descent", **_PATH)
        ax.plot(*steps[0], "s", color="black", markersize=5, label="start", linestyle="none")
        ax.legend(fontsize="small")
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    return drawn(ax)


def _bowl(
    ax: Any,
    error: Callable[..., float],
    steps: np.ndarray | None,
    sides: list[np.ndarray],
    surface: np.ndarray,
    labels: Any,
) -> Drawn:
    ax.plot_surface(*np.meshgrid(*sides), surface, cmap="Blues", alpha=0.7, linewidth=0, antialiased=True)
    if steps is not None:
        heights = np.array([error(float(a), float(b)) for a, b in steps])
        _check_finite(heights)
        inside = np.all([(steps[:, i] >= side[0]) & (steps[:, i] <= side[-1]) for i, side in enumerate(sides)], axis=0)
        at = np.where(inside, heights, np.nan)  # matplotlib does not clip in three dimensions
        ax.plot(steps[:, 0], steps[:, 1], at, label="path of descent", zorder=10, **_PATH)
        ax.legend(fontsize="small")
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.set_zlabel("error E")
    ax.view_init(elev=32, azim=-60)
    return drawn(ax)


def error_curve(
    error: Callable[[float], float],
    path: ArrayLike | None = None,
    *,
    bounds: tuple[float, float] | None = None,
    resolution: int = 400,
    label: str = "w",
    ax: Axes | None = None,
) -> Drawn:
    """The error over one weight, with a path of descent on it.

    error: a function of one number. path: (n,), the weight after each step, the start first. bounds: (low, high) of
    the weight; None: where the path goes, and a quarter of that more. label: of the weight.
    TypeError, ValueError: an argument is none of these, or the error is not finite within the bounds.
    Source: Figs. 2-6 and 2-7 of Buduma, Fundamentals of Deep Learning.
    """
    steps = None if path is None else _path(path, 1)
    (limit,) = _limits(None if bounds is None else (bounds,), steps, 1)
    side = np.linspace(*limit, _checks.integer("resolution", resolution, 2))
    curve = np.array([error(float(w)) for w in side], float)
    _check_finite(curve)
    ax = axes(ax, (4.8, 3.6))
    ax.plot(side, curve, color=COLOURS[0], linewidth=1.8, label="error")
    if steps is not None:
        heights = [error(float(w)) for w in steps[:, 0]]
        ax.plot(steps[:, 0], heights, label="path of descent", **_PATH)
        ax.plot(steps[0, 0], heights[0], "s", color="black", markersize=6, label="start", linestyle="none")
    ax.set_xlim(*limit)
    ax.set_xlabel(label)
    ax.set_ylabel("error E")
    grid_lines(ax)
    ax.legend(frameon=False, fontsize="small")
    return drawn(ax)


def _path(path: ArrayLike, n_weights: int) -> np.ndarray:
    """(n, n_weights) float64."""
    steps = as_array(path, "path").astype(float)
    wanted = "(n,)" if n_weights == 1 else f"(n, {n_weights})"
    if steps.ndim == 1 and n_weights == 1:
        steps = steps[:, None]
    if steps.ndim != 2 or steps.shape[1] != n_weights or len(steps) == 0:
        raise ValueError(f"path must have shape {wanted}, n at least 1, got {np.shape(path)}")
    if not np.isfinite(steps).all():
        raise ValueError("path must be finite")
    return steps


def _limits(bounds: Any, steps: np.ndarray | None, n_weights: int = 2) -> list[tuple[float, float]]:
    if bounds is not None:
        if not isinstance(bounds, (tuple, list, np.ndarray)) or len(bounds) != n_weights:
            raise _checks.wrong_kind("bounds", f"{n_weights} pairs (low, high)", bounds)
        return [interval("bounds", bound) for bound in bounds]
    if steps is None:
        raise ValueError("bounds must be given where there is no path, got None")
    low, high = steps.min(axis=0), steps.max(axis=0)
    more = _BEYOND * np.where(high > low, high - low, 1.0)
    return [(float(a), float(b)) for a, b in zip(low - more, high + more, strict=True)]


def _check_finite(errors: np.ndarray) -> None:
    if not np.isfinite(errors).all():
        raise ValueError(f"error must be finite within the bounds, got {errors[~np.isfinite(errors)][0]}")
