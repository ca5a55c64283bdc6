"""The code that nvcc makes of the CUDA module's kernels."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CUDA = Path(__file__).resolve().parents[1] / "csrc" / "cuda"
KERNELS = [path.name for path in sorted(CUDA.glob("*.cu")) if "__global__" in path.read_text()]
FLAGS = ["-std=c++17", "-O3", "-fmad=false", "-Xptxas", "-v", "-cubin"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no nvcc")
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "sm_120"])
def test_kernels_keep_their_values_in_registers(name: str, arch: str, tmp_path: Path) -> None:
    command = ["nvcc", *FLAGS, f"-arch={arch}", str(CUDA / name), "-o", str(tmp_path / "kernels.cubin")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    compiled = re.findall(r"Compiling entry function '(\w+)'", done.stderr)
    spilled = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)
    assert len(compiled) > 0
    assert set(spilled) == {("0", "0")}, dict(zip(compiled, spilled, strict=False))
