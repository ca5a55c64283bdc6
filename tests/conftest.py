"""Fixtures of several test files."""

import ctypes
import importlib
import os
import pathlib
import subprocess
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core, runtime


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test with each kernel table that this CPU runs."""
    before = _core.isa()
    _core.use_isa(request.param)
    yield request.param
    _core.use_isa(before)


@pytest.fixture(scope="session")
def stand_in() -> Callable[..., pathlib.Path]:
    """Builds a library that stands in for one of NVIDIA's: of the source NAME.c in tests/c, at that path."""

    def build(name: str, path: pathlib.Path, *flags: str) -> pathlib.Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        compiler = [os.environ.get("CC", "cc"), "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        source = pathlib.Path(__file__).parent / "c" / f"{name}.c"
        linking = [f"-Wl,-soname,{path.name}", str(source), "-o", str(path), "-ldl"]
        subprocess.run([*compiler, *flags, *linking], check=True)
        return path

    return build


@pytest.fixture
def one_thread() -> Iterator[None]:
    runtime.set_num_threads(1)
    yield
    runtime.set_num_threads(None)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260)


@pytest.fixture(scope="session")
def build_blas(stand_in: Callable[..., pathlib.Path]) -> Callable[..., pathlib.Path]:
    """Builds the stand-in for cuBLASLt in a folder, named as NVIDIA's."""
    return lambda folder, *flags: stand_in("cublaslt", folder / "libcublasLt.so.13", *flags)


@pytest.fixture(scope="session")
def blas(tmp_path_factory: pytest.TempPathFactory, build_blas: Callable[..., pathlib.Path]) -> ctypes.CDLL | None:
    """The stand-in for cuBLASLt, loaded already when fastnn looks for it; None: CUDA is not emulated."""
    if not fnn.cuda.is_available() or fnn.cuda.device_name(0) != "emulated on the host":
        return None
    ctypes.CDLL(str(importlib.import_module("fastnn._cuda").__file__), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(build_blas(tmp_path_factory.mktemp("blas"))))
