"""Training as a user sees it: epochs and batches, history, callbacks, interruptions, and what is refused."""

from __future__ import annotations

import io
import math
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import _core
from fastnn import reference as ref

N = 95
X = _core.draw("normal", N * 12, 0.0, 1.0, 1, 0).reshape(N, 12)
Y = np.arange(N) * 7 % 5
OPTIMIZERS = [
    fnn.SGD(0.1),
    fnn.SGD(0.1, momentum=0.9),
    fnn.SGD(fnn.LinearWarmup(0.2, 3, 30), momentum=0.9, nesterov=True),
    fnn.Adam(0.01, weight_decay=0.1),
]


def make_trainer(
    optimizer: fnn.optimizers.Optimizer | None = None, *, loss: str = "softmax_cross_entropy", seed: int = 5
) -> fnn.Trainer:
    layers = [fnn.Dropout(0.9), fnn.Dense(20, "relu"), fnn.Dropout(0.5), fnn.Dense(5)]
    return fnn.Trainer(fnn.Network(12, layers, seed=seed), loss, optimizer or fnn.SGD(0.1))


def values(trainer: fnn.Trainer) -> list[NDArray[np.float32]]:
    return [variable.value for variable in trainer.network.variables.values()]


def bits(trainer: fnn.Trainer) -> bytes:
    return b"".join(value.tobytes() for value in values(trainer))


# ---- epochs and batches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_fit_goes_on_where_it_stopped(optimizer: fnn.optimizers.Optimizer, shuffle: bool) -> None:
    once, often = make_trainer(optimizer), make_trainer(optimizer)
    whole = once.fit(X, Y, epochs=5, batch_size=20, shuffle=shuffle)
    parts = [often.fit(X, Y, epochs=epochs, batch_size=20, shuffle=shuffle) for epochs in (1, 0, 3, 1)]
    assert bits(once) == bits(often)
    assert [part.epochs for part in parts] == [1, 0, 3, 1]
    for name in ("loss", "accuracy", "learning_rate"):
        assert often.history[name] == whole[name] == [value for part in parts if part.epochs for value in part[name]]
    assert (often.epoch, often.step) == (once.epoch, once.step) == (5, 25)


def test_a_threshold_predicts_but_does_not_train() -> None:
    net = fnn.Network(2, [fnn.Dense(1, "threshold", name="perceptron")])
    net.variables["perceptron/W"] = [[1], [1]]
    net.variables["perceptron/b"] = [-1.5]
    assert net([[0, 0], [0, 1], [1, 0], [1, 1]]).ravel().tolist() == [-1, -1, -1, 1]
    for train in (
        lambda: fnn.Trainer(net, "squared_error"),
        lambda: net.gradients([[1, 1]], [[1]], loss="squared_error"),
    ):
        with pytest.raises(ValueError, match=r"^layer 'perceptron' must have an activation with a slope to be trained"):
            train()


def test_an_epochs_order_is_the_permutation_of_its_number() -> None:
    shuffled, ordered = make_trainer(), make_trainer()
    assert shuffled.seed == shuffled.network.seed == 5
    shuffled.fit(X, Y, epochs=3, batch_size=20)
    for epoch in range(3):
        order = ref.permutation(N, 5, epoch)
        ordered.fit(X[order], Y[order], batch_size=20, shuffle=False)
    assert bits(shuffled) == bits(ordered)


def test_the_trainers_seed_is_of_its_own_streams() -> None:
    def trained(seed: Any) -> bytes:
        net = fnn.Network(12, [fnn.Dropout(0.5), fnn.Dense(5)], seed=5)
        trainer = fnn.Trainer(net, seed=seed)
        trainer.fit(X, Y, batch_size=20)
        return bits(trainer)

    assert trained(None) == trained(5) != trained(6)
    assert trained(np.random.SeedSequence(1)) == trained(np.random.SeedSequence(1))


def test_drop_last_leaves_the_ragged_batch_out() -> None:
    whole, dropped = make_trainer(), make_trainer()
    history = dropped.fit(X, Y, batch_size=20, shuffle=False, drop_last=True)
    assert whole.fit(X[:80], Y[:80], batch_size=20, shuffle=False)["loss"] == history["loss"]
    assert bits(whole) == bits(dropped)
    assert dropped.step == 4


@pytest.mark.parametrize("batch_size", [1, N, N + 1, 10**12])
def test_batch_sizes_at_the_ends(batch_size: int) -> None:
    trainer = make_trainer()
    assert math.isfinite(trainer.fit(X, Y, batch_size=batch_size)["loss"][0])
    assert trainer.step == (N if batch_size == 1 else 1)


def test_loss_weighs_rows_and_not_batches() -> None:
    """The ragged batch of 15 counts 15 rows: without dropout and at rate 1e-30 the epoch's mean is evaluate's."""
    net = fnn.Network(12, [fnn.Dense(5)], seed=1)
    trainer = fnn.Trainer(net, optimizer=fnn.SGD(1e-30))
    history = trainer.fit(X, Y, batch_size=20)
    expected = trainer.evaluate(X, Y)
    assert history["loss"][0] == pytest.approx(expected["loss"], rel=1e-12)
    assert history["accuracy"][0] == expected["accuracy"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_hot_rows_train_as_indices(optimizer: fnn.optimizers.Optimizer) -> None:
    indices, rows = make_trainer(optimizer), make_trainer(optimizer)
    histories = [each.fit(X, y, epochs=2, batch_size=20) for each, y in ((indices, Y), (rows, np.eye(5)[Y]))]
    assert bits(indices) == bits(rows)
    assert histories[0]["loss"] == histories[1]["loss"]
    assert histories[0]["accuracy"] == histories[1]["accuracy"]


@pytest.mark.parametrize("num_threads", [2, 3, 7])
def test_threads_change_no_bit(num_threads: int) -> None:
    one, many = make_trainer(OPTIMIZERS[1]), make_trainer(OPTIMIZERS[1])
    validation = (X[:40], Y[:40])
    a = one.fit(X, Y, epochs=2, batch_size=20, validation_data=validation, num_threads=1)
    b = many.fit(X, Y, epochs=2, batch_size=20, validation_data=validation, num_threads=num_threads)
    assert bits(one) == bits(many)
    assert all(a[name] == b[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy"))


def test_validation_changes_no_bit() -> None:
    with_it, without = make_trainer(), make_trainer()
    with_it.fit(X, Y, epochs=2, batch_size=20, validation_data=(X[:30], Y[:30]))
    without.fit(X, Y, epochs=2, batch_size=20)
    assert bits(with_it) == bits(without)


def test_steps_allocate_nothing() -> None:
    trainer = make_trainer()
    trainer.fit(X, Y, batch_size=20, validation_data=(X, Y))
    before = _core.alloc_count()
    trainer.fit(X, Y, batch_size=20, validation_data=(X, Y), epochs=20)
    assert _core.alloc_count() == before


# ---- history and callbacks -------------------------------------------------------------------------------------------


def test_history_of_a_classifier() -> None:
    trainer = make_trainer(fnn.SGD(fnn.StepDecay(0.5, 0.5, 5)))
    began = time.perf_counter()
    history = trainer.fit(X, Y, epochs=3, batch_size=20, validation_data=(X[:30], Y[:30]))
    elapsed = time.perf_counter() - began
    names = ["loss", "accuracy", "seconds", "samples_per_second", "learning_rate", "val_loss", "val_accuracy"]
    assert list(history) == names
    assert all(len(history[name]) == 3 for name in names)
    assert history["learning_rate"] == [0.5, 0.25, 0.125]
    assert 0 < sum(history["seconds"]) < elapsed
    assert history["samples_per_second"] == [N / seconds for seconds in history["seconds"]]
    final = trainer.evaluate(X[:30], Y[:30])
    assert (history["val_loss"][-1], history["val_accuracy"][-1]) == (final["loss"], final["accuracy"])


@pytest.mark.parametrize(("loss", "has_accuracy"), [("sigmoid_cross_entropy", True), ("squared_error", False)])
def test_history_of_other_losses(loss: str, has_accuracy: bool) -> None:
    trainer, y = make_trainer(loss=loss), np.eye(5)[Y]
    history = trainer.fit(X, y, validation_data=(X, y))
    assert ("accuracy" in history) == ("val_accuracy" in history) == has_accuracy
    assert set(trainer.evaluate(X, y)) == ({"loss", "accuracy"} if has_accuracy else {"loss"})


def test_history_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed")
    history = make_trainer().fit(X, Y, epochs=2, validation_data=(X, Y))
    figure, axes = history.plot()
    assert [list(line.get_ydata()) for line in axes[0].lines] == [history["loss"], history["val_loss"]]
    pyplot.close(figure)


class Recorder(fnn.Callback):
    def __init__(
        self, events: list[Any], name: str = "", stop_at: int | None = None, fail_at: int | None = None
    ) -> None:
        self.events, self.name, self.stop_at, self.fail_at = events, name, stop_at, fail_at

    def on_fit_begin(self, trainer: fnn.Trainer, epochs: int) -> None:
        self.events.append((self.name, "begin", epochs))

    def on_epoch_end(self, trainer: fnn.Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        self.events.append((self.name, epoch, trainer.step))
        assert trainer.history["loss"][-1] == logs["loss"]
        assert "val_loss" in logs
        if epoch == self.stop_at:
            trainer.stop()
        if epoch == self.fail_at:
            raise ZeroDivisionError

    def on_fit_end(self, trainer: fnn.Trainer) -> None:
        self.events.append((self.name, "end"))


def test_callbacks_run_in_order() -> None:
    events: list[Any] = []
    trainer, callbacks = make_trainer(), [Recorder(events, "a"), Recorder(events, "b")]
    for epochs in (2, 1):
        trainer.fit(X, Y, epochs=epochs, batch_size=50, validation_data=(X, Y), callbacks=callbacks)
    expected = [("begin", 2), (1, 2), (2, 4), ("end",), ("begin", 1), (3, 6), ("end",)]
    assert events == [(name, *event) for event in expected for name in "ab"]


def test_a_callback_may_stop_training() -> None:
    events: list[Any] = []
    trainer = make_trainer()
    history = trainer.fit(X, Y, epochs=9, validation_data=(X, Y), callbacks=[Recorder(events, stop_at=2)])
    assert history.epochs == trainer.epoch == 2
    assert events[-1] == ("", "end")
    assert trainer.fit(X, Y, epochs=2).epochs == 2  # the next fit is not stopped


def test_an_error_in_a_callback_ends_training() -> None:
    events: list[Any] = []
    trainer = make_trainer()
    with pytest.raises(ZeroDivisionError):
        trainer.fit(X, Y, epochs=9, validation_data=(X, Y), callbacks=[Recorder(events, fail_at=1)])
    assert events[-1] == ("", "end")
    assert trainer.history.epochs == 1
    trainer.fit(X, Y)


def test_no_epochs() -> None:
    events: list[Any] = []
    trainer = make_trainer()
    before = bits(trainer)
    history = trainer.fit(X, Y, epochs=0, callbacks=[Recorder(events)])
    assert (history.epochs, len(history), trainer.step, bits(trainer)) == (0, 0, 0, before)
    assert events == [("", "begin", 0), ("", "end")]


def test_the_base_callback_does_nothing() -> None:
    assert make_trainer().fit(X, Y, callbacks=[fnn.Callback()]).epochs == 1


# ---- divergence ------------------------------------------------------------------------------------------------------


def test_an_update_that_overflows_in_the_last_step_is_told() -> None:
    """The losses before each update are finite, the parameters after the last one are not."""
    trainer = fnn.Trainer(fnn.Network(3, [fnn.Dense(2)], seed=1), "squared_error", fnn.SGD(3e38))
    with pytest.raises(FloatingPointError, match=r"parameters are not finite after epoch 1, step 1\."):
        trainer.fit(np.ones((4, 3)), np.full((4, 2), 10.0))


@pytest.mark.parametrize("shuffle", [True, False])
def test_divergence_keeps_the_last_good_parameters(shuffle: bool) -> None:
    """The rate rises from step to step until a loss is not finite."""

    def make() -> fnn.Trainer:
        net = fnn.Network(12, [fnn.Dense(5, "tanh"), fnn.Dense(5)], seed=2)
        return fnn.Trainer(net, "squared_error", fnn.SGD(fnn.LinearWarmup(1e3, 100, 200)))

    targets, trainer = np.eye(5)[Y], make()
    with pytest.raises(FloatingPointError) as caught:
        trainer.fit(X, targets, epochs=9, batch_size=20, shuffle=shuffle)
    assert f"epoch {trainer.epoch}, step {trainer.step};" in str(caught.value)
    assert trainer.step > 5
    assert all(np.isfinite(value).all() for value in values(trainer))
    assert trainer.history.epochs == trainer.epoch - 1

    again = make()
    for step in range(trainer.step):  # one step at a time; an epoch has five
        epoch, batch = divmod(step, 5)
        order = ref.permutation(N, 2, epoch) if shuffle else np.arange(N)
        rows = order[20 * batch : 20 * (batch + 1)]
        again.fit(X[rows], targets[rows], batch_size=20, shuffle=False)
    assert bits(again) == bits(trainer)


def test_a_diverged_network_can_be_trained_again() -> None:
    trainer = make_trainer(loss="squared_error")
    x = X.copy()
    x[50, 3] = np.nan
    with pytest.raises(FloatingPointError, match="epoch 1, step 2;"):
        trainer.fit(x, np.eye(5)[Y], batch_size=20, shuffle=False)
    assert math.isfinite(trainer.fit(X, np.eye(5)[Y])["loss"][0])


# ---- interruption ----------------------------------------------------------------------------------------------------

INTERRUPTED = """
import signal, time
import numpy as np, fastnn as fnn
from tqdm import tqdm

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit SIG_IGN
net = fnn.Network(512, [fnn.Dense(1024, "relu"), fnn.Dense(1024, "relu"), fnn.Dense(10)], seed=0)
trainer = fnn.Trainer(net, optimizer=fnn.SGD(1e-3))
x, y = np.ones((50_000, 512), np.float32), np.zeros(50_000, int)
began = time.monotonic()
trainer.fit(x[:50], y[:50], batch_size=50)
print(time.monotonic() - began, flush=True)
try:
    trainer.fit(x, y, batch_size=50, epochs=1000, progress=True)
except KeyboardInterrupt:
    print(time.monotonic(), trainer.step, trainer.epoch)
assert not tqdm._instances, "the progress bar is open"
assert trainer.history.epochs == 1 and np.isfinite(net(x[:5])).all()
trainer.fit(x[:50], y[:50], batch_size=50)
print(trainer.step)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no POSIX signals")
def test_interruption(tmp_path: Path) -> None:
    """Ctrl-C is seen at a step border within 100 ms, or a step if that is longer.  900 ms more for a busy machine."""
    command = [sys.executable, "-P", "-c", INTERRUPTED]  # not the source folder's fastnn
    with (
        (tmp_path / "stderr").open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as child,
    ):
        watchdog = threading.Timer(60, child.kill)
        watchdog.start()
        try:
            assert child.stdout is not None
            step = float(child.stdout.readline())
            time.sleep(0.5)
            sent = time.monotonic()
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate()
        finally:
            watchdog.cancel()
            child.kill()
    shown = (tmp_path / "stderr").read_text()
    assert child.returncode == 0, shown
    seen, steps, epochs, steps_later = out.split()
    assert 0 < float(seen) - sent < max(0.1, step) + 0.9
    assert 1 < int(steps) < 1000
    assert epochs == "2"
    assert int(steps_later) == int(steps) + 1
    assert "steps" in shown
    assert "Error" not in shown


def test_training_in_another_thread() -> None:
    here, there = make_trainer(), make_trainer()
    worker = threading.Thread(target=there.fit, args=(X, Y), kwargs={"epochs": 3, "batch_size": 20})
    worker.start()
    worker.join()
    here.fit(X, Y, epochs=3, batch_size=20)
    assert bits(here) == bits(there)


def test_predicting_while_another_thread_trains() -> None:
    trainer = make_trainer()
    worker = threading.Thread(target=trainer.fit, args=(X, Y), kwargs={"epochs": 2000, "batch_size": 20})
    worker.start()
    while worker.is_alive():
        assert np.isfinite(trainer.network(X)).all()
    worker.join()
    assert trainer.epoch == 2000


# ---- the progress bar ------------------------------------------------------------------------------------------------


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("progress", "stderr", "is_shown"),
    [
        (True, io.StringIO, True),
        (False, Screen, False),
        ("auto", Screen, True),
        ("auto", io.StringIO, False),
        (np.True_, Screen, True),
    ],
)
def test_progress(monkeypatch: pytest.MonkeyPatch, progress: Any, stderr: Any, is_shown: bool) -> None:
    screen = stderr()
    monkeypatch.setattr(sys, "stderr", screen)
    make_trainer().fit(X, Y, epochs=2, batch_size=20, validation_data=(X, Y), progress=progress)
    shown = screen.getvalue()
    assert ("10/10" in shown) == is_shown
    assert is_shown or not shown


def test_progress_without_a_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert make_trainer().fit(X, Y).epochs == 1


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"epochs": -1}, ValueError, "epochs must be a non-negative integer, got -1"),
        ({"epochs": 1.5}, TypeError, "epochs must be a non-negative integer, got 1.5 (float)"),
        ({"batch_size": 0}, ValueError, "batch_size must be a positive integer, got 0"),
        ({"batch_size": "20"}, TypeError, "batch_size must be a positive integer, got '20' (str)"),
        (
            {"batch_size": 96, "drop_last": True},
            ValueError,
            "batch_size must be at most the 95 rows of x with drop_last",
        ),
        ({"shuffle": "yes"}, TypeError, "shuffle must be True or False, got 'yes' (str)"),
        ({"drop_last": 1}, TypeError, "drop_last must be True or False, got 1 (int)"),
        ({"num_threads": 0}, ValueError, "num_threads must be an integer from 1 to 256, got 0"),
        ({"num_threads": 257}, ValueError, "num_threads must be an integer from 1 to 256, got 257"),
        ({"num_threads": 2.0}, TypeError, "num_threads must be an integer from 1 to 256, got 2.0 (float)"),
        ({"progress": "yes"}, ValueError, "progress must be 'auto', True or False, got 'yes'"),
        ({"progress": 1}, TypeError, "progress must be 'auto', True or False, got 1 (int)"),
        ({"progress": None}, TypeError, "progress must be 'auto', True or False, got None"),
        ({"validation_data": X}, TypeError, "validation_data must be a pair (x, y)"),
        ({"validation_data": (X,)}, TypeError, "validation_data must be a pair (x, y)"),
        ({"validation_data": (X, Y[:3])}, ValueError, "validation_data y must have one entry for each of the 95 rows"),
        ({"validation_data": (X[:, 1:], Y)}, ValueError, "validation_data x must have shape (n, 12)"),
        ({"callbacks": fnn.Callback()}, TypeError, "callbacks must be a sequence of Callbacks"),
        ({"callbacks": [fnn.Callback]}, TypeError, "callbacks[0] must be a Callback"),
        ({"callbacks": [fnn.Callback(), print]}, TypeError, "callbacks[1] must be a Callback"),
    ],
)
def test_bad_arguments_of_fit(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    trainer = make_trainer()
    before = bits(trainer)
    with pytest.raises(kind, match=re.escape(message)):
        trainer.fit(X, Y, **arguments)
    assert (bits(trainer), trainer.epoch, trainer.history.epochs) == (before, 0, 0)


NET = fnn.Network(12, [fnn.Dense(5)])
FOLDED = fnn.Network(12, [fnn.Dense(5, "softmax")])
SQUASHED = fnn.Network(12, [fnn.Dense(5, "sigmoid")])


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((None,), TypeError, "network must be a Network, got None (NoneType)"),
        (([fnn.Dense(5)],), TypeError, "network must be a Network"),
        ((NET, "hinge"), ValueError, "loss must be one of 'softmax_cross_entropy'"),
        ((NET, 3), TypeError, "loss must be one of 'softmax_cross_entropy'"),
        ((NET, fnn.SquaredError), TypeError, "loss must be one of"),
        ((NET, "squared_error", 0.1), TypeError, "optimizer must be an SGD, an Adam or an RMSProp, got 0.1 (float)"),
        ((NET, "squared_error", fnn.SGD), TypeError, "optimizer must be an SGD, an Adam or an RMSProp, got <class"),
        ((FOLDED, "squared_error"), ValueError, "loss must be 'softmax_cross_entropy' for a last layer with softmax"),
        ((SQUASHED, "sigmoid_cross_entropy"), ValueError, "the last layer must have activation 'linear'"),
    ],
)
def test_bad_trainers(arguments: Any, kind: type[Exception], message: str) -> None:
    links = [net.link for net in (NET, FOLDED, SQUASHED)]
    with pytest.raises(kind, match=re.escape(message)):
        fnn.Trainer(*arguments)
    assert [net.link for net in (NET, FOLDED, SQUASHED)] == links
    with pytest.raises(TypeError, match="seed must be an integer"):
        fnn.Trainer(NET, seed="5")


def test_perf_says_where_the_seconds_went():
    x = np.random.default_rng(0).standard_normal((400, 30)).astype(np.float32)
    net = fnn.Network(30, [fnn.Dense(512, "relu", name="hidden"), fnn.Dense(4, name="output")], seed=0)
    trainer = fnn.Trainer(net)
    first = trainer.fit(x, np.arange(400) % 4, epochs=2, progress=False, num_threads=2)
    parts = ["forward", "backward input", "backward weights"]
    layers = [f"{layer} {part}" for layer in ("hidden", "output") for part in parts]
    assert list(first.perf) == ["input", "loss", "wait", *layers]
    assert first.perf["hidden backward input"] < first.perf["output backward input"]  # it has none
    assert 0 < sum(first.perf.values()) <= sum(first["seconds"])
    second = trainer.fit(x, np.arange(400) % 4, epochs=1, progress=False)
    assert trainer.history.perf["loss"] == pytest.approx(first.perf["loss"] + second.perf["loss"])
