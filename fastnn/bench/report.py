"""What was measured: a line of a table each, and a JSON file of all of them that tables and plots are made from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from .._files import write_atomically
from .machine import Limits, line_of

__all__ = ["Report", "Result"]

_FORMAT_VERSION = 1
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6}


@dataclass(frozen=True)
class Result:
    """A contender's times for one workload. unit: "ms/step" and the like, what a time is printed in.

    seconds: of an epoch, a step or a call, one time a round. samples, flops, bytes: of the same; flops are those of the
    matrix products, zeros among the factors or not; bytes are those it cannot do without, see ``Shape.bytes_training``.
    """

    workload: str
    description: str
    contender: str
    num_threads: int
    unit: str
    seconds: list[float]
    samples: int
    flops: int
    bytes: int

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def gflops(self) -> float:
        """A second, in thousands of millions."""
        return self.flops / self.median / 1e9

    @property
    def intensity(self) -> float:
        """Floating-point operations a byte."""
        return self.flops / self.bytes


@dataclass
class Report:
    """machine: ``machine.facts()``. limits: by the number of threads. skipped: workload, contender, threads, reason."""

    machine: dict[str, Any]
    rounds: int
    limits: list[Limits] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    skipped: list[tuple[str, str, int, str]] = field(default_factory=list)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it as JSON, replacing path only when it is complete. OSError: the file cannot be written."""
        write_atomically(path, json.dumps({"format_version": _FORMAT_VERSION, **asdict(self)}, indent=1).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """What ``save`` wrote. OSError: no such file. ValueError: it holds something else."""
        try:
            fields = json.loads(Path(path).read_text())
            if fields.pop("format_version") != _FORMAT_VERSION:
                raise ValueError(f"this fastnn reads format version {_FORMAT_VERSION}")
            fields["limits"] = [Limits(**each) for each in fields["limits"]]
            fields["results"] = [Result(**each) for each in fields["results"]]
            fields["skipped"] = [tuple(each) for each in fields["skipped"]]
            return cls(**fields)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)!r} is not a report of fastnn bench: {error}") from error

    def add(self, other: Report) -> None:
        """Takes in what was measured elsewhere."""
        self.limits += other.limits
        self.results += other.results
        self.skipped += other.skipped

    def limits_of(self, num_threads: int) -> Limits:
        return next(each for each in self.limits if each.num_threads == num_threads)

    def groups(self) -> Iterator[list[Result]]:
        """The results of a workload and a number of threads, a table each."""
        for _, group in groupby(self.results, lambda result: (result.workload, result.num_threads)):
            yield list(group)

    def header(self) -> str:
        return line_of(self.machine)

    def text(self, results: Sequence[Result]) -> str:
        """One table with what it is about."""
        first = results[0]
        limits = self.limits_of(first.num_threads)
        reasons = [
            f"{contender:<20}skipped: {reason}"
            for workload, contender, num_threads, reason in self.skipped
            if (workload, num_threads) == (first.workload, first.num_threads)
        ]
        title = f"{first.workload}: {first.description}"
        return "\n".join([title, f"{limits.line()}; {self.rounds} rounds in turn", table(results, limits), *reasons])


def table(results: Sequence[Result], limits: Limits) -> str:
    """A line each: median, fastest and slowest time, GFLOP/s, part of the peak, how many times as long as the first."""
    unit = results[0].unit
    scale = _PER_SECOND[unit.split("/")[0]]
    lines = [f"{unit:<20}{'median':>10}{'min':>10}{'max':>10}{'GFLOP/s':>10}{'% peak':>8}{'ratio':>8}"]
    for result in results:
        columns = "".join(f"{t * scale:>10.4g}" for t in (result.median, min(result.seconds), max(result.seconds)))
        part, ratio = 100 * result.gflops / limits.peak_gflops, result.median / results[0].median
        lines.append(f"{result.contender:<20}{columns}{result.gflops:>10.4g}{part:>8.2g}{ratio:>8.2f}")
    return "\n".join(lines)
