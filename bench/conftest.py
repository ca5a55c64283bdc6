"""Facts of the machine in the header and in saved results.

FASTNN_BENCH_SMOKE=1 reduces sizes: with --benchmark-disable, a quick look whether everything runs.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest

from fastnn.bench import machine
from fastnn.bench.shapes import Shape
from fastnn.bench.workloads import Workload

SMOKE_STEPS = 2
SMOKE_BATCH = 100


def is_smoke() -> bool:
    return os.environ.get("FASTNN_BENCH_SMOKE", "") not in ("", "0")


def pytest_report_header() -> list[str]:
    return [machine.line(), *(["smoke run: sizes are reduced"] if is_smoke() else [])]


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info["fastnn"] = machine.facts()


@pytest.fixture
def sized() -> Callable[[Shape], Shape]:
    """The shape as it is, or shortened for a smoke run."""
    return lambda shape: shape.shortened(SMOKE_STEPS) if is_smoke() else shape


@pytest.fixture
def rows() -> Callable[[int], int]:
    """A number of rows as it is, or at most SMOKE_BATCH."""
    return lambda n: min(n, SMOKE_BATCH) if is_smoke() else n


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Callable[..., None]:
    """measure(workload): verifies, then times it, grouped by name. rounds: each after an untimed prepare()."""

    def run(workload: Workload, rounds: int | None = None) -> None:
        workload.verify()
        benchmark = request.getfixturevalue("benchmark")
        threads = workload.num_threads
        benchmark.group = f"{workload.name}, {threads} thread{'' if threads == 1 else 's'}"
        benchmark.extra_info.update(
            contender=workload.contender, unit=workload.unit, count=workload.count, flops=workload.flops
        )
        if rounds is None:
            workload.prepare()
            benchmark(workload.run)
        else:
            benchmark.pedantic(workload.run, setup=workload.prepare, rounds=rounds, warmup_rounds=1)

    return run
