"""What figures were measured on, in one line."""

import os
import re
from typing import Any

from .. import _core, runtime

__all__ = ["facts", "line"]

# Variables that make a BLAS choose other code than it would for this processor.
_PINNING = ("OPENBLAS_CORETYPE", "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS", "BLIS_ARCH_TYPE")


def facts() -> dict[str, Any]:
    """JSON-able: ``runtime.config()`` and "cpus", "compiler", "blas", "pinned" (variables that pin a BLAS to a CPU)."""
    return {
        **runtime.config(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "compiler": _compiler(),
        "blas": _blas(),
        "pinned": [f"{name}={os.environ[name]}" for name in _PINNING if os.environ.get(name)],
    }


def line() -> str:
    """``facts()`` in one line."""
    f = facts()
    parts = [
        f"fastnn {f['version']} ({f['isa']}, {f['threads_backend']} threads, {f['compiler']})",
        f"{f['cpu']}, {f['cpus']} CPUs",
        f"NumPy {f['numpy']} ({f['blas']})",
        f"Python {f['python']}",
    ]
    if f["pinned"]:
        parts.append(f"NOT COMPARABLE, unset first: {', '.join(f['pinned'])}")
    return " | ".join(parts)


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
