"""Data sets: IDX files, where MNIST is looked for, downloads from a server of our own, drawn digits, splits."""

import gzip
import hashlib
import logging
import os
import subprocess
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from fastnn import _core, datasets

GIVEN_DATA = os.environ.get("FASTNN_DATA")
RNG = np.random.default_rng(0)
ARRAYS = {
    "train-images-idx3-ubyte": RNG.integers(0, 256, (60, 28, 28), np.uint8),
    "train-labels-idx1-ubyte": RNG.integers(0, 10, 60, np.uint8),
    "t10k-images-idx3-ubyte": RNG.integers(0, 256, (10, 28, 28), np.uint8),
    "t10k-labels-idx1-ubyte": RNG.integers(0, 10, 10, np.uint8),
}


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


FILES = {name: idx(array) for name, array in ARRAYS.items()}
FIRST = next(iter(FILES))


@pytest.fixture(autouse=True)
def small_mnist(monkeypatch, tmp_path):
    """A tiny stand-in for MNIST, an empty cache, nothing named, no mirror: no test can reach the network."""
    sums = {name: datasets._Sums(hashlib.sha256(data).hexdigest(), zlib.crc32(data)) for name, data in FILES.items()}
    monkeypatch.setattr(datasets, "_MNIST", sums)
    monkeypatch.setattr(datasets, "_MIRRORS", ())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("FASTNN_DATA", raising=False)


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache-home" / "fastnn" / "mnist"


def fill(directory: Path, *, packed: bool = False) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in FILES.items():
        (directory / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    return directory


def assert_is_small_mnist(found: datasets.Dataset, validation_size: int = 5) -> None:
    n_train = 60 - validation_size
    images, labels = ARRAYS["train-images-idx3-ubyte"].reshape(60, 784), ARRAYS["train-labels-idx1-ubyte"]
    assert found.name == "MNIST"
    np.testing.assert_array_equal(found.train.x, images[:n_train])
    np.testing.assert_array_equal(found.train.y, labels[:n_train])
    np.testing.assert_array_equal(found.validation.x, images[n_train:])
    np.testing.assert_array_equal(found.validation.y, labels[n_train:])
    np.testing.assert_array_equal(found.test.x, ARRAYS["t10k-images-idx3-ubyte"].reshape(10, 784))
    np.testing.assert_array_equal(found.test.y, ARRAYS["t10k-labels-idx1-ubyte"])


# ---- Split and Dataset ----


def test_split_has_a_length_and_a_short_repr():
    part = datasets.Split(np.zeros((3, 784), np.uint8), np.zeros(3, np.uint8))
    assert len(part) == 3
    assert repr(part) == "Split(x=uint8 (3, 784), y=uint8 (3,))"


def test_split_refuses_unequal_lengths():
    with pytest.raises(ValueError, match="x and y must have equally many rows, got 3 and 2"):
        datasets.Split(np.zeros((3, 1)), np.zeros(2))


def test_split_and_dataset_are_frozen():
    part = datasets.Split(np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(AttributeError):
        part.x = part.y
    with pytest.raises(AttributeError):
        datasets.Dataset("name", part, part, part).train = part


# ---- IDX ----


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (1, 2, 3, 4), (0,), (0, 28, 28)])
def test_idx_comes_back(tmp_path, shape, packed):
    array = RNG.integers(0, 256, shape, np.uint8)
    path = tmp_path / "array"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    found = datasets.read_idx(path)
    np.testing.assert_array_equal(found, array, strict=True)
    assert found.flags.writeable
    np.testing.assert_array_equal(datasets.read_idx(str(path)), array)


GOOD = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
GZIPPED = gzip.compress(GOOD, mtime=0)  # the names of tests tell nothing of the time


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "is not an IDX file"),
        (b"\0\0\x08", "is not an IDX file"),
        (b"\x01" + GOOD[1:], "is not an IDX file"),
        (b"<html>not found</html>", "is not an IDX file"),
        (b"\0\0\x08\0", "is not an IDX file"),
        (b"\0\0\x0d" + GOOD[3:], "must hold unsigned bytes .IDX type 8., got IDX type 13"),
        (GOOD[:10], "is truncated: its 3 sizes end at byte 16, the file at 10"),
        (GOOD[:-1], r"is truncated: shape \(2, 3, 4\) makes 40 bytes, the file has 39"),
        (GOOD + b"\0", r"is too long: shape \(2, 3, 4\) makes 40 bytes, the file has 41"),
        (b"\0\0\x08\x04" + b"\xff" * 16, "is truncated: shape .* makes 3402823"),
        (GZIPPED[:-9], "is not a whole gzip file"),
        (b"\x1f\x8b garbage", "is not a whole gzip file"),
        (GZIPPED[:12] + b"\xff\xff\xff" + GZIPPED[15:], "is not a whole gzip file"),
        (gzip.compress(GOOD[:-1], mtime=0), "is truncated"),
    ],
)
def test_a_damaged_idx_file_is_named_with_its_fault(tmp_path, data, fault):
    path = tmp_path / "damaged-file"
    path.write_bytes(data)
    with pytest.raises(OSError, match=f"damaged-file {fault}"):
        datasets.read_idx(path)


def test_read_idx_refuses_what_is_no_path_or_no_file(tmp_path):
    with pytest.raises(TypeError, match="path must be a path, got 3"):
        datasets.read_idx(3)
    with pytest.raises(FileNotFoundError, match="absent"):
        datasets.read_idx(tmp_path / "absent")


# ---- where MNIST is looked for ----


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_from_a_directory(tmp_path, packed):
    directory = fill(tmp_path / "here", packed=packed)
    assert_is_small_mnist(datasets.mnist(directory, validation_size=5))
    assert_is_small_mnist(datasets.mnist(str(directory), validation_size=7), 7)


def test_mnist_without_validation(tmp_path):
    found = datasets.mnist(fill(tmp_path), validation_size=0)
    assert (len(found.train), len(found.validation), found.validation.x.shape) == (60, 0, (0, 784))


def test_a_given_directory_is_the_only_place(tmp_path, monkeypatch, cache):
    fill(cache)
    monkeypatch.setenv("FASTNN_DATA", str(fill(tmp_path / "named")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty lacks train-images-idx3-ubyte, train-labels"):
        datasets.mnist(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="absent is not a directory"):
        datasets.mnist(tmp_path / "absent")


@pytest.mark.parametrize("below", ["", "mnist"])
def test_mnist_from_fastnn_data(tmp_path, monkeypatch, below):
    fill(tmp_path / "named" / below, packed=True)
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "named"))
    assert_is_small_mnist(datasets.mnist(validation_size=5))


def test_fastnn_data_goes_before_the_cache(tmp_path, monkeypatch, cache):
    fill(cache)
    (cache / FIRST).write_bytes(b"damaged")
    monkeypatch.setenv("FASTNN_DATA", str(fill(tmp_path / "named")))
    assert_is_small_mnist(datasets.mnist(validation_size=5))


def test_mnist_from_the_cache(tmp_path, monkeypatch, cache):
    fill(cache)
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))  # holds no MNIST
    assert_is_small_mnist(datasets.mnist(validation_size=5, download=False))


@pytest.mark.parametrize("base", [None, "", "relative"])
def test_the_cache_is_in_the_home_where_xdg_names_no_absolute_path(tmp_path, monkeypatch, base):
    monkeypatch.delenv("XDG_CACHE_HOME")
    if base is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    fill(tmp_path / "home" / ".cache" / "fastnn" / "mnist")
    assert_is_small_mnist(datasets.mnist(validation_size=5, download=False))


def test_a_file_that_is_not_mnist_is_refused_wherever_it_lies(tmp_path, monkeypatch, cache):
    other = idx(ARRAYS["t10k-labels-idx1-ubyte"] + np.uint8(1))
    for directory in (tmp_path / "named", cache):
        fill(directory)
        (directory / "t10k-labels-idx1-ubyte").write_bytes(other)
    message = "t10k-labels-idx1-ubyte is not MNIST's t10k-labels-idx1-ubyte: SHA-256 must be [0-9a-f]{64}, got "
    with pytest.raises(OSError, match=f"named.{message}"):
        datasets.mnist(tmp_path / "named")
    with pytest.raises(OSError, match=f"fastnn.mnist.{message}") as refused:
        datasets.mnist(download=False)
    assert not isinstance(refused.value, FileNotFoundError)
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "named"))
    with pytest.raises(OSError, match=f"named.{message}"):
        datasets.mnist()


def test_a_truncated_file_is_refused(tmp_path):
    fill(tmp_path)
    (tmp_path / FIRST).write_bytes(FILES[FIRST][:1000])
    with pytest.raises(OSError, match=f"{FIRST} is truncated: .* the file has 1000"):
        datasets.mnist(tmp_path)


def test_not_found_lists_every_place_and_what_to_do(tmp_path, monkeypatch, cache):
    with pytest.raises(FileNotFoundError) as absent:
        datasets.mnist(download=False)
    for part in ("FASTNN_DATA is not set", f"{cache} is not a directory", "download=False", "directory=", "digits()"):
        assert part in str(absent.value)
    (tmp_path / "named" / "mnist").mkdir(parents=True)
    (tmp_path / "named" / "mnist" / FIRST).write_bytes(FILES[FIRST])
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "named"))
    with pytest.raises(FileNotFoundError) as partial:
        datasets.mnist(download=False)
    assert f"{tmp_path / 'named'} lacks {', '.join(FILES)}" in str(partial.value)
    assert f"{tmp_path / 'named' / 'mnist'} lacks {', '.join(list(FILES)[1:])}" in str(partial.value)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"directory": 3}, TypeError, "directory must be a path, got 3"),
        ({"validation_size": 60}, ValueError, "validation_size must be less than 60, the training images, got 60"),
        ({"validation_size": -1}, ValueError, "validation_size must be a non-negative integer, got -1"),
        ({"validation_size": 0.1}, TypeError, "validation_size must be a non-negative integer, got 0.1"),
        ({"download": 1}, TypeError, "download must be True or False, got 1"),
        ({"progress": "yes"}, ValueError, "progress must be 'auto', True or False, got 'yes'"),
        ({"progress": 1}, TypeError, "progress must be 'auto', True or False, got 1"),
    ],
)
def test_mnist_refuses_wrong_arguments(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        datasets.mnist(**{"directory": fill(tmp_path)} | arguments)


# ---- unpacked files in the cache ----


@pytest.fixture
def named(tmp_path, monkeypatch) -> Path:
    """FASTNN_DATA, with the packed files."""
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "named"))
    return fill(tmp_path / "named", packed=True)


@pytest.fixture
def notes(caplog) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "fastnn")
    return caplog


def forbidden(*_: object) -> None:
    raise AssertionError("must not be called")


def assert_cache_is_whole(cache: Path) -> None:
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == FILES


@pytest.mark.parametrize("is_given", [False, True])
def test_packed_files_are_unpacked_once(monkeypatch, cache, named, notes, is_given):
    before = {path: path.read_bytes() for path in named.iterdir()}
    directory = named if is_given else None
    assert_is_small_mnist(datasets.mnist(directory, validation_size=5))
    assert_cache_is_whole(cache)
    monkeypatch.setattr(datasets, "gunzip", forbidden)
    monkeypatch.setattr(datasets, "write_atomically", forbidden)
    assert_is_small_mnist(datasets.mnist(directory, validation_size=5))
    assert {path: path.read_bytes() for path in named.iterdir()} == before
    assert notes.messages == []


def test_plain_files_are_not_kept(tmp_path, cache):
    assert_is_small_mnist(datasets.mnist(fill(tmp_path / "here"), validation_size=5))
    assert not cache.exists()


@pytest.mark.usefixtures("notes")
def test_the_cache_does_not_hide_other_files_of_these_names(cache, named):
    """There are other data sets in MNIST's format."""
    fill(cache)
    (named / f"{FIRST}.gz").write_bytes(gzip.compress(idx(255 - ARRAYS[FIRST])))
    with pytest.raises(OSError, match=f"named.{FIRST}.gz is not MNIST's {FIRST}: SHA-256 must be"):
        datasets.mnist()
    (named / f"{FIRST}.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(OSError, match=f"named.{FIRST}.gz is not a whole gzip file"):
        datasets.mnist()
    assert_cache_is_whole(cache)


DAMAGE = {
    "empty": (b"", "is not an IDX file"),
    "truncated": (FILES[FIRST][:-1], "is truncated"),
    "flipped": (FILES[FIRST][:-1] + bytes([FILES[FIRST][-1] ^ 1]), "SHA-256 must be"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_in_the_cache_is_replaced(cache, named, notes, kind):
    fill(cache)
    data, fault = DAMAGE[kind]
    (cache / FIRST).write_bytes(data)
    assert_is_small_mnist(datasets.mnist(validation_size=5))
    assert_cache_is_whole(cache)
    (record,) = notes.records
    assert record.levelno == logging.INFO
    assert record.message.startswith(str(cache / FIRST))
    assert fault in record.message
    assert record.message.endswith("; it is replaced")


@pytest.mark.parametrize("obstacle", ["a file", "a full disk", "no home"])
def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, named, notes, obstacle):
    if obstacle == "a file":
        (tmp_path / "cache-home").write_text("where the directory should be")
    elif obstacle == "a full disk":
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as where the user has no home
        monkeypatch.chdir(tmp_path)
    before = sorted(os.walk(tmp_path / "named"))
    for _ in range(2):
        assert_is_small_mnist(datasets.mnist(validation_size=5))
    reason = {"a file": "cache-home", "a full disk": "No space left", "no home": "no home directory"}[obstacle]
    assert len(notes.records) == 2 * len(FILES)
    for record in notes.records:
        assert record.levelno == logging.INFO
        assert record.message.startswith(str(named))
        assert reason in record.message
    assert sorted(os.walk(tmp_path / "named")) == before
    assert not any(tmp_path.glob("~*"))
    assert [path for path in tmp_path.rglob("*ubyte*") if path.parent != named] == []


def test_what_is_written_to_a_loaded_array_stays_in_memory(cache):
    fill(cache)
    found = datasets.mnist(download=False, validation_size=5)
    found.train.x[:] = 7
    found.test.y[:] = 7
    assert (found.train.x == 7).all()
    assert_cache_is_whole(cache)
    assert_is_small_mnist(datasets.mnist(download=False, validation_size=5))


def test_a_loaded_array_outlives_its_file(cache):
    fill(cache)
    found = datasets.mnist(download=False, validation_size=5)
    for name in FILES:
        (cache / f"{name}.new").write_bytes(b"other")
        os.replace(cache / f"{name}.new", cache / name)
    assert_is_small_mnist(found)


def test_many_may_fill_the_cache_at_once(cache, named):
    together, faults = threading.Barrier(8), []

    def load() -> None:
        together.wait()
        try:
            for _ in range(5):
                assert_is_small_mnist(datasets.mnist(validation_size=5))
                (cache / FIRST).unlink(missing_ok=True)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert_is_small_mnist(datasets.mnist(validation_size=5))
    assert_cache_is_whole(cache)


# ---- download ----


class Server:
    """Answers on 127.0.0.1 with what `files` holds for a path: bytes, or (bytes, Content-Length to claim)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | tuple[bytes, int]] = {}
        self.requests: list[str] = []
        self.release = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                if self.path.startswith("/hanging/"):
                    outer.release.wait(10)
                if self.path not in outer.files:
                    self.send_error(404)
                    return
                body = outer.files[self.path]
                body, length = body if isinstance(body, tuple) else (body, len(body))
                self.send_response(200)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def url(self, mirror: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{mirror}/"

    def offer(self, mirror: str) -> str:
        self.files |= {f"/{mirror}/{name}.gz": gzip.compress(data) for name, data in FILES.items()}
        return self.url(mirror)

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def test_download_fills_the_cache_once(monkeypatch, cache, server):
    monkeypatch.setattr(datasets, "_MIRRORS", (server.offer("good"),))
    assert_is_small_mnist(datasets.mnist(validation_size=5, progress=False))
    assert server.requests == [f"/good/{name}.gz" for name in FILES]
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == FILES
    assert_is_small_mnist(datasets.mnist(validation_size=5))
    assert len(server.requests) == 4


def test_download_false_stays_off_the_network(monkeypatch, server):
    monkeypatch.setattr(datasets, "_MIRRORS", (server.offer("good"),))
    with pytest.raises(FileNotFoundError):
        datasets.mnist(download=False)
    assert server.requests == []


def test_only_what_the_cache_lacks_or_has_damaged_is_downloaded(monkeypatch, cache, server):
    names = list(FILES)
    fill(cache)
    (cache / names[0]).write_bytes(FILES[names[0]][:-1])
    (cache / names[2]).unlink()
    monkeypatch.setattr(datasets, "_MIRRORS", (server.offer("good"),))
    assert_is_small_mnist(datasets.mnist(validation_size=5))
    assert server.requests == [f"/good/{name}.gz" for name in (names[0], names[2])]
    assert (cache / names[0]).read_bytes() == FILES[names[0]]


WRONG = {
    "absent": None,
    "garbage": b"<html>log in first</html>",
    "empty": b"",
    "truncated": gzip.compress(FILES[FIRST])[:-100],
    "broken off": (gzip.compress(FILES[FIRST])[:-100], len(gzip.compress(FILES[FIRST]))),
    "other content": gzip.compress(idx(255 - ARRAYS[FIRST])),
    "other magic": gzip.compress(b"\0\0\x0b\x03" + FILES[FIRST][4:]),
}
REASONS = {
    "absent": "404",
    "garbage": "is not a whole gzip file",
    "empty": "is not an IDX file",
    "truncated": "is not a whole gzip file",
    "broken off": "broke off after",
    "other content": "SHA-256 must be",
    "other magic": "must hold unsigned bytes",
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_bad_download_leaves_no_file_and_the_next_mirror_is_asked(monkeypatch, cache, server, kind):
    if WRONG[kind] is not None:
        server.files[f"/bad/{FIRST}.gz"] = WRONG[kind]
    bad = server.url("bad")
    monkeypatch.setattr(datasets, "_MIRRORS", (bad,))
    with pytest.raises(FileNotFoundError) as refused:
        datasets.mnist()
    assert f"{bad}{FIRST}.gz" in str(refused.value)
    assert REASONS[kind] in str(refused.value)
    assert not cache.exists()
    monkeypatch.setattr(datasets, "_MIRRORS", (bad, server.offer("good")))
    assert_is_small_mnist(datasets.mnist(validation_size=5))


def test_a_silent_mirror_is_given_up(monkeypatch, server):
    monkeypatch.setattr(datasets, "_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(datasets, "_MIRRORS", (server.url("hanging"),))
    with pytest.raises(FileNotFoundError, match=f"hanging/{FIRST}.gz: .*timed out"):
        datasets.mnist()


def test_an_unreachable_mirror_is_named_with_the_places_looked_at(monkeypatch, cache, server):
    monkeypatch.setattr(datasets, "_MIRRORS", ("http://127.0.0.1:9/a/", server.url("b")))
    with pytest.raises(FileNotFoundError) as refused:
        datasets.mnist()
    lines = str(refused.value).splitlines()
    assert lines[1:3] == ["  FASTNN_DATA is not set", f"  {cache} is not a directory"]
    assert lines[3].startswith(f"  http://127.0.0.1:9/a/{FIRST}.gz: ")
    assert lines[4].startswith(f"  {server.url('b')}{FIRST}.gz: ")


def test_a_cache_that_cannot_be_written_is_named(monkeypatch, tmp_path, server):
    (tmp_path / "cache-home").write_text("a file where the directory should be")
    monkeypatch.setattr(datasets, "_MIRRORS", (server.offer("good"),))
    with pytest.raises(FileNotFoundError, match="cache-home"):
        datasets.mnist()


@pytest.mark.parametrize("step", ["chmod", "replace"])
def test_an_interrupted_write_leaves_the_cache_as_it_was(monkeypatch, cache, server, step):
    def interrupt(*_: object) -> None:
        assert not (cache / FIRST).exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "_MIRRORS", (server.offer("good"),))
    with monkeypatch.context() as patch:
        patch.setattr(os, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            datasets.mnist()
    assert list(cache.iterdir()) == []
    assert_is_small_mnist(datasets.mnist(validation_size=5))


@pytest.mark.parametrize(("progress", "shown"), [(True, True), (False, False), ("auto", False)])
def test_progress_goes_to_stderr_where_it_is_wanted(monkeypatch, capsys, server, progress, shown):
    monkeypatch.setattr(datasets, "_MIRRORS", (server.offer("good"),))
    datasets.mnist(validation_size=5, progress=progress)
    printed = capsys.readouterr()
    assert (FIRST in printed.err) == shown
    assert printed.out == ""


def test_progress_auto_shows_a_bar_in_a_terminal(monkeypatch, capsys, server):
    monkeypatch.setattr(datasets, "_MIRRORS", (server.offer("good"),))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    datasets.mnist(validation_size=5)
    assert FIRST in capsys.readouterr().err


def test_import_loads_nothing_for_downloads():
    code = "import sys, fastnn.datasets; print({'tqdm', 'urllib.request', 'http.client', 'gzip'} & set(sys.modules))"
    command = [sys.executable, "-P", "-c", code]  # not the source folder's fastnn
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# ---- MNIST itself ----


@pytest.fixture
def mnist_directory() -> Path:
    for directory in (Path(GIVEN_DATA), Path(GIVEN_DATA, "mnist")) if GIVEN_DATA else ():
        if (directory / FIRST).is_file() or (directory / f"{FIRST}.gz").is_file():
            return directory
    pytest.skip("FASTNN_DATA names no MNIST")


@pytest.mark.mnist
def test_mnist_itself(mnist_directory, monkeypatch):
    monkeypatch.undo()  # the real checksums
    found = datasets.mnist(mnist_directory)
    for part, n in ((found.train, 55_000), (found.validation, 5_000), (found.test, 10_000)):
        assert (part.x.shape, part.x.dtype) == ((n, 784), np.uint8)
        assert (part.y.shape, part.y.dtype) == ((n,), np.uint8)
    assert np.bincount(found.train.y).tolist() == [5434, 6212, 5465, 5622, 5343, 4963, 5436, 5702, 5357, 5466]
    assert np.count_nonzero(found.train.x.any(axis=0)) == 717
    assert found.test.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


# ---- drawn digits ----


@pytest.fixture(scope="module")
def drawn() -> datasets.Split:
    return datasets.synthetic_digits(10_000)


def test_digits_have_the_pinned_bytes(drawn):
    assert drawn.x.dtype == drawn.y.dtype == np.uint8
    assert drawn.x.shape == (10_000, 784)
    assert drawn.y.shape == (10_000,)
    digests = [hashlib.sha256(array[:100].tobytes()).hexdigest() for array in (drawn.x, drawn.y)]
    assert digests == [
        "91f272a06bc0cbb72e28daad43f76c2d7e6caacc31499568c204b967b6bb375a",
        "dd47cc0b5c41129451d14b4087fc746b677214023836f56d973a26598e516aaf",
    ]


def test_a_digit_depends_on_seed_and_number_alone(drawn):
    few = datasets.synthetic_digits(17)
    np.testing.assert_array_equal(few.x, drawn.x[:17])
    np.testing.assert_array_equal(few.y, drawn.y[:17])
    x, y = _core.synthetic_digits(9_990, 10, 0)
    np.testing.assert_array_equal(x, drawn.x[9_990:])
    np.testing.assert_array_equal(y, drawn.y[9_990:])
    for seed in (1, 2**32, 2**64 - 1):
        other = datasets.synthetic_digits(17, seed)
        assert (other.x != few.x).any(axis=1).all()


def test_digits_have_the_ink_of_mnist(drawn):
    assert 0.15 < np.mean(drawn.x > 0) < 0.23
    images = drawn.x.reshape(-1, 28, 28)
    inked = np.count_nonzero(drawn.x, axis=1)
    assert inked.min() > 25
    assert inked.max() < 400
    assert images.max(axis=(1, 2)).min() > 60
    assert not images[:, [0, -1], :].any()
    assert not images[:, :, [0, -1]].any()


def test_labels_are_uniform(drawn):
    counts = np.bincount(drawn.y, minlength=10)
    assert len(counts) == 10
    assert np.square(counts - 1000).sum() / 1000 < 27.9  # chi-squared, 9 degrees of freedom: 0.999 quantile


def test_no_digit_comes_twice(drawn):
    assert len(np.unique(drawn.x, axis=0)) == len(drawn)


def test_digits_in_three_splits(drawn):
    found = datasets.digits(n_train=50, n_validation=20, n_test=30)
    assert found.name == "synthetic digits"
    joined = [np.concatenate([getattr(part, a) for part in (found.train, found.validation, found.test)]) for a in "xy"]
    np.testing.assert_array_equal(joined[0], drawn.x[:100])
    np.testing.assert_array_equal(joined[1], drawn.y[:100])
    assert [len(part) for part in (found.train, found.validation, found.test)] == [50, 20, 30]
    assert len(datasets.digits(n_train=5, n_validation=0, n_test=0).test) == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: datasets.synthetic_digits(0), ValueError, "n must be an integer from 1 to 4294967296, got 0"),
        (lambda: datasets.synthetic_digits(2**32 + 1), ValueError, "n must be an integer from 1 to 4294967296"),
        (lambda: datasets.synthetic_digits(1.5), TypeError, "n must be an integer"),
        (lambda: datasets.synthetic_digits(1, -1), ValueError, "seed must be an integer from 0 to"),
        (lambda: datasets.synthetic_digits(1, 2**64), ValueError, "seed must be an integer from 0 to"),
        (lambda: datasets.digits(n_train=0), ValueError, "n_train must be a positive integer, got 0"),
        (lambda: datasets.digits(n_test=-1), ValueError, "n_test must be a non-negative integer, got -1"),
        (lambda: datasets.digits(n_train=2**32), ValueError, "n_train .* n_test must be at most 4294967296"),
        (lambda: datasets.digits(seed="0"), TypeError, "seed must be an integer"),
    ],
)
def test_digits_refuse_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- splits ----

ROWS = np.arange(1000)
CLASSES = np.repeat([0, 1, 2, 7], [500, 300, 190, 10])[np.random.default_rng(1).permutation(1000)]


def rows_of(parts: tuple[datasets.Split, ...]) -> list[np.ndarray]:
    for part in parts:
        np.testing.assert_array_equal(part.y, CLASSES[part.x])
    return [part.x for part in parts]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("sizes", [[700, 200, 100], [0.7, 0.2, 0.1], [1000], [1.0], [1 / 3] * 3, [1, 999]])
def test_splits_are_disjoint_and_complete(sizes, shuffle, stratify):
    parts = rows_of(datasets.split(ROWS, CLASSES, sizes, shuffle=shuffle, stratify=stratify))
    assert len(parts) == len(sizes)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), ROWS)


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("sizes", [[70, 20], [0.07, 0.02]])
def test_sizes_may_leave_rows_over(sizes, stratify):
    parts = rows_of(datasets.split(ROWS, CLASSES, sizes, stratify=stratify))
    assert [len(part) for part in parts] == [70, 20]
    assert len(np.unique(np.concatenate(parts))) == 90


def test_without_shuffling_the_order_stays():
    parts = rows_of(datasets.split(ROWS, CLASSES, [600, 300], shuffle=False))
    np.testing.assert_array_equal(parts[0], ROWS[:600])
    np.testing.assert_array_equal(parts[1], ROWS[600:900])
    for part in rows_of(datasets.split(ROWS, CLASSES, [600, 300], shuffle=False, stratify=True)):
        assert (np.diff(part) > 0).all()


def test_shuffled_splits_follow_the_permutation_of_the_seed():
    order = _core.permutation(1000, 5, stream="split")
    parts = rows_of(datasets.split(ROWS, CLASSES, [600, 300], seed=5))
    np.testing.assert_array_equal(np.concatenate(parts), order[:900])
    again = rows_of(datasets.split(ROWS, CLASSES, [600, 300], seed=5))
    np.testing.assert_array_equal(np.concatenate(again), order[:900])
    other = rows_of(datasets.split(ROWS, CLASSES, [600, 300], seed=6))
    assert (np.concatenate(other) != order[:900]).any()


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("sizes", [[700, 200, 100], [0.8, 0.2], [100] * 10, [0.05, 0.01]])
def test_stratified_splits_keep_class_proportions(sizes, shuffle):
    share = np.bincount(CLASSES) / 1000
    for part in datasets.split(ROWS, CLASSES, sizes, stratify=True, shuffle=shuffle):
        assert np.abs(np.bincount(part.y, minlength=8) - share * len(part)).max() < 1


def test_stratified_splits_are_exact_where_the_numbers_allow():
    parts = datasets.split(ROWS, CLASSES, [0.7, 0.2, 0.1], stratify=True)
    counts = [np.bincount(part.y)[[0, 1, 2, 7]].tolist() for part in parts]
    assert counts == [[350, 210, 133, 7], [100, 60, 38, 2], [50, 30, 19, 1]]


def test_stratified_rows_stay_in_the_shuffled_order():
    order = _core.permutation(1000, 3, stream="split")
    place = np.argsort(order)
    for part in rows_of(datasets.split(ROWS, CLASSES, [500, 500], stratify=True, seed=3)):
        assert (np.diff(place[part]) > 0).all()


@pytest.mark.parametrize("classes", [CLASSES > 0, CLASSES.astype(str), CLASSES.astype(np.int8), CLASSES.tolist()])
def test_classes_may_be_integers_booleans_or_strings(classes):
    parts = datasets.split(ROWS, classes, [0.5, 0.5], stratify=True)
    assert len(np.unique(np.concatenate([part.x for part in parts]))) == 1000


def test_a_class_may_have_fewer_rows_than_there_are_splits():
    parts = datasets.split(np.arange(10), [0] * 9 + [1], [5, 5], stratify=True)
    assert sum(int(part.y.sum()) for part in parts) == 1


def test_fractions_round_each_border():
    assert [len(part) for part in datasets.split(np.arange(10), np.arange(10), [0.25, 0.25, 0.5])] == [3, 2, 5]
    assert [len(part) for part in datasets.split(np.arange(7), np.arange(7), [1 / 3] * 3)] == [2, 3, 2]
    assert [len(part) for part in datasets.split(np.arange(10), np.arange(10), [0.1] * 10)] == [1] * 10


def test_splits_copy_and_take_rows_of_any_shape():
    images, targets = np.zeros((6, 2, 3), np.float32), np.zeros((6, 4))
    (part,) = datasets.split(images, targets, [6], shuffle=False)
    assert (part.x.shape, part.x.dtype, part.y.shape) == ((6, 2, 3), np.float32, (6, 4))
    assert not np.shares_memory(part.x, images)
    assert not np.shares_memory(part.y, targets)
    assert datasets.split([[1, 2], [3, 4]], [0, 1], [1], shuffle=False)[0].x.tolist() == [[1, 2]]


def test_splits_of_sparse_rows_stay_sparse():
    class Sparse:  # what is used of a scipy.sparse CSR matrix
        indptr = None

        def __init__(self, rows: np.ndarray) -> None:
            self.rows, self.shape = rows, (len(rows), 9)

        def __getitem__(self, index: np.ndarray) -> "Sparse":
            return Sparse(self.rows[index])

    for part in datasets.split(Sparse(np.arange(6)), np.arange(6), [4, 2]):
        assert isinstance(part.x, Sparse)
        np.testing.assert_array_equal(part.x.rows, part.y)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sizes": [600, 401]}, ValueError, "sizes must be numbers that sum to at most 1000, the rows, got .600, 401."),
        ({"sizes": [0.6, 0.5]}, ValueError, "sizes must be fractions that sum to at most 1, got .0.6, 0.5."),
        ({"sizes": [0, 10]}, ValueError, r"sizes\[0\] must be a positive integer, got 0"),
        ({"sizes": [10, -1]}, ValueError, r"sizes\[1\] must be a positive integer, got -1"),
        ({"sizes": [0.5, 0.0]}, ValueError, r"sizes\[1\] must be a positive finite number, got 0.0"),
        ({"sizes": [float("nan")]}, ValueError, r"sizes\[0\] must be a positive finite number, got nan"),
        ({"sizes": [0.5, 0.0001]}, ValueError, "sizes must be fractions that give every split a row of the 1000"),
        ({"sizes": [0.5, 1]}, TypeError, "sizes must be a sequence of ints .* or of floats .*, not both"),
        ({"sizes": []}, ValueError, "sizes must be a sequence of ints .*, at least one"),
        ({"sizes": 10}, TypeError, "sizes must be a sequence of ints"),
        ({"sizes": ["a"]}, TypeError, r"sizes\[0\] must be a positive finite number, got 'a'"),
        ({"sizes": [True]}, TypeError, r"sizes\[0\] must be a positive integer, got True"),
        ({"x": ROWS[1:]}, ValueError, "x and y must have equally many rows, got 999 and 1000"),
        ({"x": 3}, TypeError, "x must be an array of rows, got 3"),
        ({"y": None}, TypeError, "y must be an array of rows, got None"),
        ({"x": ROWS[:0], "y": ROWS[:0]}, ValueError, "sizes must be numbers that sum to at most 0"),
        ({"shuffle": 1}, TypeError, "shuffle must be True or False, got 1"),
        ({"stratify": "y"}, TypeError, "stratify must be True or False, got 'y'"),
        ({"seed": -1}, ValueError, "seed must be an integer from 0 to 18446744073709551615, got -1"),
        ({"stratify": True, "y": ROWS / 2}, TypeError, "y must hold integers, booleans or strings .*, got float64"),
        ({"stratify": True, "y": np.eye(1000)}, ValueError, "y must be one class for each row to stratify by"),
    ],
)
def test_split_refuses_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        datasets.split(**{"x": ROWS, "y": CLASSES, "sizes": [10, 20]} | arguments)
