"""Seeds: the 64-bit key that all random numbers of a network or a training are a function of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks

if TYPE_CHECKING:
    Seed = int | np.random.SeedSequence | np.random.Generator | None


def as_seed(value: Any, name: str = "seed") -> int:
    """0 to 2**64 - 1: an integer as it is, one drawn from a SeedSequence or a Generator, or fresh entropy for None."""
    if value is None:
        return int.from_bytes(os.urandom(8), "little")
    if isinstance(value, (int, np.integer)):
        return _checks.integer(name, value, 0, _checks.MAX_SEED)
    if isinstance(value, np.random.SeedSequence):  # NumPy loads np.random when it is first named
        return int(value.generate_state(1, np.uint64)[0])
    if isinstance(value, np.random.Generator):
        return int(value.integers(2**64, dtype=np.uint64))
    raise _checks.wrong_kind(name, "an integer, a SeedSequence, a Generator or None", value)
