"""fastnn.bench: every workload verifies, wrong results are caught, rounds take turns. Nothing here looks at a time."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastnn.bench import __main__ as command
from fastnn.bench import compare, machine, peers, shapes, workloads
from fastnn.bench.peers import _numpy, _peer
from fastnn.bench.shapes import Shape
from fastnn.bench.workloads import Workload, WrongResult

ALL = (shapes.TRAINING, shapes.DENSE, shapes.DROPOUT, shapes.INFERENCE, shapes.DENSE, shapes.FUNCTIONS)
SUITE = sum(map(len, ALL))


class Wasteful(peers.NumPy):
    """Learns at another rate than it was told."""

    name = "wasteful"

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(replace(shape, learning_rate=2 * shape.learning_rate), num_threads)


# ---- shapes ---------------------------------------------------------------------------------------------------------


def test_operations_of_the_books_mlp() -> None:
    forward = 2 * (784 * 256 + 256 * 256 + 256 * 10)
    assert shapes.A.flops_forward == forward
    assert shapes.A.flops_training == 2 * forward + 2 * (256 * 256 + 256 * 10)
    assert shapes.A.steps == 550


def test_shortened_keeps_the_batch_size() -> None:
    assert shapes.A.shortened(3) == replace(shapes.A, rows=300)
    assert shapes.A.shortened(10**6) == shapes.A


def test_rows_are_whole_batches() -> None:
    with pytest.raises(ValueError, match="rows must be a multiple of batch_size 100, got 150"):
        replace(shapes.A, rows=150)


# ---- workloads ------------------------------------------------------------------------------------------------------


def test_every_workload_verifies_and_runs() -> None:
    seen = []
    for workload in workloads.suite(num_threads=1, smoke=True):
        workload.verify()
        workload.prepare()
        workload.run()
        assert workload.count > 0
        seen.append(workload.name)
    assert len(set(seen)) >= SUITE - 2  # smoke runs have fewer sizes of inference
    assert len(seen) == SUITE


@pytest.mark.parametrize("num_threads", [2, None])
def test_training_verifies_on_threads(num_threads: int | None) -> None:
    workloads.training(shapes.A.shortened(5), num_threads).verify()


def test_wrong_training_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = workloads.training(shapes.B.shortened(5))
    workload.verify()
    monkeypatch.setattr(workloads.Fastnn, "epoch", lambda self: 2.0)
    with pytest.raises(WrongResult, match="fastnn, B: loss of 5 steps must be"):
        workload.verify()


def test_wrong_parameters_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = workloads.training(shapes.B.shortened(5))
    monkeypatch.setattr(workloads, "parameters", lambda net: [np.zeros(v.shape) for v in net.variables.values()])
    with pytest.raises(WrongResult):
        workload.verify()


def test_wrong_output_is_caught() -> None:
    class Shifted(workloads.Fastnn):
        def predictor(self, x):  # type: ignore[no-untyped-def]
            right = super().predictor(x)
            return lambda: right() + 1e-4

    with pytest.raises(WrongResult, match="A, 3 rows: output must be"):
        workloads.inference(shapes.A, 3, contender=Shifted).verify()


def test_prepare_puts_the_initial_parameters_back() -> None:
    it = workloads.Fastnn(shapes.B)
    it.feed(workloads.load(shapes.B.shortened(2)))
    before = workloads.parameters(it.net)
    it.epoch()
    assert not np.array_equal(before[0], workloads.parameters(it.net)[0])
    it.prepare()
    for first, now in zip(before, workloads.parameters(it.net), strict=True):
        np.testing.assert_array_equal(first, now)


def test_digits_without_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    workloads._mnist.cache_clear()
    workloads._digits.cache_clear()
    data = workloads.load(shapes.B.shortened(2))
    assert data.source == "synthetic digits"
    assert (data.x.dtype, data.x.shape, data.floats.dtype) == (np.uint8, (200, 784), np.float32)
    assert data.floats.max() <= 1


# ---- peers ----------------------------------------------------------------------------------------------------------

PEER_SHAPES = [shape for shape in (*shapes.TRAINING, *shapes.DENSE) if shape.batch_size < 1_000]


@pytest.mark.parametrize("shape", PEER_SHAPES, ids=lambda shape: shape.name)
def test_numpy_agrees(shape: Shape) -> None:
    workloads.training(shape.shortened(3), contender=peers.NumPy).verify()
    workloads.inference(shape, 7, contender=peers.NumPy).verify()


@pytest.mark.peer
@pytest.mark.parametrize("name", [name for name in peers.PEERS if name != "numpy"])
def test_peer_agrees(name: str) -> None:
    peer = peers.PEERS[name]
    for shape in (shapes.A, shapes.TRAINING[-1]):
        reason = peer.why_not(shape, None)
        if reason is not None and shape is shapes.A:
            pytest.skip(reason)
        if reason is None:
            workloads.training(shape.shortened(10), contender=peer).verify()
    workloads.inference(shapes.A, 7, contender=peer).verify()


def test_a_peer_that_disagrees_is_caught() -> None:
    with pytest.raises(WrongResult, match="wasteful, B: loss must be"):
        workloads.training(shapes.B.shortened(10), contender=Wasteful).verify()


def test_reasons_against_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    dropout = shapes.DROPOUT[0]
    assert peers.NumPy.why_not(shapes.A, None) is None
    assert peers.NumPy.why_not(dropout, None) == "numpy is written without dropout"
    assert peers.ScikitLearn.why_not(shapes.DENSE[0], None) == "scikit-learn's peer is a classifier"
    monkeypatch.setattr(_peer, "find_spec", lambda package: None)
    assert peers.TorchEager.why_not(shapes.A, None) == "torch is not installed"
    monkeypatch.setattr(_peer, "find_spec", lambda package: None if package == "threadpoolctl" else object())
    assert "threadpoolctl is not installed" in str(peers.NumPy.why_not(shapes.A, 1))


def test_importing_loads_no_peer(tmp_path: Path) -> None:
    program = """
import sys, fastnn
assert "fastnn.bench" not in sys.modules
import fastnn.bench.peers, fastnn.bench.compare, fastnn.bench.machine
print(sorted({"torch", "jax", "sklearn", "scipy", "threadpoolctl"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# ---- rounds, table, machine, command --------------------------------------------------------------------------------


def fake(name: str, calls: list[str]) -> Workload:
    return Workload("W", name, 1, "samples", 100, 10**9, lambda: calls.append("-"), lambda: calls.append(name), str)


def test_rounds_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_PAUSE", 0)
    calls: list[str] = []
    seconds = compare.rounds([fake("a", calls), fake("b", calls)], 2)
    assert "".join(calls) == "-a-b" * 3  # one round more, which is not counted
    assert [len(times) for times in seconds.values()] == [2, 2]


def test_table_has_medians_and_ratios() -> None:
    both = [fake("fastnn", []), fake("other", [])]
    _, first, second = compare.table(both, {"fastnn": [1.0, 9.0, 2.0], "other": [3.0, 5.0, 4.0]}).splitlines()
    assert first.split() == ["fastnn", "2", "1", "9", "50", "0.5", "1.00"]
    assert second.split() == ["other", "4", "3", "5", "25", "0.2", "2.00"]


def test_line_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in machine._PINNING:
        monkeypatch.delenv(name, raising=False)
    facts = machine.facts()
    line = machine.line()
    assert "\n" not in line
    for key in ("version", "isa", "threads_backend", "numpy", "cpu", "compiler"):
        assert str(facts[key]) in line
    assert "NOT COMPARABLE" not in line
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    assert "NOT COMPARABLE, unset first: OPENBLAS_CORETYPE=Prescott" in machine.line()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "PEERS", {})
    monkeypatch.setattr(compare, "_PAUSE", 0)


@pytest.mark.usefixtures("alone")
def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--smoke", "--rounds", "1", "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("fastnn ")
    assert "A: 784-256-256-10 relu, softmax cross entropy, batch 100, 2,000 samples" in printed
    assert "B: 784-10, softmax cross entropy" in printed


@pytest.mark.usefixtures("alone")
def test_command_times_nothing_that_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "PEERS", {"wasteful": Wasteful})
    monkeypatch.setattr(Wasteful, "why_not", classmethod(lambda cls, shape, num_threads: None))
    monkeypatch.setattr(_numpy, "blas_threads", lambda num_threads: lambda: None)
    assert command.main(["--smoke", "--rounds", "1", "--threads", "1"]) == 1
    assert "wrong result: wasteful, A: loss must be" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--threads", "-1"], ["--rounds", "x"]])
def test_command_refuses(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)
    assert "argument --" in capsys.readouterr().err
