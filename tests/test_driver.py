"""The bit promise of the C core, without Python: tests/c/driver.c compiled in several ways, one set of hashes.

Every instruction set, thread count, compiler, thread back end and processor must give the hashes of tests/golden.json.
A change that is meant to change bits writes them anew, from gcc and the instruction sets of this machine:

    python tests/test_driver.py --write

and for the trainings through the Python API likewise tests/test_bits.py. Whoever reviews the change sees by name which
results moved.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
CSRC = ROOT / "csrc"
GOLDEN = TESTS / "golden.json"
IS_X86 = platform.machine().lower() in ("x86_64", "amd64")
SIMDE = Path("/usr/include/simde/x86/avx512.h")
THREADS = {1, 2, 3, 8}


def flags_of_setup(is_x86: bool) -> tuple[list[str], list[str], dict[str, list[str]]]:
    """setup.py's flags for every file, for the baseline files and for each file of csrc/isa.

    setup.py itself is not run: it would build, and needs Cython.
    """
    wanted = {"BASELINE", "AVX2", "AVX512", "ISA_TABLE", "OWN_FLAGS"}
    tree = ast.parse((ROOT / "setup.py").read_text())
    tree.body = [
        node
        for node in tree.body
        if (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in wanted)
        or (isinstance(node, ast.AugAssign) and ast.unparse(node.target) in wanted)
    ]
    names = {"IS_X86": is_x86}
    exec(compile(tree, "setup.py", "exec"), names)
    return names["OWN_FLAGS"], names["BASELINE"], names["ISA_TABLE"]


@dataclass(frozen=True)
class Build:
    """One way to compile and run the driver."""

    compiler: str = "gcc"
    flags: Sequence[str] = ()  # after setup.py's
    is_x86: bool = IS_X86
    openmp: bool = False
    emulate_avx512: bool = False
    launcher: Sequence[str] = ()
    threads: frozenset[int] = frozenset(THREADS)

    def sources(self) -> dict[Path, list[str]]:
        own, baseline, isa_table = flags_of_setup(self.is_x86)
        flags = {CSRC / "isa" / name: [*own, *row] for name, row in isa_table.items()}
        flags |= {path: [*own, *baseline] for path in [TESTS / "c" / "driver.c", *sorted(CSRC.glob("*.c"))]}
        flags[CSRC / "batch.c"] += ["-DFNN_WORTH_HELP=0"]  # threads help each other out, however short the work
        if self.openmp:
            flags[CSRC / "team.c"] += ["-fopenmp"]  # the one file with a pragma
        if self.emulate_avx512:
            flags[CSRC / "dispatch.c"] += ["-DFNN_EMULATE_AVX512"]
            row = [flag for flag in isa_table["isa_avx512.c"] if not flag.startswith("-mavx512")]
            emulated = [f"-I{TESTS / 'c'}", "-DFNN_EMULATE_AVX512", "-O1", "-Wno-psabi"]  # -O3 would take minutes
            flags[CSRC / "isa" / "isa_avx512.c"] = [*own, *row, *emulated]
        return flags

    def compile(self, objects: Path) -> Path:
        """The driver, in the folder of the objects, where those that another build has made the same way are used."""

        def compile_one(item: tuple[Path, list[str]]) -> Path:
            source, flags = item
            command = [self.compiler, *flags, *self.flags, f"-I{CSRC}", "-c", str(source)]
            target = objects / f"{source.stem}-{hashlib.sha256(repr(command).encode()).hexdigest()[:16]}.o"
            if not target.exists():
                checked("compiler", [*command, "-o", str(target)])
            return target

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            files = [str(path) for path in pool.map(compile_one, self.sources().items())]
        program = objects / "driver"
        threads = "-fopenmp" if self.openmp else "-pthread"
        checked("linker", [self.compiler, *self.flags, *files, "-o", str(program), threads, "-lm"])
        return program

    def run(self, objects: Path) -> list[Result]:
        """Also raises when one of the driver's own checks fails."""
        program = self.compile(objects)
        counts = [str(count) for count in sorted(self.threads)]
        output = checked("driver", [*self.launcher, str(program), *counts])
        return [Result.parse(line) for line in output.splitlines()]


@dataclass(frozen=True)
class Result:
    name: str
    isa: str
    threads: int
    hash: str

    @classmethod
    def parse(cls, line: str) -> Result:
        name, isa, threads, digest = line.split()
        return cls(name, isa, int(threads), digest)


def checked(what: str, command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise AssertionError(f"{what} failed with {done.returncode}: {' '.join(command)}\n{done.stderr[:5000]}")
    return done.stdout


def assert_golden(results: list[Result], threads: set[int] | frozenset[int] = frozenset(THREADS)) -> set[str]:
    """Every hash is the pinned one, none is missing; returns the instruction sets that ran."""
    golden = json.loads(GOLDEN.read_text())["driver"]
    wrong = sorted({f"{r.name} {r.isa} {r.threads}" for r in results if golden.get(r.name) != r.hash})
    assert not wrong, f"{len(wrong)} results differ from {GOLDEN.name}: {', '.join(wrong[:20])}"
    assert {r.name for r in results} == set(golden)
    isas = {r.isa for r in results} - {"any"}
    found = {(r.isa, r.threads) for r in results if r.name.startswith("train/")}
    assert found == {(isa, count) for isa in isas for count in threads}
    return isas


def needs(reason: str, *tools: str | Path) -> Callable[[], None]:
    """Skips the test unless all are there: names of programs, or paths."""
    missing = [tool for tool in tools if not (tool.exists() if isinstance(tool, Path) else shutil.which(tool))]
    return pytest.mark.skipif(bool(missing), reason=reason)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects")


needs_gcc = needs("no gcc", "gcc")
needs_x86 = pytest.mark.skipif(not IS_X86, reason="not an x86-64 processor")


@needs_gcc
def test_gcc_with_openmp(objects: Path) -> None:
    core = pytest.importorskip("fastnn._core")
    assert assert_golden(Build(openmp=True).run(objects)) == set(core.available_isas())


@needs_gcc
@pytest.mark.slow
def test_gcc_with_pthreads(objects: Path) -> None:
    assert_golden(Build().run(objects))


@needs("no clang", "clang")
@pytest.mark.slow
def test_clang(objects: Path) -> None:
    assert_golden(Build(compiler="clang").run(objects))


@needs_x86
@needs_gcc
@needs("no SIMDe headers", SIMDE)
@pytest.mark.slow
def test_emulated_avx512(objects: Path) -> None:
    assert "avx512" in assert_golden(Build(emulate_avx512=True).run(objects))


@needs("no aarch64 cross compiler or qemu-aarch64", "aarch64-linux-gnu-gcc", "qemu-aarch64")
@pytest.mark.slow
def test_neon(objects: Path) -> None:
    threads = frozenset({1, 3})  # four times as long as the other builds take for all of them
    build = Build("aarch64-linux-gnu-gcc", ["-static"], is_x86=False, launcher=["qemu-aarch64"], threads=threads)
    assert assert_golden(build.run(objects), threads) == {"neon", "scalar"}


@needs_gcc
@pytest.mark.slow
def test_threads_race_for_nothing(objects: Path) -> None:
    """ThreadSanitizer, which does not understand libgomp: pthreads."""
    threads = frozenset({2})
    assert_golden(Build(flags=["-fsanitize=thread", "-g"], threads=threads).run(objects), threads)


@needs_gcc
@pytest.mark.slow
def test_memory_and_undefined_behaviour(objects: Path) -> None:
    """AddressSanitizer (leaks too) and UndefinedBehaviorSanitizer."""
    threads = frozenset({1, 3})
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O0", "-g"]  # -O1 would take minutes
    assert_golden(Build(flags=flags, threads=threads).run(objects), threads)


def write_golden() -> None:
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        golden["driver"] = {r.name: r.hash for r in Build(openmp=True).run(Path(folder))}
    GOLDEN.write_text(json.dumps(golden, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_driver.py --write")
    write_golden()
