"""What the library runs on: instruction set, threads, and a report of both.

Threads by default: one for each CPU of this process's affinity mask, but no more than the CPU quota of its control
groups, rounded up, and no more than OMP_NUM_THREADS. FASTNN_NUM_THREADS overrules these, set_num_threads() overrules
all. The number never changes a result, only the time it takes.
"""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import _checks, _core
from ._version import __version__

__all__ = [
    "available_isas",
    "config",
    "default_num_threads",
    "isa",
    "num_threads",
    "set_num_threads",
    "show_config",
    "use_isa",
]

MAX_THREADS = 256  # FNN_MAX_THREADS of csrc/fnn.h

_Limit = tuple[int, str]  # threads, and why
_Path = str | os.PathLike[str]  # not pathlib: importing it takes 3 ms and, in Python 3.11, urllib along

_threads: _Limit | None = None  # None: not asked for yet

# ---- instruction set ------------------------------------------------------------------------------------------------


def isa() -> str:
    """The instruction set in use: the best one of this CPU, or what FASTNN_ISA or ``use_isa`` chose."""
    return _core.isa()


def available_isas() -> tuple[str, ...]:
    """The instruction sets that this build and this CPU have, best first. Their results are equal bit for bit."""
    return _core.available_isas()


def use_isa(name: str) -> None:
    """Chooses an instruction set for what starts after this call.

    TypeError: not a string. ValueError: not available here; the message lists what is.
    """
    _core.use_isa(_checks.choice("name", name, _core.available_isas()))


# ---- threads --------------------------------------------------------------------------------------------------------


def num_threads() -> int:
    """How many threads training and prediction use where a call does not say: found at the first call, then kept.

    ValueError: FASTNN_NUM_THREADS is not an integer from 1 to 256.
    """
    return _current()[0]


def set_num_threads(n: int | None) -> None:
    """Sets ``num_threads()`` for this process, to 1 to 256 threads. None: back to the default, found anew.

    TypeError: neither None nor an integer. ValueError: out of range.
    """
    global _threads
    if n is not None:
        n = _checks.integer("n", n, 1, MAX_THREADS)
    _threads = None if n is None else (n, f"set_num_threads({n})")


def default_num_threads(root: _Path = "/") -> tuple[int, str]:
    """The default number of threads, 1 to 256, and what it comes from; the module's docstring has the rule.

    root: where /proc and /sys are found.
    ValueError: FASTNN_NUM_THREADS is not an integer from 1 to 256. An empty value counts as none.
    """
    own = os.environ.get("FASTNN_NUM_THREADS", "").strip()
    if own:
        n = _positive(own)
        if n is None or n > MAX_THREADS:
            raise _checks.wrong_value("FASTNN_NUM_THREADS", f"an integer from 1 to {MAX_THREADS}", own)
        return n, f"FASTNN_NUM_THREADS={own}"
    limits = [_affinity(), _cgroup_quota(root), _omp_num_threads(), (MAX_THREADS, "the most this build can use")]
    return min((limit for limit in limits if limit is not None), key=lambda limit: limit[0])


def _current() -> _Limit:
    global _threads
    current = _threads  # read once: another thread may reset it
    if current is None:
        current = _threads = default_num_threads()
    return current


def _affinity() -> _Limit:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)), "CPUs in the affinity mask"
    return os.cpu_count() or 1, "CPUs of this machine"


def _omp_num_threads() -> _Limit | None:
    """OMP_NUM_THREADS is a list, one number a nesting level; an unusable one counts as none, as in OpenMP runtimes."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    levels = [_positive(level.strip()) for level in value.split(",")]
    if levels[0] is None or None in levels:
        return None
    return levels[0], f"OMP_NUM_THREADS={value}"


def _positive(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else None


# ---- control groups -------------------------------------------------------------------------------------------------


def _cgroup_quota(root: _Path) -> _Limit | None:
    """The tightest CPU quota among this process's control groups and those above them, rounded up."""
    limits = []
    for line in _text(root, "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")  # version 2 names no controllers
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in ("cpu", controllers) if controllers else ("", "unified"):
            limits += [_quota(os.path.join(root, "sys/fs/cgroup", mount, group)) for group in _and_above(path)]
    return min((limit for limit in limits if limit is not None), key=lambda limit: limit[0], default=None)


def _and_above(path: str) -> Iterator[str]:
    """ "/a/b" gives "a/b", "a" and "". In a container the path may be the host's, of which only the root is visible."""
    group = path.strip("/")
    while group:
        yield group
        group = group.rpartition("/")[0]
    yield ""


def _quota(group: str) -> _Limit | None:
    words = _text(group, "cpu.max").split()  # version 2: "max 100000" or "150000 100000"
    words = words or [_text(group, f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]  # version 1
    quota, period = (_positive(word) for word in words) if len(words) == 2 else (None, None)
    if quota is None or period is None:
        return None
    return -(-quota // period), f"cgroup quota of {quota / period:.4g} CPUs"


def _text(folder: _Path, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


# ---- report ---------------------------------------------------------------------------------------------------------


def config() -> dict[str, Any]:
    """What ``show_config`` prints, JSON-able but for the tuple of instruction sets.

    Keys: version, isa, available_isas, num_threads, num_threads_reason, threads_backend ("openmp" or "pthread"), numpy,
    python, platform, cpu, cuda (names of the GPUs, or why there is none).
    """
    import platform

    from . import cuda

    threads, reason = _current()
    return {
        "version": __version__,
        "isa": isa(),
        "available_isas": available_isas(),
        "num_threads": threads,
        "num_threads_reason": reason,
        "threads_backend": _core.team_backend(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu("/"),
        "cuda": ", ".join(map(cuda.device_name, range(cuda.device_count()))) or f"no GPU: {cuda.why_unavailable()}",
    }


def show_config() -> None:
    """Prints version, instruction sets, threads and why, and the machine: what a report of a problem should hold."""
    values = config()
    width = max(map(len, values))
    for key, value in values.items():
        print(f"{key:<{width}}  {', '.join(value) if isinstance(value, tuple) else value}")


def _cpu(root: _Path) -> str:
    for line in _text(root, "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    return os.uname().machine
