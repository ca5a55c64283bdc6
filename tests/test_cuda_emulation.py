"""The emulation of CUDA that tests the device code without a GPU: tests/c/emulation.cpp, one run for each case.

Were the emulation too kind, so would be what tests the device code with it; so each rule is broken here once.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
HOST = TESTS.parent / "csrc" / "cuda" / "host"
COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
FLAGS = ["-std=c++17", "-O1", "-ffp-contract=off", "-pthread", "-Wall", "-Wextra", "-Werror", f"-I{HOST}"]

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")

CASES = ["indices", "orders", "barriers", "missing_barrier", "any_of_a_block", "shared_poison", "last_of_shared"]
CASES += ["copies", "arithmetic", "errors", "events", "limits", "late", "graphs", "captures", "threads"]
BROKEN_RULES = {
    "returned_threads": "barrier divergence: 31 of 32 threads wait at",
    "two_barriers": "barrier divergence: some threads wait at",
    "beyond_shared": "written beyond the 100 bytes of shared memory",
    "before_shared": "written before the shared memory",
    "beyond_a_block": "written beyond a block of 100 bytes",
    "copy_of_12_bytes": "an asynchronous copy of 12 bytes",
    "copy_to_unaligned": "an asynchronous copy is not aligned to its 16 bytes",
    "copy_from_unaligned": "an asynchronous copy is not aligned to its 8 bytes",
    "copy_to_elsewhere": "an asynchronous copy to other than shared memory",
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("emulation") / "emulation"
    sources = [TESTS / "c" / "emulation.cpp", *sorted(HOST.glob("*.cpp"))]
    command = [str(COMPILER), *FLAGS, *map(str, sources), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return target


def run(program: Path, case: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FASTNN_")} | settings
    return subprocess.run([program, case], env=environment, capture_output=True, text=True, timeout=120)


def passed(program: Path, case: str, **settings: str) -> str:
    done = run(program, case, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("case", CASES)
def test_case(program: Path, case: str) -> None:
    for seed in ("0", "1", "2"):
        passed(program, case, FASTNN_EMULATE_SEED=seed)


@pytest.mark.parametrize("case", BROKEN_RULES)
def test_a_broken_rule_ends_the_process_with_a_message(program: Path, case: str) -> None:
    done = run(program, case)
    assert done.returncode == -signal.SIGABRT, done.stdout
    assert f"emulated CUDA: {BROKEN_RULES[case]}" in done.stderr


def test_the_seed_decides_the_order(program: Path) -> None:
    orders = [passed(program, "orders", FASTNN_EMULATE_SEED=str(seed)) for seed in (0, 0, 1, 2)]
    assert orders[0] == orders[1]
    assert len(set(orders)) == 3
    blocks = {tuple(dict.fromkeys(int(each) // 1000 for each in order.split())) for order in orders}
    assert len(blocks) > 1


def test_devices_and_memory_are_as_the_environment_says(program: Path) -> None:
    passed(program, "devices", FASTNN_EMULATE_DEVICES="3", FASTNN_EMULATE_PROCESSORS="7")
    passed(program, "no_devices", FASTNN_EMULATE_DEVICES="0")
    passed(program, "memory", FASTNN_EMULATE_MEMORY="10000")
