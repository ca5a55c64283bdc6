"""Data larger than memory: rows of files, read a chunk ahead of the engine by a thread of their own.

A np.memmap, as ``np.load(path, mmap_mode="r")`` gives it, says where the rows lie. They are read from its file by
position, not through the map: so memory holds two chunks, whatever the file's size, and a file that ends too early is
an OSError, where touching the map would end the process. Chunks are whole batches in the order of the epoch, and sums
go on from chunk to chunk, so the bits are those of the same array in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing
from copy import copy
from itertools import cycle
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from . import _arrays, _core

if TYPE_CHECKING:
    from io import FileIO
    from threading import Event

    from numpy.typing import NDArray

    from ._pace import Pace
    from .callbacks import Pauses

    Progress = Callable[[int, int, float], None] | None
    Sums = tuple[float, int, int]

# An epoch starts with a short chunk, for which nobody has to wait long, and doubles it up to the limit: large chunks
# hand a disk many requests at once.
_FIRST_BYTES = 1 << 20
_CHUNK_BYTES = 16 << 20
_ROWS_A_CALL = 256  # between two looks at whether anybody still wants them
_CACHED_SECONDS = 20e-6 * _ROWS_A_CALL  # what these take at most from the system's cache; a disk takes longer


def is_streamed(x: Any) -> TypeGuard[np.memmap]:
    """Whether x is a map of a file that can be read in its place: not private, and a row's values stand together."""
    return (
        isinstance(x, np.memmap)
        and x.filename is not None
        and x.mode != "c"
        and x.size > 0
        and x.ndim > 0
        and (x.ndim == 1 or x[0].flags.c_contiguous)
    )


class Stream:
    """Rows x, and targets y unless they are for prediction, of a network: what ``_core.Data`` is for arrays.

    x: a map for which ``is_streamed`` holds. y: another, or an array. loss: a rule. weights: of the rows, or None.
    Class indices, four bytes a row, are held in memory; targets of more columns are read with the rows if they are a
    map.
    TypeError, ValueError: x or y does not fit the network, the loss or each other. OSError: a file cannot be read.
    """

    def __init__(
        self,
        net: _core.Net,
        x: np.memmap,
        y: Any = None,
        loss: tuple[Any, ...] | None = None,
        x_name: str = "x",
        y_name: str = "y",
        weights: Any = None,
    ) -> None:
        _arrays.check_rows(_arrays.as_array(x, x_name), net.n_in, x_name)
        self._net, self._loss, self._names = net, loss, (x_name, y_name)
        self._weights = None if weights is None else _arrays.as_weights(weights, x.shape[0])
        self._x, self._y = _Rows(x), None
        if x.dtype != np.uint8:
            _arrays.say_converted(x.dtype, x_name)
        if loss is not None:
            self._y = self._targets(y, y_name)

    def __len__(self) -> int:
        return len(self._x)

    def of(self, net: _core.Net) -> Stream:
        """The same rows for another network that takes and judges them alike."""
        other = copy(self)
        other._net = net
        return other

    @property
    def y(self) -> NDArray[Any]:
        """All targets, as the loss takes them."""
        assert self._loss is not None
        if isinstance(self._y, _Rows):
            y = _arrays.to_float32(self._y.read(np.arange(len(self), dtype=np.uint32)))
            return _arrays.as_targets(y, len(self), self._net.n_out, self._loss[0], self._names[1])
        assert self._y is not None
        return self._y

    def _targets(self, y: Any, name: str) -> NDArray[Any] | _Rows:
        """Checks them all, so that a training does not meet a wrong one halfway."""
        assert self._loss is not None
        if not is_streamed(y):
            return _arrays.as_targets(y, len(self), self._net.n_out, self._loss[0], name)
        if y.shape[0] != len(self):
            raise ValueError(f"{name} must have one entry for each of the {len(self)} rows of x, got shape {y.shape}")
        _arrays.as_array(y, name)
        rows = _Rows(y)
        parts = []
        for first in range(0, len(self), step := max(1, _CHUNK_BYTES // rows.row_bytes)):
            last = min(first + step, len(self))
            part = rows.read(np.arange(first, last, dtype=np.uint32))
            part = _arrays.as_targets(part, last - first, self._net.n_out, self._loss[0], f"{name}[{first}:{last}]")
            if part.ndim == 1:
                parts.append(part)
        return np.concatenate(parts) if parts else rows

    # ---- what is done with them ----

    def train(
        self,
        training: _core.Training,
        batch_size: int,
        rates: NDArray[np.float32],
        trainable: NDArray[np.uint8],
        shuffle: bool,
        n_threads: int,
        on_progress: Progress,
        pace: Pace | None,
        pauses: Pauses,
    ) -> Sums:
        """The next epoch of training, as its ``run_epoch`` does it for an array."""
        n = len(self)
        order = _core.permutation(n, training.seed, training.epoch) if shuffle else np.arange(n, dtype=np.uint32)
        step, sums = 0, None
        with closing(self._chunks(order[: len(rates) * batch_size], batch_size)) as chunks:
            for chunk in chunks:
                end = step + -(-len(chunk) // batch_size)
                sums = training.run_epoch(
                    chunk, batch_size, rates[step:end], trainable, None, n_threads, _shifted(on_progress, step),
                    pace=pace, pauses=pauses or None, so_far=sums,
                )  # fmt: skip
                step = end
        assert sums is not None
        return sums

    def evaluate(self, n_threads: int) -> Sums:
        """As ``Net.evaluate``."""
        assert self._loss is not None
        sums = 0.0, 0, 0
        with closing(self._chunks(np.arange(len(self), dtype=np.uint32), _core.pass_rows)) as chunks:
            for chunk in chunks:
                sums = self._net.evaluate(chunk, self._loss, n_threads, sums)
        return sums

    def predict(self, link: str, n_threads: int) -> NDArray[np.float32]:
        """As ``Net.predict``."""
        out = np.empty((len(self), self._net.n_out), np.float32)
        row = 0
        with closing(self._chunks(np.arange(len(self), dtype=np.uint32), 1)) as chunks:
            for chunk in chunks:
                out[row : row + len(chunk)] = self._net.predict(chunk.x, link, n_threads)
                row += len(chunk)
        return out

    # ---- reading ----

    def _chunks(self, rows: NDArray[np.uint32], unit: int) -> Generator[_core.Data, None, None]:
        """These rows in this order, some units of so many at a time, valid until the next is asked for. The thread that
        reads ends when this is closed."""
        from concurrent.futures import ThreadPoolExecutor
        from threading import Event

        parts = _cut(rows, unit, self._x.row_bytes)
        most = max(map(len, parts), default=0)
        buffers = cycle([self._x.empty(most), self._x.empty(most)])
        is_closed = Event()
        with ThreadPoolExecutor(1, "fastnn-reader") as pool:
            try:
                coming = [pool.submit(self._read, part, next(buffers), is_closed) for part in parts[:1]]
                for part in parts[1:]:
                    chunk = coming.pop().result()
                    coming.append(pool.submit(self._read, part, next(buffers), is_closed))
                    yield chunk
                for last in coming:
                    yield last.result()
            finally:
                is_closed.set()

    def _read(self, rows: NDArray[np.uint32], buffer: NDArray[Any], is_closed: Event) -> _core.Data:
        x = self._x.read(rows, buffer, is_closed)
        x = x if x.dtype == np.uint8 else _arrays.to_float32(x)
        if self._y is None:
            return _core.Data(self._net, x)
        weights = None if self._weights is None else self._weights[rows]
        data = _core.Data(self._net, x, self._read_targets(rows, is_closed), self._loss, *self._names, weights)
        data.find_zeros()
        return data

    def _read_targets(self, rows: NDArray[np.uint32], is_closed: Event) -> NDArray[Any]:
        if isinstance(self._y, _Rows):  # a number for each output, which the engine wants as float32
            return _arrays.to_float32(self._y.read(rows, None, is_closed))
        assert self._y is not None
        return self._y[rows]


class _Rows:
    """Where rows lie in a file: what a map of it shows."""

    def __init__(self, x: np.memmap) -> None:
        whole = x
        while isinstance(whole.base, np.memmap):
            whole = whole.base
        self.path = str(x.filename)
        self.start = whole.offset + x.ctypes.data - whole.ctypes.data
        self.stride = x.strides[0]
        self.shape, self.dtype = x.shape, x.dtype
        self.row_bytes = x[0].nbytes

    def __len__(self) -> int:
        return int(self.shape[0])

    def empty(self, n: int) -> NDArray[Any]:
        """Memory for n rows."""
        return np.empty((n, *self.shape[1:]), self.dtype)

    def read(
        self, rows: NDArray[np.uint32], out: NDArray[Any] | None = None, is_closed: Event | None = None
    ) -> NDArray[Any]:
        """These rows, in this order, in out if it is given.

        OSError: the file cannot be read, or has become too short. CancelledError: nobody wants them any more.
        """
        from concurrent.futures import CancelledError

        out = self.empty(len(rows)) if out is None else out[: len(rows)]
        places = np.argsort(rows, kind="stable")  # the way through the file is upwards
        rows = rows[places]
        is_hinted = False
        with open(self.path, "rb", buffering=0) as file:
            for first in range(0, len(rows), _ROWS_A_CALL):
                if is_closed is not None and is_closed.is_set():
                    raise CancelledError
                some = slice(first, first + _ROWS_A_CALL)
                began = perf_counter()
                self._check(
                    _core.read_rows(file.fileno(), self.start, self.stride, rows[some], places[some], out), file
                )
                if not is_hinted and perf_counter() - began > _CACHED_SECONDS:
                    self._hint(file, rows[some.stop :])
                    is_hinted = True
        return out

    def _hint(self, file: FileIO, rows: NDArray[np.uint32]) -> None:
        """A disk that knows what is wanted reads many rows at once: 2 to 5 times as fast as one after the other."""
        if hasattr(os, "posix_fadvise"):
            for row in rows.tolist():
                os.posix_fadvise(file.fileno(), self.start + row * self.stride, self.row_bytes, os.POSIX_FADV_WILLNEED)

    def _check(self, error: int, file: FileIO) -> None:
        if error > 0:
            raise OSError(error, os.strerror(error), self.path)
        if error < 0:
            n_bytes = os.fstat(file.fileno()).st_size
            raise OSError(f"{self.path} has become too short: {n_bytes} bytes do not hold the rows it had")


def _cut(rows: NDArray[np.uint32], unit: int, row_bytes: int) -> list[NDArray[np.uint32]]:
    """Parts of rows, each but the last some units long: first small ones, then larger ones."""
    parts, first, n_bytes = [], 0, _FIRST_BYTES
    while first < len(rows):
        end = first + unit * max(1, n_bytes // (unit * row_bytes))
        parts.append(rows[first:end])
        first, n_bytes = end, min(2 * n_bytes, _CHUNK_BYTES)
    return parts


def _shifted(on_progress: Progress, first: int) -> Progress:
    """For a chunk that starts at this step of the epoch."""
    if on_progress is None or first == 0:
        return on_progress
    return lambda steps, rows, loss: on_progress(first + steps, rows, loss)
