"""Files: written whole or not at all, and read with errors that name the argument."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def write_atomically(path: str | os.PathLike[str], data: bytes, *, sync: bool = True) -> None:
    """Readers see the old file or the whole new one, also beside another process that writes it.

    sync: so even after a crash of the machine, at the price of waiting for its disk.
    """
    from tempfile import mkstemp

    folder, name = os.path.split(os.path.abspath(path))
    descriptor, temporary = mkstemp(prefix=f".{name}.", dir=folder)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp gives 0600
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_safetensors(path: str | os.PathLike[str], what: str) -> tuple[dict[str, str], dict[str, np.ndarray[Any, Any]]]:
    """Metadata and tensors of a file; errors say that path must name a saved such-and-such.

    OSError: no such file, or it cannot be read. ValueError: it is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if not os.path.isfile(path):
        raise FileNotFoundError(f"path must name a saved {what}, got {os.fspath(path)!r}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except SafetensorError as error:
        raise ValueError(f"path must name a saved {what}, got {os.fspath(path)!r}: {error}") from error


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
