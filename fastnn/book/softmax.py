"""A softmax output layer: p_j = exp(z_j) / sum_k exp(z_k), probabilities that sum to 1.

Computed from z - max z, so that no finite logit overflows (the book does not say so).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn

from . import _draw
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOGITS = np.array([2.0, 1.0, 0.0, -1.0], dtype=np.float32)
SCALES = (0.25, 1, 4, 1e38)


def run(seed: int) -> Result:
    layer = fnn.Network(4, [fnn.Dense(4, "softmax", initializer="zeros", name="softmax")])
    layer.variables["softmax/W"] = np.eye(4)  # so that the inputs are the logits
    random = np.random.default_rng(seed)
    logits = random.normal(size=(10_000, 4)) * 10.0 ** random.uniform(-3, 37, (10_000, 1))
    sums = layer.predict_proba(logits.astype(np.float32)).sum(axis=1, dtype=np.float64)
    error = float(abs(sums - 1).max())
    bars = {scale: layer.predict_proba((LOGITS * np.float32(scale))[None])[0] for scale in SCALES}
    lines = [
        f"z = {scale:g} x {LOGITS.tolist()}: p = {', '.join(f'{value:.4f}' for value in p)}"
        for scale, p in bars.items()
    ]
    shifted = float(abs(layer.predict_proba(LOGITS[None] + 1024)[0] - bars[1]).max())
    lines.append(f"1024 added to every logit changes p by {shifted:.0e}")
    shown = f"of {len(logits):,} logits up to {abs(logits).max():.0e} the probabilities sum to 1 within {error:.1e}"
    return Result(shown, lines, {"largest_error_of_sum": error, "change_by_shift": shifted}, scene=bars)


def plot(result: Result) -> Figure:
    figure, (bars, curve) = _draw.panels(2)
    width = 0.8 / len(SCALES)
    for i, (scale, p) in enumerate(result.scene.items()):
        bars.bar(np.arange(4) + (i - 1.5) * width, p, width, label=f"z times {scale:g}")
    bars.set_xticks(range(4), [f"z = {z:g}" for z in LOGITS])
    bars.set(ylabel="probability", title="The same logits, scaled")
    two = fnn.Network(2, [fnn.Dense(2, "softmax", initializer="zeros", name="softmax")])
    two.variables["softmax/W"] = np.eye(2)
    z = np.linspace(-6, 6, 200, dtype=np.float32)
    curve.plot(z, two.predict_proba(np.column_stack([z, np.zeros_like(z)])), label=["class 1", "class 2"])
    curve.set(xlabel="$z_1 - z_2$", ylabel="probability", title="Two classes: a sigmoid of the difference")
    for ax in (bars, curve):
        _draw.legend(ax)
    return figure
