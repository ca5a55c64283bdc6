"""Curves: what training measured, learning rates, activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from ..history import History
from ..layers import Dense
from ..network import Network
from ..schedules import Schedule
from ._axes import COLOURS, Drawn, axes, drawn, grid_lines, interval, labelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES = ("-", "--", "-.", ":")


def learning_curves(
    histories: History | Mapping[str, History], metric: str = "loss", *, ax: Axes | None = None
) -> Drawn:
    """A metric against the epoch: of one training, or of several by label, to compare them.

    metric: a name of the history without "val_": "loss", "accuracy", "top_5_accuracy", ... Training is drawn dashed,
    validation solid; of several trainings each has its colour.
    TypeError: histories is neither. ValueError: no training measured it.
    """
    several = labelled("histories", histories, History)
    names = sorted({name.removeprefix("val_") for history in several.values() for name in history})
    metric = _checks.choice("metric", metric, names)
    ax = axes(ax, (4.8, 3.6))
    longest = max(history.epochs for history in several.values())
    for i, (label, history) in enumerate(several.items()):
        for j, (name, of, dashes) in enumerate(((metric, "training", "--"), (f"val_{metric}", "validation", "-"))):
            if name in history:
                colour = COLOURS[(i if label else j) % len(COLOURS)]
                style: dict[str, Any] = {"marker": "o" if longest <= 30 else "", "markersize": 3.5, "linewidth": 1.5}
                shown = f"{label}, {of}" if label else of
                epochs = range(1, history.epochs + 1)
                ax.plot(epochs, history[name], color=colour, linestyle=dashes, label=shown, **style)
    _dress_epochs(ax, metric, longest)
    return drawn(ax)


def _dress_epochs(ax: Axes, metric: str, epochs: int) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    ax.set_xlabel("epoch")
    ax.set_ylabel(metric.replace("_", " "))
    ax.set_xlim(0.5, epochs + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if metric.endswith("accuracy"):
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    grid_lines(ax)
    ax.legend(frameon=False, fontsize="small")


def learning_rates(schedules: Schedule | Mapping[str, Schedule], n_steps: int, *, ax: Axes | None = None) -> Drawn:
    """Learning rate of the first n_steps steps: of one schedule, or of several by label.

    TypeError, ValueError: an argument is none of these.
    """
    several = labelled("schedules", schedules, Schedule)
    n_steps = _checks.integer("n_steps", n_steps, 1)
    ax = axes(ax, (4.8, 3.6))
    for i, (label, schedule) in enumerate(several.items()):
        dashes = _DASHES[i // len(COLOURS) % len(_DASHES)]
        name = label or type(schedule).__name__
        ax.plot(schedule.rates(0, n_steps), color=COLOURS[i % len(COLOURS)], linestyle=dashes, label=name)
    ax.set_xlabel("step")
    ax.set_ylabel("learning rate")
    ax.set_ylim(bottom=0)
    grid_lines(ax)
    ax.legend(frameon=False, fontsize="small")
    return drawn(ax)


def activations(
    functions: Sequence[Any] = ("sigmoid", "tanh", "relu"),
    *,
    bounds: tuple[float, float] = (-5.0, 5.0),
    ax: Axes | None = None,
) -> Drawn:
    """Output f(z) of a unit against its logit z, as the engine computes it.

    functions: what ``Dense`` takes as activation, but "softmax", which no unit has alone. bounds: of z.
    TypeError, ValueError: an argument is none of these.
    Source: Figs. 1-11 to 1-13 of Buduma, Fundamentals of Deep Learning.
    """
    if isinstance(functions, str) or not isinstance(functions, Sequence):
        raise _checks.wrong_kind("functions", "a sequence of activations", functions)
    if not functions or "softmax" in functions:
        raise _checks.wrong_value("functions", "activations of single units, at least one", functions)
    z = np.linspace(*interval("bounds", bounds), 1001, dtype=np.float32)
    outputs = [Network(1, [Dense(1, function, initializer="ones")], seed=0)(z[:, None])[:, 0] for function in functions]
    ax = axes(ax, (4.8, 3.6))
    for i, (function, output) in enumerate(zip(functions, outputs, strict=True)):
        line: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "linestyle": _DASHES[i % len(_DASHES)]}
        ax.plot(z, output, label=function if isinstance(function, str) else repr(function), linewidth=2, **line)
    ax.axhline(0, color="black", linewidth=0.6)
    ax.axvline(0, color="black", linewidth=0.6)
    ax.set_xlabel("logit z")
    ax.set_ylabel("output f(z)")
    grid_lines(ax)
    ax.legend(frameon=False, fontsize="small")
    return drawn(ax)
