"""fastnn.bench: every workload verifies, wrong results are caught, rounds take turns. Nothing here looks at a time."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import _core, cli
from fastnn.bench import command, compare, costs, machine, many, peers, plots, samples, shapes, workloads
from fastnn.bench.machine import Limits
from fastnn.bench.peers import _numpy, _peer
from fastnn.bench.report import Report, Result, table
from fastnn.bench.samples import Array
from fastnn.bench.shapes import Row, Shape
from fastnn.bench.workloads import Workload, WrongResult

SUITE = len(shapes.ROWS) + 2 * len(shapes.DENSE) + len(shapes.DROPOUT) + len(shapes.FUNCTIONS)
NAMED = {row.name: row for row in shapes.ROWS}


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


def test_bytes_of_the_books_mlp() -> None:
    parameters = 785 * 256 + 257 * 256 + 257 * 10
    outputs = 256 + 256 + 10
    assert shapes.A.n_parameters == parameters
    assert shapes.A.bytes_training == 100 * 784 + 8 * parameters + 8 * 100 * outputs
    assert shapes.A.bytes_forward(3) == 3 * 784 + 4 * parameters + 4 * 3 * outputs
    assert replace(shapes.A, samples="floats").bytes_forward(3) == 3 * 784 * 4 + 4 * parameters + 4 * 3 * outputs


def test_names_and_units_of_rows() -> None:
    assert len(NAMED) == len(shapes.ROWS)
    assert NAMED["A"].unit == NAMED["B"].unit == "s/epoch"
    assert NAMED["C_2048"].unit == NAMED["E"].unit == "ms/step"
    assert NAMED["F_24_8_2"].unit == NAMED["A_batch_1"].unit == "us/step"
    assert NAMED["predict_dense_10000"].unit == "us/call"
    assert "784-256-256-10 relu, 10,000 rows a call" in NAMED["predict_dense_10000"].description


def test_smaller_rows_keep_their_names() -> None:
    wide = NAMED["C_4096"].smaller(1, 100)
    assert (wide.name, wide.shape.widths, wide.shape.rows) == ("C_4096", (784, 512, 512, 512, 512, 10), 512)
    assert NAMED["predict_dense_10000"].smaller(1, 100) == NAMED["predict_dense_100"].smaller(1, 10**6)


def test_selection_by_name_and_pattern() -> None:
    assert shapes.select([]) == list(shapes.ROWS)
    assert [row.name for row in shapes.select(["F_*", "A"])] == ["A", "F_4_32_16_4", "F_24_8_2", "F_batch_1"]
    with pytest.raises(ValueError, match=r"must be one of A, A_dense, .*, or a pattern, got 'G'"):
        shapes.select(["A", "G"])


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
        assert workload.pieces * workload.samples > 0
        seen.append(workload.name)
    assert len(seen) == SUITE


@pytest.mark.parametrize("way", many.WAYS)
def test_many_networks_verify_and_run(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = many.Case(shapes.B.shortened(3), 3)
    workload = many.workload(case, 2, way)
    workload.verify()
    workload.prepare()
    workload.run()
    assert (workload.name, workload.contender, workload.pieces, workload.samples) == ("3 x B", way, 3, 300)
    monkeypatch.setattr(many, "fit_many", lambda trainers, *data, **fit: trainers[0].fit(*data, **fit))
    with pytest.raises(WrongResult, match=r"^3 x B: trained fit_many and one after the other, the parameters differ"):
        workload.verify()


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
        def predictor(self, x: Array) -> Callable[[], Any]:
            right = super().predictor(x)
            return lambda: right() + 1e-4

    with pytest.raises(WrongResult, match="A, 3 rows: output must be"):
        workloads.inference(shapes.A, 3, contender=Shifted).verify()


def test_only_in_order_takes_the_samples_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    shuffled: list[bool] = []
    monkeypatch.setattr(workloads.Fastnn, "epoch", lambda self, shuffle: shuffled.append(shuffle))
    for contender in (workloads.Fastnn, workloads.FastnnInOrder):
        workloads.training(shapes.B.shortened(2), contender=contender).run()
    assert shuffled == [True, False]


def test_in_order_is_not_timed_twice_at_prediction() -> None:
    reasons = [workloads.why_not(workloads.FastnnInOrder, NAMED[name], 1) for name in ("A", "predict_digits_1")]
    assert reasons == [None, "fastnn, in order only trains"]


def test_prepare_puts_the_initial_parameters_back() -> None:
    it = workloads.Fastnn(shapes.B)
    it.feed(workloads.load(shapes.B.shortened(2)))
    before = workloads.parameters(it.net)
    it.epoch()
    assert not np.array_equal(before[0], workloads.parameters(it.net)[0])
    it.prepare()
    for first, now in zip(before, workloads.parameters(it.net), strict=True):
        np.testing.assert_array_equal(first, now)


def test_pieces_of_a_run() -> None:
    epoch, step = (workloads.training(shapes.A, piece=piece) for piece in ("epoch", "step"))
    assert (epoch.pieces, epoch.samples, epoch.flops) == (1, 55_000, 55_000 * shapes.A.flops_training)
    assert (step.pieces, step.samples, step.flops) == (550, 100, 100 * shapes.A.flops_training)
    assert epoch.bytes == 550 * step.bytes == 550 * shapes.A.bytes_training
    call = workloads.inference(shapes.A, 7)
    assert (call.pieces, call.samples, call.bytes) == (1, 7, shapes.A.bytes_forward(7))


def test_initial_parameters_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        workloads.initial_parameters(shapes.B)[0][:] = 0


# ---- samples --------------------------------------------------------------------------------------------------------


def test_digits_without_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    samples._mnist.cache_clear()
    samples._digits.cache_clear()
    data = samples.load(shapes.B.shortened(2))
    assert data.source == "drawn digits, uint8"
    assert (data.x.dtype, data.x.shape, data.floats.dtype) == (np.uint8, (200, 784), np.float32)
    assert data.floats.max() <= 1
    floats = samples.load(replace(shapes.B, samples="floats"), 200)
    assert floats.source == "drawn digits, float32"
    assert floats.x is data.floats


@pytest.mark.parametrize("name", ["A_dense", "E", "F_24_8_2"])
def test_numbers_have_no_zeros(name: str) -> None:
    shape = NAMED[name].shape.shortened(3)
    data = samples.load(shape)
    assert data.x is data.floats
    assert (data.x.dtype, data.x.shape, np.count_nonzero(data.x)) == (
        np.float32,
        (shape.rows, shape.widths[0]),
        data.x.size,
    )
    assert len(np.unique(data.y)) == 10 if shape.is_classifier else data.y.shape == (shape.rows, shape.widths[-1])


# ---- peers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", shapes.ROWS, ids=lambda row: row.name)
def test_numpy_agrees(row: Row) -> None:
    workloads.of_row(row.smaller(3, 7), contender=peers.NumPy).verify()


@pytest.mark.parametrize("shape", shapes.DENSE[:-1], ids=lambda shape: shape.name)
def test_numpy_agrees_on_single_layers(shape: Shape) -> None:
    workloads.training(shape.shortened(3), contender=peers.NumPy).verify()
    workloads.inference(shape, 7, contender=peers.NumPy).verify()


AGREES = """
import sys
from fastnn.bench import shapes, workloads
from fastnn.bench.peers import PEERS
peer = PEERS[sys.argv[1]]
for row in shapes.select(["A", "E", "F_24_8_2"]) if peer.trains else []:
    workloads.of_row(row.smaller(5, 7), contender=peer).verify()
for shape in (shapes.A, shapes.F):
    workloads.inference(shape, 7, contender=peer).verify()
"""


@pytest.mark.peer
@pytest.mark.parametrize("name", [name for name in peers.PEERS if name != "numpy"])
def test_peer_agrees(name: str, tmp_path: Path) -> None:
    """In a process of its own: some start threads, and then warn of every fork."""
    if (reason := peers.PEERS[name].why_not(shapes.A, None)) is not None:
        pytest.skip(reason)
    done = subprocess.run([sys.executable, "-c", AGREES, name], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_peer_that_disagrees_is_caught() -> None:
    with pytest.raises(WrongResult, match="wasteful, B: loss must be"):
        workloads.training(shapes.B.shortened(10), contender=Wasteful).verify()


def test_reasons_against_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    dropout = shapes.DROPOUT[0]
    assert peers.NumPy.why_not(shapes.A, None) is None
    assert peers.NumPy.why_not(dropout, None) == "numpy is written without dropout"
    assert workloads.why_not(peers.OnnxRuntime, NAMED["A"], None) == "onnxruntime does not train"
    monkeypatch.setattr(_peer, "find_spec", lambda package: None)
    assert peers.TorchEager.why_not(shapes.A, None) == "torch is not installed"
    monkeypatch.setattr(_peer, "find_spec", lambda package: None if package == "threadpoolctl" else object())
    assert "threadpoolctl is not installed" in str(peers.NumPy.why_not(shapes.A, 1))
    assert "threadpoolctl is not installed" in str(peers.ScikitLearn.why_not(shapes.A, 1))
    monkeypatch.setattr(_peer, "find_spec", lambda package: object())
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert peers.TorchCompiled.why_not(shapes.A, None) == "torch.compile needs a C++ compiler"


def test_threads_chosen_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_peer, "find_spec", lambda package: object())
    monkeypatch.setattr(peers.TensorFlow, "has_started", True)
    monkeypatch.setattr(peers.TensorFlow, "n_threads", 1)
    assert peers.TensorFlow.why_not(shapes.A, 1) is None
    assert peers.TensorFlow.why_not(shapes.A, None) is None
    reason = "tensorflow chooses its threads when it starts: 1 in this process"
    assert peers.TensorFlow.why_not(shapes.A, 2) == reason


def test_the_quickest_of_several_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))  # each look at it takes a second, as does each slow call
    monkeypatch.setattr(_peer.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(_peer, "_TRIAL", 10.0)

    def slow() -> None:
        next(clock)

    def quick() -> None:
        pass

    assert _peer.fastest(slow, quick) is quick
    assert _peer.fastest(quick, slow) is quick


def test_importing_loads_no_peer(tmp_path: Path) -> None:
    program = """
import sys, fastnn
assert "fastnn.bench" not in sys.modules
import fastnn.bench.peers, fastnn.bench.compare, fastnn.bench.machine, fastnn.bench.plots
heavy = {"torch", "jax", "tensorflow", "onnx", "onnxruntime", "sklearn", "scipy", "threadpoolctl", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# ---- rounds, machine ------------------------------------------------------------------------------------------------


def fake(name: str, calls: list[str]) -> Workload:
    work = ("step", 4, 100, 10**9, 10**8)
    return Workload("W", name, 1, *work, lambda: calls.append("-"), lambda: calls.append(name), str)


def test_rounds_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_PAUSE", 0)
    monkeypatch.setattr(compare, "_SHORTEST", 1e-12)
    calls: list[str] = []
    seconds = compare.rounds([fake("a", calls), fake("b", calls)], 2)
    assert "".join(calls) == "-a-b" * 3  # one round more, which is not counted
    assert [len(times) for times in seconds] == [2, 2]


def test_what_is_quick_runs_often(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(compare.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(compare, "_PAUSE", 0)
    monkeypatch.setattr(compare, "_SHORTEST", 2.5)
    calls: list[str] = []
    assert compare.rounds([fake("a", calls)], 2) == [[1 / 3, 1 / 3]]
    assert "".join(calls) == "-a-aaa-aaa"


def test_results_are_of_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "rounds", lambda workloads, n: [[10.0, 20.0]])
    row = NAMED["A_batch_10"].smaller(5, 1)
    (result,) = compare.compare(row, 1, 2, [workloads.Fastnn]).results
    assert (result.workload, result.unit, result.contender) == ("A_batch_10", "us/step", "fastnn")
    assert result.seconds == [2.0, 4.0]
    assert (result.samples, result.flops, result.bytes) == (
        10,
        10 * row.shape.flops_training,
        row.shape.bytes_training,
    )


def test_line_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in machine._PINNING:
        monkeypatch.delenv(name, raising=False)
    facts = machine.facts(["pytest", "no_such_package"])
    line = machine.line_of(facts)
    assert "\n" not in line
    for key in ("version", "isa", "threads_backend", "numpy", "cpu", "compiler"):
        assert str(facts[key]) in line
    assert f"pytest {pytest.__version__}" in line
    assert "no_such_package" not in line
    assert "NOT COMPARABLE" not in line
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    assert "NOT COMPARABLE, unset first: OPENBLAS_CORETYPE=Prescott" in machine.line()


@pytest.mark.parametrize("num_threads", [1, 2])
def test_limits_are_measured(num_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_TRIAL", 1e-4)
    limits = machine.limits(num_threads)
    assert limits.num_threads == num_threads
    assert 0 < limits.peak_gflops < 1e6
    assert 0 < limits.barrier_ns < 1e9


@pytest.mark.parametrize("isa", _core.available_isas())
def test_every_table_has_a_peak(isa: str) -> None:
    before = _core.isa()
    try:
        _core.use_isa(isa)
        assert _core.peak_flops(2, 3) > 0
    finally:
        _core.use_isa(before)


def test_the_best_peak_and_the_middle_barrier(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks, barriers = iter([0.0, 2e9, 9e9, 1e9]), iter([0.0, 7e-9, 1e-9, 3e-9])
    monkeypatch.setattr(machine, "_TRIAL", 0)
    monkeypatch.setattr(machine, "_TRIALS", 3)
    monkeypatch.setattr(machine, "_trials", lambda measure: [measure(1) for _ in range(3)])
    monkeypatch.setattr(_core, "peak_flops", lambda num_threads, n: next(peaks))
    monkeypatch.setattr(_core, "barrier_seconds", lambda num_threads, n: next(barriers))
    next(peaks), next(barriers)
    assert machine.limits(1) == Limits(1, 9.0, pytest.approx(3.0))


# ---- report, plots --------------------------------------------------------------------------------------------------


def result(contender: str, seconds: list[float], workload: str = "W", num_threads: int = 1, **more: Any) -> Result:
    return Result(workload, "about it", contender, num_threads, "ms/step", seconds, 100, 10**9, 10**8, **more)


@pytest.fixture
def report() -> Report:
    both = [result("fastnn", [1.0, 9.0, 2.0]), result("other", [3.0, 5.0, 4.0])]
    whole = Report(machine.facts(), 3, [Limits(1, 5.0, 2.0)], both, [("W", "third", 1, "it is not installed")])
    two = [replace(each, num_threads=2) for each in both]
    call = replace(both[0], workload="predict_W_1", unit="us/call", num_threads=2)
    whole.add(Report(whole.machine, 3, [Limits(2, 10.0, 150.0)], [*two, call], [("W", "fourth", 2, "too old")]))
    return whole


def test_a_result_knows_its_rates() -> None:
    it = result("fastnn", [1.0, 9.0, 2.0])
    assert (it.median, it.gflops, it.intensity) == (2.0, 0.5, 10.0)


def test_table_has_times_rates_and_ratios(report: Report) -> None:
    head, first, second = table(report.results[:2], report.limits[0]).splitlines()
    assert head.split() == ["ms/step", "median", "min", "max", "GFLOP/s", "%", "peak", "ratio"]
    assert first.split() == ["fastnn", "2000", "1000", "9000", "0.5", "10", "1.00"]
    assert second.split() == ["other", "4000", "3000", "5000", "0.25", "5", "2.00"]


def test_text_says_what_it_is_about(report: Report) -> None:
    one, two, call = report.groups()
    lines = report.text(one).splitlines()
    assert lines[0] == "W: about it"
    assert lines[1] == "1 thread: peak 5 GFLOP/s; 3 rounds in turn"
    assert lines[-1] == "third               skipped: it is not installed"
    lines = report.text(two).splitlines()
    assert lines[1] == "2 threads: peak 10 GFLOP/s, 150 ns a barrier; 3 rounds in turn"
    assert lines[-1] == "fourth              skipped: too old"
    assert [each.contender for each in call] == ["fastnn"]


def test_a_saved_report_is_the_same(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == report


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 99}', '{"format_version": 1, "limits": 3}'])
def test_what_is_no_report_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"x\.json' is not a report of fastnn bench"):
        Report.load(tmp_path / "x.json")


def test_bars_are_medians_beside_fastnn(report: Report) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = figure.subplots(3)
    plots.draw_times(report, axes)
    assert [ax.get_title() for ax in axes] == ["training, 1 thread", "training, 2 threads", "prediction, 2 threads"]
    assert sorted(bar.get_height() for bar in axes[0].patches) == [1.0, 2.0]
    assert [bar.get_height() for bar in axes[2].patches] == [1.0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["fastnn", "other"]


def test_roofline_has_rates_under_the_peak(report: Report) -> None:
    axes = pytest.importorskip("matplotlib.figure").Figure().subplots(1, 2)
    plots.draw_roofline(report, axes)
    assert [ax.lines[0].get_ydata()[0] for ax in axes] == [5.0, 10.0]
    fastnn, other = axes[0].collections
    np.testing.assert_array_equal(fastnn.get_offsets(), [(10.0, 0.5)])
    np.testing.assert_array_equal(other.get_offsets(), [(10.0, 0.25)])
    assert [text.get_text() for text in axes[1].texts] == ["W"]  # of trainings alone


def test_plots_in_a_file_or_a_directory(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert plots.check(tmp_path) is plots.check(tmp_path / "both.png") is None
    assert plots.save(report, tmp_path) == [tmp_path / "times.png", tmp_path / "roofline.png"]
    assert plots.save(report, tmp_path / "both.png") == [tmp_path / "both.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["no/such.png", "plot.xyz", "plot"])
def test_plots_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    expected = f"must be a directory, or a file in one that ends in .*, got '{tmp_path / name}'"
    reason = plots.check(tmp_path / name)
    assert reason is not None
    with pytest.raises(AssertionError, match=expected):
        raise AssertionError(reason)


# ---- command --------------------------------------------------------------------------------------------------------


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """fastnn bench, without waiting."""
    monkeypatch.setattr(compare, "_PAUSE", 0)
    monkeypatch.setattr(compare, "_SHORTEST", 1e-9)
    monkeypatch.setattr(machine, "_TRIAL", 1e-4)
    return lambda *arguments: cli.main(["bench", *map(str, arguments)])


def test_command(bench: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("A", "predict_digits_*", "--smoke", "--rounds", "1", "--threads", "1") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("fastnn ")
    assert "A: 784-256-256-10 relu, softmax cross entropy, batch 100, 500 samples an epoch; " in printed
    assert "predict_digits_100: 784-256-256-10 relu, 100 rows a call; " in printed
    assert printed.count("1 thread: peak ") == printed.count("\nfastnn   ") == 4


def test_command_profiles(bench: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("F_24_8_2", "predict_digits_1", "--profile", "--smoke", "--threads", "1", "2") == 0
    text = capsys.readouterr().out
    assert text.count("F_24_8_2: ") == 2
    assert "predict" not in text
    for part in ("input", "loss", "wait", "dense_1 forward", "dense_1 backward weights", "dense_2 backward input"):
        assert text.count(f"\n{part} ") == 2
    assert "dense_1 backward input" not in text  # the data needs no gradient


def test_command_tells_what_features_cost(bench: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--costs", "--smoke", "--rounds", "1", "--threads", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 + len(costs.FEATURES)
    plain = next(line for line in lines if line.startswith("plain gradient descent"))
    assert plain.endswith(" 0.0%")
    assert all(re.search(r"\d\.\d{4} +-?\d+\.\d%$", line) for line in lines[4:])


def test_command_saves_what_it_can_load(
    bench: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "saved.json"
    assert bench("F_batch_1", "--smoke", "--rounds", "2", "--threads", "1", "--json", path) == 0
    printed = capsys.readouterr().out
    saved = json.loads(path.read_text())
    assert (saved["rounds"], [len(each["seconds"]) for each in saved["results"]]) == (2, [2])
    assert bench("--load", path) == 0
    assert capsys.readouterr().out.strip() == printed.strip()


def test_command_on_several_threads_and_a_plot(
    bench: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    json_path, plot_path = tmp_path / "saved.json", tmp_path / "plot.png"
    flags = ("--smoke", "--rounds", "1", "--threads", "1", "2", "--json", json_path, "--plot", plot_path)
    assert bench("F_batch_1", *flags) == 0
    report = Report.load(json_path)
    assert [each.num_threads for each in report.limits] == [each.num_threads for each in report.results] == [1, 2]
    printed = capfd.readouterr().out
    assert "1 thread: peak" in printed
    assert "2 threads: peak" in printed
    assert f"Plot saved: {plot_path}" in printed
    assert plot_path.exists()


def test_command_with_peers(
    bench: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "PEERS", {"numpy": peers.NumPy, "onnxruntime": peers.OnnxRuntime})
    monkeypatch.setattr(_peer, "find_spec", lambda package: object())
    monkeypatch.setattr(_numpy, "blas_threads", lambda num_threads: lambda: None)
    assert bench("B", "--smoke", "--rounds", "1", "--threads", "1", "--peers") == 0
    printed = capsys.readouterr().out
    assert "\nnumpy   " in printed
    assert "onnxruntime         skipped: onnxruntime does not train" in printed


def test_command_times_nothing_that_is_wrong(
    bench: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PEERS", {"wasteful": Wasteful})
    monkeypatch.setattr(Wasteful, "why_not", classmethod(lambda cls, shape, num_threads: None))
    monkeypatch.setattr(_numpy, "blas_threads", lambda num_threads: lambda: None)
    assert bench("A", "--smoke", "--rounds", "1", "--threads", "1", "--peers") == 1
    printed = capsys.readouterr()
    assert "wrong result: wasteful, A: loss must be" in printed.err
    assert "median" not in printed.out


def test_command_tells_of_a_process_that_failed(
    bench: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command.sys, "executable", "/bin/false")
    assert bench("F_batch_1", "--smoke", "--threads", "1", "2") == 1
    assert "the process with --threads 1 ended with status 1, and measured nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rounds", "0"], "argument --rounds: must be a positive integer, got '0'"),
        (["--threads", "-1"], "argument --threads: "),
        (["--rounds", "x"], "argument --rounds: must be a positive integer, got 'x'"),
        (["G"], "argument WORKLOAD: must be one of A, "),
        (["--json", "no/such/file.json"], "argument --json: must be a file in a directory that exists, got 'no/such/"),
        (["--load", __file__], "argument --load: "),
    ],
)
def test_command_refuses(
    arguments: list[str], says: str, bench: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench(*arguments)
    assert says in capsys.readouterr().err


def test_command_without_matplotlib(
    bench: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert bench("B", "--plot", "x.png") == 1
    assert "--plot needs matplotlib: pip install 'fastnn[plot]'" in capsys.readouterr().err


def test_the_module_is_the_command(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "fastnn.bench", "--help"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: fastnn bench ")
