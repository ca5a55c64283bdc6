"""The workflow of a whole experiment: train while it helps, test once, and say what to do next.

Source: Buduma, Fundamentals of Deep Learning, chapter 2, figure 2-14.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _checks
from .callbacks import Best, EarlyStopping
from .datasets import Dataset, Split
from .history import History
from .trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ._progress import Progress

__all__ = ["WorkflowReport", "workflow"]

_ADVICE = {
    "finished": "The model does what was asked for, on examples that it has never seen.",
    "training stalled": (
        "It does not learn its own training examples well enough. Give it inputs that capture the important features "
        "better, or rethink the architecture: more units or layers, another rate."
    ),
    "validation stalled": (
        "It learns its training examples, but what it learns does not carry over. Act against overfitting: more "
        "training examples, L2 or max-norm, dropout, a smaller network."
    ),
    "test unsatisfactory": (
        "It does well on training and validation examples, but not on the test set, which so holds kinds of example "
        "that they lack. Gather more data."
    ),
    "out of epochs": "Training and validation were both still improving at the last epoch. Train for longer.",
}


@dataclass(frozen=True)
class WorkflowReport:
    """How an experiment ended.

    branch: "finished", "training stalled", "validation stalled", "test unsatisfactory" or "out of epochs".
    metric, target: what was asked for: an accuracy of at least target, or, of a loss without one, a loss of at most.
    best_epoch: the epoch with the best validation metric, whose parameters the network has now.
    train, validation, test: what ``evaluate`` gives for each split with these parameters; the test set was used once.
    """

    branch: str
    metric: str
    target: float
    best_epoch: int
    train: Mapping[str, float]
    validation: Mapping[str, float]
    test: Mapping[str, float]
    history: History

    @property
    def advice(self) -> str:
        """What to do next."""
        return _ADVICE[self.branch]

    def __str__(self) -> str:
        sense = "at least" if self.metric == "accuracy" else "at most"
        lines = [f"{self.branch}: {self.advice}", f"Asked for: {self.metric} {sense} {self._shown(self.target)}"]
        for name in ("train", "validation", "test"):
            value = getattr(self, name)[self.metric]
            verdict = "satisfactory" if _is_satisfactory(self.metric, value, self.target) else "not satisfactory"
            lines.append(f"  {name:<10} {self._shown(value)}  {verdict}")
        lines.append(f"Parameters are those after epoch {self.best_epoch} of {self.history.epochs}.")
        return "\n".join(lines)

    def _shown(self, value: float) -> str:
        return f"{value:.2%}" if self.metric == "accuracy" else f"{value:.4g}"

    def plot(self) -> tuple[Figure, list[Axes]]:
        """The learning curves, with the target and the best epoch marked. ImportError: no matplotlib."""
        figure, axes = self.history.plot()
        for ax in axes:
            ax.axvline(self.best_epoch, color="0.5", linestyle=":", label="best epoch")
        marked = axes[-1] if self.metric == "accuracy" else axes[0]
        marked.axhline(self.target, color="C2", linestyle="--", label="target")
        for ax in axes:
            ax.legend(frameon=False)
        figure.suptitle(self.branch)
        return figure, axes


def workflow(
    trainer: Trainer,
    data: Dataset,
    *,
    target: float,
    max_epochs: int = 100,
    patience: int = 5,
    min_delta: float = 0.0,
    batch_size: int = 100,
    num_threads: int | None = None,
    progress: Progress = "auto",
) -> WorkflowReport:
    """Trains an epoch at a time until training or validation stops improving, tests once, and says what to do next.

    data: training, validation and test examples that have none in common, as ``datasets.split`` makes them.
    target: what is satisfactory, on every split: an accuracy of at least so much or, where the loss has no accuracy, a
    loss of at most so much. patience: epochs without an improvement by more than min_delta after which either counts as
    stalled; where validation stalls while training does not rise either, it is training that has. max_epochs: the most.
    batch_size, num_threads, progress: as for ``Trainer.fit``.

    The best parameters by the validation metric come back at the end. Training is judged by what the epochs measured
    while they trained, the report by ``evaluate`` with those parameters.
    TypeError, ValueError: an argument is none of these, or validation or test set are empty.
    """
    if not isinstance(trainer, Trainer):
        raise _checks.wrong_kind("trainer", "a Trainer", trainer)
    if not isinstance(data, Dataset):
        raise _checks.wrong_kind("data", "a Dataset", data)
    for name in ("train", "validation", "test"):
        if len(getattr(data, name)) == 0:
            raise ValueError(f"data must have at least one {name} example, got none")
    metric = "accuracy" if trainer.loss.has_accuracy else "loss"
    target = _checks.number("target", target)
    if metric == "accuracy" and not 0 <= target <= 1:
        raise _checks.wrong_value("target", "an accuracy from 0 to 1", target)
    watch = _Watch(metric, _checks.integer("patience", patience, 1), _checks.non_negative("min_delta", min_delta))
    history = trainer.fit(
        data.train.x,
        data.train.y,
        epochs=_checks.integer("max_epochs", max_epochs, 1),
        batch_size=batch_size,
        validation_data=(data.validation.x, data.validation.y),
        callbacks=[watch],
        num_threads=num_threads,
        progress=progress,
    )

    def evaluated(split: Split) -> dict[str, float]:
        return trainer.evaluate(split.x, split.y, num_threads=num_threads)

    train, validation, test = (evaluated(split) for split in (data.train, data.validation, data.test))
    good = [_is_satisfactory(metric, result[metric], target) for result in (train, validation, test)]
    branch = _branch(watch.stalled, *good)
    best_epoch = history.epochs - (trainer.epoch - watch.best_epoch)
    return WorkflowReport(branch, metric, target, best_epoch, train, validation, test, history)


def _is_satisfactory(metric: str, value: float, target: float) -> bool:
    return value >= target if metric == "accuracy" else value <= target


def _branch(stalled: str | None, train_is_good: bool, validation_is_good: bool, test_is_good: bool) -> str:
    """The questions of the figure, from the top: each is asked only where those before were answered well."""
    if not train_is_good:
        return {"training": "training stalled", "validation": "validation stalled"}.get(stalled or "", "out of epochs")
    if not validation_is_good:
        return "validation stalled" if stalled else "out of epochs"
    return "finished" if test_is_good else "test unsatisfactory"


class _Watch(EarlyStopping):
    """Stops when training stops improving, too, and says which of the two it was."""

    def __init__(self, metric: str, patience: int, min_delta: float) -> None:
        super().__init__(f"val_{metric}", patience, min_delta)
        self._train = Best(metric, min_delta=min_delta)
        self._train_at_best: float | None = None
        self.stalled: str | None = None

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        super().on_epoch_end(trainer, epoch, logs)
        train = self._train.of(logs)
        self._train.is_beaten_by(train)
        if self.best_epoch == epoch:
            self._train_at_best = train
        if self._best.age >= self.patience:
            # overfitting shows where training rises while validation does not; else both have stalled
            rises = self._train.improves(train, self._train_at_best)
            self.stalled = "validation" if rises else "training"
        elif self._train.age >= self.patience:
            self.stalled = "training"
            trainer.stop()
