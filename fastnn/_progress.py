"""Progress bars: tqdm's, where someone is watching."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Literal, Protocol

import numpy as np

from . import _checks

Progress = bool | Literal["auto"]


def as_progress(value: Any) -> Progress:
    """True, False or "auto"."""
    expected = "'auto', True or False"
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if not isinstance(value, str):
        raise _checks.wrong_kind("progress", expected, value)
    if value != "auto":
        raise _checks.wrong_value("progress", expected, value)
    return "auto"


def bar(progress: Progress, **options: Any) -> Any:
    """A tqdm bar with these options; a silent one unless progress is True, or "auto" and stderr is a terminal."""
    progress = as_progress(progress)
    is_watched = sys.stderr is not None and sys.stderr.isatty()
    if not (is_watched if progress == "auto" else progress):
        return _Silent()
    from tqdm import tqdm

    return tqdm(file=sys.stderr, **options)


def say(line: str) -> None:
    """Prints to stdout, above a bar, if there is one."""
    tqdm = sys.modules.get("tqdm")  # no bar without it
    with tqdm.tqdm.external_write_mode() if tqdm is not None else nullcontext():
        print(line, flush=True)


class Watch(Protocol):
    """Who sees a training advance."""

    def begin_epoch(self) -> Callable[[int, int, float], None] | None:
        """What the engine is to call every 50 ms or so with the epoch's steps, rows and sum of losses so far."""

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        """With what the history took."""


class StepsShown:
    """Shows steps and the latest measurements in a bar."""

    _SHOWN = ("loss", "val_loss", "val_accuracy")

    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def begin_epoch(self) -> Callable[[int, int, float], None] | None:
        shown, start = self._shown, self._shown.n

        def advance(steps: int, rows: int, loss: float) -> None:
            shown.update(start + steps - shown.n)

        return None if shown.disable else advance

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        named = {name: f"{logs[name]:.4f}" for name in self._SHOWN if name in logs}
        self._shown.set_postfix(named, refresh=False)


class _Silent:
    """The part of tqdm's bar that is used here, doing nothing: no import of tqdm where nothing is shown."""

    disable, n = True, 0

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: int) -> None:
        pass

    def set_postfix(self, *_: object, **__: object) -> None:
        pass
