"""Contenders in rounds, A B C A B C ..., so that what slows the machine slows them all, and a table of the medians."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from statistics import median

from .peers import PEERS
from .shapes import Shape
from .workloads import Contender, Fastnn, Workload, training

__all__ = ["contenders", "rounds", "table"]

_PAUSE = 0.1  # seconds: the threads of OpenMP, OpenBLAS and XLA spin for up to some 25 ms after their last work


def contenders(shape: Shape, num_threads: int | None) -> tuple[list[Workload], dict[str, str]]:
    """Training of this shape by fastnn and every peer that can do it here, verified; and why the others cannot."""
    ready, reasons = [], {}
    everyone: list[type[Contender]] = [Fastnn, *PEERS.values()]
    for contender in everyone:
        reason = contender.why_not(shape, num_threads)
        if reason is not None:
            reasons[contender.name] = reason
            continue
        workload = training(shape, num_threads, contender)
        workload.verify()
        ready.append(workload)
    return ready, reasons


def rounds(workloads: Sequence[Workload], n: int) -> dict[str, list[float]]:
    """Seconds of a run, n of each contender, after one that is not counted."""
    seconds: dict[str, list[float]] = {workload.contender: [] for workload in workloads}
    for i in range(n + 1):
        for workload in workloads:
            took = _seconds(workload)
            if i > 0:
                seconds[workload.contender].append(took)
    return seconds


def _seconds(workload: Workload) -> float:
    workload.prepare()
    gc.collect()
    time.sleep(_PAUSE)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        began = time.perf_counter()
        workload.run()
        return time.perf_counter() - began
    finally:
        if was_enabled:
            gc.enable()


def table(workloads: Sequence[Workload], seconds: dict[str, list[float]]) -> str:
    """A line each: median, fastest and slowest, units a second, GFLOP/s of the matrix products, ratio to the first."""
    unit, first = workloads[0].unit, median(seconds[workloads[0].contender])
    lines = [f"{'':<20}{'median s':>10}{'min':>10}{'max':>10}{f'{unit}/s':>14}{'GFLOP/s':>10}{'ratio':>8}"]
    for workload in workloads:
        times = seconds[workload.contender]
        middle = median(times)
        columns = f"{middle:>10.4g}{min(times):>10.4g}{max(times):>10.4g}{workload.count / middle:>14,.0f}"
        lines.append(f"{workload.contender:<20}{columns}{workload.flops / middle / 1e9:>10.1f}{middle / first:>8.2f}")
    return "\n".join(lines)
