"""Data sets: MNIST, read from disk or downloaded once, digits that the library draws itself, and splits of any arrays.

``mnist()`` looks for the four IDX files (each plain or ``.gz``), in this order:

1. ``directory``, and nowhere else, if it is given;
2. ``$FASTNN_DATA``, then ``$FASTNN_DATA/mnist``;
3. the cache, ``$XDG_CACHE_HOME/fastnn/mnist`` or ``~/.cache/fastnn/mnist``;
4. the public mirrors; what comes from there is kept in the cache, uncompressed.

Wherever they come from, the SHA-256 of the uncompressed bytes is checked at every load. MNIST was published by LeCun,
Cortes and Burges under CC BY-SA 3.0.

Unpacking takes several times as long as checking, so what a ``.gz`` file holds is kept in the cache too, and taken from
there by later loads as long as the CRC-32 at the end of the ``.gz`` file says that it holds the same. A damaged file of
the cache is replaced; where the cache cannot be written, every load unpacks. The logger "fastnn" tells of both (INFO).
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _checks, _core
from ._files import write_atomically
from ._idx import as_path, gunzip, gzip_crc32, parse_idx, read_bytes, read_idx
from ._progress import as_progress, bar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._progress import Progress

__all__ = ["Dataset", "Split", "digits", "mnist", "read_idx", "split", "synthetic_digits"]


class _Sums(NamedTuple):
    """Of a file's uncompressed bytes."""

    sha256: str
    crc32: int


# Training images, training labels, test images, test labels.
_MNIST = {
    "train-images-idx3-ubyte": _Sums("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 0xE9F4D8B3),
    "train-labels-idx1-ubyte": _Sums("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 0xE0CB4AD2),
    "t10k-images-idx3-ubyte": _Sums("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 0x91373BDF),
    "t10k-labels-idx1-ubyte": _Sums("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 0x4AB9EFF9),
}
_MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
_TIMEOUT_SECONDS = 20.0
_CHUNK_BYTES = 1 << 16
_MAX_DIGITS = 2**32  # length of a series: the image's number is one counter word


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Examples: row i of ``x`` belongs to row i of ``y``. ValueError: not the same number of rows."""

    x: Any
    y: Any

    def __post_init__(self) -> None:
        if self.x.shape[0] != self.y.shape[0]:
            raise ValueError(f"x and y must have equally many rows, got {self.x.shape[0]} and {self.y.shape[0]}")

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def __repr__(self) -> str:
        return f"Split(x={self.x.dtype} {self.x.shape}, y={self.y.dtype} {self.y.shape})"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits that have no example in common."""

    name: str
    train: Split
    validation: Split
    test: Split


# ---- MNIST ----------------------------------------------------------------------------------------------------------


def mnist(
    directory: str | os.PathLike[str] | None = None,
    *,
    validation_size: int = 5000,
    download: bool = True,
    progress: Progress = "auto",
) -> Dataset:
    """MNIST: x uint8 (n, 784), a pixel 0 to 255; y uint8 (n,), 0 to 9. Where it is looked for: see the module.

    validation_size: the last of the 60,000 training images become ``validation``, the first remain ``train``.
    download: False never touches the network. progress: a bar while downloading; "auto" where stderr is a terminal.
    FileNotFoundError: not found and not downloaded; every place and its reason are listed.
    OSError: a file that is damaged or not MNIST; the file is named. (One in the cache is replaced.)
    """
    validation_size = _checks.integer("validation_size", validation_size, 0)
    download = _checks.flag("download", download)
    progress = as_progress(progress)
    found = _find_mnist(download, progress) if directory is None else _read_mnist(as_path("directory", directory))
    train_x, train_y, test_x, test_y = found
    n_train = len(train_x) - validation_size
    if n_train <= 0:
        raise _checks.wrong_value("validation_size", f"less than {len(train_x)}, the training images", validation_size)
    train_x, test_x = train_x.reshape(len(train_x), -1), test_x.reshape(len(test_x), -1)
    return Dataset(
        "MNIST",
        train=Split(train_x[:n_train], train_y[:n_train]),
        validation=Split(train_x[n_train:], train_y[n_train:]),
        test=Split(test_x, test_y),
    )


def _find_mnist(download: bool, progress: Progress) -> list[NDArray[np.uint8]]:
    failures = []
    named = os.environ.get("FASTNN_DATA")
    if not named:
        failures.append("FASTNN_DATA is not set")
    for place in (named, os.path.join(named, "mnist")) if named else ():
        try:
            return _read_mnist(place)
        except FileNotFoundError as error:
            failures.append(str(error))
    try:
        return _read_mnist(_cache())
    except OSError as error:
        if not download and not isinstance(error, FileNotFoundError):
            raise
        failures.append(str(error))
    if download:
        try:
            return [_cached_or_downloaded(name, progress) for name in _MNIST]
        except OSError as error:
            failures.append(str(error))
    else:
        failures.append("download=False")
    reasons = "".join(f"\n  {line}" for failure in failures for line in failure.splitlines())
    raise FileNotFoundError(
        f"MNIST was not found:{reasons}\nPut {', '.join(_MNIST)} (plain or .gz) into a directory and name it by "
        "directory= or FASTNN_DATA, or use fastnn.datasets.digits(), which needs no files"
    )


def _read_mnist(directory: str) -> list[NDArray[np.uint8]]:
    if not os.path.isdir(directory):
        raise FileNotFoundError(f"{directory} is not a directory")
    paths = [_plain_or_gz(directory, name) for name in _MNIST]
    lacking = [name for name, path in zip(_MNIST, paths, strict=True) if path is None]
    if lacking:
        raise FileNotFoundError(f"{directory} lacks {', '.join(lacking)} (plain or .gz)")
    return [_read_file(path, name) for name, path in zip(_MNIST, paths, strict=True) if path is not None]


def _plain_or_gz(directory: str, name: str) -> str | None:
    paths = (os.path.join(directory, name), os.path.join(directory, f"{name}.gz"))
    return next((path for path in paths if os.path.isfile(path)), None)


def _read_file(path: str, name: str) -> NDArray[np.uint8]:
    crc32 = gzip_crc32(path)
    if crc32 is None:
        return _verified(path, read_bytes(path), name)
    if crc32 == _MNIST[name].crc32:
        try:
            return _read_cached(name)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            _log("%s; it is replaced", error)
    unpacked = gunzip(path, read_bytes(path))
    array = _verified(path, unpacked, name)
    try:
        _keep(name, unpacked)
    except OSError as error:
        _log("%s is unpacked again at the next load, for it cannot be kept: %s", path, error)
    return array


def _verified(source: str, data: bytes | memoryview, name: str) -> NDArray[np.uint8]:
    from hashlib import sha256

    array = parse_idx(source, data)  # first, because it tells more precisely what is wrong
    digest = sha256(data).hexdigest()
    if digest != _MNIST[name].sha256:
        raise OSError(f"{source} is not MNIST's {name}: SHA-256 must be {_MNIST[name].sha256}, got {digest}")
    return array


# ---- cache ----------------------------------------------------------------------------------------------------------


def _cache() -> str:
    base = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.cache"), "fastnn", "mnist")


def _read_cached(name: str) -> NDArray[np.uint8]:
    path = os.path.join(_cache(), name)
    return _verified(path, read_bytes(path), name)


def _keep(name: str, data: bytes) -> None:
    """Into the cache, unsynced: after a crash a load finds a damaged file and replaces it."""
    cache = _cache()
    if not os.path.isabs(cache):
        raise FileNotFoundError("this user has no home directory, and XDG_CACHE_HOME names no other")
    os.makedirs(cache, exist_ok=True)
    write_atomically(os.path.join(cache, name), data, sync=False)


def _log(message: str, *values: object) -> None:
    import logging

    logging.getLogger("fastnn").info(message, *values)


# ---- download -------------------------------------------------------------------------------------------------------


def _cached_or_downloaded(name: str, progress: Progress) -> NDArray[np.uint8]:
    try:
        return _read_cached(name)
    except OSError:
        pass  # not there, or damaged: fetched afresh
    failures = []
    for mirror in _MIRRORS:
        url = f"{mirror}{name}.gz"
        try:
            data = gunzip(url, _fetch(url, name, progress))
            array = _verified(url, data, name)
        except OSError as error:
            reason = str(error)
            failures.append(reason if url in reason else f"{url}: {reason}")
        else:
            _keep(name, data)
            return array
    raise OSError("\n".join(failures))


def _fetch(url: str, name: str, progress: Progress) -> bytes:
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    request = Request(url, headers={"User-Agent": "fastnn"})
    data = bytearray()
    try:
        with urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            length = response.length or 0
            with bar(progress, total=length or None, desc=name, unit="B", unit_scale=True) as shown:
                while chunk := response.read(_CHUNK_BYTES):
                    data += chunk
                    shown.update(len(chunk))
    except HTTPException as error:
        raise OSError(f"{url} broke off after {len(data)} bytes: {error!r}") from error
    if len(data) < length:
        raise OSError(f"{url} broke off after {len(data)} of {length} bytes")
    return bytes(data)


# ---- digits that the library draws ----------------------------------------------------------------------------------


def synthetic_digits(n: int, seed: int = 0) -> Split:
    """The first n of an endless series of drawn digits: x uint8 (n, 784), y uint8 (n,), 0 to 9.

    Like MNIST in size, ink and difficulty. Image i is a function of (seed, i), the same bytes on every machine.
    n: 1 to 2**32. seed: 0 to 2**64 - 1. TypeError, ValueError: n or seed is not.
    """
    n = _checks.integer("n", n, 1, _MAX_DIGITS)
    return Split(*_core.synthetic_digits(0, n, _checks.integer("seed", seed, 0, _checks.MAX_SEED)))


def digits(*, n_train: int = 55_000, n_validation: int = 5_000, n_test: int = 10_000, seed: int = 0) -> Dataset:
    """Drawn digits in MNIST's three splits, cut in this order from one series of ``synthetic_digits``.

    n_train is at least 1, the others may be 0. TypeError, ValueError: a size or the seed is out of its range.
    """
    n_train = _checks.integer("n_train", n_train, 1)
    n_seen = n_train + _checks.integer("n_validation", n_validation, 0)
    n = n_seen + _checks.integer("n_test", n_test, 0)
    if n > _MAX_DIGITS:
        raise _checks.wrong_value("n_train + n_validation + n_test", f"at most {_MAX_DIGITS}", n)
    x, y = _core.synthetic_digits(0, n, _checks.integer("seed", seed, 0, _checks.MAX_SEED))
    cuts = ((0, n_train), (n_train, n_seen), (n_seen, n))
    return Dataset("synthetic digits", *(Split(x[start:stop], y[start:stop]) for start, stop in cuts))


# ---- splits ---------------------------------------------------------------------------------------------------------


def split(
    x: Any, y: Any, sizes: Sequence[int | float], *, shuffle: bool = True, stratify: bool = False, seed: int = 0
) -> tuple[Split, ...]:
    """One Split for each size, of rows of x and y, no row in two of them; x and y are copied.

    sizes: numbers of rows (int), or fractions of all rows (float) that sum to at most 1. Fractions place the borders:
    the k-th split ends at row floor(n * (sum of the first k fractions) + 1/2), so that a sum of 1 leaves no row over.
    shuffle: rows in a random order, a function of the number of rows and seed alone; else in the order given.
    stratify: each split takes its share of every class of y (n,), rounded up or down, from the rows that the splits
    before it left; its rows stay in that order. Classes are integers, booleans or strings.
    TypeError, ValueError: sizes that are neither or ask for more than there is, a split without a row, x and y of
    unequal lengths, y without classes.
    """
    shuffle, stratify = _checks.flag("shuffle", shuffle), _checks.flag("stratify", stratify)
    seed = _checks.integer("seed", seed, 0, _checks.MAX_SEED)
    whole = Split(_rows("x", x), _rows("y", y))
    n = len(whole)
    if n >= 2**31:
        raise ValueError(f"x must have less than 2**31 rows, got {n}")
    counts = _row_counts(sizes, n)
    order = _core.permutation(n, seed, stream="split") if shuffle else np.arange(n)
    if stratify:
        parts = _stratified(_classes(whole.y)[order], counts)
    else:
        parts = np.split(np.arange(sum(counts)), np.cumsum(counts)[:-1])
    return tuple(Split(whole.x[order[part]], whole.y[order[part]]) for part in parts)


def _rows(name: str, value: Any) -> Any:
    array = value if hasattr(value, "indptr") else np.asarray(value)  # sparse rows stay sparse
    if len(array.shape) == 0:
        raise _checks.wrong_kind(name, "an array of rows", value)
    return array


def _row_counts(sizes: Any, n: int) -> list[int]:
    expected = "a sequence of ints (rows) or of floats (fractions)"
    if isinstance(sizes, (str, bytes)) or not isinstance(sizes, (Sequence, np.ndarray)):
        raise _checks.wrong_kind("sizes", expected, sizes)
    if len(sizes) == 0:
        raise _checks.wrong_value("sizes", f"{expected}, at least one", sizes)
    if all(isinstance(size, numbers.Integral) for size in sizes):
        counts = [_checks.integer(f"sizes[{k}]", size, 1) for k, size in enumerate(sizes)]
        if sum(counts) > n:
            raise _checks.wrong_value("sizes", f"numbers that sum to at most {n}, the rows", sizes)
        return counts
    if any(isinstance(size, numbers.Integral) for size in sizes):
        raise _checks.wrong_kind("sizes", f"{expected}, not both", sizes)
    fractions = [_checks.positive(f"sizes[{k}]", size) for k, size in enumerate(sizes)]
    if math.fsum(fractions) > 1 + 1e-9:
        raise _checks.wrong_value("sizes", "fractions that sum to at most 1", sizes)
    borders = [min(n, math.floor(n * math.fsum(fractions[:k]) + 0.5)) for k in range(len(fractions) + 1)]
    counts = [stop - start for start, stop in pairwise(borders)]
    if 0 in counts:
        raise _checks.wrong_value("sizes", f"fractions that give every split a row of the {n}", sizes)
    return counts


def _classes(y: Any) -> NDArray[np.intp]:
    """Class 0, 1, ... of each row."""
    if len(y.shape) != 1:
        raise _checks.wrong_value("y", "one class for each row to stratify by", y.shape)
    if y.dtype.kind not in "biuUS":
        raise TypeError(f"y must hold integers, booleans or strings to stratify by, got {y.dtype}")
    return np.unique(y, return_inverse=True)[1]


def _stratified(classes: NDArray[np.intp], counts: list[int]) -> list[NDArray[np.intp]]:
    """Positions of each split: in turn, each takes its share of every class from the rows that are left.

    Shares are rounded down; the rows that are then missing go to the largest remainders.
    """
    left = [np.flatnonzero(classes == c) for c in range(classes.max() + 1)]
    parts = []
    for count in counts:
        sizes = np.array([len(rows) for rows in left])
        shares, remainders = np.divmod(count * sizes, sizes.sum())
        shares[np.argsort(-remainders, kind="stable")[: count - shares.sum()]] += 1
        parts.append(np.sort(np.concatenate([rows[:share] for rows, share in zip(left, shares, strict=True)])))
        left = [rows[share:] for rows, share in zip(left, shares, strict=True)]
    return parts
