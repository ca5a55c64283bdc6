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


@pytest.fixture
def one_thread() -> Iterator[None]:
    runtime.set_num_threads(1)
    yield
    runtime.set_num_threads(None)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260)


@pytest.fixture(scope="session")
def build_blas() -> Callable[..., pathlib.Path]:
    """Compiles tests/c/cublaslt.c, named as NVIDIA names theirs: a folder for it, flags of the compiler."""

    def build(folder: pathlib.Path, *flags: str) -> pathlib.Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "libcublasLt.so.13"
        flags = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *flags)
        source = pathlib.Path(__file__).parent / "c" / "cublaslt.c"
        linking = (f"-Wl,-soname,{path.name}", str(source), "-o", str(path), "-ldl")
        subprocess.run([os.environ.get("CC", "cc"), *flags, *linking], check=True)
        return path

    return build


@pytest.fixture(scope="session")
def blas(tmp_path_factory: pytest.TempPathFactory, build_blas: Callable[..., pathlib.Path]) -> ctypes.CDLL | None:
    """The stand-in for cuBLASLt, loaded already when fastnn looks for it; None: CUDA is not emulated."""
    if not fnn.cuda.is_available() or fnn.cuda.device_name(0) != "emulated on the host":
        return None
    ctypes.CDLL(str(importlib.import_module("fastnn._cuda").__file__), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(build_blas(tmp_path_factory.mktemp("blas"))))
