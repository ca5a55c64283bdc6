"""Devices by name: "cpu:0", "gpu:0", "gpu:1" and so on, and the rules by which a network is placed on one.

The names are those of the book's chapter 3 ("/cpu:0" is the same as "cpu:0", "cpu" as "cpu:0"), and so are the rules:
a device that is missing is an error, unless soft placement lets the CPU take its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from . import _checks, cuda

__all__ = ["Placement", "devices", "place"]

_NAME = re.compile(r"/?(cpu|gpu)(?::(0|[1-9][0-9]*))?", re.ASCII)


class Placement(NamedTuple):
    """Where a network is, and where it was to be."""

    device: str
    asked: str

    def __str__(self) -> str:
        return self.device if self.asked == self.device else f"{self.device} ({self.asked} is missing)"

    def say(self, names: Iterable[str]) -> None:
        """The placement log: prints a line for each of what runs there."""
        for name in names:
            print(f"{name}: {self}")


def devices() -> tuple[str, ...]:
    """The names of the devices that there are: "cpu:0", then any GPUs."""
    return ("cpu:0", *(f"gpu:{i}" for i in range(cuda.device_count())))


def place(device: Any, *, allow_soft_placement: bool = False, argument: str = "device") -> Placement:
    """The device of that name; "auto": the first GPU if there is one, else the CPU.

    allow_soft_placement: "cpu:0" stands in for a missing device, with a warning on the logger "fastnn".
    argument: what errors call it.
    TypeError: not a string. ValueError: no name of a device, or it is missing; the message lists those there are.
    """
    expected = "'auto' or a device such as 'cpu:0' or 'gpu:0'"
    if not isinstance(device, str):
        raise _checks.wrong_kind(argument, expected, device)
    if device in ("cpu:0", "/cpu:0", "cpu", "/cpu"):
        return Placement("cpu:0", "cpu:0")  # asks no driver
    found = devices()
    if device == "auto":
        device = "gpu:0" if cuda.is_available() else "cpu:0"
    match = _NAME.fullmatch(device)
    if match is None:
        raise _checks.wrong_value(argument, expected, device)
    name = f"{match[1]}:{match[2] or 0}"
    if name in found:
        return Placement(name, name)
    because = "" if match[1] == "cpu" or cuda.is_available() else f" (no GPU: {cuda.why_unavailable()})"
    if not allow_soft_placement:
        raise _checks.wrong_value(argument, f"one of {', '.join(found)}{because}", device)
    import logging

    logging.getLogger("fastnn").warning("device %s is missing%s: cpu:0 takes its place", name, because)
    return Placement("cpu:0", name)
