"""Event files, read back with TensorBoard's own reader: names, steps and values, histograms, graph, and resuming."""

from __future__ import annotations

import sys
import types
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core, cli, datasets
from fastnn.history import History

pytest.importorskip("tensorboardX", reason="needs tensorboardX")
pytest.importorskip("tensorboard", reason="needs tensorboard")

N, BATCH, STEPS = 95, 20, 5  # the last batch has 15 rows
X = _core.draw("normal", N * 12, 0.0, 1.0, 1, 0).reshape(N, 12)
Y = np.arange(N) * 7 % 5
SCALARS = {
    "loss", "accuracy", "val_loss", "val_accuracy", "seconds", "samples_per_second", "learning_rate", "penalty",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard's reader takes TensorFlow where it is installed; this is TensorBoard's own switch against that."""
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("notf"))


def make_trainer() -> fnn.Trainer:
    layers = [
        fnn.Rescaling(0.5),
        fnn.Dropout(0.9),
        fnn.Dense(20, "relu", name="deep/hidden", regularizer=fnn.L2(0.01)),
        fnn.Dropout(0.5, name="thin"),
        fnn.Dense(5, name="loss"),
    ]
    return fnn.Trainer(fnn.Network(12, layers, seed=5), optimizer=fnn.SGD(fnn.LinearWarmup(0.2, 3, 30)))


def fit(trainer: fnn.Trainer, board: fnn.TensorBoard, epochs: int = 2) -> History:
    return trainer.fit(X, Y, epochs=epochs, batch_size=BATCH, validation_data=(X[:30], Y[:30]), callbacks=[board])


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = {"scalars": 0, "tensors": 0, "graph": 0, "histograms": 0, "compressedHistograms": 0}
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def series(folder: Path, name: str) -> tuple[list[int], list[float]]:
    events = read(folder).Scalars(name)
    return [event.step for event in events], [event.value for event in events]


def float32(values: Any) -> list[float]:
    return np.asarray(values, np.float32).tolist()


# ---- scalars ---------------------------------------------------------------------------------------------------------


def test_scalars_are_the_history(tmp_path: Path) -> None:
    trainer = make_trainer()
    history = fit(trainer, fnn.TensorBoard(tmp_path), epochs=3)
    assert set(history) == SCALARS
    assert set(read(tmp_path).Tags()["scalars"]) == SCALARS | {"cost", "validation_error"}
    for name in SCALARS:
        assert series(tmp_path, name) == ([STEPS, 2 * STEPS, 3 * STEPS], float32(history[name]))
    assert series(tmp_path, "validation_error")[1] == float32(1 - np.array(history["val_accuracy"]))


def test_the_cost_is_a_mini_batchs(tmp_path: Path) -> None:
    """Of each with every="batch", of the last of an epoch else: of losses that make up the history's, rows weighing."""
    for every in ("batch", "epoch"):
        history = fit(make_trainer(), fnn.TensorBoard(tmp_path / every, every=every))
    steps, costs = series(tmp_path / "batch", "cost")
    assert steps == list(range(1, 2 * STEPS + 1))
    rows = [BATCH, BATCH, BATCH, BATCH, N - 4 * BATCH]
    means = [np.average(costs[:STEPS], weights=rows), np.average(costs[STEPS:], weights=rows)]
    assert means == pytest.approx(history["loss"], rel=1e-6)  # costs are float32
    assert series(tmp_path / "epoch", "cost") == ([STEPS, 2 * STEPS], [costs[STEPS - 1], costs[-1]])


def test_batch_losses_are_those_of_the_parameters_before_each_update() -> None:
    net = fnn.Network(12, [fnn.Dense(5)], seed=1)
    trainer, losses = fnn.Trainer(net, optimizer=fnn.SGD(0.1)), []
    assert trainer.batch_losses.shape == (0,)
    for first in range(0, N, BATCH):
        batch = X[first : first + BATCH], Y[first : first + BATCH]
        losses.append(trainer.evaluate(*batch)["loss"])
        trainer.fit(*batch, batch_size=BATCH, shuffle=False)
    whole = fnn.Trainer(fnn.Network(12, [fnn.Dense(5)], seed=1), optimizer=fnn.SGD(0.1))
    whole.fit(X, Y, batch_size=BATCH, shuffle=False, num_threads=2)
    assert whole.batch_losses.tolist() == losses


def test_costs_of_an_epoch_that_diverges_are_kept(tmp_path: Path) -> None:
    trainer = fnn.Trainer(fnn.Network(12, [fnn.Dense(5)], seed=1), "squared_error", fnn.SGD(1e6))
    with pytest.raises(FloatingPointError, match=r"epoch 1, step \d+"):
        trainer.fit(X, X[:, :5], batch_size=2, callbacks=[fnn.TensorBoard(tmp_path, every="batch")])
    steps, costs = series(tmp_path, "cost")
    assert steps == list(range(1, trainer.step + 1))
    assert costs == float32(trainer.batch_losses)
    assert costs[-1] > 1e6


# ---- histograms ------------------------------------------------------------------------------------------------------


def test_histograms_are_numpys(tmp_path: Path) -> None:
    trainer = make_trainer()
    initial = {name: variable.value for name, variable in trainer.network.variables.items()}
    fit(trainer, fnn.TensorBoard(tmp_path))
    events = read(tmp_path)
    assert events.Tags()["histograms"] == list(trainer.network.variables)
    for name, variable in trainer.network.variables.items():
        steps = {event.step: event.histogram_value for event in events.Histograms(name)}
        assert list(steps) == [0, STEPS, 2 * STEPS]
        for values, written in ((initial[name], steps[0]), (variable.value, steps[2 * STEPS])):
            values = values.astype(np.float64)
            edges = [-np.inf, *written.bucket_limit]
            assert written.bucket == np.histogram(values, edges)[0].tolist()
            left_of = dict(pairwise(reversed(variable.histogram().edges.tolist())))
            filled = [i for i, count in enumerate(written.bucket) if count]
            assert [written.bucket_limit[i - 1] for i in filled] == [left_of[written.bucket_limit[i]] for i in filled]
            assert sum(written.bucket) == written.num == values.size
            assert (written.min, written.max) == (values.min(), values.max())
            assert written.sum == pytest.approx(values.sum(), rel=1e-12, abs=1e-14)
            assert written.sum_squares == pytest.approx((values**2).sum(), rel=1e-13)


def test_histograms_and_graph_are_left_out_on_wish(tmp_path: Path) -> None:
    fit(make_trainer(), fnn.TensorBoard(tmp_path, histograms=False, graph=False))
    tags = read(tmp_path).Tags()
    assert (tags["histograms"], tags["graph"], "cost" in tags["scalars"]) == ([], False, True)


# ---- graph and charts ------------------------------------------------------------------------------------------------


def test_the_graph_has_the_layers(tmp_path: Path) -> None:
    fit(make_trainer(), fnn.TensorBoard(tmp_path))
    nodes = {node.name: node for node in read(tmp_path).Graph().node}
    inputs = {name: (node.op, list(node.input)) for name, node in nodes.items()}
    assert inputs == {
        "input": ("Placeholder", []),
        "rescaling": ("Rescaling", ["input"]),
        "dropout": ("Dropout", ["rescaling"]),
        "deep/hidden/W": ("Variable", []),
        "deep/hidden/b": ("Variable", []),
        "deep/hidden/matmul": ("MatMul", ["dropout", "deep/hidden/W"]),
        "deep/hidden/add": ("Add", ["deep/hidden/matmul", "deep/hidden/b"]),
        "deep/hidden/relu": ("relu", ["deep/hidden/add"]),
        "thin": ("Dropout", ["deep/hidden/relu"]),
        "loss/W": ("Variable", []),
        "loss/b": ("Variable", []),
        "loss/matmul": ("MatMul", ["thin", "loss/W"]),
        "loss/add": ("Add", ["loss/matmul", "loss/b"]),
        "targets": ("Placeholder", []),
        "loss_1": ("SoftmaxCrossEntropy", ["loss/add", "targets"]),  # "loss" is a layer here
        "optimizer": ("SGD", ["loss_1"]),
    }

    def shape(name: str) -> list[int]:
        return [dim.size for dim in nodes[name].attr["_output_shapes"].list.shape[0].dim]

    shapes = {"input": [-1, 12], "thin": [-1, 20], "deep/hidden/W": [12, 20], "loss/b": [5], "targets": [-1]}
    assert {name: shape(name) for name in shapes} == shapes
    assert nodes["dropout"].attr["keep_prob"].s == b"0.9"
    assert nodes["deep/hidden/W"].attr["regularizer"].s == b"L2(strength=0.01)"


def test_training_and_validation_share_charts(tmp_path: Path) -> None:
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

    fit(make_trainer(), fnn.TensorBoard(tmp_path))
    (event,) = read(tmp_path).Tensors("custom_scalars__config__")
    (category,) = Layout.FromString(event.tensor_proto.string_val[0]).category
    charts = {chart.title: list(chart.multiline.tag) for chart in category.chart}
    assert charts == {"loss": ["^loss$", "^val_loss$"], "accuracy": ["^accuracy$", "^val_accuracy$"]}


# ---- folders ---------------------------------------------------------------------------------------------------------


def test_a_training_goes_on_in_its_folder(tmp_path: Path) -> None:
    """Fits in one second have a file each; one graph; every step once, though the first try got further."""
    trainer, board = make_trainer(), fnn.TensorBoard(tmp_path, every="batch")
    losses = fit(trainer, board, epochs=1)["val_loss"]
    resumed = make_trainer()
    resumed.fit(X, Y, batch_size=BATCH)
    fit(trainer, board, epochs=2)  # up to step 15, of which the last ten are lost in a crash
    losses += fit(resumed, fnn.TensorBoard(tmp_path, every="batch"), epochs=1)["val_loss"]
    assert len(list(tmp_path.iterdir())) == 3
    assert series(tmp_path, "cost")[0] == list(range(1, 2 * STEPS + 1))
    assert series(tmp_path, "val_loss") == ([STEPS, 2 * STEPS], float32(losses))
    assert [event.step for event in read(tmp_path).Histograms("loss/W")] == [0, STEPS, 2 * STEPS]
    graphs = [path for path in tmp_path.iterdir() if b"deep/hidden/matmul" in path.read_bytes()]
    assert len(graphs) == 1


def test_a_new_training_hides_an_old_one(tmp_path: Path) -> None:
    fit(make_trainer(), fnn.TensorBoard(tmp_path), epochs=3)
    history = fit(make_trainer(), fnn.TensorBoard(tmp_path), epochs=1)
    assert series(tmp_path, "loss") == ([STEPS], float32(history["loss"]))
    assert [event.step for event in read(tmp_path).Histograms("loss/W")] == [0, STEPS]


def test_a_training_that_has_begun_elsewhere_has_its_graph(tmp_path: Path) -> None:
    trainer = make_trainer()
    trainer.fit(X, Y, batch_size=BATCH)
    fit(trainer, fnn.TensorBoard(tmp_path / "a" / "new folder"), epochs=1)
    events = read(tmp_path / "a" / "new folder")
    assert len(events.Graph().node) == 16
    assert [event.step for event in events.Histograms("loss/W")] == [2 * STEPS]


def test_files_are_whole_after_every_epoch(tmp_path: Path) -> None:
    class Look(fnn.Callback):
        def on_epoch_end(self, trainer: fnn.Trainer, epoch: int, logs: Any) -> None:
            assert series(tmp_path, "loss")[0][-1] == trainer.step
            assert series(tmp_path, "cost")[0] == list(range(1, trainer.step + 1))
            seen.append(epoch)

    seen: list[int] = []
    make_trainer().fit(X, Y, epochs=2, batch_size=BATCH, callbacks=[fnn.TensorBoard(tmp_path, every="batch"), Look()])
    assert seen == [1, 2]


def test_training_has_the_same_bits_with_it(tmp_path: Path) -> None:
    plain, watched = make_trainer(), make_trainer()
    plain.fit(X, Y, epochs=2, batch_size=BATCH)
    fit(watched, fnn.TensorBoard(tmp_path, every="batch"))
    for a, b in zip(plain.network.variables.values(), watched.network.variables.values(), strict=True):
        assert a.value.tobytes() == b.value.tobytes()


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"logdir": 3}, TypeError, r"logdir must be a folder's path, got 3 \(int\)$"),
        ({"every": "step"}, ValueError, "every must be one of 'epoch', 'batch', got 'step'$"),
        ({"every": 1}, TypeError, r"every must be one of 'epoch', 'batch', got 1 \(int\)$"),
        ({"histograms": 1}, TypeError, r"histograms must be True or False, got 1 \(int\)$"),
        ({"graph": None}, TypeError, r"graph must be True or False, got None"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        fnn.TensorBoard(**{"logdir": "runs", **arguments})


@pytest.mark.parametrize("inside", ["", "below"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    trainer, folder = make_trainer(), tmp_path / "file" / inside
    with pytest.raises(OSError, match=rf"^logdir must be a folder that can be made and written to, got '{folder}': "):
        fit(trainer, fnn.TensorBoard(folder))
    assert trainer.step == 0


def test_without_tensorboardx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"^TensorBoard needs tensorboardX: pip install 'fastnn\[tensorboard\]'$"):
        fnn.TensorBoard("runs")


# ---- command line ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp", "logistic"])
def test_the_command_writes_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    digits = datasets.digits(n_train=200, n_validation=50, n_test=50)
    monkeypatch.setattr(datasets, "digits", lambda: digits)
    arguments = ["book", name, "--data", "digits", "--epochs", "2", "--logdir", str(tmp_path / "runs")]
    assert cli.main([*arguments, "--seed", "3"]) == 0
    assert series(tmp_path / "runs", "cost")[0] == [2, 4]
    assert cli.main([*arguments, "--seeds", "2"]) == 0
    assert [series(tmp_path / "runs" / f"seed_{seed}", "loss")[0] for seed in (0, 1)] == [[2, 4], [2, 4]]
