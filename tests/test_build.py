"""The build: what ships, which flags reach which file, what is rebuilt, and that every line is in its room.

The slow tests build from a copy of the source tree, with this interpreter if it has setuptools and Cython, otherwise
with one that gets what pyproject.toml requires for building.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from fastnn import _core

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
CSRC = ROOT / "csrc"
C_FILES = sorted(CSRC.rglob("*.[ch]"))
IS_X86 = platform.machine().lower() in ("x86_64", "amd64")

# What a shell for number crunching may hold; -march=native shows where the tests run on more than the baseline.
HOSTILE = {"CFLAGS": "-march=native -Ofast -ffast-math -ffp-contract=fast -flto", "LDFLAGS": "-ffast-math"}


def run(command: list[str | Path], cwd: Path, **environment: str) -> str:
    """Its output; AssertionError with the end of that unless the command succeeds."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FASTNN_") and k not in ("CFLAGS", "LDFLAGS")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=kept | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command} failed with {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


def major_version(distribution: str) -> int:
    """0 where it is not installed."""
    try:
        return int(importlib.metadata.version(distribution).partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return 0


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has what a build needs."""
    if major_version("setuptools") >= 77 and major_version("Cython") >= 3:
        return sys.executable
    folder = tmp_path_factory.mktemp("builder")
    venv.create(folder, with_pip=True)
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    python = folder / "bin" / "python"
    run([python, "-m", "pip", "install", "-q", *requirements], folder)
    return str(python)


def copied_source(folder: Path) -> Path:
    """What a commit holds of the library: no build folder and no library that was built in place."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.o", "*.egg-info")
    for name in ("csrc", "fastnn", "tests", "bench"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, folder)
    return folder


def build(builder: str, what: str, source: Path, out: Path, **environment: str) -> Path:
    """Builds "wheel" or "sdist" as pip and build do, through the hooks of PEP 517."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{what}(sys.argv[1])"
    out.mkdir()
    run([builder, "-c", code, out], source, **environment)
    (built,) = out.iterdir()
    return built


class Built:
    """A wheel, the tree it was built in, and the folder it is unpacked to."""

    def __init__(self, wheel: Path, source: Path, folder: Path) -> None:
        self.wheel, self.source, self.folder = wheel, source, folder
        with zipfile.ZipFile(wheel) as archive:
            self.names = archive.namelist()
            archive.extractall(folder)

    def python(self, *arguments: str | Path) -> str:
        """Output of this interpreter, which finds the wheel before anything installed; not run in the checkout."""
        return run([sys.executable, *arguments], self.folder, PYTHONPATH=str(self.folder))


@pytest.fixture(scope="session")
def sdist(builder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    return build(builder, "sdist", copied_source(folder / "source"), folder / "dist")


@pytest.fixture(scope="session")
def from_sdist(builder: str, sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Warnings are errors."""
    folder = tmp_path_factory.mktemp("from_sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return Built(build(builder, "wheel", source, folder / "dist", FASTNN_WERROR="1"), source, folder / "unpacked")


@pytest.fixture(scope="session")
def hostile(builder: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("hostile")
    source = copied_source(folder / "source")
    return Built(build(builder, "wheel", source, folder / "dist", **HOSTILE), source, folder / "unpacked")


@pytest.fixture(scope="session")
def without_openmp(builder: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("without_openmp")
    source = copied_source(folder / "source")
    return Built(build(builder, "wheel", source, folder / "dist", FASTNN_OPENMP="0"), source, folder / "unpacked")


def assert_golden(built: Built, threads: str) -> None:
    """Trains with the wheel: it has the pinned bits, and the threads that were asked for."""
    where = built.python("-c", "import fastnn; print(fastnn._core.__file__)")
    assert where.startswith(str(built.folder)), where
    told = json.loads(built.python(TESTS / "test_bits.py", "--hash"))
    assert told["hashes"] == json.loads((TESTS / "golden.json").read_text())["python"]
    assert told["threads"] == threads


# ---- what ships ----


@pytest.mark.slow
def test_the_sdist_holds_what_a_build_and_its_tests_need(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = [*CSRC.rglob("*.[ch]*"), *(ROOT / "fastnn").rglob("*.p[xy]*"), *TESTS.rglob("*.[pchj]*")]
    wanted = [path.relative_to(ROOT).as_posix() for path in wanted if path.suffix != ".pyc"]
    assert {*wanted, "setup.py", "cuda_build.py", "pyproject.toml", "LICENSE", "README.md"} <= names
    assert not [name for name in names if name.endswith((".so", ".o", ".pyc")) or name.startswith("build/")]


@pytest.mark.slow
def test_the_wheel_of_the_sdist_trains(from_sdist):
    assert_golden(from_sdist, _core.team_backend())


@pytest.mark.slow
def test_the_wheel_holds_the_package_alone(from_sdist):
    outside = [name for name in from_sdist.names if not re.match(r"fastnn(-[^/]*\.dist-info)?/", name)]
    assert not outside
    sources = (".c", ".h", ".pyx", ".pxd", ".pxi", ".o")
    assert not [name for name in from_sdist.names if name.endswith(sources) or "test" in name.lower()]
    assert {"fastnn/py.typed", "fastnn/_core.pyi"} <= set(from_sdist.names)
    assert [name for name in from_sdist.names if name.endswith(".so")] == ["fastnn/_core.abi3.so"]
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "fastnn").rglob("*.py")}
    assert modules <= set(from_sdist.names)
    assert any(name.endswith("/licenses/LICENSE") for name in from_sdist.names)


@pytest.mark.slow
def test_one_small_wheel_serves_every_python(from_sdist):
    assert "-cp311-abi3-" in from_sdist.wheel.name
    assert from_sdist.wheel.stat().st_size <= 1.5e6


# ---- flags ----

READS_SUBNORMALS = """
import numpy as np
assert np.float32(1e-40) * np.float32(1) != 0
import fastnn
assert np.float32(1e-40) * np.float32(1) != 0, "importing fastnn makes the process flush subnormals"
"""


@pytest.mark.slow
def test_flags_in_the_environment_do_not_change_bits(hostile):
    assert_golden(hostile, _core.team_backend())


@pytest.mark.slow
def test_importing_keeps_subnormals(hostile):
    hostile.python("-c", READS_SUBNORMALS)


@pytest.mark.slow
@pytest.mark.skipif(not IS_X86, reason="not an x86-64 processor")
@pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump")
def test_only_the_kernel_tables_leave_the_baseline(hostile):
    """Even where -march=native was asked for: an old processor must get as far as choosing its table."""
    objects = sorted(hostile.source.glob("build/temp*/**/*.o"))
    beyond = {path.stem for path in objects if re.search(r"%[yz]mm", run(["objdump", "-d", path], ROOT))}
    assert {path.stem for path in objects} >= {path.stem for path in [*CSRC.rglob("*.c"), ROOT / "fastnn/_core.pyx"]}
    assert beyond == {"isa_avx2", "isa_avx2_narrow", "isa_avx512"}
    (library,) = hostile.folder.rglob("_core*.so")
    assert "set_fast_math" not in run(["objdump", "-t", "-T", library], ROOT)


# ---- threads without OpenMP ----


@pytest.mark.slow
def test_without_openmp_there_are_still_threads(without_openmp):
    assert_golden(without_openmp, "pthread")
    (library,) = without_openmp.folder.rglob("_core*.so")
    assert b"libgomp" not in library.read_bytes()


@pytest.mark.slow
def test_an_unknown_wish_for_openmp_is_an_error(builder, tmp_path):
    source = copied_source(tmp_path)
    with pytest.raises(AssertionError, match="FASTNN_OPENMP must be 0, 1 or auto, got '2'"):
        run([builder, "setup.py", "build_ext", "--inplace"], source, FASTNN_OPENMP="2")


# ---- the CUDA module ----

QUICKLY = {"FASTNN_OPENMP": "0", "FASTNN_DEBUG": "1"}  # without optimisation


@pytest.mark.slow
def test_a_cuda_module_that_cannot_be_built_says_why(builder, tmp_path):
    source = copied_source(tmp_path)
    with pytest.raises(AssertionError, match="FASTNN_CUDA must be 0, 1, auto or emulate, got '2'"):
        run([builder, "setup.py", "build_ext", "--inplace"], source, FASTNN_CUDA="2")
    with pytest.raises(AssertionError, match="FASTNN_CUDA=1 needs nvcc, but '/none/nvcc' is none"):
        run([builder, "setup.py", "build_ext", "--inplace"], source, FASTNN_CUDA="1", NVCC="/none/nvcc", **QUICKLY)


@pytest.mark.slow
@pytest.mark.parametrize(("nvcc", "chosen"), [("/none/nvcc", "0"), (sys.executable, "1")])
def test_a_cuda_module_can_be_built_where_there_is_nvcc(builder, nvcc, chosen):
    code = "import cuda_build; print(cuda_build.wish())"
    assert run([builder, "-c", code], ROOT, FASTNN_CUDA="auto", NVCC=nvcc) == f"{chosen}\n"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_an_emulated_cuda_module_is_built_where_it_is_asked_for(builder, tmp_path):
    source = copied_source(tmp_path / "source")
    strict = {"FASTNN_CUDA": "emulate", "FASTNN_WERROR": "1", "FASTNN_OPENMP": "0"}
    built = Built(build(builder, "wheel", source, tmp_path / "dist", **strict), source, tmp_path / "unpacked")
    libraries = sorted(name for name in built.names if name.endswith(".so"))
    assert libraries == ["fastnn/_core.abi3.so", "fastnn/_cuda.abi3.so"]
    code = "import fastnn as f; print(f.devices(), f.cuda.device_name(0))"
    assert built.python("-c", code) == "('cpu:0', 'gpu:0') emulated on the host\n"
    assert built.python("-c", "import fastnn, sys; print('fastnn._cuda' in sys.modules)") == "False\n"


# ---- rebuilding ----


@pytest.mark.slow
def test_a_change_of_any_file_of_the_extension_rebuilds(builder, tmp_path):
    source = copied_source(tmp_path)

    def rebuilds(compiler: str) -> bool:
        quickly = {"CC": compiler, "FASTNN_OPENMP": "0", "FASTNN_DEBUG": "1"}  # without optimisation
        said = run([builder, "setup.py", "build_ext", "--inplace"], source, **quickly)
        return "building 'fastnn._core' extension" in said

    assert rebuilds("cc")
    assert not rebuilds("true")  # a compiler that does nothing and is content
    in_csrc = ("isa/isa_avx2.c", "kernels/dense.inc.h", "vec/vec_scalar.h", "batch.c", "fnn.h")
    for changed in [*(f"csrc/{name}" for name in in_csrc), "fastnn/_core.pxd", "fastnn/core/data.pxi"]:
        later = time.time() + 10  # than everything so far
        os.utime(source / changed, (later, later))
        assert rebuilds("true"), f"{changed} was changed, but the old library remains"
        os.utime(source / changed, (0, 0))
        for library in source.rglob("_core*.so"):  # as a compiler would leave it, newer than Cython's file
            os.utime(library)
    assert not rebuilds("true")


# ---- a line knows its room ----


def rooms_of(pattern: str) -> set[str]:
    """Files of csrc with code that matches; comments do not count."""
    found = set()
    for path in C_FILES:
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.DOTALL)
        if re.search(pattern, code, flags=re.MULTILINE):
            found.add(path.relative_to(CSRC).as_posix())
    return found


ROOMS = {  # what -> how it looks, and the files that may hold it
    "python": (r"Python\.h|\bPy[A-Z_]\w*", set()),
    "openmp": (r"^\s*#\s*pragma\s+omp|omp\.h|\bomp_", {"team.c"}),
    "threads": (r"\bpthread_|pthread\.h", {"team.c"}),
    "memory": (r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign|mmap|free)\s*\(", {"arena.c"}),
    "environment": (r"\b(secure_)?getenv\b|\benviron\b", set()),
    "output_and_exit": (r"\b(f?printf|puts|perror|exit|abort)\s*\(", set()),
    "inexact_arithmetic": (r"_rcp|_rsqrt|_rsqrte|_recpe|reassociate|FP_CONTRACT|optimize\s*\(", set()),
}


@pytest.mark.parametrize("what", ROOMS)
def test_c_code_is_in_its_room(what):
    pattern, rooms = ROOMS[what]
    assert rooms_of(pattern) <= rooms


def test_intrinsics_are_in_vec_and_team():
    found = rooms_of(r"#\s*include\s*<(\w*intrin|arm_\w+|cpuid)\.h>|\b_mm\d*_\w+|\bv(ld|st)\dq?_\w+")
    assert {name for name in found if not name.startswith("vec/")} <= {"team.c"}


def test_the_environment_is_read_where_the_documentation_says():
    readers = set()
    for path in (ROOT / "fastnn").rglob("*.p[xy]*"):
        if path.suffix in (".py", ".pyx", ".pxi") and re.search(r"\benviron\b|\bgetenv\b", path.read_text()):
            readers.add(path.relative_to(ROOT / "fastnn").as_posix())
    readers = {name for name in readers if not name.startswith("bench/")}
    assert readers <= {"core/machine.pxi", "runtime.py", "datasets.py", "cuda.py"}
