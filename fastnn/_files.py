"""Files: written whole or not at all."""

from __future__ import annotations

import os


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


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
