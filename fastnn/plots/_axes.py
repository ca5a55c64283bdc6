"""Where to draw, and with what colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawn = tuple["Figure", list["Axes"]]

# Okabe and Ito, "Color Universal Design", 2008, the dark ones first.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#666666")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def axes(ax: Any, size: tuple[float, float], projection: str | None = None) -> Axes:
    """ax, or the only axes of a new figure of so many inches."""
    try:
        from matplotlib import axes as kinds
    except ImportError as error:
        raise ImportError("fastnn.plots needs matplotlib: pip install 'fastnn[plot]'") from error
    if ax is None:
        from matplotlib import pyplot

        return pyplot.figure(figsize=size, layout="constrained").add_subplot(projection=projection)
    if not isinstance(ax, kinds.Axes):
        raise _checks.wrong_kind("ax", "a matplotlib Axes", ax)
    if projection is not None and ax.name != projection:
        raise _checks.wrong_value("ax", f"an Axes with projection={projection!r}", ax.name)
    return ax


def drawn(ax: Axes) -> Drawn:
    return ax.figure, [ax]  # type: ignore[return-value]


def class_colours(n: int) -> np.ndarray:
    """(n, 3) of red, green and blue: distinct hues up to eight, beyond that a scale from dark to light."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    if n <= len(COLOURS):
        return np.array([to_rgb(colour) for colour in COLOURS[:n]])
    return np.asarray(colormaps["viridis"](np.linspace(0, 1, n)))[:, :3]


def labelled(name: str, value: Any, kind: type) -> dict[str, Any]:
    """One of a kind as {"": value}, or several by label."""
    expected = f"a {kind.__name__}, or a mapping of labels to them"
    several = {"": value} if isinstance(value, kind) else value
    if not isinstance(several, Mapping):
        raise _checks.wrong_kind(name, expected, value)
    if not several:
        raise _checks.wrong_value(name, f"{expected}, at least one", value)
    for label, each in several.items():
        if not isinstance(each, kind):
            raise _checks.wrong_kind(f"{name}[{label!r}]", f"a {kind.__name__}", each)
    return {str(label): each for label, each in several.items()}


def interval(name: str, value: Any) -> tuple[float, float]:
    """(low, high), finite, low < high."""
    expected = "a pair (low, high) of finite numbers, low < high"
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 2:
        raise _checks.wrong_kind(name, expected, value)
    low, high = (_checks.number(f"{name}[{i}]", end) for i, end in enumerate(value))
    if not low < high:
        raise _checks.wrong_value(name, expected, value)
    return low, high


def grid_lines(ax: Axes) -> None:
    ax.grid(alpha=0.3)
    ax.set_axisbelow(True)
