"""Training from files: the same bits as in memory, in little memory, and what goes wrong with files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import _core, _stream

N, N_IN = 1003, 12
X = _core.draw("normal", N * N_IN, 0.0, 1.0, 1, 0).reshape(N, N_IN)
Y = np.arange(N) * 7 % 5
ONE_HOT = np.eye(5)[Y]
KINDS = {
    "float32": X,
    "bytes": (40 * np.abs(X)).astype(np.uint8),
    "zeros": np.where(X > 1, X, 0).astype(np.float32),
    "float64": X.astype(np.float64) * 1.1,
    "big endian": X.astype(">f4"),
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "_FIRST_BYTES", 1000)
    monkeypatch.setattr(_stream, "_CHUNK_BYTES", 9000)
    monkeypatch.setattr(_stream, "_ROWS_A_CALL", 7)
    monkeypatch.setattr(_stream, "_CACHED_SECONDS", 0.0)  # all files seem to be on a disk


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def on_disk(folder: Path, array: Any, name: str = "x") -> np.memmap:
    path = folder / f"{name}.npy"
    np.save(path, array)
    mapped = np.load(path, mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    return mapped


def make_trainer(loss: str = "softmax_cross_entropy") -> fnn.Trainer:
    layers = [fnn.Dropout(0.9), fnn.Dense(20, "relu"), fnn.Dropout(0.5), fnn.Dense(5)]
    return fnn.Trainer(fnn.Network(N_IN, layers, seed=5), loss, fnn.SGD(fnn.LinearWarmup(0.2, 30, 100), momentum=0.9))


def outcome(x: Any, y: Any, loss: str = "softmax_cross_entropy", **options: Any) -> dict[str, Any]:
    trainer = make_trainer(loss)
    history = trainer.fit(x, y, epochs=2, **{"batch_size": 30, "validation_data": (x, y)} | options)
    timeless = {name: history[name] for name in history if "seconds" not in name and "samples" not in name}
    return timeless | {
        "bits": [variable.value.tobytes() for variable in trainer.network.variables.values()],
        "evaluated": trainer.evaluate(x, y, metrics={"mine": lambda *both: float(sum(each.sum() for each in both))}),
        "outputs": trainer.network(x).tobytes(),
        "steps": (trainer.step, trainer.epoch),
        "losses": trainer.batch_losses.tolist(),
    }


def streams(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the rows of each chunk that is read."""
    chunks: list[int] = []
    read = _stream.Stream._read

    def counted(self: _stream.Stream, rows: NDArray[np.uint32], *rest: Any) -> _core.Data:
        chunks.append(len(rows))
        return read(self, rows, *rest)

    monkeypatch.setattr(_stream.Stream, "_read", counted)
    return chunks


# ---- bits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_threads", [1, 3])
def test_bits_are_those_of_the_array_in_memory(
    tmp_path: Path, kind: str, num_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, chunks = KINDS[kind], streams(monkeypatch)
    expected = outcome(x, Y, num_threads=num_threads)
    assert not chunks
    assert outcome(on_disk(tmp_path, x), on_disk(tmp_path, Y, "y"), num_threads=num_threads) == expected
    assert len(chunks) > 20
    assert sum(chunks) == 7 * N  # two epochs, two validations, an evaluation with a metric, a prediction


def test_evaluation_sums_in_the_order_of_an_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, chunks = on_disk(tmp_path, X), streams(monkeypatch)
    make_trainer().evaluate(x, Y)
    assert chunks == [_core.pass_rows] * 3 + [N - 3 * _core.pass_rows]


@pytest.mark.parametrize(
    "options", [{"shuffle": False}, {"drop_last": True}, {"batch_size": 1}, {"batch_size": 400}, {"batch_size": 5000}]
)
def test_batches_are_those_of_the_array_in_memory(tmp_path: Path, options: dict[str, Any]) -> None:
    assert outcome(on_disk(tmp_path, X), Y, **options) == outcome(X, Y, **options)


def test_targets_of_many_columns_come_from_their_file(tmp_path: Path) -> None:
    x, y = on_disk(tmp_path, X), on_disk(tmp_path, ONE_HOT, "y")
    assert outcome(x, y) == outcome(X, ONE_HOT)
    assert outcome(x, y, "sigmoid_cross_entropy") == outcome(X, ONE_HOT, "sigmoid_cross_entropy")


def test_views_of_a_map_are_read_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = on_disk(tmp_path, np.hstack([X, -X]).reshape(N, 2, N_IN)).reshape(N, -1)
    y, chunks = on_disk(tmp_path, Y, "y"), streams(monkeypatch)
    for rows, columns in ((slice(5, 700), slice(0, 12)), (slice(None, None, -3), slice(5, 17))):
        expected = outcome(np.array(wide[rows, columns]), Y[rows])
        assert not chunks
        assert outcome(wide[rows, columns], y[rows]) == expected
        assert chunks
        chunks.clear()


def test_maps_that_cannot_be_read_in_place_are_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    across, chunks = on_disk(tmp_path, np.ascontiguousarray(X.T)).T, streams(monkeypatch)
    private = np.load(tmp_path / "x.npy", mmap_mode="c").T
    private[:] = 2 * X
    assert outcome(across, Y) == outcome(X, Y)
    assert outcome(private, Y) == outcome(2 * X, Y)
    assert not chunks


def test_one_number_a_row(tmp_path: Path) -> None:
    def fitted(x: Any, y: Any) -> bytes:
        trainer = fnn.Trainer(fnn.Network(N_IN, [fnn.Dense(1)], seed=0), "squared_error")
        trainer.fit(x, y, epochs=2)
        return trainer.network(x).tobytes()

    y = X.sum(axis=1, dtype=np.float64)
    assert fitted(on_disk(tmp_path, X), on_disk(tmp_path, y, "y")) == fitted(X, y)


def test_no_rows(tmp_path: Path) -> None:
    none = on_disk(tmp_path, X)[:0]
    assert make_trainer().network(none).shape == (0, 5)
    with pytest.raises(ValueError, match="x must have at least one row, got none"):
        make_trainer().fit(none, Y[:0])


def test_fit_goes_on_where_it_stopped(tmp_path: Path) -> None:
    x, once, often = on_disk(tmp_path, X), make_trainer(), make_trainer()
    once.fit(X, Y, epochs=3)
    for each in (x, X, x):
        often.fit(each, Y)
    assert once.network(X).tobytes() == often.network(X).tobytes()


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (X[:, :11], Y, r"x must have shape \(n, 12\), got \(1003, 11\): 11 features a row"),
        (X[:9], Y, r"y must have one entry for each of the 9 rows of x, got shape \(1003,\)"),
        (
            X,
            np.where(np.arange(N) == 900, 7, Y),
            r"y\[\d+:1003\] must hold class indices in \[0, 4\], got 7 in row \d+",
        ),
        (X, 2 * ONE_HOT, r"y\[0:\d+\] must hold a probability for each class"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(tmp_path: Path, x: Any, y: Any, expected: str) -> None:
    trainer = make_trainer()
    with pytest.raises(ValueError, match=expected):
        trainer.fit(on_disk(tmp_path, x), on_disk(tmp_path, y, "y"))
    assert trainer.step == 0


def test_other_kinds_of_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="x must hold real numbers, got dtype complex64 from memmap"):
        make_trainer().fit(on_disk(tmp_path, X.astype(np.complex64)), Y)


# ---- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_file_that_ends_too_early_is_an_error(tmp_path: Path) -> None:
    x, trainer = on_disk(tmp_path, X), make_trainer()
    os.truncate(tmp_path / "x.npy", 20_000)
    with pytest.raises(OSError, match=re.escape(f"{tmp_path / 'x.npy'} has become too short: 20000 bytes do not hold")):
        trainer.fit(x, Y)
    os.unlink(tmp_path / "x.npy")
    with pytest.raises(FileNotFoundError, match=r"x\.npy"):
        trainer.evaluate(x, Y)
    trainer.fit(X, Y)


def test_a_training_that_diverges_says_where(tmp_path: Path) -> None:
    x = X.copy()
    x[_core.permutation(N, 5, 0)[20 * 30]] = np.inf
    for each in (x, on_disk(tmp_path, x)):
        trainer = make_trainer()
        with pytest.raises(FloatingPointError, match="not finite in epoch 1, step 20"):
            trainer.fit(each, Y, batch_size=30)


def test_a_chunk_that_nobody_wants_any_more_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, read_rows, calls = on_disk(tmp_path, X * np.float32(np.inf)), _core.read_rows, [0]

    def slow(*arguments: Any) -> int:
        calls[0] += 1
        time.sleep(0.01)
        return read_rows(*arguments)

    monkeypatch.setattr(_core, "read_rows", slow)
    with pytest.raises(FloatingPointError):
        make_trainer().fit(x, Y, batch_size=420)
    assert 60 <= calls[0] < 120  # of 60 a chunk


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np, fastnn as fnn
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit SIG_IGN
x = np.load(sys.argv[1], mmap_mode="r")
trainer = fnn.Trainer(fnn.Network(x.shape[1], [fnn.Dense(300, "relu"), fnn.Dense(5)], seed=0))
threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    trainer.fit(x, np.arange(len(x)) % 5, epochs=10**6, batch_size=10)
except KeyboardInterrupt:
    deadline = time.monotonic() + 5  # a thread that was just being started takes a moment to end
    while left := [t.name for t in threading.enumerate() if t.name.startswith("fastnn")]:
        assert time.monotonic() < deadline, left
    assert trainer.step > 0
    print("interrupted", np.isfinite(trainer.evaluate(x, np.arange(len(x)) % 5)["loss"]))
"""


def test_ctrl_c_ends_training_and_thread(tmp_path: Path) -> None:
    on_disk(tmp_path, np.tile(X, (100, 1)))
    done = subprocess.run(
        [sys.executable, "-P", "-c", INTERRUPTED, str(tmp_path / "x.npy")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["interrupted", "True"], done.stderr


# ---- memory ----------------------------------------------------------------------------------------------------------

LIMITED = """
import resource, sys
import numpy as np, fastnn as fnn
path, how, megabytes = sys.argv[1:]
fnn.set_num_threads(1)  # a team needs memory for its stacks
net = fnn.Network(1000, [fnn.Dense(10)], seed=0)
trainer = fnn.Trainer(net)
x = np.load(path, mmap_mode="r") if how == "map" else None
y = np.zeros(200_000, np.uint8)
small = x[:200] if how == "map" else np.zeros((200, 1000), np.uint8)
trainer.fit(small, y[:200], num_threads=1)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (int(megabytes) << 20),) * 2)
try:
    x = np.load(path) if how == "array" else x
    trainer.fit(x, y, num_threads=1, validation_data=(x, y))
    trainer.network.predict(x)
except MemoryError:
    print("out of memory")
else:
    rss = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print("trained", rss.split()[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and a limit that the system keeps")
def test_memory_stays_bounded(tmp_path: Path) -> None:
    """A file of 200 MB with 64 MB more than a training needs that has begun: 50 are used, and 8 more for as long as the
    stack of the last thread that read is there beside the next one's. The allocator may not reserve as much for every
    new thread."""
    path = tmp_path / "x.npy"
    x = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(200_000, 1000))
    x[::1000] = 1
    del x

    def run(how: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-P", "-c", LIMITED, str(path), how, "64"],
            capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert run("array") == ["out", "of", "memory"]
    trained, peak = run("map")
    assert trained == "trained"
    assert int(peak) < 130_000  # KB: Python and NumPy take 40,000 of them
