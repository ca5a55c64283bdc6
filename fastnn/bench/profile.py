"""Where the time of a training step goes: ``fastnn bench --profile``."""

from __future__ import annotations

from itertools import pairwise

from . import machine
from .samples import load
from .shapes import Shape
from .workloads import Fastnn

__all__ = ["profile"]


def profile(shape: Shape, num_threads: int, epochs: int = 3) -> str:
    """A line for each part of a step, in the engine's order: microseconds, share, GFLOP/s of its matrix product and
    what part of the measured peak that is. Skipped zeros count as work, so the first layer may exceed the peak.
    """
    it = Fastnn(shape, num_threads)
    it.feed(load(shape))
    it.prepare()
    it.epoch(shuffle=True)  # makes the plan
    before = it.trainer.history.perf
    for _ in range(epochs):
        it.epoch(shuffle=True)
    after, steps = it.trainer.history.perf, epochs * shape.steps
    seconds = {name: (value - before[name]) / steps for name, value in after.items()}
    total, peak = sum(seconds.values()), machine.limits(num_threads).peak_gflops
    lines = [f"{'us/step':<32}{'mean':>10}{'share':>8}{'GFLOP/s':>10}{'% peak':>9}"]
    flops = _flops(shape)
    for name, value in seconds.items():
        if name in flops and flops[name] == 0:
            continue
        rate = (
            f"{flops[name] / value / 1e9:>10.1f}{100 * flops[name] / value / 1e9 / peak:>9.0f}" if name in flops else ""
        )
        lines.append(f"{name:<32}{value * 1e6:>10.2f}{100 * value / total:>7.1f}%{rate}")
    return "\n".join([*lines, f"{'sum':<32}{total * 1e6:>10.2f}"])


def _flops(shape: Shape) -> dict[str, int]:
    """Of the matrix products of a step; the first layer has no gradient of its input."""
    flops: dict[str, int] = {}
    for i, (n_in, n_out) in enumerate(pairwise(shape.widths), start=1):
        product = 2 * shape.batch_size * n_in * n_out
        parts = {"forward": product, "backward input": product if i > 1 else 0, "backward weights": product}
        flops |= {f"dense_{i} {part}": value for part, value in parts.items()}
    return flops
