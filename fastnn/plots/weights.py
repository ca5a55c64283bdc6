"""Weights as images, and images side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from ..network import Network
from ._axes import Drawn, axes, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 25  # units shown if none are named


def weight_images(
    net: Network,
    layer: str | None = None,
    *,
    shape: tuple[int, int] = (28, 28),
    units: Sequence[int] | None = None,
    columns: int | None = None,
    ax: Axes | None = None,
) -> Drawn:
    """What units look for: the weights that come into each, arranged as the image they weigh.

    One scale for all units: red for positive, blue for negative, white for 0. layer: name of a Dense layer whose inputs
    are pixels; None: the first. shape: (height, width) of the image. units: numbers of the units from 0, in the order
    to show; None: the first 25. columns: images a row; None: as many as make about a square.
    TypeError, ValueError: an argument is none of these. KeyError: no such layer.
    """
    if not isinstance(net, Network):
        raise _checks.wrong_kind("net", "a Network", net)
    variable = net.variables[next(iter(net.variables)) if layer is None else f"{layer}/W"]
    n_in, n_units = variable.shape
    height, width = image_shape(shape, n_in, f"the {n_in} inputs of {variable.name}")
    if units is None:
        units = range(min(n_units, _MOST))
    chosen = [_checks.integer(f"units[{i}]", unit, 0, n_units - 1) for i, unit in enumerate(units)]
    if not chosen:
        raise _checks.wrong_value("units", "at least one", units)
    images = variable.value[:, chosen].T.reshape(-1, height, width)
    n_columns = columns_for(len(chosen), columns)
    largest = float(np.abs(images).max()) or 1.0
    size = (max(0.75 * n_columns + 0.9, 3.2), 0.75 * -(-len(chosen) // n_columns) * height / width + 0.4)
    ax = axes(ax, size)
    picture = mosaic(images, n_columns, gap=max(1, width // 14))
    shown = ax.imshow(picture, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
    ax.set_axis_off()
    ax.set_title(f"{variable.name}, {len(chosen)} of {n_units} units", fontsize="medium")
    ax.figure.colorbar(shown, cax=ax.inset_axes((1.03, 0.0, 0.05, 1.0)), label="weight")  # as high as the image
    return drawn(ax)


def image_shape(shape: Any, n_pixels: int, of_what: str) -> tuple[int, int]:
    sizes = _checks.shape("shape", shape)
    if len(sizes) != 2 or sizes[0] * sizes[1] != n_pixels:
        raise _checks.wrong_value("shape", f"(height, width) with a product of {n_pixels}, for {of_what}", shape)
    return sizes[0], sizes[1]


def columns_for(n: int, columns: int | None) -> int:
    wanted = int(np.ceil(np.sqrt(n))) if columns is None else _checks.integer("columns", columns, 1)
    return min(wanted, n)


def mosaic(images: np.ndarray, columns: int, *, gap: int, gap_below: int | None = None) -> np.ndarray:
    """Images (n, height, width) in rows, NaN between them; one picture is drawn faster than many axes are."""
    n, height, width = images.shape
    below = gap if gap_below is None else gap_below
    rows = -(-n // columns)
    picture = np.full((rows * (height + below), columns * (width + gap)), np.nan)
    for i, image in enumerate(images):
        top, left = i // columns * (height + below), i % columns * (width + gap)
        picture[top : top + height, left : left + width] = image
    return picture[: picture.shape[0] - (below if gap_below is None else 0), : picture.shape[1] - gap]
