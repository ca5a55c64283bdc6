"""Trainers as files: a training that was cut off and goes on gives the bits of one that never stopped."""

from __future__ import annotations

import inspect
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import _core, checkpoint

N = 95
X = _core.draw("normal", N * 12, 0.0, 1.0, 1, 0).reshape(N, 12)
Y = np.arange(N) * 7 % 5
V = (X[:40], Y[1:41])
OPTIMIZERS = [
    fnn.SGD(0.1),
    fnn.SGD(fnn.LinearWarmup(0.2, 3, 30), momentum=0.9, weight_decay=0.01),
    fnn.SGD(fnn.Warmup(fnn.PiecewiseConstant((7,), (0.1, 0.05)), 4), momentum=0.9, nesterov=True),
    fnn.Adam(0.01, beta1=0.8),
]


def make_trainer(optimizer: fnn.optimizers.Optimizer | None = None, **options: Any) -> fnn.Trainer:
    layers = [
        fnn.Dropout(0.9),
        fnn.Dense(20, "relu", name="a/hidden", constraint=fnn.MaxNorm(2.0)),
        fnn.Dropout(0.5),
        fnn.Dense(5),
    ]
    return fnn.Trainer(fnn.Network(12, layers, seed=5), optimizer=optimizer or OPTIMIZERS[1], **options)


def everything(trainer: fnn.Trainer) -> dict[str, Any]:
    """All that a training is, but for what clocks measured."""
    state = trainer._training.get_state()
    return {
        "values": {name: variable.value.tobytes() for name, variable in trainer.network.variables.items()},
        "frozen": [name for name, variable in trainer.network.variables.items() if not variable.trainable],
        "state": {name: [array.tobytes() for array in arrays] for name, arrays in state.items()},
        "history": {
            name: np.array(column).tobytes()
            for name, column in trainer.history.items()
            if name not in ("seconds", "samples_per_second")
        },
        "counters": (trainer.step, trainer.epoch, trainer.history.epochs, trainer.seed, trainer.network.seed),
        "arguments": trainer._arguments(),
        "layers": trainer.network.layers,
        "link": trainer.network.link,
    }


def fit(trainer: fnn.Trainer, epochs: int, **options: Any) -> fnn.History:
    return trainer.fit(X, Y, epochs=epochs, batch_size=20, validation_data=V, **options)


# ---- save and load ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("as_path", [Path, str])
def test_a_training_goes_on_as_if_it_had_never_stopped(
    tmp_path: Path, optimizer: fnn.optimizers.Optimizer, as_path: Any
) -> None:
    options = {"loss": "softmax_cross_entropy", "regularizer": fnn.L2(0.01), "seed": 2**64 - 1}
    whole, part, path = make_trainer(optimizer, **options), make_trainer(optimizer, **options), as_path(tmp_path / "t")
    fit(whole, 5)
    for _ in range(3):
        fit(part, 1)
        saved = everything(part)
        part.save(path)
        part = fnn.load_trainer(path)
        assert everything(part) == saved
    fit(part, 2)
    assert everything(part) == everything(whole)
    assert part.history.perf.keys() == whole.history.perf.keys()
    assert os.listdir(tmp_path) == ["t"]


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error"])
def test_a_trainer_that_never_ran(tmp_path: Path, loss: str) -> None:
    trainer = make_trainer(loss=loss)
    trainer.network.variables["a/hidden/W"].trainable = False
    trainer.save(tmp_path / "t")
    assert everything(fnn.load_trainer(tmp_path / "t")) == everything(trainer)


def test_every_argument_of_a_trainer_is_saved() -> None:
    """But where it is trained."""
    arguments = make_trainer()._arguments()
    assert set(inspect.signature(fnn.Trainer).parameters) == {"network", "towers", *arguments}


def test_the_file_is_one_of_the_network_too(tmp_path: Path) -> None:
    trainer = make_trainer()
    fit(trainer, 2)
    trainer.save(tmp_path / "t")
    net = fnn.load(tmp_path / "t")
    assert net.predict_proba(X).tobytes() == trainer.network.predict_proba(X).tobytes()
    assert {f"velocity:{name}" for name in net.variables} < set(safetensors.numpy.load_file(tmp_path / "t"))


def test_gaps_in_the_history_come_back(tmp_path: Path) -> None:
    trainer = make_trainer()
    trainer.fit(X, Y)
    fit(trainer, 1)
    trainer.history.append({"val_loss": np.inf, "mine": -0.0})
    trainer.save(tmp_path / "t")
    assert everything(fnn.load_trainer(tmp_path / "t"))["history"] == everything(trainer)["history"]


@dataclass(frozen=True, eq=False, repr=False)
class Hyperbola(fnn.schedules.Schedule):
    scale: float

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.scale / (1.0 + steps)


def test_schedules_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(fnn.SGD(Hyperbola(0.3)))
    fit(trainer, 1)
    trainer.save(tmp_path / "t")
    back = fnn.load_trainer(tmp_path / "t")
    assert back.optimizer == trainer.optimizer
    assert fit(back, 1)["learning_rate"] == fit(trainer, 1)["learning_rate"] == [np.float32(0.03)]
    monkeypatch.delitem(fnn._checks._classes, "schedule.hyperbola")
    with pytest.raises(ValueError, match=r"does not hold a whole training.*defined before, got 'schedule.hyperbola'"):
        fnn.load_trainer(tmp_path / "t")


class Nameless(fnn.schedules.Schedule):
    """No dataclass: nothing tells how to make it again."""

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.full(steps.shape, 0.1)


def test_what_json_cannot_describe_is_refused_before_training(tmp_path: Path) -> None:
    trainer = make_trainer(fnn.SGD(Nameless()))
    message = "optimizer must be a description of JSON values for a trainer to be saved, got SGD"
    with pytest.raises(TypeError, match=message):
        trainer.save(tmp_path / "t")
    with pytest.raises(TypeError, match=message):
        fit(trainer, 1, callbacks=[fnn.Checkpoint(tmp_path)])
    assert trainer.step == 0
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_trainers(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"path must name a saved trainer, got '.*nowhere': no such file"):
        fnn.load_trainer(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"folder must hold checkpoints, got .*: there are none"):
        fnn.load_trainer(tmp_path)
    make_trainer().network.save(tmp_path / "net")
    with pytest.raises(ValueError, match=r"saved trainer, got '.*net': a network alone, which load reads"):
        fnn.load_trainer(tmp_path / "net")
    safetensors.numpy.save_file({"a": np.ones(3)}, tmp_path / "other")
    with pytest.raises(ValueError, match="safetensors of something else"):
        fnn.load_trainer(tmp_path / "other")
    (tmp_path / "text").write_text("weights\n" * 100)
    with pytest.raises(ValueError, match=r"path must name a saved trainer, got .*text"):
        fnn.load_trainer(tmp_path / "text")


def rewritten(path: Path, changes: Mapping[str, Any], without: str = "") -> None:
    """A trainer's file with another description, or without a tensor, and a checksum that fits."""
    trainer = make_trainer()
    fit(trainer, 1)
    trainer.save(path)
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    del metadata["crc32"]
    text = json.loads(metadata["fastnn-trainer"]) | changes
    metadata["fastnn-trainer"] = json.dumps({key: value for key, value in text.items() if value is not None})
    tensors = {name: array for name, array in safetensors.numpy.load_file(path).items() if name != without}
    metadata["crc32"] = checkpoint._checksum(metadata, tensors)
    safetensors.numpy.save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("changes", "without", "message"),
    [
        ({"format_version": 2}, "", "has format version 2, this fastnn reads version 1"),
        ({"format_version": None}, "", "path must name a saved trainer, got"),
        ({"step": None}, "", "does not hold a whole training: 'step'"),
        ({"arguments": {"seed": -1}}, "", "does not hold a whole training: seed must be"),
        ({"arguments": {"velocity": 1}}, "", "does not hold a whole training: "),
        ({"arguments": {"loss": {"kind": "loss.hinge"}}}, "", "does not hold a whole training: config['kind']"),
        ({}, "velocity:a/hidden/W", "does not hold a whole training: 'velocity:a/hidden/W'"),
        ({}, "history:loss", "does not hold a whole training: 'history:loss'"),
        ({}, "a/hidden/W", "does not hold a whole network: 'a/hidden/W'"),
    ],
)
def test_files_with_something_missing(tmp_path: Path, changes: Any, without: str, message: str) -> None:
    rewritten(tmp_path / "t", changes, without)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        fnn.load_trainer(tmp_path / "t")
    assert str(tmp_path / "t") in str(caught.value)


def test_a_flipped_bit_is_seen_wherever_it_is(tmp_path: Path) -> None:
    trainer, path = make_trainer(), tmp_path / "t"
    fit(trainer, 1)
    trainer.save(path)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for at in [*range(0, header, 7), *range(header, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(ValueError, match=r"path must name|format version"):
            fnn.load_trainer(path)
    for size in (0, 7, header - 1, header, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match="path must name a saved trainer"):
            fnn.load_trainer(path)


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    trainer, path = make_trainer(), tmp_path / "t"
    trainer.save(path)
    old = path.read_bytes()
    fit(trainer, 1)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        trainer.save(path)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["t"]


def test_a_save_within_an_epoch_goes_on_with_the_next(tmp_path: Path) -> None:
    def save_and_fail(trainer: fnn.Trainer, step: int) -> None:
        trainer.save(tmp_path / "t")
        raise KeyboardInterrupt

    trainer = make_trainer()
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, 3, callbacks=[fnn.EveryNSteps(7, save_and_fail)])
    back = fnn.load_trainer(tmp_path / "t")
    assert (back.step, back.epoch, back.history.epochs) == (7, 2, 1)
    fit(trainer, 2)
    fit(back, 2)
    assert everything(back) == everything(trainer)
    assert (back.step, back.epoch) == (17, 4)


# ---- states of callbacks ---------------------------------------------------------------------------------------------


class Counter(fnn.Callback):
    def __init__(self, by: int) -> None:
        self.n, self.by, self.seen = 0, by, np.zeros((0, 2), np.int16)

    def on_epoch_end(self, trainer: fnn.Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        self.n += self.by
        self.seen = np.vstack([self.seen, [[epoch, self.by]]]).astype(np.int16)

    def state(self) -> Mapping[str, Any]:
        return {"n": self.n, "seen": self.seen}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.n, self.seen = state["n"], state["seen"]


def test_callbacks_take_the_states_of_their_class_by_their_order(tmp_path: Path) -> None:
    trainer = make_trainer()
    fit(trainer, 2, callbacks=[Counter(1), fnn.Callback(), Counter(10)])
    trainer.save(tmp_path / "t")
    back = fnn.load_trainer(tmp_path / "t")
    back.save(tmp_path / "t")  # not lost before they are taken
    back = fnn.load_trainer(tmp_path / "t")
    with pytest.raises(TypeError, match="epochs"):
        fit(back, "one", callbacks=[Counter(1)])  # type: ignore[arg-type]
    first, second, third = Counter(1), Counter(10), Counter(100)
    fit(back, 1, callbacks=[fnn.Callback(), first, second, third])
    assert [each.n for each in (first, second, third)] == [3, 30, 100]
    assert second.seen.tolist() == [[1, 10], [2, 10], [3, 10]]
    again = Counter(1)
    fit(back, 1, callbacks=[again])
    assert again.n == 1  # a state is taken once


def test_a_state_that_json_cannot_hold(tmp_path: Path) -> None:
    trainer, counter = make_trainer(), Counter(1)
    counter.by = 1j  # type: ignore[assignment]
    fit(trainer, 0, callbacks=[counter])
    counter.n = {1, 2}  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"state\(\) of Counter must give JSON values and NumPy arrays"):
        trainer.save(tmp_path / "t")


@pytest.mark.parametrize("saver_is_first", [True, False])
@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5, 6])
def test_early_stopping_survives_a_cut(tmp_path: Path, cut: int, saver_is_first: bool) -> None:
    """Patience and best parameters; saved in on_checkpoint, which comes after all callbacks have counted the epoch."""

    def callbacks(folder: str) -> list[fnn.Callback]:
        both = [fnn.Checkpoint(tmp_path / folder, keep=None), fnn.EarlyStopping("val_loss", patience=3)]
        return both if saver_is_first else both[::-1]

    whole = make_trainer(fnn.SGD(0.05, momentum=0.9))
    assert fit(whole, 30, callbacks=callbacks("whole")).epochs == 6, "the test needs a training that stops there"
    (tmp_path / "part").mkdir()
    name = f"checkpoint-{5 * cut}.safetensors"
    (tmp_path / "part" / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    part = fnn.load_trainer(tmp_path / "part")
    fit(part, 30 - part.epoch, callbacks=callbacks("part"))
    assert everything(part) == everything(whole)


# ---- checkpoints -----------------------------------------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_the_latest_are_kept_and_named_with_the_step(tmp_path: Path) -> None:
    trainer, folder = make_trainer(), tmp_path / "runs" / "a"
    fit(trainer, 7, callbacks=[fnn.Checkpoint(folder)])
    assert names(folder) == sorted(f"checkpoint-{step}.safetensors" for step in (15, 20, 25, 30, 35))
    assert fnn.Checkpoint.latest(folder) == str(folder / "checkpoint-35.safetensors")
    assert everything(fnn.load_trainer(folder)) == everything(trainer)
    assert fnn.load_trainer(folder / "checkpoint-15.safetensors").epoch == 3
    with pytest.raises(FileNotFoundError, match=r"folder must hold best.safetensors"):
        fnn.Checkpoint.best(folder)
    fit(trainer, 1, callbacks=[fnn.Checkpoint(folder, keep=1)])
    assert names(folder) == ["checkpoint-40.safetensors"]


@pytest.mark.parametrize("parts", [[8], [3, 5], [1] * 8])
@pytest.mark.parametrize(
    ("monitor", "best", "rate"),
    [("val_loss", min, 0.05), ("val_accuracy", max, 0.05), ("learning_rate", max, fnn.LinearWarmup(0.1, 10, 40))],
)
def test_the_best_is_kept(tmp_path: Path, monitor: str, best: Any, rate: Any, parts: list[int]) -> None:
    trainer = make_trainer(fnn.SGD(rate, momentum=0.9))
    mode = "max" if monitor == "learning_rate" else "auto"
    for epochs in parts:
        fit(trainer, epochs, callbacks=[fnn.Checkpoint(tmp_path, keep=2, monitor=monitor, mode=mode)])
    values = trainer.history[monitor]
    expected = values.index(best(values)) + 1
    assert 1 < expected < 8, "the test needs a best in between"
    assert fnn.load_trainer(fnn.Checkpoint.best(tmp_path)).epoch == expected
    assert names(tmp_path) == ["best.safetensors", "checkpoint-35.safetensors", "checkpoint-40.safetensors"]


def test_a_kill_before_the_best_was_written_is_made_good(tmp_path: Path) -> None:
    trainer = make_trainer(fnn.SGD(0.1))
    fit(trainer, 1, callbacks=[fnn.Checkpoint(tmp_path, monitor="loss")])
    fit(trainer, 1, callbacks=[fnn.Checkpoint(tmp_path)])
    (tmp_path / ".best.safetensors.x1").write_bytes(b"half")
    (tmp_path / ".checkpoint-10.safetensors.x1").write_bytes(b"half")
    assert trainer.history["loss"][1] < trainer.history["loss"][0]
    fit(fnn.load_trainer(tmp_path), 0, callbacks=[fnn.Checkpoint(tmp_path, monitor="loss")])
    assert fnn.load_trainer(fnn.Checkpoint.best(tmp_path)).epoch == 2
    assert names(tmp_path) == ["best.safetensors", "checkpoint-10.safetensors", "checkpoint-5.safetensors"]


def test_the_best_alone_is_gone_on_from(tmp_path: Path) -> None:
    monitored = fnn.Checkpoint(tmp_path, monitor="learning_rate", mode="min")
    fit(make_trainer(), 3, callbacks=[monitored])
    for path in tmp_path.glob("checkpoint-*"):
        path.unlink()
    trainer = fnn.load_trainer(fnn.Checkpoint.best(tmp_path))
    fit(trainer, 1, callbacks=[monitored])
    assert names(tmp_path) == ["best.safetensors", f"checkpoint-{trainer.step}.safetensors"]


@pytest.mark.parametrize("left", ["best.safetensors", "checkpoint-10.safetensors"])
def test_a_folder_of_another_training_is_left_alone(tmp_path: Path, left: str) -> None:
    fit(make_trainer(), 2, callbacks=[fnn.Checkpoint(tmp_path, monitor="learning_rate", mode="min")])
    for name in set(os.listdir(tmp_path)) - {left}:
        os.unlink(tmp_path / name)
    before = (tmp_path / left).read_bytes()
    trainer = make_trainer()
    fit(trainer, 1)
    with pytest.raises(ValueError, match=r"at step 5, got .* with checkpoints up to step 10: go on with load_trainer"):
        fit(trainer, 1, callbacks=[fnn.Checkpoint(tmp_path, keep=1)])
    assert names(tmp_path) == [left]
    assert (tmp_path / left).read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"folder": 3}, TypeError, "folder must be a folder's path, got 3"),
        ({"keep": 0}, ValueError, "keep must be a positive integer, got 0"),
        ({"monitor": 3}, TypeError, "monitor must be a name in the history"),
        ({"monitor": "speed"}, ValueError, "mode must be 'min' or 'max' for monitor 'speed'"),
        ({"monitor": "loss", "mode": "most"}, ValueError, "mode must be one of 'auto', 'min', 'max', got 'most'"),
    ],
)
def test_bad_checkpoints(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        fnn.Checkpoint(**{"folder": "runs"} | arguments)


def test_nothing_of_the_monitors_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"monitor must be one of 'loss', .*got 'val_loss'; it needs validation_data"):
        make_trainer().fit(X, Y, callbacks=[fnn.Checkpoint(tmp_path, monitor="val_loss")])


# ---- killed ----------------------------------------------------------------------------------------------------------

EPOCHS = 100
TRAINING = """
import os, signal, sys
import numpy as np, fastnn as fnn
from fastnn import _core

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit SIG_IGN
folder = sys.argv[1]
x = _core.draw("normal", 2000 * 30, 0.0, 1.0, 1, 0).reshape(2000, 30)
y = (np.arange(2000) * 7 % 5)
if os.path.isdir(folder) and os.listdir(folder) and any(n.startswith("checkpoint") for n in os.listdir(folder)):
    trainer = fnn.load_trainer(folder)
else:
    layers = [fnn.Dropout(0.9), fnn.Dense(64, "relu"), fnn.Dropout(0.5), fnn.Dense(5)]
    trainer = fnn.Trainer(fnn.Network(30, layers, seed=1), optimizer=fnn.Adam(0.001))
print(trainer.epoch, flush=True)
stopping = fnn.EarlyStopping("val_loss", patience=70)
callbacks = [fnn.Checkpoint(folder, keep=3, monitor="val_loss"), stopping]
trainer.fit(x, y, epochs=int(sys.argv[2]) - trainer.epoch, validation_data=(x[:200], y[1:201]), callbacks=callbacks)
trainer.save(os.path.join(folder, "final"))
"""


def train(folder: Path, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", TRAINING, str(folder), str(EPOCHS)]  # not the source folder's fastnn
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finish(folder: Path) -> dict[str, Any]:
    child = train(folder)
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors
    trainer = fnn.load_trainer(folder / "final")
    ((_, state),) = trainer._states()
    stopping = {key: value.tobytes() if isinstance(value, np.ndarray) else value for key, value in state.items()}
    return everything(trainer) | {
        "stopping": stopping,
        "best": everything(fnn.load_trainer(fnn.Checkpoint.best(folder))),
        "files": names(folder),
    }


@pytest.mark.skipif(sys.platform == "win32", reason="there are no POSIX signals")
@pytest.mark.parametrize(
    ("kills", "by"),
    [(3, "SIGKILL"), (1, "SIGINT"), pytest.param(20, "SIGKILL", marks=pytest.mark.slow)],
)
def test_killed_trainings_lose_nothing(tmp_path: Path, kills: int, by: str) -> None:
    """Killed at random moments, a training leaves checkpoints that all load, and goes on to the same end."""
    random.seed(kills)
    began = time.monotonic()
    expected = finish(tmp_path / "whole")
    took, folder = time.monotonic() - began, tmp_path / "killed"
    epochs = []
    for _ in range(kills):
        child = train(folder)
        assert child.stdout is not None
        epochs.append(int(child.stdout.readline()))
        time.sleep(random.uniform(0, took / (kills + 2)))
        child.send_signal(getattr(signal, by))
        child.communicate(timeout=60)
        if child.returncode == 0:
            break  # it was faster
        saved = [name for name in names(folder) if not name.startswith(".")] if folder.is_dir() else []
        steps = [fnn.load_trainer(folder / name).step for name in saved if name.startswith("checkpoint")]
        assert len(steps) <= 4, "one more than are kept"
        assert all(fnn.load_trainer(folder / name).epoch > 0 for name in saved)
        assert not epochs[-1] or steps, "there were checkpoints, now there are none"
    assert finish(folder) == expected
    assert epochs == sorted(epochs)


def test_a_training_of_shared_layers_goes_on(tmp_path: Path) -> None:
    def made() -> fnn.Trainer:
        twice = fnn.Dense(12, "tanh", name="twice")
        net = fnn.Network(784, [fnn.Dense(12, "relu"), twice, twice, fnn.Dense(10)], seed=1)
        return fnn.Trainer(net, optimizer=fnn.SGD(0.1, momentum=0.9))

    x, y = fnn.datasets.synthetic_digits(200).x, fnn.datasets.synthetic_digits(200).y
    straight, stopped = made(), made()
    straight.fit(x, y, epochs=2)
    stopped.fit(x, y, epochs=1)
    stopped.save(tmp_path / "t.safetensors")
    going_on = fnn.load_trainer(tmp_path / "t.safetensors")
    going_on.fit(x, y, epochs=1)
    for name, variable in straight.network.variables.items():
        assert np.array_equal(variable.value, going_on.network.variables[name].value), name
