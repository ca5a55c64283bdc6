"""What the examples of chapter 3, and the workflow of chapter 2, claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import book, cli, datasets
from fastnn.book import _data, _run, checkpoints, logistic, scopes, sharing, summaries
from fastnn.book._result import Result


@pytest.fixture(scope="module")
def result(request: pytest.FixtureRequest) -> Iterator[Result]:
    """What an example shows of drawn digits, where it wants digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_data, "at_hand", lambda: datasets.digits(n_train=10_000, n_validation=1000, n_test=2000))
        yield book.system(request.param).run(0)


@pytest.mark.parametrize("result", ["initializers"], indirect=True)
def test_a_uniform_initialiser_hurts(result: Result) -> None:
    accuracy = result.numbers["validation_accuracy"]
    he, uniform = accuracy["He: normal, variance 2 / n_in"], accuracy["uniform(-1, 1)"]
    assert he > 0.9
    assert uniform < he - 0.04
    assert accuracy["zeros"] < 0.15  # all units of a layer remain the same unit


@pytest.mark.parametrize("seed", range(3))
def test_variables_are_shared(seed: int) -> None:
    numbers = sharing.run(seed).numbers
    assert numbers["variables"] == 6
    assert numbers["error"].startswith("Over-sharing: Variable my_network/layer_1/W already exists")
    assert numbers["same"]
    assert numbers["sum_error"] == 0  # of two terms in float32
    assert 0.2 < numbers["share_of_first"] < 0.95  # neither place alone


def test_my_network_is_linear_and_uniform() -> None:
    net = sharing.my_network(fnn.Scope("my_network"), 0)
    values = [np.asarray(variable, np.float64) for variable in net.variables.values()]
    assert [value.shape for value in values] == [(784, 100), (100,), (100, 50), (50,), (50, 10), (10,)]
    for w, b in zip(values[::2], values[1::2], strict=True):
        assert not b.any()
        assert abs(w).max() <= 1
        assert w.std() == pytest.approx(3**-0.5, rel=0.1)
    x = np.random.default_rng(0).normal(size=(5, 784))
    np.testing.assert_allclose(net(x), x @ values[0] @ values[2] @ values[4], rtol=1e-3, atol=1e-2)


def test_scopes_name_what_is_within() -> None:
    numbers = scopes.run(0).numbers
    towers = ("shared", "tower_1", "tower_2")
    assert numbers["names"] == [f"model/{name}/layer/{which}" for name in towers for which in "Wb"]
    assert numbers["inner"] == ["model/tower_1/layer/W", "model/tower_1/layer/b"]
    assert numbers["reused"]
    assert numbers["apart"]
    assert numbers["errors"]["over"].startswith("Over-sharing: Variable model/tower_1/layer/W already exists")
    assert numbers["errors"]["under"].startswith("Under-sharing: Variable model/tower_3/layer/W does not exist")
    assert numbers["errors"]["stranger"] == "no error"


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_training_goes_on(seed: int) -> None:
    numbers = checkpoints.run(seed).numbers
    epochs = numbers["epochs"]
    last = epochs["never stopped"]
    assert last < checkpoints.EPOCHS
    assert numbers["kept"] == [f"checkpoint-{10 * epoch}.safetensors" for epoch in range(last - 4, last + 1)]
    assert numbers["restored"]
    assert numbers["status"] == -9
    assert epochs["found"] == last - 3  # within its patience, which begins at the best epoch
    assert numbers["best_epochs"] == [last - checkpoints.PATIENCE] * 2
    assert epochs["gone on"] == last
    assert numbers["same_bits"]


def test_patience_that_is_forgotten_lasts_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fnn.EarlyStopping, "load_state", lambda self, state: None)
    epochs = checkpoints.run(0).numbers["epochs"]
    assert epochs["gone on"] > epochs["never stopped"]


def test_summaries_are_those_of_the_training(tmp_path: Path) -> None:
    numbers = summaries.run(3, str(tmp_path)).numbers
    steps = [20, 40, 60, 80, 100]
    assert numbers["steps"] == steps
    assert set(numbers["scalars"]) > {"cost", "loss", "val_loss", "validation_error"}
    assert numbers["histograms"] == {name: [0, *steps] for name in ("hidden/W", "hidden/b", "output/W", "output/b")}
    assert {"hidden/matmul", "output/matmul", "loss", "optimizer"} < set(numbers["graph"])
    assert numbers["cost"][-1] < numbers["cost"][0] / 2
    assert numbers["validation_error"][-1] < numbers["validation_error"][0] / 2
    assert [path.name[:18] for path in tmp_path.iterdir()] == ["events.out.tfevent"]
    assert summaries.run(4, str(tmp_path)).numbers["cost"] != numbers["cost"]  # of the files there, the new one is read
    assert cli.main(["book", "summaries", "--logdir", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 3


# ---- logistic regression: four phases, and the training loop ---------------------------------------------------------


def test_four_phases() -> None:
    digits = datasets.digits(n_train=500, n_validation=1, n_test=1)
    x, y = digits.train.x, digits.train.y
    net = logistic.inference(0)
    np.testing.assert_allclose(net.predict_proba(x), 0.1, rtol=1e-6)
    trainers = [logistic.training(net, logistic.loss(), 0.01), logistic.listing(0.01, 1, 0)]
    assert trainers[0].evaluate(x, y)["loss"] == pytest.approx(np.log(10))
    rows = np.eye(10)[y]
    for trainer, targets in zip(trainers, (y, rows), strict=True):  # indices or one-hot rows
        trainer.fit(x, targets, batch_size=len(x))
        assert trainer.step == 1
    assert trainers[0].network.get_flat().tobytes() == trainers[1].network.get_flat().tobytes()
    expected = -0.01 * (x / 255).T @ (0.1 - rows) / len(x)
    np.testing.assert_allclose(net.variables["logistic/W"].value, expected, atol=1e-8)

    trainers[0].fit(x, y, epochs=3)
    p = net.predict_proba(x).astype(np.float64)
    measured = trainers[0].evaluate(x, y)
    assert measured["accuracy"] == np.mean(p.argmax(axis=1) == y) > 0.2
    assert measured["loss"] == pytest.approx(-np.mean(np.sum(rows * np.log(p), axis=1)))

    net.variables["logistic/b"] = [1000, *[0] * 9]  # p = 0 of all classes but one: log p has no value, the loss has
    assert net.predict_proba(x)[0, 1] == 0
    assert trainers[0].evaluate(x, y)["loss"] == pytest.approx(1000 * np.mean(y != 0), rel=1e-3)


def test_the_order_of_the_training_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    data = datasets.digits(n_train=950, n_validation=300, n_test=200)
    events: list[Any] = []

    class Recorder(fnn.Callback):
        def on_epoch_end(self, trainer: fnn.Trainer, epoch: int, logs: Mapping[str, float]) -> None:
            right = np.mean(trainer.network.predict(data.validation.x) == data.validation.y)
            assert logs["val_accuracy"] == right  # validated before, on all of it, with the weights of now
            events.append(("summary", trainer.step))

        def on_checkpoint(self, trainer: fnn.Trainer, logs: Mapping[str, float]) -> None:
            events.append(("checkpoint", trainer.step))

    evaluate = fnn.Trainer.evaluate

    def evaluated(trainer: fnn.Trainer, x: Any, y: Any, **options: Any) -> dict[str, float]:
        events.append(("test", len(x), trainer.step))
        return evaluate(trainer, x, y, **options)

    monkeypatch.setattr(fnn.Trainer, "evaluate", evaluated)
    recipe = _run.Recipe(logistic.listing, epochs=3, batch_size=100, learning_rate=0.01, drop_last=True)
    result = _run.train(recipe, data, seed=0, num_threads=1, say=events.append, callbacks=[Recorder()])
    errors = [1 - accuracy for accuracy in result.history["val_accuracy"]]
    expected: list[Any] = []
    for epoch, (cost, error) in enumerate(zip(result.history["loss"], errors, strict=True), 1):
        expected.append(f"Epoch: {epoch:04d} cost = {cost:.9f} Validation Error: {error:.4f}")
        expected += [("summary", 9 * epoch), ("checkpoint", 9 * epoch)]  # int(950 / 100) updates an epoch
    expected += ["Optimization Finished!", ("test", 200, 27), f"Test Accuracy: {result.test_accuracy:.4f}"]
    assert events == expected


def test_a_log_folder_has_summaries_and_checkpoints(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = datasets.digits(n_train=200, n_validation=50, n_test=50)
    monkeypatch.setattr(datasets, "digits", lambda: digits)
    argv = ["book", "logistic", "--data", "digits", "--epochs", "7", "--logdir", str(tmp_path)]
    assert cli.main(argv) == 0
    names = sorted(path.name.partition(".")[0] for path in tmp_path.iterdir())
    assert names == [*(f"checkpoint-{step}" for step in (10, 12, 14, 6, 8)), "events"]
    restored = fnn.load_trainer(tmp_path)
    assert (restored.epoch, restored.step) == (7, 14)
    accuracy = restored.evaluate(digits.test.x, digits.test.y)["accuracy"]
    assert f"Test Accuracy: {accuracy:.4f}" in capsys.readouterr().out.splitlines()
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 2
    expected = "error: argument --logdir: must be a folder without checkpoints of another training, got "
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("result", ["cheque"], indirect=True)
def test_cheques(result: Result) -> None:
    misread = result.numbers["misread"]
    assert misread["the book's logistic regression"] == pytest.approx(0.287, abs=5e-4)
    before, after = misread["logistic regression, measured"], misread["multilayer perceptron, measured"]
    assert after < before / 2
    accuracy = result.numbers["accuracy"]["multilayer perceptron, measured"]
    assert after == pytest.approx(1 - accuracy**4)


@pytest.mark.parametrize("result", ["workflow"], indirect=True)
def test_each_branch_of_the_workflow(result: Result) -> None:
    assert result.numbers["branches"] == {
        "a hidden layer on XOR": "finished",
        "no hidden layer on XOR": "training stalled",
        "random labels": "validation stalled",
        "a test set from elsewhere": "test unsatisfactory",
    }


@pytest.mark.parametrize("result", ["operations"], indirect=True)
def test_every_class_of_operations_works(result: Result) -> None:
    assert len(result.numbers["works"]) == 7
    assert all(result.numbers["works"].values())


@pytest.mark.parametrize("result", ["production"], indirect=True)
def test_any_architecture_learns_and_leaves(result: Result) -> None:
    assert all(after < before / 1.5 for before, after in result.numbers["loss"].values())
    assert result.numbers["same_bits_in_c"] is True
    assert set(result.numbers["sizes"]) == {"c", "onnx", "safetensors"}
