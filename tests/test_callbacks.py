"""What is done between epochs and steps: early stopping, goals, hooks; tests/test_checkpoint.py has their states."""

from __future__ import annotations

import itertools
import math
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core
from fastnn.callbacks import Best

N = 95
X = _core.draw("normal", N * 12, 0.0, 1.0, 1, 0).reshape(N, 12)
Y = np.arange(N) * 7 % 5


def make_trainer(loss: str | fnn.losses.Loss = "softmax_cross_entropy", rate: float = 0.05) -> fnn.Trainer:
    layers = [fnn.Dropout(0.9), fnn.Dense(20, "relu"), fnn.Dropout(0.5), fnn.Dense(5)]
    return fnn.Trainer(fnn.Network(12, layers, seed=5), loss, fnn.SGD(rate, momentum=0.9))


def fit(trainer: fnn.Trainer, epochs: int, **options: Any) -> fnn.History:
    return trainer.fit(X, Y, epochs=epochs, batch_size=20, **options)


def bits(trainer: fnn.Trainer) -> bytes:
    return b"".join(variable.value.tobytes() for variable in trainer.network.variables.values())


class Script(fnn.Callback):
    """Puts measurements of its own into the logs: one value an epoch."""

    def __init__(self, name: str, values: list[float]) -> None:
        self.name, self.values = name, values

    def on_epoch_end(self, trainer: fnn.Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        logs[self.name] = self.values[epoch - 1]  # type: ignore[index]


# ---- early stopping --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "options", "epochs", "best"),
    [
        ([5, 4, 3, 4, 3, 9, 1], {"patience": 3}, 6, 3),  # an equal value is no improvement
        ([5, 4, 3, 4, 5, 2, 4, 5, 6], {"patience": 3}, 9, 6),
        ([5, 6], {"patience": 1}, 2, 1),
        ([5, 4.5, 4.1, 4, 3.5, 2], {"patience": 2, "min_delta": 1.0}, 3, 1),  # 4 is not better than 5 by more than 1
        ([5, 4.5, 3.9, 3, 2.9], {"patience": 2, "min_delta": 1.0}, 5, 3),
        ([1, 2, 3, 2, 1], {"patience": 2, "mode": "max"}, 5, 3),
        ([math.nan, 4, math.nan, math.nan], {"patience": 2}, 4, 2),
        ([math.nan, math.nan, 1], {"patience": 2}, 2, 0),
        ([math.inf, math.inf, 3], {"patience": 2}, 3, 3),
        ([5, 4, 3], {"patience": 3}, 3, 3),  # the epochs are used up
    ],
)
@pytest.mark.parametrize("restore_best", [True, False])
def test_early_stopping(
    values: list[float], options: dict[str, Any], epochs: int, best: int, restore_best: bool
) -> None:
    trainer, stopping = make_trainer(), fnn.EarlyStopping("my_loss", restore_best=restore_best, **options)
    assert fit(trainer, len(values), callbacks=[Script("my_loss", values), stopping]).epochs == epochs
    assert stopping.best_epoch == best
    assert stopping.best_value == (values[best - 1] if best else None)
    plain = make_trainer()
    fit(plain, best if restore_best and best else epochs)
    assert bits(trainer) == bits(plain)


def test_early_stopping_watches_what_is_measured() -> None:
    trainer, stopping = make_trainer(), fnn.EarlyStopping(patience=2)
    history = fit(trainer, 50, validation_data=(X[:40], Y[1:41]), callbacks=[stopping])
    losses = history["val_loss"]
    assert stopping.best_epoch == losses.index(min(losses)) + 1 == history.epochs - 2
    assert stopping.best_value == min(losses)
    assert trainer.evaluate(X[:40], Y[1:41])["loss"] == min(losses)


def test_the_next_fit_starts_anew_but_not_after_an_error() -> None:
    values, trainer, stopping = [3.0, 4.0, 5.0, 9.0, 8.0, 9.0, 7.0], make_trainer(), fnn.EarlyStopping("my_loss", 2)
    watched = [Script("my_loss", values), stopping]
    assert fit(trainer, 9, callbacks=watched).epochs == 3
    assert fit(trainer, 2, callbacks=watched).epochs == 2
    assert (stopping.best_epoch, stopping.best_value) == (5, 8.0)

    class Failing(fnn.Callback):
        def on_epoch_end(self, trainer: fnn.Trainer, epoch: int, logs: Mapping[str, float]) -> None:
            raise ZeroDivisionError

    before = trainer.step
    with pytest.raises(ZeroDivisionError):
        fit(trainer, 1, callbacks=[*watched, Failing()])
    after = bits(trainer)
    assert trainer.step == before + 5
    assert (stopping.best_epoch, stopping.best_value) == (6, 9.0)
    fit(trainer, 0, callbacks=[stopping])
    assert bits(trainer) == after
    fit(trainer, 0, callbacks=[stopping])
    assert stopping.best_value is None


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"monitor": None}, TypeError, "monitor must be a name in the history, such as 'val_loss', got None"),
        ({"monitor": "speed"}, ValueError, "mode must be 'min' or 'max' for monitor 'speed', whose name does not tell"),
        ({"patience": 0}, ValueError, "patience must be a positive integer, got 0"),
        ({"patience": 1.0}, TypeError, "patience must be a positive integer, got 1.0 (float)"),
        ({"min_delta": -1}, ValueError, "min_delta must be a non-negative finite number, got -1"),
        ({"mode": "best"}, ValueError, "mode must be one of 'auto', 'min', 'max', got 'best'"),
        ({"restore_best": 1}, TypeError, "restore_best must be True or False, got 1 (int)"),
    ],
)
def test_bad_early_stopping(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        fnn.EarlyStopping(**arguments)


def test_a_missing_measurement_is_named() -> None:
    message = r"monitor must be one of 'loss', 'accuracy', .*, got 'val_accuracy'; it needs validation_data"
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(), 1, callbacks=[fnn.EarlyStopping("val_accuracy")])


@pytest.mark.parametrize("monitor", ["val_accuracy", "val_top_3_accuracy", "val_r2", "samples_per_second"])
def test_names_of_what_rises(monitor: str) -> None:
    assert Best(monitor).mode == "max"


@pytest.mark.parametrize("monitor", ["loss", "val_loss", "penalty", "val_mean_squared_error", "seconds"])
def test_names_of_what_falls(monitor: str) -> None:
    assert Best(monitor).mode == "min"


@pytest.mark.parametrize("options", [{"monitor": "loss"}, {"mode": "max"}, {"restore_best": True}])
def test_a_state_of_another_early_stopping(options: dict[str, Any]) -> None:
    stopping = fnn.EarlyStopping("val_loss", restore_best=False)
    fit(make_trainer(), 1, callbacks=[stopping], validation_data=(X, Y))
    with pytest.raises(ValueError, match=r"must have the monitor and mode|restore_best must be False"):
        fnn.EarlyStopping(**{"restore_best": False} | options).load_state(stopping.state())


# ---- between steps ---------------------------------------------------------------------------------------------------


def test_every_n_steps_is_called_between_steps_and_changes_no_bit() -> None:
    """The parameters it sees after k steps are those of a training of k steps."""
    seen: dict[int, list[tuple[int, bytes]]] = {3: [], 7: []}

    def watch(n: int) -> fnn.EveryNSteps:
        def look(trainer: fnn.Trainer, step: int) -> None:
            assert step == trainer.step
            trainer.evaluate(X, Y)
            seen[n].append((step, bits(trainer)))

        return fnn.EveryNSteps(n, look)

    watched, plain = make_trainer(), make_trainer()
    for epochs in (2, 3):
        histories = [fit(watched, epochs, callbacks=[watch(3), watch(7)]), fit(plain, epochs)]
        assert histories[0]["loss"] == histories[1]["loss"]
        assert histories[0]["accuracy"] == histories[1]["accuracy"]
    assert bits(watched) == bits(plain)
    assert [step for step, _ in seen[3]] == [3, 6, 9, 12, 15, 18, 21, 24]
    assert [step for step, _ in seen[7]] == [7, 14, 21]
    assert dict(seen[3])[21] == dict(seen[7])[21]
    ends = make_trainer()
    fit(ends, 3)
    assert dict(seen[3])[15] == bits(ends)  # step 15 is the end of epoch 3
    assert len(set(dict(seen[3]).values())) == 8


def test_an_error_or_a_stop_between_steps() -> None:
    def at_seven(trainer: fnn.Trainer, step: int) -> None:
        if step == 7:
            raise ZeroDivisionError

    trainer = make_trainer()
    with pytest.raises(ZeroDivisionError):
        fit(trainer, 3, callbacks=[fnn.EveryNSteps(1, at_seven)])
    assert (trainer.step, trainer.epoch, trainer.history.epochs) == (7, 2, 1)
    assert fit(trainer, 9, callbacks=[fnn.EveryNSteps(2, lambda trainer, _: trainer.stop())]).epochs == 1
    assert trainer.step == 12


@pytest.mark.parametrize("in_thread", [False, True])
def test_an_epoch_within_an_epoch_is_refused(in_thread: bool) -> None:
    """It would take the memory of the one that is not over."""
    errors = []

    def fit_again(trainer: fnn.Trainer, step: int) -> None:
        try:
            trainer.fit(X, Y, batch_size=1)
        except RuntimeError as error:
            errors.append(str(error))

    def between(trainer: fnn.Trainer, step: int) -> None:
        if in_thread:
            thread = threading.Thread(target=fit_again, args=(trainer, step))
            thread.start()
            thread.join()
        else:
            fit_again(trainer, step)

    trainer, plain = make_trainer(), make_trainer()
    fit(trainer, 2, callbacks=[fnn.EveryNSteps(4, between)])
    assert len(errors) == 2
    assert errors[0].startswith("fit must not be called before the epoch of another fit")
    fit(plain, 2)
    assert bits(trainer) == bits(plain)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((0, print), ValueError, "n must be a positive integer, got 0"),
        ((2.0, print), TypeError, "n must be a positive integer, got 2.0 (float)"),
        ((1, None), TypeError, "function must be a function of a Trainer and a step, got None"),
    ],
)
def test_bad_every_n_steps(arguments: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        fnn.EveryNSteps(*arguments)


# ---- the order of it all ---------------------------------------------------------------------------------------------


class Log(fnn.Callback):
    def __init__(self, name: str, events: list[str]) -> None:
        for hook in ("on_fit_begin", "on_epoch_end", "on_checkpoint", "on_fit_success", "on_fit_end"):
            setattr(self, hook, lambda *_, hook=hook: events.append(f"{name} {hook}"))


def test_hooks_come_in_order() -> None:
    events: list[str] = []
    fit(make_trainer(), 1, callbacks=[Log("a", events), Log("b", events)])
    hooks = ("on_fit_begin", "on_epoch_end", "on_checkpoint", "on_fit_success", "on_fit_end")
    assert events == [f"{name} {hook}" for hook in hooks for name in "ab"]


def test_a_stop_before_the_first_epoch() -> None:
    class Stop(fnn.Callback):
        def on_fit_begin(self, trainer: fnn.Trainer, epochs: int) -> None:
            trainer.stop()

    trainer = make_trainer()
    assert fit(trainer, 3, callbacks=[Stop()]).epochs == trainer.step == 0


# ---- goals -----------------------------------------------------------------------------------------------------------


def test_max_seconds_ends_after_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is read at the start and after each epoch; here a second goes by each time."""
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    trainer = make_trainer()
    assert fit(trainer, 9, max_seconds=2.5).epochs == 3
    assert trainer.step == 15
    assert fit(trainer, 9, max_seconds=3).epochs == 3
    assert fit(trainer, 9, max_seconds=1e-9).epochs == 1


@pytest.mark.parametrize("validation", [None, (X, Y)])
def test_target_accuracy_ends_after_the_epoch_that_reaches_it(validation: Any) -> None:
    trainer = make_trainer(rate=0.02)
    name = "accuracy" if validation is None else "val_accuracy"
    measured = fit(make_trainer(rate=0.02), 60, validation_data=validation)[name]
    target = measured[20]
    first = next(i for i, value in enumerate(measured, 1) if value >= target)
    assert first > 1
    history = fit(trainer, 60, validation_data=validation, target_accuracy=target)
    assert history[name] == measured[:first]


@pytest.mark.parametrize(
    ("loss", "arguments", "kind", "message"),
    [
        ("softmax_cross_entropy", {"max_seconds": 0}, ValueError, "max_seconds must be a positive finite number"),
        ("softmax_cross_entropy", {"max_seconds": "1"}, TypeError, "max_seconds must be a positive finite number"),
        ("softmax_cross_entropy", {"target_accuracy": 98}, ValueError, "target_accuracy must be a number from 0 to 1"),
        (
            "squared_error",
            {"target_accuracy": 0.9},
            ValueError,
            "target_accuracy must be None for loss 'squared_error'",
        ),
        ("poisson", {"target_accuracy": 0.9}, ValueError, "target_accuracy must be None for loss 'poisson'"),
        (
            fnn.CustomLoss(lambda outputs, _: (outputs.sum(axis=1), outputs), link="softmax"),
            {"target_accuracy": 0.9},
            ValueError,
            "target_accuracy must be None for loss 'custom'",
        ),
    ],
)
def test_bad_goals(loss: str | fnn.losses.Loss, arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    trainer = make_trainer(loss)
    with pytest.raises(kind, match=re.escape(message)):
        trainer.fit(X, np.eye(5)[Y], **arguments)
    assert trainer.step == 0
