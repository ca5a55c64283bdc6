"""Build of the extension: which C file is compiled with which flags.  Everything else is in pyproject.toml.

Every C file gets baseline flags, except the kernel tables in csrc/isa, each of which gets its own row of ISA_TABLE.

FASTNN_OPENMP=0   build without OpenMP (threads are then plain pthreads); 1: fail if OpenMP does not work
FASTNN_WERROR=1   warnings are errors
FASTNN_DEBUG=1    assertions, no optimisation
FASTNN_CUDA=1     the CUDA module too: cuda_build.py; wheels have none unless asked, so that they stay small
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, ExecError, LinkError

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))  # an isolated build does not
import cuda_build  # noqa: E402

CSRC = ROOT / "csrc"
MACHINE = platform.machine().lower()
IS_X86 = MACHINE in ("x86_64", "amd64")

# What the oldest supported processor has.  -mno-avx undoes wider sets that CFLAGS may ask for.
BASELINE = ["-march=x86-64", "-mno-avx"] if IS_X86 else []
AVX2 = ["-march=x86-64", "-mno-avx", "-mavx2", "-mfma"]
AVX512 = [f"-mavx512{extension}" for extension in ("f", "bw", "dq", "vl", "vbmi2")]
# file in csrc/isa -> flags, those that take longest first; where they do not apply the file is compiled without, to an
# empty table
ISA_TABLE = {
    "isa_avx512.c": ["-march=x86-64", "-mavx2", "-mfma", *AVX512, "-mprefer-vector-width=512"] if IS_X86 else [],
    "isa_avx2.c": AVX2 if IS_X86 else [],
    "isa_avx2_narrow.c": AVX2 if IS_X86 else [],
    "isa_scalar.c": [*BASELINE, "-Os"],  # -O3 would unroll sixteen-fold, to no gain
    "isa_neon.c": BASELINE,
}

# They come after CFLAGS and so win: equal bits need -ffp-contract=off and no -ffast-math, whatever a user's shell says.
OWN_FLAGS = ["-std=c11", "-O3", "-g0", "-fvisibility=hidden", "-ffp-contract=off", "-fno-fast-math", "-fno-math-errno"]
OWN_FLAGS += ["-fno-lto"]
WARNINGS = ["-Wall", "-Wextra"] + (["-Werror"] if os.environ.get("FASTNN_WERROR") == "1" else [])
if os.environ.get("FASTNN_DEBUG") == "1":
    OWN_FLAGS += ["-O0", "-g", "-UNDEBUG"]

# One wheel for every CPython from 3.11; free-threaded builds have no limited API.
LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")

OPENMP_PROBE = """
#include <omp.h>
int main(void) {
    int count = 0;
#pragma omp parallel num_threads(2) reduction(+ : count)
    count += 1 + 0 * omp_get_thread_num();
    return count == 0;
}
"""


class BuildExt(build_ext):
    """Compiles csrc with the flags of each file, then links the objects into the extension."""

    def build_extension(self, ext: Extension) -> None:
        if ext.name == "fastnn._cuda":
            return self.build_cuda(ext)
        openmp = self.openmp_flags()
        files = {CSRC / "isa" / name: flags for name, flags in ISA_TABLE.items()}
        files |= {path: [*BASELINE, *openmp] for path in sorted(CSRC.glob("*.c"))}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            ext.extra_objects = list(pool.map(self.compile_c, files.keys(), files.values()))
        ext.extra_compile_args = [*OWN_FLAGS, *BASELINE]
        # -ffast-math or -Ofast in CFLAGS or LDFLAGS would link code that flushes subnormals in the whole process
        ext.extra_link_args = [*openmp, "-O3", "-fno-fast-math", "-fno-unsafe-math-optimizations", "-lm"]
        super().build_extension(ext)

    def compile_c(self, path: Path, flags: list[str]) -> str:
        folder = Path(self.build_temp) / "csrc"
        return self.compiler.compile(
            [str(path.relative_to(ROOT))],
            output_dir=str(folder),
            extra_postargs=[*OWN_FLAGS, *WARNINGS, *flags],
            depends=[str(header) for header in CSRC.rglob("*.h")],
        )[0]

    def build_cuda(self, ext: Extension) -> None:
        shared = [self.compile_c(CSRC / name, BASELINE) for name in cuda_build.SHARED]
        objects, ext.extra_link_args = cuda_build.compile_cuda(self, WARNINGS)
        ext.extra_objects = [*shared, *objects]
        ext.extra_compile_args = [*OWN_FLAGS, *BASELINE]
        forced, self.force = self.force, True  # a library from before may be that of another FASTNN_CUDA
        super().build_extension(ext)
        self.force = forced

    def openmp_flags(self) -> list[str]:
        wish = os.environ.get("FASTNN_OPENMP", "auto")
        if wish not in ("auto", "0", "1"):
            raise CompileError(f"FASTNN_OPENMP must be 0, 1 or auto, got {wish!r}")
        if wish == "0":
            return []
        flags = ["-fopenmp"]
        if self.openmp_works(flags):
            return flags
        if wish == "1":
            raise CompileError("FASTNN_OPENMP=1, but a program compiled with -fopenmp does not work")
        self.announce("fastnn: no OpenMP, threads will be plain pthreads", level=4)
        return []

    def openmp_works(self, flags: list[str]) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.c"
            source.write_text(OPENMP_PROBE)
            try:
                objects = self.compiler.compile([str(source)], output_dir="/", extra_postargs=flags)
                program = str(Path(folder) / "probe")
                self.compiler.link_executable(objects, program, extra_postargs=flags)
                return subprocess.run([program], timeout=60).returncode == 0
            except (CompileError, LinkError, ExecError, OSError, subprocess.SubprocessError):
                return False


class BdistWheel(bdist_wheel):
    def finalize_options(self) -> None:
        if LIMITED_API:
            self.py_limited_api = "cp311"
        super().finalize_options()


INCLUDED = sorted([*CSRC.rglob("*.[ch]"), *CSRC.rglob("*.cu*"), *CSRC.rglob("*.cpp"), *ROOT.glob("fastnn/core/*.pxi")])

core = Extension(
    "fastnn._core",
    ["fastnn/_core.pyx"],
    include_dirs=["csrc"],
    depends=["setup.py", "cuda_build.py", "fastnn/_core.pxd", *(str(path.relative_to(ROOT)) for path in INCLUDED)],
    define_macros=[("Py_LIMITED_API", "0x030b0000")] if LIMITED_API else [],
    py_limited_api=LIMITED_API,
)

cuda = Extension(
    "fastnn._cuda",
    ["fastnn/_cuda.pyx"],
    include_dirs=["csrc"],
    depends=core.depends,
    define_macros=core.define_macros,
    py_limited_api=LIMITED_API,
)

setup(
    ext_modules=cythonize([core] if cuda_build.wish() == "0" else [core, cuda], build_dir="build/cython"),
    cmdclass={"build_ext": BuildExt, "bdist_wheel": BdistWheel},
)
