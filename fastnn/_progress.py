"""Progress bars: tqdm's, where someone is watching."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any, Literal

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
