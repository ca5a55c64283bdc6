"""Contenders in rounds, A B C A B C ..., so that what slows the machine slows them all."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .report import Result
from .samples import load
from .shapes import Row
from .workloads import Contender, Workload, of_row, why_not

__all__ = ["Comparison", "compare", "contenders", "rounds"]

_PAUSE = (
    0.2  # seconds: threads of OpenBLAS look out for more work for up to 0.1 s after their last, those of others less
)
_SHORTEST = 0.02  # seconds: what is quicker runs several times in a round


@dataclass
class Comparison:
    """One row: the result of each contender, and why others have none."""

    results: list[Result] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)


def compare(row: Row, num_threads: int, n_rounds: int, everyone: Iterable[type[Contender]]) -> Comparison:
    """Verifies every contender that can do the row here, then times them. WrongResult: nothing was timed."""
    ready, reasons = contenders(row, num_threads, everyone)
    description = f"{row.description}; {load(row.shape, 1).source}"
    results = [
        Result(
            row.name,
            description,
            workload.contender,
            num_threads,
            row.unit,
            [each / workload.pieces for each in seconds],
            workload.samples,
            workload.flops,
            workload.bytes,
        )
        for workload, seconds in zip(ready, rounds(ready, n_rounds), strict=True)
    ]
    return Comparison(results, reasons)


def contenders(
    row: Row, num_threads: int | None, everyone: Iterable[type[Contender]]
) -> tuple[list[Workload], dict[str, str]]:
    """The row by everyone who can do it here, verified; and why the others cannot."""
    ready, reasons = [], {}
    for contender in everyone:
        reason = why_not(contender, row, num_threads)
        if reason is not None:
            reasons[contender.name] = reason
            continue
        workload = of_row(row, num_threads, contender)
        workload.verify()
        ready.append(workload)
    return ready, reasons


def rounds(workloads: Sequence[Workload], n: int) -> list[list[float]]:
    """Seconds of a run of each, in n rounds. A round before them does not count, but says how often to run."""
    seconds: list[list[float]] = [[] for _ in workloads]
    gc.collect()
    gc.freeze()  # what libraries have loaded is not looked at again: that would take longer than most runs
    try:
        times = [math.ceil(_SHORTEST / _seconds(workload, 1)) for workload in workloads]
        for _ in range(n):
            for workload, i, taken in zip(workloads, times, seconds, strict=True):
                taken.append(_seconds(workload, i))
    finally:
        gc.unfreeze()
    return seconds


def _seconds(workload: Workload, times: int) -> float:
    """Of a run, the mean of so many in a row."""
    workload.prepare()
    gc.collect()
    time.sleep(_PAUSE)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        began = time.perf_counter()
        for _ in range(times):
            workload.run()
        return (time.perf_counter() - began) / times
    finally:
        if was_enabled:
            gc.enable()
