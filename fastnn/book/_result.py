"""What an example gives back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Result:
    """shown: what was shown, with its numbers, one line. lines: what to print before. numbers: for --json, by name.
    scene: what ``plot`` draws, of the example's own kind."""

    shown: str
    lines: Sequence[str] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    scene: Any = None
