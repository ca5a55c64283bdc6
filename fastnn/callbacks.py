"""Callbacks: what is done between epochs, or between steps. Subclass ``Callback`` and override what is needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "EveryNSteps"]


class Callback:
    """Does nothing. Methods run in Python, between epochs; an exception ends the training with the network usable.

    every_n_steps: ``on_steps`` is called whenever ``trainer.step`` is a multiple of it; 0: never, at no cost.
    """

    every_n_steps: int = 0

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        """Before the first epoch of a ``fit`` of so many epochs. ``trainer.stop()`` ends the training here."""

    def on_steps(self, trainer: Trainer, step: int) -> None:
        """Between two steps, of which step are done. ``trainer.stop()`` ends the training after this epoch."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        """After each epoch. epoch: 1, 2, ... over all ``fit`` calls; logs: what the history took. ``trainer.stop()``
        ends the training here."""

    def on_checkpoint(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """After the ``on_epoch_end`` of all callbacks, when their states are those after this epoch: the place to save
        the trainer."""

    def on_fit_success(self, trainer: Trainer) -> None:
        """After the last epoch, unless an exception or Ctrl-C ended the training."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, also when an exception or Ctrl-C ended it."""

    def state(self) -> Mapping[str, Any] | None:
        """What ``trainer.save`` writes of this callback: JSON values and NumPy arrays by name; None: nothing."""
        return None

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes what ``state`` gave before the trainer was saved and loaded, before ``on_fit_begin``."""


class EveryNSteps(Callback):
    """Calls function(trainer, step) between two steps whenever step, the updates so far, is a multiple of n.

    The engine runs n steps at a time; results are the same bits as without it. What the function takes counts into the
    epoch's seconds. ``trainer.stop()`` in it ends the training after the epoch.
    TypeError, ValueError: n is no positive integer, or function cannot be called.
    """

    def __init__(self, n: int, function: Callable[[Trainer, int], object]) -> None:
        self.every_n_steps = _checks.integer("n", n, 1)
        if not callable(function):
            raise _checks.wrong_kind("function", "a function of a Trainer and a step", function)
        self.function = function

    def on_steps(self, trainer: Trainer, step: int) -> None:
        self.function(trainer, step)


class Best:
    """The best value so far of something measured each epoch, and for how many epochs it has been that.

    monitor: its name in the history. mode: "min", "max", or "auto" for what the name says. NaN is never the best.
    """

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        if not isinstance(monitor, str):
            raise _checks.wrong_kind("monitor", "a name in the history, such as 'val_loss'", monitor)
        mode = _checks.choice("mode", mode, ("auto", "min", "max"))
        self.monitor = monitor
        self.mode = _mode_of(monitor) if mode == "auto" else mode
        self.min_delta = _checks.non_negative("min_delta", min_delta)
        self.value: float | None = None
        self.age = 0

    def is_beaten_by(self, value: float) -> bool:
        """Whether value is better by more than min_delta; then it is the best."""
        if self.improves(value, self.value):
            self.value, self.age = value, 0
            return True
        self.age += 1
        return False

    def improves(self, value: float, on: float | None) -> bool:
        """Whether value is better than another by more than min_delta; than None, where it is not NaN."""
        if on is None:
            return not math.isnan(value)
        return (value - on if self.mode == "max" else on - value) > self.min_delta

    def of(self, logs: Mapping[str, float]) -> float:
        """The monitored value. ValueError: it is not there."""
        if self.monitor not in logs:
            needs = "; it needs validation_data" if self.monitor.startswith("val_") else ""
            names = ", ".join(map(repr, logs))
            raise ValueError(f"monitor must be one of {names}, got {self.monitor!r}{needs}")
        return logs[self.monitor]


class EarlyStopping(Callback):
    """Ends the training when a measurement has stopped improving, and brings the best parameters back.

    monitor: a name in the history. patience: epochs in a row without an improvement by more than min_delta after which
    the training ends. mode: whether the "min" or the "max" is best; "auto": a loss, error or penalty falls, an accuracy
    or r2 rises. restore_best: at the end of a ``fit``, also one whose epochs are used up, the network gets the
    parameters after the best epoch; velocity or moments stay as they are, and an exception or Ctrl-C leaves all as it
    is.

    Afterwards ``best_epoch`` and ``best_value`` tell which it was. The next ``fit`` starts anew, but goes on where an
    exception, Ctrl-C or ``trainer.save`` and ``load_trainer`` cut one off.
    TypeError, ValueError: an argument is none of these; ValueError from ``fit``: nothing of that name is measured.
    Sources: Goodfellow, Bengio and Courville, Deep Learning, 2016, algorithm 7.1; Buduma, Fundamentals of Deep
    Learning, chapter 2, figure 2-14.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 3,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self.patience = _checks.integer("patience", patience, 1)
        self.restore_best = _checks.flag("restore_best", restore_best)
        self._best = Best(monitor, mode, min_delta)
        self._start()

    def _start(self) -> None:
        self._best = Best(self._best.monitor, self._best.mode, self._best.min_delta)
        self._values: dict[str, NDArray[np.float32]] = {}
        self.best_epoch = 0
        self._is_over = False  # the fit that it watched came to its end

    @property
    def best_value(self) -> float | None:
        """Of the monitored measurement; None before there was one."""
        return self._best.value

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        if self._is_over:
            self._start()
        if self._best.age >= self.patience:  # the trainer was saved after its last epoch
            trainer.stop()

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        if self._best.is_beaten_by(self._best.of(logs)):
            self.best_epoch = epoch
            if self.restore_best:
                self._values = {name: variable.value for name, variable in trainer.network.variables.items()}
        elif self._best.age >= self.patience:
            trainer.stop()

    def on_fit_success(self, trainer: Trainer) -> None:
        self._is_over = True
        for name, value in self._values.items():
            trainer.network.variables[name] = value

    def state(self) -> Mapping[str, Any]:
        best = self._best
        numbers = {"best_value": best.value, "best_epoch": self.best_epoch, "age": best.age, "is_over": self._is_over}
        return {"monitor": best.monitor, "mode": best.mode} | numbers | self._values

    def load_state(self, state: Mapping[str, Any]) -> None:
        watched = (state["monitor"], state["mode"])
        if watched != (self._best.monitor, self._best.mode):
            raise ValueError(
                "EarlyStopping must have the monitor and mode of the training that it goes on with, "
                f"{watched}, got {(self._best.monitor, self._best.mode)}"
            )
        values = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
        if self.restore_best and not values and state["best_epoch"] > 0:
            raise ValueError("restore_best must be False, as it was when the trainer was saved, got True")
        self._start()
        self._best.value, self._best.age = state["best_value"], state["age"]
        self.best_epoch, self._is_over = state["best_epoch"], state["is_over"]
        self._values = values if self.restore_best else {}


# ---- what a Trainer does with them -----------------------------------------------------------------------------------


class Pauses:
    """Where the engine has to come back within an epoch, for the callbacks that want it."""

    def __init__(self, trainer: Trainer, callbacks: Sequence[Callback]) -> None:
        self._trainer = trainer
        self._callbacks = [callback for callback in callbacks if callback.every_n_steps > 0]

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def after(self, step: int) -> int:
        """The first step, greater than this one, that is anybody's multiple."""
        return min(step + every - step % every for every in (callback.every_n_steps for callback in self._callbacks))

    def __call__(self, step: int) -> None:
        for callback in self._callbacks:
            if step % callback.every_n_steps == 0:
                callback.on_steps(self._trainer, step)


States = list[tuple[str, Mapping[str, Any]]]  # by the name of the callback's class


def states_of(callbacks: Sequence[Callback]) -> States:
    named = ((type(callback).__qualname__, callback.state()) for callback in callbacks)
    return [(name, state) for name, state in named if state is not None]


def load_states(callbacks: Sequence[Callback], states: States) -> None:
    """Each callback gets the state of its class; where a class has several, they go by their order."""
    left = list(states)
    for callback in callbacks:
        found = next((i for i, (name, _) in enumerate(left) if name == type(callback).__qualname__), None)
        if found is not None:
            callback.load_state(left.pop(found)[1])


_RISING = ("accuracy", "r2", "samples_per_second")
_FALLING = ("loss", "error", "penalty", "seconds")


def _mode_of(monitor: str) -> str:
    if monitor.endswith(_RISING):
        return "max"
    if monitor.endswith(_FALLING):
        return "min"
    raise _checks.wrong_value("mode", f"'min' or 'max' for monitor {monitor!r}, whose name does not tell", "auto")
