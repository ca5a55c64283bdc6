"""bench/gpu.py: its rounds, its table, and what it does when the device takes a process along. Nothing needs a GPU."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn.bench import shapes
from fastnn.bench.gpu import contenders
from fastnn.bench.gpu.rounds import Entry, Limits, Report, repeated, rounds
from fastnn.bench.peers import _cuda
from fastnn.bench.samples import load
from fastnn.bench.workloads import WrongResult, check_outputs, epoch_loss

SCRIPTS = Path(__file__).resolve().parents[1] / "bench"
SHAPE = replace(shapes.A, name="small", widths=(784, 16, 10), batch_size=10, rows=200)


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of the script, by name."""
    monkeypatch.syspath_prepend(SCRIPTS)
    yield importlib.import_module
    for name in ("gpu", "gpu_table"):
        sys.modules.pop(name, None)


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report(tmp_path / "row.json", "A")


def limits(n: int = 3, seconds: float = math.inf, **without: str) -> Limits:
    return Limits(n, time.perf_counter() + seconds, False, without)


def entry(name: str, seconds: float = 0.02, action: Any = lambda: None) -> Entry:
    """A contender whose pieces, of four steps, take so long by its own clock."""

    def marks(n: int) -> list[float]:
        action()
        return [seconds * i for i in range(n)]

    return Entry(name, lambda: None, marks, 4, 100)


# ---- rounds ----


def test_rounds_take_turns_and_leave_out_the_first_piece(report: Report) -> None:
    turns: list[str] = []
    entries = [entry(name, action=lambda name=name: turns.append(name)) for name in "ab"]  # type: ignore[misc]
    rounds(report, entries, limits())
    assert turns == list("ab") * 4  # one round finds out how many pieces to do
    assert report.seconds == {"a": pytest.approx([0.005] * 3), "b": pytest.approx([0.005] * 3)}
    assert json.loads(report.path.read_text())["seconds"] == report.seconds


def test_rounds_go_on_without_one_that_fails(report: Report) -> None:
    def fail() -> None:
        raise RuntimeError("out of order")

    rounds(report, [entry("a", action=fail), entry("b")], limits())
    assert list(report.seconds) == ["b"]
    assert report.skipped == {"a": "RuntimeError: out of order"}
    assert report.failed == ["a"]


def test_rounds_end_when_time_is_up(report: Report) -> None:
    rounds(report, [entry("a")], limits(seconds=-1))
    assert report.seconds == {"a": []}
    assert limits(seconds=-1).why_not("a") == "there was no time left for it"
    assert limits(a="it hung").why_not("a") == "it hung"
    assert limits(a="it hung").why_not("b") is None


def test_a_device_that_is_lost_ends_the_process_and_names_the_culprit(report: Report) -> None:
    def fail() -> None:
        raise RuntimeError("gpu:0: an illegal memory access was encountered")

    with pytest.raises(SystemExit):
        rounds(report, [entry("a"), entry("b", action=fail)], limits())
    saved = json.loads(report.path.read_text())
    assert saved["current"] == "b"
    assert saved["skipped"]["b"].endswith("an illegal memory access was encountered")


def test_repeated_reads_the_clock_after_each() -> None:
    calls: list[int] = []
    marks = repeated(lambda: calls.append(1))(3)
    assert len(calls) == 3
    assert marks == sorted(marks)


# ---- contenders ----


class OnTheCpu(contenders.FastnnOnGpu):
    options = {"device": "cpu:0"}  # noqa: RUF012


def test_fastnn_reads_the_clock_after_each_epoch() -> None:
    it = OnTheCpu(SHAPE)
    it.feed(load(SHAPE))
    marks = it.marks(3)
    assert len(marks) == 3
    assert marks == sorted(marks)


def test_other_bits_than_those_of_the_cpu_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Off(OnTheCpu):
        def epoch(self, shuffle: bool = False) -> float:
            loss = super().epoch(shuffle)
            value = next(iter(self.net.variables.values()))
            value.assign(np.nextafter(value.value, np.float32(1)))
            return loss

    monkeypatch.setattr(contenders, "FastnnOnGpu", OnTheCpu)
    contenders.check_bits(SHAPE)
    monkeypatch.setattr(contenders, "FastnnOnGpu", Off)
    with pytest.raises(WrongResult, match=r"small: .*/W must be the CPU's, \d+ of 12544 values differ"):
        contenders.check_bits(SHAPE)


def test_what_a_build_does_not_offer_says_so() -> None:
    why = contenders.why_not_offered({"device": "cpu:0", "no_such": 1})
    assert why == "not offered by this build: fastnn.Network has no argument no_such"
    assert "device must be one of" in str(contenders.why_not_offered({"device": "gpu:99"}))
    assert contenders.why_not_offered({"device": "cpu:0"}) is None


@pytest.fixture
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the peers there."""
    monkeypatch.setattr(_cuda.OnGpu, "device", "cpu")
    monkeypatch.setattr(_cuda.JaxOnGpu, "platform", "cpu")


def ready(peer: Any) -> Any:
    if (why := peer.why_not(SHAPE, None)) is not None:
        pytest.skip(why)
    it = peer(SHAPE)
    it.feed(load(SHAPE))
    it.prepare()
    return it


@pytest.mark.peer
@pytest.mark.parametrize("peer", [_cuda.TorchEagerOnGpu, _cuda.JaxOnGpu])
def test_peers_come_to_the_same_loss(peer: Any, on_the_cpu: None) -> None:
    assert ready(peer).epoch() == pytest.approx(epoch_loss(SHAPE), rel=1e-5)


@pytest.mark.peer
def test_a_peer_rescales_bytes_that_it_predicts_from(on_the_cpu: None) -> None:
    x = load(SHAPE, 20).x
    assert x.dtype == np.uint8
    check_outputs("bytes", SHAPE, x, ready(_cuda.TorchEagerOnGpu).predictor(x)())


@pytest.mark.peer
@pytest.mark.slow
def test_a_peer_computes_products_in_bfloat16(on_the_cpu: None) -> None:
    peer = _cuda.with_precision(_cuda.TorchCompiledOnGpu, "bf16")
    assert peer.name == "torch compiled bf16"
    error = ready(peer).epoch() / epoch_loss(SHAPE) - 1
    assert 1e-6 < abs(error) < 1e-2


def test_graphs_need_a_gpu(on_the_cpu: None) -> None:
    assert _cuda.TorchEagerGraphed.why_not(SHAPE, None) == "CUDA graphs need a GPU"


# ---- the script ----


def options(tmp_path: Path, **changes: Any) -> argparse.Namespace:
    defaults = {"seconds": 1e6, "rounds": 2, "json": tmp_path / "gpu.json", "installed": True, "smoke": True}
    return argparse.Namespace(**(defaults | changes))


def test_a_stage_that_fails_stops_no_other(scripts: Any, tmp_path: Path) -> None:
    gpu = scripts("gpu")
    bench = gpu.Bench(options(tmp_path))

    def fail() -> str:
        raise gpu.Failure("no luck\nand more of it")

    assert not bench.stage("one", fail)
    assert not bench.stage("two", lambda: str(1 / 0))
    assert bench.stage("three", lambda: "well")
    stages = json.loads((tmp_path / "gpu.json").read_text())["stages"]
    assert [stages[name]["status"] for name in ("one", "two", "three")] == ["failed", "failed", "ok"]
    assert stages["one"]["said"] == "no luck\nand more of it"
    assert stages["two"]["said"] == "ZeroDivisionError: division by zero"


def test_a_command_that_hangs_or_fails(scripts: Any, tmp_path: Path) -> None:
    gpu = scripts("gpu")
    bench = gpu.Bench(options(tmp_path))
    python = [sys.executable, "-c"]
    assert bench.command("test", [*python, "print('hello')"], 1e6) == "hello\n"
    with pytest.raises(gpu.Failure, match=r"^ended with status 3: bad\nbad"):
        bench.command("test", [*python, "import sys; print('bad'); sys.exit(3)"], 1e6)
    with pytest.raises(gpu.Hang, match="was stopped after 1 s"):
        bench.command("test", [*python, "import time; time.sleep(600)"], 1)
    with pytest.raises(gpu.Failure, match="no time left"):
        gpu.Bench(options(tmp_path, seconds=0.5)).command("test", [*python, ""], 60)


def written(**changes: Any) -> dict[str, Any]:
    """By the process of a row."""
    fresh = {"current": None, "skipped": {}, "failed": [], "seconds": {"fastnn": [1.0, 2.0]}, "description": "all"}
    return fresh | changes


@pytest.fixture
def play(scripts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """play(*processes): a row whose processes write this and then end so; the bench, and their commands."""

    def run(*processes: tuple[dict[str, Any], Exception | None]) -> tuple[Any, list[list[str]]]:
        bench, commands = scripts("gpu").Bench(options(tmp_path)), []
        bench.folder = tmp_path

        def command(name: str, command: list[str], limit: float) -> None:
            commands.append(command)
            report, error = processes[len(commands) - 1]
            (tmp_path / f"{name}.json").write_text(json.dumps(report))
            if error is not None:
                raise error

        monkeypatch.setattr(bench, "command", command)
        return bench, commands

    return run


def test_a_row_is_started_again_without_the_culprit(scripts: Any, play: Any) -> None:
    gpu = scripts("gpu")
    crash = (written(current="jax"), gpu.Failure("ended with status -11"))
    hang = (written(current="torch eager", seconds={"fastnn": []}), gpu.Hang("was stopped"))
    bench, commands = play(crash, hang, (written(), None))
    assert bench.row("A") == "all"
    assert "--without" not in commands[0]
    assert commands[1][-3:] == ["--without", "jax", "the process ended with status -11"]
    assert commands[2][-6:] == [*commands[1][-3:], "--without", "torch eager", "the process was stopped"]
    assert bench.found["rows"]["A"]["failed"] == ["jax", "torch eager"]


def test_a_row_that_was_only_slow_keeps_its_rounds(scripts: Any, play: Any) -> None:
    gpu = scripts("gpu")
    bench, commands = play((written(current="jax"), gpu.Hang("was stopped")))
    with pytest.raises(gpu.Hang):
        bench.row("A")
    assert len(commands) == 1
    assert bench.found["rows"]["A"]["seconds"] == {"fastnn": [1.0, 2.0]}


def test_a_row_that_fails_at_the_same_again_is_given_up(scripts: Any, play: Any) -> None:
    gpu = scripts("gpu")
    crash = (written(current="jax"), gpu.Failure("ended with status -11"))
    bench, commands = play(crash, crash)
    with pytest.raises(gpu.Failure):
        bench.row("A")
    assert len(commands) == 2


def found(**rows: Any) -> dict[str, Any]:
    machine = {"nvidia_smi": "GPU", "nvcc": "13", "revision": "abc", "started": "now"}
    stages = {"build": {"status": "failed", "said": "no | luck\nmore", "seconds": 1.5}}
    return {"machine": machine, "smoke": False, "stages": stages, "rows": rows, "latency": {}}


def row(seconds: dict[str, float], **more: Any) -> dict[str, Any]:
    times = {name: [0.5 * each, each, 2 * each] for name, each in seconds.items()}
    return {"seconds": times, "skipped": {}, "extra": {}, "flops": dict.fromkeys(seconds, 10**9), **more}


def lines_of(table: str, contender: str) -> list[list[str]]:
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    return [line for line in cells if len(line) == 7 and line[1] == contender]


def test_the_table_compares_with_fastnn_and_targets(scripts: Any) -> None:
    seconds = {"fastnn": 14e-6, "torch eager": 100e-6, "torch eager, graphed": 43e-6}
    extra = {"whole_training": {"epochs": 300, "seconds": 3.5}}
    skipped = {"jax": "it has\nno GPU"}
    table = scripts("gpu_table").text(found(A=row(seconds, extra=extra, skipped=skipped)))
    assert "| build | failed | 1.5 | no / luck |" in table
    assert lines_of(table, "fastnn") == [["A", "fastnn", "14 us", "7 us 14 us 28 us", "1x", "<= 15 us", "yes"]]
    assert lines_of(table, "torch eager")[0][4:] == ["7.14x", ">= 10x", "no"]
    assert lines_of(table, "torch eager, graphed")[0][4:] == ["3.07x", ">= 3x", "yes"]
    assert lines_of(table, "jax")[0][2:] == ["", "", "", "", "it has"]
    assert lines_of(table, "fastnn, 300 epochs, data copied")[0][-1] == "no"
    assert ["B", "all", "", "", "", "", "not measured"] in lines_of(table, "all")


def test_the_table_compares_rates_of_products(scripts: Any) -> None:
    seconds = {"cuBLAS product fp32": 1e-3, "cuBLAS product tf32": 1e-3, "fastnn fp32": 1.6e-3, "fastnn tf32": 1.2e-3}
    report = row({**seconds, "torch compiled fp32": 2e-3, "torch compiled tf32": 1.25e-3})
    table = scripts("gpu_table").text(found(C=report))
    assert lines_of(table, "fastnn fp32")[0][5:] == [">= 60% of cuBLAS fp32", "yes, 62% of cuBLAS fp32"]
    assert lines_of(table, "fastnn tf32")[0][5:] == [">= 85% of cuBLAS tf32", "no, 83% of cuBLAS tf32"]
    assert lines_of(table, "torch compiled fp32")[0][4:] == ["1.25x", ">= 1.1x", "yes"]
    assert lines_of(table, "torch compiled tf32")[0][4:] == ["1.04x", ">= 1.1x", "no"]
    assert lines_of(table, "cuBLAS product fp32")[0][2] == "1 ms, 1 TFLOP/s"


def test_the_table_compares_predictions_and_many_models(scripts: Any) -> None:
    predictions = row({"fastnn, bytes": 1e-3, "fastnn, floats": 2e-3, "torch eager, floats": 3e-3})
    together = row({"fastnn together": 1e-6, "torch eager": 25e-6}, extra={"models": 128})
    table = scripts("gpu_table").text(found(predict=predictions, many=together))
    assert lines_of(table, "torch eager, floats")[0][4:] == ["1.5x", ">= 2x", "no"]
    assert lines_of(table, "torch eager")[0][4:] == ["25x", ">= 20x", "yes"]
    slow = scripts("gpu_table").text(found(B=row({"fastnn": 5e-6})))
    assert lines_of(slow, "fastnn")[0][5:] == ["<= 4 us", "no"]


def test_the_table_says_whether_a_barrier_is_cheaper(scripts: Any) -> None:
    sizes = [
        {"blocks": 16, "node": 1.5, "node_overlapped": 1.2, "barrier": 0.8},
        {"blocks": 64, "node": 1.5, "node_overlapped": 1.0, "barrier": 0.8},
    ]
    table = scripts("gpu_table").text({**found(), "latency": {"threads": 256, "sizes": sizes}})
    assert "| 16 | 1.5 | 1.2 | 0.8 | yes |" in table
    assert "| 64 | 1.5 | 1.0 | 0.8 | no |" in table
