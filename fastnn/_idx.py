"""IDX files, the format in which MNIST comes: arrays of bytes behind a short header, often packed by gzip."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_idx(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """The array in an IDX file of bytes, of any number of dimensions; gzip is recognised by its content.

    OSError: not readable, or not a whole IDX file of unsigned bytes; the file and the fault are named.
    """
    path = as_path("path", path)
    data = read_bytes(path)
    return parse_idx(path, data if gzip_crc32(path) is None else gunzip(path, data))


def as_path(name: str, value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise _checks.wrong_kind(name, "a path", value)
    return os.fsdecode(value)


def read_bytes(path: str) -> memoryview:
    """A file's bytes, writable."""
    return np.fromfile(path, np.uint8).data


def gzip_crc32(path: str) -> int | None:
    """What a gzip file says at its end of what was packed last, as a rule all of it; None for any other file."""
    with open(path, "rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return None
        file.seek(max(0, file.seek(0, os.SEEK_END) - 8))
        return int.from_bytes(file.read(4), "little")


def gunzip(source: str, data: bytes | memoryview) -> bytes:
    import gzip
    import zlib

    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise OSError(f"{source} is not a whole gzip file: {error}") from error


def parse_idx(source: str, data: bytes | memoryview) -> NDArray[np.uint8]:
    """Magic number 0, 0, type (8: unsigned byte), dimensions; each size as four bytes, high first; the values.

    The array can be written to: it is a view of data where that can be.
    """
    if len(data) < 4 or data[:2] != b"\0\0" or data[3] == 0:
        raise OSError(f"{source} is not an IDX file: it must start with bytes 0 0 8 N, got {list(data[:4])}")
    if data[2] != 8:
        raise OSError(f"{source} must hold unsigned bytes (IDX type 8), got IDX type {data[2]}")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise OSError(f"{source} is truncated: its {data[3]} sizes end at byte {start}, the file at {len(data)}")
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4)]
    expected = start + math.prod(shape)
    if len(data) != expected:
        fault = "truncated" if len(data) < expected else "too long"
        raise OSError(f"{source} is {fault}: shape {tuple(shape)} makes {expected} bytes, the file has {len(data)}")
    array = np.frombuffer(data, np.uint8, offset=start).reshape(shape)
    return array if array.flags.writeable else array.copy()
