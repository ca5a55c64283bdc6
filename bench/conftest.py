"""Facts of the machine in the header and in saved results.

FASTNN_BENCH_SMOKE=1 reduces sizes and takes one number of threads: with --benchmark-disable, a quick look whether
everything runs.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest

from fastnn.bench import machine
from fastnn.bench.peers import PEERS
from fastnn.bench.shapes import Row, Shape
from fastnn.bench.workloads import Contender, Fastnn, FastnnInOrder, Workload, why_not

SMOKE_STEPS = 2
SMOKE_BATCH = 100


def is_smoke() -> bool:
    return os.environ.get("FASTNN_BENCH_SMOKE", "") not in ("", "0")


def pytest_report_header() -> list[str]:
    return [machine.line(), *(["smoke run: sizes are reduced"] if is_smoke() else [])]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Any bench may ask for a number of threads, and for a contender: fastnn or a peer."""
    if "num_threads" in metafunc.fixturenames:
        metafunc.parametrize("num_threads", [2] if is_smoke() else [1, 2])
    if "contender" in metafunc.fixturenames:
        peers = [pytest.param(peer, id=name, marks=pytest.mark.peer) for name, peer in PEERS.items()]
        own = [pytest.param(Fastnn, id="fastnn"), pytest.param(FastnnInOrder, id="fastnn, in order")]
        metafunc.parametrize("contender", [*own, *peers])


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info["fastnn"] = machine.facts(peer.package for peer in PEERS.values())


@pytest.fixture
def sized() -> Callable[[Row], Row]:
    """The row as it is, or smaller for a smoke run."""
    return lambda row: row.smaller(SMOKE_STEPS, SMOKE_BATCH) if is_smoke() else row


@pytest.fixture
def shortened() -> Callable[[Shape], Shape]:
    """The shape as it is, or shortened for a smoke run."""
    return lambda shape: shape.shortened(SMOKE_STEPS) if is_smoke() else shape


@pytest.fixture
def can() -> Callable[[type[Contender], Row, int], None]:
    """can(contender, row, num_threads): skips what a contender cannot do here."""

    def check(contender: type[Contender], row: Row, num_threads: int) -> None:
        if (reason := why_not(contender, row, num_threads)) is not None:
            pytest.skip(reason)

    return check


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Callable[..., None]:
    """measure(workload): verifies, then times it, grouped by name. rounds: each after an untimed prepare()."""

    def run(workload: Workload, rounds: int | None = None) -> None:
        workload.verify()
        benchmark = request.getfixturevalue("benchmark")
        threads = workload.num_threads
        benchmark.group = f"{workload.name}, {threads} thread{'' if threads == 1 else 's'}"
        about = ("contender", "piece", "pieces", "samples", "flops", "bytes")
        benchmark.extra_info.update({name: getattr(workload, name) for name in about})
        if rounds is None:
            workload.prepare()
            benchmark(workload.run)
        else:
            benchmark.pedantic(workload.run, setup=workload.prepare, rounds=rounds, warmup_rounds=1)

    return run
