"""What figures were measured on: facts in one line, and what its threads can do at most."""

import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from .. import _core, runtime

__all__ = ["Limits", "cpus", "facts", "limits", "line", "line_of"]

_TRIALS = 9
_TRIAL = 0.02  # seconds


# Variables that make a BLAS choose other code than it would for this processor.
_PINNING = ("OPENBLAS_CORETYPE", "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS", "BLIS_ARCH_TYPE")


def facts(packages: Iterable[str] = ()) -> dict[str, Any]:
    """JSON-able: ``runtime.config()`` and "cpus", "compiler", "blas", "pinned" (variables that pin a BLAS to a CPU).

    packages: modules whose versions, if they are installed, are in "packages".
    """
    return {
        **runtime.config(),
        "available_isas": list(runtime.available_isas()),
        "cpus": cpus(),
        "compiler": _compiler(),
        "blas": _blas(),
        "packages": _versions(packages),
        "pinned": [f"{name}={os.environ[name]}" for name in _PINNING if os.environ.get(name)],
    }


@dataclass(frozen=True)
class Limits:
    """Measured: GFLOP/s of so many threads that only multiply and add, and nanoseconds until they have all met."""

    num_threads: int
    peak_gflops: float
    barrier_ns: float

    def line(self) -> str:
        threads = "1 thread" if self.num_threads == 1 else f"{self.num_threads} threads"
        barrier = "" if self.num_threads == 1 else f", {self.barrier_ns:.0f} ns a barrier"
        return f"{threads}: peak {self.peak_gflops:.4g} GFLOP/s{barrier}"


def limits(num_threads: int) -> Limits:
    """Measures them with the chosen instruction set: the highest of several peaks, the median of several barriers."""
    peaks = _trials(lambda n: _core.peak_flops(num_threads, n))
    barriers = _trials(lambda n: _core.barrier_seconds(num_threads, n))
    return Limits(num_threads, max(peaks) / 1e9, median(barriers) * 1e9)


def _trials(measure: Callable[[int], float]) -> list[float]:
    """Several measurements, each with so much work that it takes its time."""
    n, took = 1, 0.0
    while took < _TRIAL:
        n, began = 2 * n, time.perf_counter()
        measure(n)
        took = time.perf_counter() - began
    return [measure(n) for _ in range(_TRIALS)]


def line() -> str:
    """``facts()`` in one line."""
    return line_of(facts())


def line_of(f: dict[str, Any]) -> str:
    parts = [
        f"fastnn {f['version']} ({f['isa']}, {f['threads_backend']} threads, {f['compiler']})",
        f"{f['cpu']}, {f['cpus']} CPUs",
        f"NumPy {f['numpy']} ({f['blas']})",
        f"Python {f['python']}",
        *(f"{name} {version}" for name, version in f["packages"].items() if name != "numpy"),
    ]
    if f["pinned"]:
        parts.append(f"NOT COMPARABLE, unset first: {', '.join(f['pinned'])}")
    return " | ".join(parts)


def cpus() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _versions(packages: Iterable[str]) -> dict[str, str]:
    if not packages:
        return {}
    from importlib.metadata import packages_distributions, version

    distributions = packages_distributions()
    return {name: version(distributions[name][0]) for name in dict.fromkeys(packages) if name in distributions}


def _compiler() -> str:
    """What compiled the core, as compilers note in the object files. A system's start-up files may add another's."""
    try:
        with open(_core.__file__, "rb") as file:
            content = file.read()
    except OSError:
        return "unknown compiler"
    for pattern in (rb"clang version \d+[\d.]*", rb"GCC: \([^)]*\) \d+[\d.]*"):
        if found := re.search(pattern, content):
            return re.sub(r": \([^)]*\)", "", found[0].decode())
    return "unknown compiler"


def _blas() -> str:
    """NumPy's BLAS; with the kind of processor it takes this one for, if threadpoolctl is installed to tell."""
    import numpy as np

    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        config: Any = np.show_config(mode="dicts")
        blas = config["Build Dependencies"]["blas"]
        return f"{blas['name']} {blas['version']}"
    for library in threadpool_info():
        if library["user_api"] == "blas" and f"{os.sep}numpy" in library["filepath"]:
            words = (library.get(key) for key in ("internal_api", "version", "architecture"))
            return " ".join(str(word) for word in words if word)
    return "BLAS unknown to threadpoolctl"
