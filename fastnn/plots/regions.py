"""Decision regions of classifiers of two inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from .._arrays import as_array, as_rows
from ..network import Network
from ._axes import MARKERS, Drawn, axes, class_colours, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_LIGHT = 0.62  # how much white is mixed into the regions, so that points stand out


def decision_regions(
    net: Network | Callable[[np.ndarray], ArrayLike],
    x: ArrayLike,
    y: ArrayLike,
    *,
    resolution: int = 300,
    margin: float = 0.15,
    confidence: bool = False,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Drawn:
    """The plane of two inputs, shaded by the class each point is taken for, with examples on top.

    net: a classifier of two inputs, of several classes or with one sigmoid unit; or a function of rows (n, 2) float32
    that gives classes (n,) or a probability for each (n, n_classes). x: (n, 2). y: classes (n,), whole numbers, also
    -1 and +1 of a function that gives these, or one-hot rows. resolution: points a side. margin: how far the plane goes
    beyond the examples, in parts of their range. confidence: shades fade to white where classes are equally probable;
    else they are even, with the border drawn. names: of the classes in ascending order; None: their numbers.
    TypeError, ValueError: an argument is none of these.
    Source: Figs. 2-10, 2-11 and 2-15 of Buduma, Fundamentals of Deep Learning.
    """
    judge = _judge(net)
    points = as_rows(x, 2)
    if len(points) == 0:
        raise ValueError("x must have at least one row, got none")
    labels = _labels(y, len(points))
    sides = _sides(points, _checks.integer("resolution", resolution, 2), _checks.non_negative("margin", margin))
    confidence = _checks.flag("confidence", confidence)
    plane = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2).astype(np.float32)
    classes, probabilities = _judged(as_array(judge(plane), "result of net"), len(plane), labels)
    if names is None:
        names = [f"class {value}" for value in classes]
    elif len(names) != len(classes):
        raise _checks.wrong_value("names", f"one for each of the {len(classes)} classes", names)

    ax = axes(ax, (4.4, 4.0))
    shape = (len(sides[1]), len(sides[0]))
    colours = class_colours(len(classes))
    _shade(ax, sides, probabilities.reshape(*shape, -1), colours, confidence)
    for i, value in enumerate(classes):
        rows = points[labels == value]
        style: dict[str, Any] = {"marker": MARKERS[i % len(MARKERS)], "s": 22, "edgecolors": "black", "linewidths": 0.5}
        ax.scatter(rows[:, 0], rows[:, 1], color=colours[i], label=names[i], zorder=3, **style)
    ax.set_xlim(sides[0][0], sides[0][-1])
    ax.set_ylim(sides[1][0], sides[1][-1])
    ax.set_xlabel("x_1")
    ax.set_ylabel("x_2")
    ax.legend(fontsize="small", framealpha=0.8)
    return drawn(ax)


def _judge(net: Any) -> Callable[[np.ndarray], Any]:
    if not isinstance(net, Network):
        if not callable(net):
            raise _checks.wrong_kind("net", "a Network or a function", net)
        return net  # type: ignore[no-any-return]
    if net.n_in != 2 or not (net.link == "softmax" or (net.link == "sigmoid" and net.n_out == 1)):
        raise ValueError(
            "net must be a classifier of 2 inputs, with a softmax or one sigmoid unit, "
            f"got {net!r} with link {net.link!r}"
        )
    return net.predict_proba


def _labels(y: ArrayLike, n_rows: int) -> np.ndarray:
    labels = as_array(y, "y")
    if labels.ndim == 2:
        labels = labels[:, 0] if labels.shape[1] == 1 else labels.argmax(axis=1)
    if labels.shape != (n_rows,):
        raise ValueError(f"y must have a class for each of the {n_rows} rows of x, got shape {np.shape(y)}")
    if (labels != np.floor(labels)).any():
        raise ValueError("y must hold classes, whole numbers")
    return labels.astype(np.int64)


def _sides(points: np.ndarray, resolution: int, margin: float) -> list[np.ndarray]:
    low, high = points.min(axis=0).astype(float), points.max(axis=0).astype(float)
    spread = np.where(high > low, high - low, 1.0) * max(margin, 1e-6)  # an axis is never of no length
    return [np.linspace(a, b, resolution) for a, b in zip(low - spread, high + spread, strict=True)]


def _judged(result: np.ndarray, n: int, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes, ascending, and a probability for each at each of n points: (n, n_classes)."""
    if result.ndim not in (1, 2) or len(result) != n or result.size == 0:
        raise ValueError(f"result of net must have shape (n,) or (n, n_classes) for n = {n} rows, got {result.shape}")
    if result.ndim == 1:
        classes = np.union1d(labels, result.astype(np.int64))
        return classes, (result[:, None] == classes).astype(float)
    probabilities = np.hstack([1 - result, result]) if result.shape[1] == 1 else result
    classes = np.arange(probabilities.shape[1])
    if not np.isin(labels, classes).all():
        raise ValueError(f"y must hold classes in [0, {len(classes) - 1}], got {labels[~np.isin(labels, classes)][0]}")
    return classes, probabilities.astype(float)


def _shade(ax: Axes, sides: list[np.ndarray], probabilities: np.ndarray, colours: np.ndarray, confidence: bool) -> None:
    n_classes = probabilities.shape[-1]
    taken_for = probabilities.argmax(axis=-1)
    strength = np.ones(taken_for.shape)
    if confidence and n_classes > 1:
        strength = (probabilities.max(axis=-1) * n_classes - 1) / (n_classes - 1)
    strength *= 1 - _LIGHT
    image = 1 - strength[..., None] * (1 - colours[taken_for])
    extent = (sides[0][0], sides[0][-1], sides[1][0], sides[1][-1])
    ax.imshow(image, extent=extent, origin="lower", aspect="auto", interpolation="nearest", zorder=0)
    for i in range(n_classes if n_classes > 2 else n_classes - 1):
        others = np.delete(probabilities, i, axis=-1).max(axis=-1)
        lead = probabilities[..., i] - others
        if lead.min() < 0 < lead.max():
            ax.contour(*sides, lead, levels=[0.0], colors="black", linewidths=1.0, zorder=2)
