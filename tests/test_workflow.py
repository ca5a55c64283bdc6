"""The workflow: each of its ends is reached by the experiment that deserves it."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _workflow
from fastnn.datasets import Dataset, Split


def blobs(n: int, seed: int, *, noise: float = 0.4, shift: float = 0.0) -> Split:
    """Two classes around (-1, 0) and (1, 0), moved along the first axis."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    x = rng.normal(0, noise, (n, 2)) + np.stack([2 * y - 1 + shift, np.zeros(n)], axis=1)
    return Split(x.astype(np.float32), y.astype(np.uint8))


def xor(n: int, seed: int) -> Split:
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 2)).astype(np.float32)
    return Split(x, (x[:, 0] * x[:, 1] > 0).astype(np.uint8))


def random_labels(n: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    return Split(rng.normal(size=(n, 20)).astype(np.float32), rng.integers(0, 2, n).astype(np.uint8))


def dataset(train: Split, validation: Split, test: Split) -> Dataset:
    return Dataset("made here", train, validation, test)


def trainer(n_in: int, *hidden: int, rate: float = 0.2) -> fnn.Trainer:
    layers = [*(fnn.Dense(units, "tanh") for units in hidden), fnn.Dense(2)]
    return fnn.Trainer(fnn.Network(n_in, layers, seed=0), optimizer=fnn.SGD(rate))


def test_finished() -> None:
    data = dataset(blobs(200, 1), blobs(100, 2), blobs(100, 3))
    report = fnn.workflow(trainer(2, 8), data, target=0.95, patience=3, batch_size=10)
    assert report.branch == "finished"
    assert min(report.train["accuracy"], report.validation["accuracy"], report.test["accuracy"]) >= 0.95


def test_training_that_stalls_asks_for_another_architecture() -> None:
    data = dataset(xor(200, 1), xor(200, 2), xor(200, 3))
    report = fnn.workflow(trainer(2), data, target=0.9, batch_size=10, min_delta=0.05)
    assert report.branch == "training stalled"
    assert "architecture" in report.advice
    assert fnn.workflow(trainer(2, 16), data, target=0.9, batch_size=10).branch == "finished"


def test_overfitting_is_told_from_that() -> None:
    data = dataset(random_labels(60, 1), random_labels(200, 2), random_labels(200, 3))
    watched = trainer(20, 64)
    report = fnn.workflow(watched, data, target=0.9, patience=60, max_epochs=300, batch_size=10)
    assert report.branch == "validation stalled"
    assert "overfitting" in report.advice
    assert report.history["accuracy"][-1] > 0.99


def test_a_test_set_of_another_kind_asks_for_more_data() -> None:
    data = dataset(blobs(200, 1), blobs(100, 2), blobs(100, 3, shift=2.0))
    report = fnn.workflow(trainer(2, 8), data, target=0.9, patience=3, batch_size=10)
    assert report.branch == "test unsatisfactory"


def test_out_of_epochs() -> None:
    data = dataset(blobs(200, 1), blobs(100, 2), blobs(100, 3))
    report = fnn.workflow(trainer(2, 8, rate=1e-6), data, target=1.0, max_epochs=2, min_delta=0.0)
    assert report.branch == "out of epochs"


def test_the_best_parameters_come_back_and_the_report_is_of_them() -> None:
    data = dataset(random_labels(60, 1), random_labels(200, 2), random_labels(200, 3))
    watched = trainer(20, 64)
    watched.fit(data.train.x, data.train.y, epochs=2)  # epochs count from the call on
    report = fnn.workflow(watched, data, target=0.9, patience=10, batch_size=10)
    curve = report.history["val_accuracy"]
    assert report.best_epoch == int(np.argmax(curve)) + 1 < len(curve)
    assert report.validation["accuracy"] == max(curve) > curve[-1]
    assert watched.evaluate(data.test.x, data.test.y) == report.test


@pytest.mark.parametrize(
    ("training", "validation", "stalled", "stopped"),
    [
        ([0.5, 0.6, 0.6, 0.6], [0.1, 0.2, 0.3, 0.4], "training", 4),
        ([0.5, 0.6, 0.7, 0.8], [0.1, 0.2, 0.2, 0.2], "validation", 4),
        ([0.5, 0.6, 0.6, 0.5], [0.1, 0.2, 0.2, 0.2], "training", 4),  # neither rises
        ([0.5, 0.6, 0.6, 0.7], [0.1, 0.2, 0.2, 0.3], None, 0),
    ],
)
def test_which_stalls(training: list[float], validation: list[float], stalled: str | None, stopped: int) -> None:
    """With a patience of two."""
    watch, watched, epochs = _workflow._Watch("accuracy", 2, 0.0), trainer(2), []
    watched.stop = lambda: epochs.append(epoch)  # type: ignore[method-assign]
    for epoch, values in enumerate(zip(training, validation, strict=True), start=1):
        watch.on_epoch_end(watched, epoch, dict(zip(("accuracy", "val_accuracy"), values, strict=True)))
    assert watch.stalled == stalled
    assert sorted(set(epochs)) == [stopped] * (stalled is not None)


def test_a_loss_without_accuracy_is_held_to_a_loss() -> None:
    x = np.linspace(-1, 1, 90, dtype=np.float32).reshape(-1, 1)
    parts = [Split(x[i::3], 3 * x[i::3] + 1) for i in range(3)]
    line = fnn.Trainer(fnn.Network(1, [fnn.Dense(1)], seed=0), "squared_error", fnn.SGD(0.1))
    report = fnn.workflow(line, dataset(*parts), target=1e-4, batch_size=5)
    assert (report.metric, report.branch) == ("loss", "finished")
    assert "loss at most 0.0001" in str(report)


def test_the_report_reads_and_draws() -> None:
    pytest.importorskip("matplotlib").use("agg")
    data = dataset(blobs(200, 1), blobs(100, 2), blobs(100, 3, shift=2.0))
    report = fnn.workflow(trainer(2, 8), data, target=0.9, patience=3, batch_size=10)
    text = str(report)
    assert text.startswith("test unsatisfactory: It does well on training")
    assert text.count("satisfactory") == text.count("\n  ") + 1  # one verdict a split, and the branch
    figure, axes = report.plot()
    assert figure.get_suptitle() == "test unsatisfactory"
    assert "target" in [entry.get_text() for entry in axes[-1].get_legend().get_texts()]
    from matplotlib import pyplot

    pyplot.close(figure)


def test_wrong_arguments() -> None:
    data = dataset(blobs(20, 1), blobs(20, 2), blobs(0, 3))
    with pytest.raises(ValueError, match="data must have at least one test example, got none"):
        fnn.workflow(trainer(2), data, target=0.5)
    full = dataset(blobs(20, 1), blobs(20, 2), blobs(20, 3))
    with pytest.raises(ValueError, match=r"target must be an accuracy from 0 to 1, got 1\.5"):
        fnn.workflow(trainer(2), full, target=1.5)
    with pytest.raises(TypeError, match="trainer must be a Trainer"):
        fnn.workflow(None, full, target=0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="data must be a Dataset"):
        fnn.workflow(trainer(2), None, target=0.5)  # type: ignore[arg-type]


def test_a_loss_without_accuracy_is_judged_by_itself() -> None:
    """Though its link says classes."""
    loss = fnn.CustomLoss(lambda z, _: ((z * z).sum(axis=1), 2 / len(z) * z), link="softmax")
    judged = fnn.Trainer(fnn.Network(2, [fnn.Dense(2)], seed=0), loss, fnn.SGD(0.1))
    report = fnn.workflow(judged, dataset(blobs(50, 1), blobs(50, 2), blobs(50, 3)), target=1e-3, max_epochs=200)
    assert (report.metric, report.branch) == ("loss", "finished")
