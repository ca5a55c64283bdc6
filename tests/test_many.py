"""Many networks at once: the bits of each alone, what they share, and what happens to the others when one fails."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _fit, _many
from sameness import assert_same_history, assert_same_state

RANDOM = np.random.default_rng(4)
N, N_IN, N_OUT = 230, 12, 5
X = (RANDOM.integers(0, 256, (N, N_IN)) * (RANDOM.random((N, N_IN)) < 0.3)).astype(np.uint8)  # worth skipping zeros
Y = RANDOM.integers(0, N_OUT, N)
ONE_HOT = np.eye(N_OUT, dtype=np.float32)[Y]
VALIDATION = X[:70], Y[:70]


def network(units: int = 20, seed: int = 0, rescaling: Any = None) -> fnn.Network:
    rescaling = rescaling or fnn.Rescaling(1 / 255)
    return fnn.Network(N_IN, [rescaling, fnn.Dense(units, "relu"), fnn.Dropout(0.8), fnn.Dense(N_OUT)], seed=seed)


def sweep() -> list[fnn.Trainer]:
    """Widths, seeds, optimisers and all else that may differ."""
    return [
        fnn.Trainer(network(), optimizer=fnn.SGD(0.1)),
        fnn.Trainer(network(33, seed=1), optimizer=fnn.SGD(fnn.StepDecay(0.1, 0.5, 10), momentum=0.9, nesterov=True)),
        fnn.Trainer(network(7, seed=2), optimizer=fnn.Adam(0.01), regularizer=fnn.L2(1e-3)),
        fnn.Trainer(network(16, seed=0), optimizer=fnn.RMSProp(0.01), clip_norm=0.5, seed=9),
        fnn.Trainer(
            network(20, seed=0, rescaling=fnn.Rescaling(1 / 100, -1)), reduction="sum", optimizer=fnn.SGD(1e-3)
        ),
        fnn.Trainer(fnn.Network(N_IN, [fnn.Dense(N_OUT)], seed=3), optimizer=fnn.SGD(1e-4)),
    ]


def check_equal(many: list[fnn.Trainer], alone: list[fnn.Trainer]) -> None:
    for one, other in zip(many, alone, strict=True):
        assert_same_state(one, other)
        assert one.epoch == other.epoch
        assert_same_history(one.history, other.history)


def check(trainers: Any = sweep, x: Any = X, y: Any = Y, n: int | None = None, **fit: Any) -> None:
    many, alone = trainers(), trainers()
    fit = {"epochs": 3, "batch_size": 20} | fit
    histories = fnn.fit_many(many, x, y, num_threads=n, **fit)
    for trainer, history in zip(alone, histories, strict=True):
        assert_same_history(history, trainer.fit(x, y, **fit))
    check_equal(many, alone)


# ---- the same bits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 20, None])
def test_each_has_the_bits_of_fit_alone(n: int | None) -> None:
    check(n=n)


@pytest.mark.parametrize(
    "fit",
    [
        {"validation_data": VALIDATION, "metrics": ["top_2_accuracy"]},
        {"shuffle": False, "drop_last": True, "batch_size": 50},
        {"sample_weight": np.linspace(0, 2, N), "class_weight": {1: 3.0}},
        {"target_accuracy": 0.3, "epochs": 20},
        {"epochs": 0},
        {"batch_size": 10**6},
    ],
    ids=lambda fit: ",".join(fit),
)
def test_with_all_that_fit_takes(fit: dict[str, Any]) -> None:
    check(n=2, **fit)


def test_losses_may_differ() -> None:
    def trainers() -> list[fnn.Trainer]:
        losses = ["softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error", fnn.losses.Huber(0.5)]
        return [fnn.Trainer(network(seed=i), loss) for i, loss in enumerate(losses)]

    check(trainers, y=ONE_HOT, validation_data=(X, ONE_HOT))


def test_a_loss_of_ones_own() -> None:
    def quarter_error(outputs: Any, targets: Any) -> Any:
        error = outputs - targets
        return 0.25 * (error**4).sum(axis=1), error**3 / len(outputs)

    check(lambda: [fnn.Trainer(network(seed=i), fnn.losses.CustomLoss(quarter_error)) for i in range(3)], y=ONE_HOT)


def test_sparse_data() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    check(lambda: [trainer for trainer in sweep() if trainer.network.layers[0] != fnn.Rescaling(1 / 100, -1)],
          x=sparse.csr_array(X), n=2)  # fmt: skip


def test_a_file_larger_than_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    check(x=x, validation_data=(x, Y), metrics=["top_2_accuracy"], n=2)


def test_it_goes_on() -> None:
    many, alone = sweep(), sweep()
    first = fnn.fit_many(many, X, Y, epochs=2, num_threads=2)
    second = fnn.fit_many(many, X, Y, epochs=1, num_threads=2)
    for trainer in alone:
        trainer.fit(X, Y, epochs=3)
    check_equal(many, alone)
    assert [history.epochs for history in first + second] == [2] * len(many) + [1] * len(many)


# ---- what they share, and how many work ------------------------------------------------------------------------------


def test_data_is_taken_once_for_all_that_read_it_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    rows_of = _fit.rows_of

    def counted(network: Any, loss: Any, x: Any, y: Any, x_name: str, *others: Any) -> Any:
        taken.append(x_name)
        return rows_of(network, loss, x, y, x_name, *others)

    monkeypatch.setattr(_fit, "rows_of", counted)
    alike = [fnn.Trainer(network(units, seed=1), optimizer=fnn.SGD(0.1)) for units in (3, 17, 40)]
    fnn.fit_many(alike, X, Y, validation_data=VALIDATION)
    assert taken == ["x", "validation_data x"]
    taken.clear()
    fnn.fit_many([*alike, fnn.Trainer(network(rescaling=fnn.Rescaling(2.0)))], X, Y)
    assert taken == ["x", "x"]


class Counted(fnn.Callback):
    """Counts the trainings that are under way, and has each wait for so many."""

    lock, now, most = threading.Lock(), 0, 0

    def __init__(self, met: threading.Barrier) -> None:
        self.met = met

    def on_fit_begin(self, trainer: fnn.Trainer, epochs: int) -> None:
        with Counted.lock:
            Counted.now += 1
            Counted.most = max(Counted.most, Counted.now)
        self.met.wait(60)

    def on_fit_end(self, trainer: fnn.Trainer) -> None:
        with Counted.lock:
            Counted.now -= 1


def test_so_many_at_a_time() -> None:
    Counted.most = 0
    met = threading.Barrier(2)
    trainers = [fnn.Trainer(network(seed=i)) for i in range(6)]
    fnn.fit_many(trainers, X, Y, callbacks=[[Counted(met)] for _ in trainers], num_threads=2)
    assert Counted.most == 2


@pytest.mark.parametrize(("n", "each"), [(1, 1), (2, 1), (5, 1), (6, 2), (13, 4)])
def test_threads_of_each(n: int, each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = set()
    threads = fnn.Network._threads

    def noted(self: fnn.Network, n_batch: int, num_threads: int | None, limit: int | None = None) -> int:
        limits.add((num_threads, limit))
        return threads(self, n_batch, num_threads, limit)

    trainers = [fnn.Trainer(network(seed=i)) for i in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr(fnn.Network, "_threads", noted)
        fnn.fit_many(trainers, X, Y, num_threads=n)
    assert limits == {(None, each)}


# ---- callbacks and ends ----------------------------------------------------------------------------------------------


class Log(fnn.Callback):
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def on_fit_begin(self, trainer: fnn.Trainer, epochs: int) -> None:
        self.calls.append((trainer, epochs))

    def on_epoch_end(self, trainer: fnn.Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        self.calls.append((trainer, epoch))
        if epoch == 2:
            trainer.stop()

    def on_fit_success(self, trainer: fnn.Trainer) -> None:
        self.calls.append((trainer, "success"))

    def on_fit_end(self, trainer: fnn.Trainer) -> None:
        self.calls.append((trainer, "end"))


def test_callbacks_of_each() -> None:
    many, alone = sweep(), sweep()
    stopping = [[fnn.EarlyStopping(patience=1)] for _ in many]
    fit = {"epochs": 12, "batch_size": 10, "validation_data": VALIDATION}
    fnn.fit_many(many, X, Y, callbacks=stopping, num_threads=2, **fit)  # type: ignore[arg-type]
    for trainer in alone:
        trainer.fit(X, Y, callbacks=[fnn.EarlyStopping(patience=1)], **fit)  # type: ignore[arg-type]
    check_equal(many, alone)
    assert len({trainer.epoch for trainer in many}) > 1

    logs = [Log() for _ in many]
    fresh = sweep()
    histories = fnn.fit_many(fresh, X, Y, epochs=3, callbacks=[[log] for log in logs])
    assert [history.epochs for history in histories] == [2] * len(fresh)
    for trainer, log in zip(fresh, logs, strict=True):
        assert log.calls == [(trainer, 3), (trainer, 1), (trainer, 2), (trainer, "success"), (trainer, "end")]


def test_the_time_of_each_begins_with_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(fnn.Callback):
        """Of which an epoch takes a second."""

        now = 100.0

        def on_epoch_end(self, trainer: fnn.Trainer, epoch: int, logs: Mapping[str, float]) -> None:
            Clock.now += 1.0

    clock = SimpleNamespace(monotonic=lambda: Clock.now)
    monkeypatch.setattr(_fit, "time", clock)
    monkeypatch.setattr(_many, "time", clock)
    trainers = [fnn.Trainer(network(seed=i)) for i in range(3)]
    clocks = [[Clock()] for _ in trainers]
    histories = fnn.fit_many(trainers, X, Y, epochs=9, max_seconds=2, callbacks=clocks, num_threads=1)
    assert [history.epochs for history in histories] == [2, 2, 2]


def diverging(seed: int) -> fnn.Trainer:
    """In its second epoch of 12 steps."""
    rates = fnn.PiecewiseConstant([12], [0.1, 1e30])
    return fnn.Trainer(network(seed=seed), optimizer=fnn.SGD(rates))


def test_one_that_diverges_does_not_stop_the_others() -> None:
    def trainers() -> list[fnn.Trainer]:
        return [fnn.Trainer(network(seed=0)), diverging(1), fnn.Trainer(network(seed=2)), diverging(3)]

    many, alone = trainers(), trainers()
    with pytest.raises(
        FloatingPointError, match=r"(?s)^trainers\[1\]: training diverged: .*\ntrainers\[3\]: training d"
    ):
        fnn.fit_many(many, X, Y, epochs=3, batch_size=20, num_threads=2)
    for trainer in alone[::2]:
        trainer.fit(X, Y, epochs=3, batch_size=20)
    for trainer in alone[1::2]:
        with pytest.raises(FloatingPointError, match=r"^training diverged"):
            trainer.fit(X, Y, epochs=3, batch_size=20)
    check_equal(many, alone)
    assert [trainer.history.epochs for trainer in many] == [3, 1, 3, 1]


class Failing(fnn.Callback):
    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def on_epoch_end(self, trainer: fnn.Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        if self.error is not None and epoch == 2:
            raise self.error


def test_an_exception_of_a_callback() -> None:
    trainers = [fnn.Trainer(network(seed=i)) for i in range(4)]
    error = OSError(28, "no space")
    failing = [[Failing(error if i == 2 else None)] for i in range(4)]
    with pytest.raises(OSError, match="no space") as raised:
        fnn.fit_many(trainers, X, Y, epochs=4, callbacks=failing, num_threads=2)
    assert raised.value is error
    assert error.__notes__ == ["in the fit of trainers[2]"]
    assert [trainer.epoch for trainer in trainers] == [4, 4, 2, 4]


def test_several_exceptions() -> None:
    trainers = [fnn.Trainer(network(seed=0)), diverging(1), fnn.Trainer(network(seed=2))]
    errors = [KeyError("a"), None, KeyError("c")]
    with pytest.raises(ExceptionGroup, match=r"^3 trainings ended with exceptions") as raised:
        fnn.fit_many(trainers, X, Y, epochs=4, batch_size=20, callbacks=[[Failing(each)] for each in errors])
    kinds = [type(each) for each in raised.value.exceptions]
    assert kinds == [KeyError, FloatingPointError, KeyError]
    notes = [each.__notes__ for each in raised.value.exceptions]
    assert notes == [[f"in the fit of trainers[{i}]"] for i in range(3)]


def test_a_callback_that_ends_the_process_stops_all() -> None:
    trainers = [fnn.Trainer(network(seed=i)) for i in range(3)]
    failing = [[Failing(SystemExit(3) if i == 0 else None)] for i in range(3)]
    with pytest.raises(SystemExit):
        fnn.fit_many(trainers, X, Y, epochs=100_000, callbacks=failing, num_threads=2)
    assert trainers[0].epoch == 2
    assert trainers[1].epoch < 100_000
    fnn.fit_many(trainers, X, Y)


INTERRUPTED = """
import signal, sys, time
import numpy as np, fastnn as fnn
from tqdm import tqdm

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit SIG_IGN

class Begun(fnn.Callback):
    count = 0

    def on_fit_begin(self, trainer, epochs):
        Begun.count += 1

nets = [fnn.Network(512, [fnn.Dense(1024, "relu"), fnn.Dense(1024, "relu"), fnn.Dense(10)], seed=i) for i in range(4)]
trainers = [fnn.Trainer(net) for net in nets]
x, y = np.ones((50_000, 512), np.float32), np.zeros(50_000, int)
print("ready", flush=True)
try:
    fnn.fit_many(trainers, x, y, batch_size=50, callbacks=[[Begun()] for _ in trainers], num_threads=2, progress=True)
except KeyboardInterrupt:
    print(time.monotonic(), Begun.count, *(trainer.step for trainer in trainers))
assert not tqdm._instances, "the progress bar is open"
assert all(np.isfinite(trainer.network.get_flat()).all() for trainer in trainers)
fnn.fit_many(trainers, x[:50], y[:50], batch_size=50)
print(*(trainer.step for trainer in trainers))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no POSIX signals")
def test_interruption() -> None:
    """All stop at a step border within 100 ms, 2 s more for a busy machine; those whose turn is to come never begin."""
    command = [sys.executable, "-P", "-c", INTERRUPTED]  # not the source folder's fastnn
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        watchdog = threading.Timer(120, child.kill)
        watchdog.start()
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(1.0)
            sent = time.monotonic()
            child.send_signal(signal.SIGINT)
            out, shown = child.communicate()
        finally:
            watchdog.cancel()
            child.kill()
    assert child.returncode == 0, shown
    first, second = out.splitlines()
    seen, begun, *steps = first.split()
    assert 0 < float(seen) - sent < 2.1
    assert begun == "2"
    assert all(int(step) > 0 for step in steps[:2])
    assert steps[2:] == ["0", "0"]
    assert second.split() == [str(int(step) + 1) for step in steps]
    assert "Error" not in shown


def test_progress_is_over_all_epochs(capfd: pytest.CaptureFixture[str]) -> None:
    trainers = [fnn.Trainer(network(seed=i)) for i in range(3)]
    fnn.fit_many(trainers, X, Y, epochs=4, progress=True)
    shown = capfd.readouterr().err
    assert "12/12" in shown
    assert "trained=3/3" in shown
    fnn.fit_many(trainers, X, Y, epochs=4)
    assert capfd.readouterr().err == ""


# ---- what is refused -------------------------------------------------------------------------------------------------


def trainer_of(n_in: int, last: fnn.Dense) -> fnn.Trainer:
    return fnn.Trainer(fnn.Network(n_in, [fnn.Rescaling(1 / 255), last]))


def pair() -> list[fnn.Trainer]:
    return [fnn.Trainer(network(seed=0)), fnn.Trainer(network(seed=1))]


@pytest.mark.parametrize(
    ("trainers", "fit", "error", "message"),
    [
        (iter([]), {}, TypeError, "trainers must be a sequence of Trainers, got <"),
        ([], {}, ValueError, "trainers must be at least one Trainer, got []"),
        ([*pair(), None], {}, TypeError, "trainers[2] must be a Trainer, got None (NoneType)"),
        (pair(), {"epochs": -1}, ValueError, "epochs must be a non-negative integer, got -1"),
        (pair(), {"num_threads": 0}, ValueError, "num_threads must be an integer from 1 to 256, got 0"),
        (pair(), {"progress": 3}, TypeError, "progress must be 'auto', True or False, got 3 (int)"),
        (pair(), {"metrics": ["r2"]}, ValueError, "metrics must come with validation_data"),
        (pair(), {"x": X[:, :3]}, ValueError, "trainers[0]: x must have shape (n, 12), got (230, 3)"),
        (pair(), {"batch_size": 300, "drop_last": True}, ValueError, "trainers[0]: batch_size must be at most the 230"),
        (pair(), {"callbacks": 3}, TypeError, "callbacks must be None or a sequence of Callbacks for each of the"),
        (pair(), {"callbacks": [[]]}, ValueError, "callbacks must be None or a sequence of Callbacks for each of"),
        (pair(), {"callbacks": [[], Log()]}, TypeError, "callbacks[1] must be a sequence of Callbacks, got <"),
        (pair(), {"callbacks": [[], [3]]}, TypeError, "callbacks[1][0] must be a Callback, got 3 (int)"),
        (pair(), {"callbacks": [[Log()]] * 2}, ValueError, "callbacks[1] must have objects of its own, got one of"),
        (
            [*pair(), trainer_of(N_IN + 1, fnn.Dense(5))],
            {}, ValueError, "trainers[2]: x must have shape (n, 13), got (230, 12)",
        ),
        (
            [*pair(), trainer_of(N_IN, fnn.Dense(3))],
            {}, ValueError, "trainers[2]: y must hold class indices in [0, 2], got ",
        ),
        (
            [*pair(), fnn.Trainer(network(), "squared_error")],
            {}, ValueError, "trainers[2]: y must have shape (n, 5) for squared_error, got (230,)",
        ),
        (
            [*pair(), fnn.Trainer(network(), "squared_error")],
            {"y": ONE_HOT, "target_accuracy": 0.5}, ValueError, "trainers[2]: target_accuracy must be None for loss 's",
        ),
        (
            [*pair(), trainer_of(N_IN, fnn.Dense(5, initializer=None, name="a"))],
            {}, RuntimeError, "trainers[2]: variable 'a/W' must be initialised before it is used",
        ),
    ],
)  # fmt: skip
def test_refused(trainers: Any, fit: dict[str, Any], error: type[Exception], message: str) -> None:
    fit = {"x": X, "y": Y} | fit
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        fnn.fit_many(trainers, fit.pop("x"), fit.pop("y"), **fit)
    if isinstance(trainers, list):
        assert all(trainer is None or trainer.step == 0 for trainer in trainers)


def test_networks_must_not_share_variables() -> None:
    shared, scope = fnn.Dense(N_IN, name="shared"), fnn.Scope("model")
    tied = [fnn.Network(N_IN, [shared, fnn.Dense(N_OUT)], seed=i) for i in (1, 2)]
    scoped = [
        fnn.Network(N_IN, [fnn.Dense(N_OUT, name="out")], scope=scope, seed=0),
        fnn.Network(N_IN, [fnn.Dense(N_OUT, name="out")], scope=scope.reuse()),
    ]
    same = fnn.Trainer(network())
    for trainers, name in [
        ([fnn.Trainer(network(seed=7)), *map(fnn.Trainer, tied)], "shared/W"),
        ([fnn.Trainer(network(seed=7)), *map(fnn.Trainer, scoped)], "model/out/W"),
        ([fnn.Trainer(network(seed=7)), same, same], "dense_1/W"),
        ([fnn.Trainer(network(seed=7)), same, fnn.Trainer(same.network)], "dense_1/W"),
    ]:
        expected = rf"^trainers\[2\] must have a network and layers of its own, got '{name}', .* of trainers\[1\] too$"
        with pytest.raises(ValueError, match=expected):
            fnn.fit_many(trainers, X, Y)
