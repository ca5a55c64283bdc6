"""Two plots of a report: times beside fastnn's, and a roofline. Needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .report import Report, Result

__all__ = ["check", "draw_roofline", "draw_times", "save"]

_WIDTH, _HEIGHT = 11.0, 3.4  # inches, of a panel
_FASTNN = "fastnn"
_OWN = {_FASTNN: "black", "fastnn, in order": "gray"}


def check(path: Path) -> str | None:
    """What is wrong with a path for ``save``, if anything. ImportError: matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("--plot needs matplotlib: pip install 'fastnn[plot]'") from error
    matplotlib.use("agg")  # a window would need a screen
    from matplotlib.figure import Figure

    if path.is_dir():
        return None
    endings = sorted(f".{ending}" for ending in Figure().canvas.get_supported_filetypes())
    if path.parent.is_dir() and path.suffix.lower() in endings:
        return None
    expected = f"a directory, or a file in one that ends in {', '.join(endings)}"
    return f"must be {expected}, got {str(path)!r}"


def save(report: Report, path: Path) -> list[Path]:
    """Into a directory: times.png and roofline.png; into a file: one above the other. Returns what it wrote."""
    from matplotlib.figure import Figure

    rows, columns = len(list(_panels(report))), len(report.limits)
    size_times, size_roof = (_WIDTH, rows * _HEIGHT), (_WIDTH, 1.7 * _HEIGHT)
    if path.is_dir():
        times, roofline = (Figure(size, layout="constrained") for size in (size_times, size_roof))
        draw_times(report, times.subplots(rows, squeeze=False)[:, 0])
        draw_roofline(report, roofline.subplots(1, columns, squeeze=False, sharey=True)[0])
        figures = {path / "times.png": times, path / "roofline.png": roofline}
    else:
        whole = Figure((_WIDTH, size_times[1] + size_roof[1]), layout="constrained")
        halves: Any = whole.subfigures(2, 1, height_ratios=[size_times[1], size_roof[1]])
        upper, lower = halves
        draw_times(report, upper.subplots(rows, squeeze=False)[:, 0])
        draw_roofline(report, lower.subplots(1, columns, squeeze=False, sharey=True)[0])
        figures = {path: whole}
    for each, figure in figures.items():
        figure.savefig(each, dpi=110)
    return list(figures)


def _panels(report: Report) -> Iterator[tuple[str, list[list[Result]]]]:
    """Title and workloads: training and prediction apart, as their times are of different kinds."""
    for limits in report.limits:
        for title, is_call in (("training", False), ("prediction", True)):
            groups = [
                group
                for group in report.groups()
                if group[0].num_threads == limits.num_threads and group[0].unit.endswith("/call") == is_call
            ]
            if groups:
                yield f"{title}, {_threads(limits.num_threads)}", groups


def _threads(n: int) -> str:
    return "1 thread" if n == 1 else f"{n} threads"


def _colours(results: Iterable[Result]) -> dict[str, Any]:
    """One for each contender, fastnn's without colour."""
    from matplotlib import color_sequences

    names = list(dict.fromkeys(result.contender for result in results))
    others = iter(color_sequences["Set2"])
    return {name: _OWN[name] if name in _OWN else next(others) for name in names}


def draw_times(report: Report, axes: Any) -> None:
    """A bar each: the median time as a multiple of fastnn's, with a line from the fastest round to the slowest."""
    from matplotlib.patches import Patch
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    colours = _colours(report.results)
    for ax, (title, groups) in zip(axes, _panels(report), strict=True):
        for i, (name, colour) in enumerate(colours.items()):
            _draw_bars(ax, groups, name, colour, (i + 0.5) / len(colours) - 0.5, len(colours))
        ax.axhline(1, color="black", linewidth=0.8)
        ax.set(title=title, yscale="log", ylabel=f"time, {_FASTNN} = 1", xlim=(-0.6, len(groups) - 0.4))
        ax.set_xticks(range(len(groups)), [group[0].workload.replace("predict_", "") for group in groups])
        ax.tick_params(axis="x", labelrotation=20 if len(groups) > 6 else 0)
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.grid(axis="y", linewidth=0.4)
        ax.set_axisbelow(True)
    handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
    axes[0].figure.legend(handles=handles, ncols=5, loc="outside upper center", frameon=False)


def _draw_bars(ax: Any, groups: list[list[Result]], name: str, colour: Any, offset: float, count: int) -> None:
    """The bars of one contender, at the same place in each group."""
    width = 0.86
    places, heights, below, above = [], [], [], []
    for i, group in enumerate(groups):
        for result in group:
            if result.contender == name:
                unit = group[0].median
                places.append(i + width * offset)
                heights.append(result.median / unit)
                below.append((result.median - min(result.seconds)) / unit)
                above.append((max(result.seconds) - result.median) / unit)
    bars = {"width": width / count, "color": colour, "label": name, "error_kw": {"linewidth": 0.6}}
    ax.bar(places, heights, yerr=(below, above), **bars)


def draw_roofline(report: Report, axes: Any) -> None:
    """GFLOP/s against arithmetic intensity, under the measured peak of as many threads.

    Intensity is the floating-point operations of the matrix products for each byte that a step or a call cannot do
    without: in training the input once, parameters and each layer's output twice (read and written); in prediction
    each of these once. What caches keep from memory is not counted, so it is a property of the work, and the same
    for every contender. Where zeros are skipped, the operations count all the same.
    """
    colours = _colours(report.results)
    for ax, limits in zip(axes, report.limits, strict=True):
        results = [result for result in report.results if result.num_threads == limits.num_threads]
        ax.axhline(limits.peak_gflops, color="firebrick", label="measured peak")
        for name, colour in colours.items():
            mine = [result for result in results if result.contender == name]
            style = {"s": 36, "zorder": 3} if name == _FASTNN else {"s": 16, "zorder": 2, "alpha": 0.8}
            where = [result.intensity for result in mine], [result.gflops for result in mine]
            ax.scatter(*where, color=colour, label=name, **style)
        _draw_names(ax, [result for result in results if result.contender == _FASTNN])
        low = 10 ** math.floor(math.log10(min(result.gflops for result in results)))
        ax.set(xscale="log", yscale="log", ylim=(low, 6 * limits.peak_gflops), title=_threads(limits.num_threads))
        ax.set_xlabel("floating-point operations a byte")
        ax.grid(which="major", linewidth=0.3)
    axes[0].set_ylabel("GFLOP/s")
    axes[0].legend(fontsize="x-small", loc="lower right")


def _draw_names(ax: Any, results: list[Result]) -> None:
    """Of trainings, above their points, each moved up until it covers no other, with a line where it moved."""
    taken: list[tuple[float, float]] = []  # in decades
    for result in sorted(results, key=lambda result: result.gflops):
        if result.unit.endswith("/call"):
            continue
        x, y = math.log10(result.intensity), math.log10(result.gflops) + 0.1
        while any(abs(x - u) < 0.75 and abs(y - v) < 0.13 for u, v in taken):
            y += 0.02
        taken.append((x, y))
        ax.annotate(
            result.workload,
            (result.intensity, result.gflops),
            (10**x, 10**y),
            fontsize="x-small",
            ha="center",
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "shrinkA": 0, "shrinkB": 0},
        )
