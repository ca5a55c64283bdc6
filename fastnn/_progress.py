"""Progress bars: tqdm's, where someone is watching."""

import sys
from typing import Any, Literal

from . import _checks

Progress = bool | Literal["auto"]


def bar(progress: Progress, **options: Any) -> Any:
    """A tqdm bar with these options; a silent one unless progress is True, or "auto" and stderr is a terminal."""
    from tqdm import tqdm

    if progress != "auto":
        progress = _checks.flag("progress", progress)
    is_shown = sys.stderr.isatty() if progress == "auto" else progress
    return tqdm(disable=not is_shown, file=sys.stderr, **options)
