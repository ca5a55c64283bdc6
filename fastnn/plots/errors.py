"""Where a classifier errs: the confusion matrix and the examples it misjudges most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks, metrics
from .._arrays import as_array
from ..network import Network
from ._axes import Drawn, axes, drawn
from .weights import columns_for, image_shape, mosaic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike


def confusion_matrix(
    y_true: ArrayLike, y_pred: ArrayLike | None = None, *, names: Sequence[str] | None = None, ax: Axes | None = None
) -> Drawn:
    """How often each class was taken for which: counts, shaded by their part of the row.

    y_true, y_pred: as for ``fastnn.metrics.confusion_matrix``; or its result alone. names: of the classes.
    TypeError, ValueError: an argument is none of these.
    """
    matrix = _counts(y_true) if y_pred is None else metrics.confusion_matrix(y_true, y_pred)
    n = len(matrix)
    labels = [str(i) for i in range(n)] if names is None else [str(name) for name in names]
    if len(labels) != n:
        raise _checks.wrong_value("names", f"one for each of the {n} classes", names)
    parts = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(2.2 + 0.36 * n, 12.0)
    ax = axes(ax, (side + 0.6, side))
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import PercentFormatter

    # The square root shows errors of one in a hundred beside a diagonal of nearly one.
    shown = ax.imshow(parts, cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    if n <= 20:
        for row, column in np.argwhere(matrix > 0):
            colour = "white" if parts[row, column] > 0.4 else "black"
            where: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7 if n > 5 else 9}
            ax.text(column, row, f"{matrix[row, column]:g}", color=colour, **where)
    turn = 45 if max(map(len, labels)) > 3 else 0
    ax.set_xticks(range(n), labels, rotation=turn, ha="right" if turn else "center")
    ax.set_yticks(range(n), labels)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    bar = ax.figure.colorbar(shown, ax=ax, label="part of the true class", fraction=0.046, pad=0.03)
    bar.set_ticks([0, 0.01, 0.1, 0.25, 0.5, 1])
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return drawn(ax)


def _counts(matrix: ArrayLike) -> np.ndarray:
    counts = as_array(matrix, "matrix")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise ValueError(f"matrix must have shape (n_classes, n_classes), got {counts.shape}; or give y_pred too")
    if not (counts >= 0).all():
        raise ValueError("matrix must hold counts, not negative")
    return counts


def misclassified(
    net: Network,
    x: Any,
    y: ArrayLike,
    *,
    shape: tuple[int, int] = (28, 28),
    n: int = 16,
    columns: int | None = None,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Drawn:
    """The n images that are misjudged most: those whose true class has the least probability, the worst first.

    Below each stand its class > the class it was taken for, and the probability of the latter. net: a classifier by
    softmax. x: (n, n_in), pixels, or a sparse matrix. y: classes (n,) or one-hot rows. shape: (height, width) of an
    image. columns: images a row. names: of the classes.
    TypeError, ValueError: an argument is none of these. RuntimeError: there is no misjudged example.
    """
    if not isinstance(net, Network):
        raise _checks.wrong_kind("net", "a Network", net)
    if net.link != "softmax":
        raise ValueError(f"net must be a classifier by softmax, got link {net.link!r}")
    height, width = image_shape(shape, net.n_in, f"the {net.n_in} inputs of net")
    n = _checks.integer("n", n, 1)
    if names is not None and len(names) != net.n_out:
        raise _checks.wrong_value("names", f"one for each of the {net.n_out} classes", names)
    probabilities = net.predict_proba(x)
    confusion = metrics.confusion_matrix(y, probabilities, net.n_out)
    if confusion.trace() == confusion.sum():
        raise RuntimeError("misclassified needs an example that is judged wrong, got none")
    true = metrics._classes(y, "y")
    own = probabilities[np.arange(len(true)), true]
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != true)
    worst = wrong[np.argsort(own[wrong], kind="stable")][:n]

    rows = x[worst].toarray() if hasattr(x, "toarray") else as_array(x, "x")[worst]
    images = rows.reshape(-1, height, width).astype(float)
    n_columns = columns_for(len(worst), columns)
    gap, below = max(1, width // 7), max(1, round(height * (0.42 if names is None else 0.62)))
    size = (1.0 * n_columns, (height + below) / (width + gap) * -(-len(worst) // n_columns))
    ax = axes(ax, size)
    ax.imshow(mosaic(images, n_columns, gap=gap, gap_below=below), cmap="gray_r", interpolation="nearest")
    for i, row in enumerate(worst):
        predicted = int(probabilities[row].argmax())
        taken = f"{true[row]} > {predicted}" if names is None else f"{names[true[row]]}\n> {names[predicted]}"
        where = ((i % n_columns) * (width + gap) + width / 2, (i // n_columns) * (height + below) + height + 0.5)
        text = f"{taken}\n{probabilities[row, predicted]:.1%}"
        ax.text(*where, text, ha="center", va="top", fontsize=7, linespacing=1.0)
    ax.set_axis_off()
    ax.set_title("class > taken for, with probability", fontsize="small")
    return drawn(ax)
