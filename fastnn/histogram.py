"""Histogram: how a variable's values are distributed. The engine counts; this names the result and checks the edges."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _checks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Histogram"]


class Histogram(NamedTuple):
    """Counts of values between edges, and moments of the values that are finite, in float64.

    counts: (n_bins,) int64. edges: (n_bins + 1,) float64. Bin i holds values >= edges[i] and < edges[i + 1], the last
    bin its right edge too, as in ``numpy.histogram``; what lies outside, and what is not finite, is in none.
    n_values: how many values there are. n_finite: how many of them are neither infinite nor NaN; min, max, sum and
    sum_of_squares are of these, min and max NaN if there is none.
    """

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]
    n_values: int
    n_finite: int
    min: float
    max: float
    sum: float
    sum_of_squares: float


def as_edges(value: Any) -> NDArray[np.float64]:
    """Bin edges, float64; None: TensorBoard's own."""
    if value is None:
        return tensorboard_edges()
    expected = "at least two finite numbers in ascending order"
    edges = np.asarray(value)
    if edges.dtype.kind not in "iuf":
        raise _checks.wrong_kind("edges", expected, value)
    edges = np.ascontiguousarray(edges, np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not np.isfinite(edges).all() or not (edges[1:] > edges[:-1]).all():
        raise _checks.wrong_value("edges", expected, value)
    return edges


@cache
def tensorboard_edges() -> NDArray[np.float64]:
    """0 and, to both sides, 1e-12 growing by a tenth each up to 1e20, then the largest number: no value is outside.

    Source: TensorFlow's histogram.cc, whose limits TensorBoard's displays are made for.
    """
    limits, limit = [], 1e-12
    while limit < 1e20:
        limits.append(limit)
        limit *= 1.1
    limits.append(sys.float_info.max)
    edges = np.array([-limit for limit in reversed(limits)] + [0.0, *limits])
    edges.flags.writeable = False
    return edges
