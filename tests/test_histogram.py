"""Histograms that the engine counts, against the specification, and what is refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core
from fastnn import reference as ref

FLOAT32 = np.finfo(np.float32)
EDGES = {
    "one bin": [-0.5, 0.5],
    "values on edges": [-1.0, -0.5, 0.0, 0.25, 0.5, 1.0],
    "all below": [-9.0, -8.0],
    "integers": [-3, -2, -1, 0, 1, 2, 3],
    "many": np.linspace(-2, 2, 1001),
    "TensorBoard's": None,
}


def variables(n_in: int, n_out: int, grid: float | None = None) -> fnn.network.Variables:
    """W and b of normal values, rounded to a grid so that some are edges."""
    net = fnn.Network(n_in, [fnn.Dense(n_out, name="a")], seed=1)
    for i, variable in enumerate(net.variables.values()):
        values = _core.draw("normal", variable.size, 0.0, 1.0, 7, i).reshape(variable.shape)
        variable.assign(values if grid is None else np.round(values / grid) * grid)
    return net.variables


def check(variable: fnn.Variable, edges: Any) -> fnn.Histogram:
    histogram = variable.histogram(edges)
    counts, moments = ref.histogram(variable.value, histogram.edges)
    assert histogram.counts.dtype == np.int64
    assert histogram.counts.tolist() == counts.tolist()
    assert histogram.n_values == variable.size
    assert (histogram.n_finite, histogram.min, histogram.max) == moments[:3]
    rounding = variable.size * sys.float_info.epsilon  # of so many additions in double
    magnitudes = np.abs(variable.value).sum(dtype=np.float64)
    assert abs(histogram.sum - moments.sum) <= rounding * magnitudes
    assert abs(histogram.sum_of_squares - moments.squares) <= rounding * moments.squares
    return histogram


@pytest.mark.parametrize("n_out", [1, 15, 16, 17, 33])
@pytest.mark.parametrize("edges", EDGES.values(), ids=EDGES)
@pytest.mark.parametrize("grid", [None, 0.25])
def test_counts_and_moments(n_out: int, edges: Any, grid: float | None) -> None:
    for variable in variables(9, n_out, grid).values():
        check(variable, edges)


def test_nothing_is_outside_tensorboards_edges() -> None:
    extremes = [0.0, -0.0, 1e-12, -1e-12, 1e20, -1e20, FLOAT32.smallest_subnormal, FLOAT32.max, FLOAT32.min]
    b = variables(2, len(extremes))["a/b"]
    b.assign(extremes)
    histogram = check(b, None)
    assert histogram.counts.sum() == len(extremes)
    assert len(histogram.edges) == 2 * (len(histogram.edges) // 2) + 1
    assert histogram.edges[len(histogram.edges) // 2] == 0
    assert np.array_equal(histogram.edges, -histogram.edges[::-1])
    np.testing.assert_allclose(histogram.edges[-4:-1] / histogram.edges[-5:-2], 1.1, rtol=1e-15)


def test_what_is_not_finite_is_counted_apart() -> None:
    trainer = fnn.Trainer(fnn.Network(3, [fnn.Dense(4, name="a")], seed=1), "squared_error", fnn.SGD(3e38))
    with pytest.raises(FloatingPointError, match="parameters are not finite"):
        trainer.fit([[9.0, 1e-30, 0.0]], [[1e-30, 9.0, 99.0, 999.0]])
    w = trainer.network.variables["a/W"]
    n_finite = int(np.isfinite(w.value).sum())
    assert 0 < n_finite < w.size
    assert check(w, None).n_finite == n_finite
    assert check(w, [-1, 1]).counts.sum() < n_finite


def test_of_no_finite_value_there_is_no_least() -> None:
    trainer = fnn.Trainer(fnn.Network(1, [fnn.Dense(1, name="a")], seed=1), "squared_error", fnn.SGD(3e38))
    with pytest.raises(FloatingPointError, match="parameters are not finite"):
        trainer.fit([[9.0]], [[99.0]])
    histogram = trainer.network.variables["a/W"].histogram()
    assert (histogram.counts.sum(), histogram.n_finite, histogram.sum) == (0, 0, 0.0)
    assert np.isnan([histogram.min, histogram.max]).all()


@pytest.mark.parametrize(
    ("edges", "error"),
    [
        ("ab", TypeError),
        ([True, False], TypeError),
        ([0j, 1j], TypeError),
        (1.0, ValueError),
        ([1.0], ValueError),
        ([[0.0, 1.0]], ValueError),
        ([0.0, 0.0], ValueError),
        ([1.0, 0.0], ValueError),
        ([0.0, np.inf], ValueError),
        ([np.nan, 1.0], ValueError),
    ],
)
def test_bad_edges(edges: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^edges must be at least two finite numbers in ascending order, got ."):
        variables(2, 2)["a/W"].histogram(edges)
