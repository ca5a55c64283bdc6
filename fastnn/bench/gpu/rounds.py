"""Rounds of contenders on a GPU, and what is known of them so far, on disk."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..._files import write_atomically

__all__ = ["Entry", "Limits", "Report", "repeated", "rounds"]

_TURN = 0.25  # seconds that a contender works in a round
_MOST_PIECES = 100  # of a turn
_LONGEST_REASON = 500  # characters
# In CUDA's words for errors after which a process can do no more on a device.
_FATAL = ("illegal", "launch failure", "misaligned", "device-side assert", "hardware stack", "invalid program counter")


@dataclass(frozen=True)
class Entry:
    """marks(n): does a piece of the work n times, and reads the clock after each. pieces: steps or calls of a piece.

    flops: of a step or call, in matrix products; 0: does not matter.
    """

    name: str
    prepare: Callable[[], None]
    marks: Callable[[int], list[float]]
    pieces: int = 1
    flops: int = 0


@dataclass
class Report:
    """What is known so far, on disk whenever something is added: a device that fails may take the process along.

    seconds: by contender, of a step or call, one a round. skipped: contender, why. extra: other numbers by name.
    failed: those of the skipped that should have been able to. current: the contender at work.
    """

    path: Path
    row: str
    description: str = ""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    flops: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    current: str | None = None

    def save(self) -> None:
        write_atomically(self.path, json.dumps({**asdict(self), "path": None}).encode())

    def skip(self, name: str, reason: str) -> None:
        self.skipped[name] = reason
        self.seconds.pop(name, None)
        self.save()

    def attempt(self, name: str, action: Callable[..., Any], *args: Any) -> Any:
        """action(*args); None if it fails, which is noted: one contender less is no reason to stop.

        But a kernel that failed takes the device from the whole process: SystemExit, with the culprit in ``current``.
        """
        self.current = name
        self.save()
        try:
            result = action(*args)
        except Exception as error:
            self.failed.append(name)
            self.skip(name, f"{type(error).__name__}: {str(error).strip()[:_LONGEST_REASON]}")
            print(f"{self.row}: {name}: {self.skipped[name]}", file=sys.stderr, flush=True)
            if any(sign in str(error).lower() for sign in _FATAL):
                sys.exit(3)
            result = None
        self.current = None
        return result


@dataclass(frozen=True)
class Limits:
    """until: on the clock of time.perf_counter. without: contenders to leave out, and why."""

    rounds: int
    until: float
    is_smoke: bool
    without: Mapping[str, str]

    def why_not(self, contender: str) -> str | None:
        """Why it is not to begin; None: it is."""
        is_over = time.perf_counter() > self.until
        return self.without.get(contender, "there was no time left for it" if is_over else None)


def repeated(piece: Callable[[], Any]) -> Callable[[int], list[float]]:
    """marks of a function that returns when the device is done."""

    def marks(n: int) -> list[float]:
        clock = []
        for _ in range(n):
            piece()
            clock.append(time.perf_counter())
        return clock

    return marks


def rounds(report: Report, entries: list[Entry], limits: Limits) -> None:
    """Adds the seconds of each entry, the first piece of a turn not counted; ends early when time is up."""
    pieces: dict[str, int] = {}
    for entry in entries:
        report.flops[entry.name] = entry.flops
        seconds = report.attempt(entry.name, _turn, entry, 1)
        if seconds is not None:
            wanted = math.ceil(_TURN / (seconds * entry.pieces))
            pieces[entry.name] = 1 if limits.is_smoke else min(wanted, _MOST_PIECES)
            report.seconds[entry.name] = []
    for _ in range(limits.rounds):
        for entry in entries:
            if time.perf_counter() > limits.until:
                return
            if entry.name in report.seconds:
                seconds = report.attempt(entry.name, _turn, entry, pieces[entry.name])
                if seconds is not None:
                    report.seconds[entry.name].append(seconds)
        report.save()


def _turn(entry: Entry, pieces: int) -> float:
    """Seconds of a step or call."""
    entry.prepare()
    marks = entry.marks(1 + pieces)
    return (marks[-1] - marks[0]) / (pieces * entry.pieces)
