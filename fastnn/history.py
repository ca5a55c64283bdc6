"""History: what training measured, epoch by epoch."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["History"]

_METRICS = ("loss", "accuracy")


class History(Mapping[str, list[float]]):
    """Per-epoch lists by name: "loss", "accuracy", "val_loss", "val_accuracy", "seconds", "samples_per_second",
    "learning_rate", with regularisers "penalty", with a Trainer's clip_norm "gradient_norm", and what callbacks add.

    "loss" and "accuracy" are means over what the epoch trained on, each batch measured before its update; the loss is
    that of the data alone. "penalty" is what regularisers add to it, summed over all layers, at the end of the epoch.
    Every list has one value an epoch, NaN where that epoch did not measure it.
    """

    def __init__(
        self, columns: Mapping[str, Sequence[float | None]] | None = None, perf: Mapping[str, float] | None = None
    ) -> None:
        """Empty, or with the lists of an earlier ``to_dict()`` and the seconds of an earlier ``perf``.

        TypeError: columns is not a mapping of names to sequences of numbers or None. ValueError: lengths differ.
        """
        self._columns: dict[str, list[float]] = {}
        self._perf: dict[str, float] = dict(perf or {})
        self._epochs = 0
        if columns is None:
            return
        if not isinstance(columns, Mapping):
            raise _checks.wrong_kind("columns", "a mapping of names to lists", columns)
        lengths = {name: len(_column(name, values)) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise _checks.wrong_value("columns", "lists of one length", lengths)
        for epoch in range(max(lengths.values(), default=0)):
            row = {name: values[epoch] for name, values in columns.items()}
            self.append({name: math.nan if value is None else value for name, value in row.items()})

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return self._epochs

    @property
    def perf(self) -> dict[str, float]:
        """Seconds of training by what they went into, summed over the epochs; of several threads, the mean.

        "input": the rows of batches and dropout masks. "loss": losses and their gradient. "wait": for other threads.
        "NAME forward", "NAME backward input", "NAME backward weights": a layer's outputs, the gradient of its input,
        and the gradient of its parameters with their update. Small steps are measured one in sixteen.
        """
        return dict(self._perf)

    def append(self, epoch: Mapping[str, float], perf: Mapping[str, float] | None = None) -> None:
        """Adds one epoch: values by name, and seconds by what they went into (see ``perf``).

        TypeError: not a mapping, a name that is not a string, a value that is not a number.
        """
        if not isinstance(epoch, Mapping):
            raise _checks.wrong_kind("epoch", "a mapping of names to numbers", epoch)
        row = {_name(name): _measurement(name, value) for name, value in epoch.items()}
        for name in row:
            if name not in self._columns:
                self._columns[name] = [math.nan] * self._epochs
        for name, column in self._columns.items():
            column.append(row.get(name, math.nan))
        for name, seconds in (perf or {}).items():
            self._perf[name] = self._perf.get(name, 0.0) + seconds
        self._epochs += 1

    def to_dict(self) -> dict[str, list[float | None]]:
        """The lists as strict JSON has them: NaN and infinity become None."""
        return {name: [v if math.isfinite(v) else None for v in column] for name, column in self._columns.items()}

    def __getitem__(self, name: str) -> list[float]:
        """A copy of the list. KeyError: no such name; the message lists those there are."""
        if name not in self._columns:
            raise KeyError(f"no {name!r} in this history, which has: {', '.join(self._columns) or 'nothing yet'}")
        return list(self._columns[name])

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        shown = [f"{prefix}{metric}" for prefix in ("", "val_") for metric in _METRICS]
        last = {name: self._columns[name][-1] for name in shown if name in self._columns}
        values = ", ".join(f"{name} {value:.4g}" for name, value in last.items() if not math.isnan(value))
        return f"History({self._epochs} epoch{'s' * (self._epochs != 1)}{': ' if values else ''}{values})"

    def plot(self, ax: "Axes | Sequence[Axes] | None" = None) -> "tuple[Figure, list[Axes]]":
        """Draws loss and, where it was measured, accuracy, for training and validation, against the epoch.

        ax: where to draw: one Axes for the loss alone, or one for the loss and one for the accuracy. None: a new figure
        with a panel for each. Returns the figure and the axes drawn on.
        RuntimeError: neither was measured. TypeError: ax is no Axes. ValueError: no axes, or more than panels to draw.
        ImportError: no matplotlib.
        """
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("history.plot() needs matplotlib: pip install 'fastnn[plot]'") from error
        metrics = [metric for metric in _METRICS if metric in self or f"val_{metric}" in self]
        if not metrics:
            raise RuntimeError("history.plot() needs at least one epoch with a loss, got none: call fit() first")
        if ax is None:
            size = (4.8 * len(metrics), 3.6)
            panels = list(pyplot.subplots(1, len(metrics), squeeze=False, figsize=size, layout="constrained")[1][0])
        else:
            panels = _given_axes(ax, metrics)
        for metric, panel in zip(metrics, panels, strict=False):
            self._draw(panel, metric)
        return panels[0].figure, panels

    def _draw(self, ax: "Axes", metric: str) -> None:
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        epochs = range(1, self._epochs + 1)
        marker = "o" if self._epochs <= 30 else ""
        for name, label, color in ((metric, "training", "C0"), (f"val_{metric}", "validation", "C1")):
            if name in self:
                ax.plot(epochs, self[name], color=color, label=label, marker=marker, markersize=4)
        ax.set_xlabel("epoch")
        ax.set_ylabel(metric)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlim(0.5, self._epochs + 0.5)
        if metric == "accuracy":
            ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        ax.grid(alpha=0.3)
        ax.legend(frameon=False, loc="lower right" if metric == "accuracy" else "upper right")


def _given_axes(ax: Any, metrics: list[str]) -> "list[Axes]":
    from matplotlib.axes import Axes

    panels = list(np.ravel(np.asarray(ax, dtype=object)))
    if not all(isinstance(panel, Axes) for panel in panels):
        raise _checks.wrong_kind("ax", "a matplotlib Axes or a sequence of them", ax)
    if not 1 <= len(panels) <= len(metrics):
        raise _checks.wrong_value("ax", f"1 to {len(metrics)} axes ({', '.join(metrics)})", len(panels))
    return panels


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise _checks.wrong_kind("name of a measurement", "a string", name)
    return name


def _column(name: str, values: Any) -> Sequence[float | None]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise _checks.wrong_kind(f"columns[{name!r}]", "a list of numbers", values)
    return values


def _measurement(name: str, value: Any) -> float:
    result = _checks.real(name, value)
    return math.nan if math.isnan(result) else result  # one NaN object: a list that holds it equals its copy
