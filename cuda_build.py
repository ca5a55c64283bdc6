"""Build of the CUDA module: csrc/cuda by nvcc or, for tests without a GPU, by the C++ compiler as an emulation.

It is asked for by name, so that wheels of the CPU's side stay small:

FASTNN_CUDA=1         build it, with nvcc (NVCC, or CUDA_HOME/bin, or PATH)
FASTNN_CUDA=emulate   build its emulation on the host
FASTNN_CUDA=0         do not: the default
FASTNN_CUDA=auto      build it where there is nvcc
FASTNN_CUDA_ARCHS=80,90,100,120   for which GPUs; the last one's code is kept for newer ones too
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

CUDA = Path("csrc/cuda")
SHARED = ("arena.c", "net.c", "optimizer.c", "status.c")  # in csrc: the CPU's side has them too
HOST_FLAGS = ["-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-fast-math"]


def wish() -> str:
    chosen = os.environ.get("FASTNN_CUDA", "0")
    if chosen not in ("0", "1", "auto", "emulate"):
        raise CompileError(f"FASTNN_CUDA must be 0, 1, auto or emulate, got {chosen!r}")
    if chosen == "auto":
        return "0" if shutil.which(named_nvcc() or "") is None else "1"
    return chosen


def compile_cuda(build: build_ext, warnings: list[str]) -> tuple[list[str], list[str]]:
    """Object files of csrc/cuda, and what to link them with. CompileError: it cannot be done."""
    is_emulated = wish() == "emulate"
    compiler = emulator(warnings) if is_emulated else nvcc(strict="-Werror" in warnings)
    folder = Path(build.build_temp) / ("emulated" if is_emulated else f"cuda-{archs()}")
    folder.mkdir(parents=True, exist_ok=True)
    changed = max(path.stat().st_mtime for path in [*CUDA.parent.rglob("*.[ch]*"), Path("cuda_build.py")])
    objects = []
    for path in sorted([*CUDA.glob("*.cu"), *(CUDA.glob("host/*.cpp") if is_emulated else ())]):
        target = folder / f"{path.name}.o"
        objects.append(str(target))
        if target.exists() and target.stat().st_mtime > changed and not build.force:
            continue
        command = [*compiler, "-c", str(path), "-o", str(target)]
        build.announce(" ".join(command), level=2)
        if subprocess.run(command).returncode != 0:
            raise CompileError(f"FASTNN_CUDA={wish()}, but {path} does not compile")
    return objects, ["-lstdc++", "-lm", "-lpthread", *(["-ldl"] if is_emulated else runtime())]


def emulator(warnings: list[str]) -> list[str]:
    flags = ["-x", "c++", "-std=c++17", "-O2", "-pthread", *HOST_FLAGS, *warnings, "-DFNN_EMULATE", f"-I{CUDA}/host"]
    return [os.environ.get("CXX", "c++"), *flags]


def named_nvcc() -> str | None:
    home = os.environ.get("CUDA_HOME")
    return os.environ.get("NVCC") or shutil.which("nvcc", path=f"{home}/bin" if home else None) or shutil.which("nvcc")


def nvcc_path() -> str:
    path = named_nvcc()
    if path is None or shutil.which(path) is None:
        found = f"{path!r} is none" if path else "there is none"
        raise CompileError(f"FASTNN_CUDA={wish()} needs nvcc, but {found}: NVCC, CUDA_HOME or PATH tell where it is")
    return path


def archs() -> str:
    return os.environ.get("FASTNN_CUDA_ARCHS", "80,90,100,120")


def nvcc(strict: bool) -> list[str]:
    names = archs().split(",")
    codes = [f"-gencode=arch=compute_{name},code=sm_{name}" for name in names]
    codes.append(f"-gencode=arch=compute_{names[-1]},code=compute_{names[-1]}")
    host = f"-Xcompiler={','.join(HOST_FLAGS)}"
    errors = ["-Werror", "all-warnings"] if strict else []
    return [nvcc_path(), "-std=c++17", "-O3", "-fmad=false", *codes, "-t0", "-Xfatbin=-compress-all", host, *errors]


def runtime() -> list[str]:
    """How to link CUDA's, statically. nvcc, which may be a script that starts another one, tells where it lies."""
    said = subprocess.run([nvcc_path(), "--dryrun", "none.cu"], stderr=subprocess.PIPE, text=True).stderr
    line = re.search(r"^#\$ LIBRARIES=(.*)", said, flags=re.MULTILINE)
    folders = re.findall(r'"(-L[^"]+)"', line[1]) if line else []
    return [*folders, "-lcudart_static", "-ldl", "-lrt"]
