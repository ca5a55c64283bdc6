"""Trains a system of the book and reports as the book's listings do: a line an epoch, the test once, at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import fastnn as fnn
from fastnn.datasets import Dataset

Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """A way to train a system.

    build(learning_rate, steps, seed, device) gives the Trainer; steps are those of the whole training, and a schedule
    takes learning_rate as its peak. differs: how this departs from the book's listing, but for the numbers below.
    """

    build: Callable[[float, int, int, str], fnn.Trainer]
    epochs: int
    batch_size: int
    learning_rate: float
    drop_last: bool = False
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What came out. seconds and samples_per_second are of the training alone, without validation and test."""

    seed: int
    test_accuracy: float
    validation_accuracy: float
    seconds: float
    samples_per_second: float
    threads: int
    history: fnn.History


class _EpochLines(fnn.Callback):
    """The listing's line after each epoch. The cost is the mean of those seen before each update; the book's computes
    them anew after each."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def on_epoch_end(self, trainer: fnn.Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        error = 1 - logs["val_accuracy"]
        self._say(f"Epoch: {epoch:04d} cost = {logs['loss']:.9f} Validation Error: {error:.4f}")


def train(
    recipe: Recipe,
    data: Dataset,
    *,
    seed: int,
    num_threads: int | None,
    device: str = "cpu:0",
    say: Say,
    callbacks: Sequence[fnn.Callback] = (),
) -> Result:
    """One training from the first step to the last, validated after each epoch, and its test.

    FloatingPointError: the training diverged.
    """
    n_steps = len(data.train) // recipe.batch_size if recipe.drop_last else -(-len(data.train) // recipe.batch_size)
    trainer = recipe.build(recipe.learning_rate, recipe.epochs * n_steps, seed, device)
    history = trainer.fit(
        data.train.x,
        data.train.y,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        validation_data=(data.validation.x, data.validation.y),
        drop_last=recipe.drop_last,
        callbacks=[_EpochLines(say), *callbacks],
        num_threads=num_threads,
    )
    say("Optimization Finished!")
    test_accuracy = trainer.evaluate(data.test.x, data.test.y, num_threads=num_threads)["accuracy"]
    say(f"Test Accuracy: {test_accuracy:.4f}")
    seconds = sum(history["seconds"])
    samples = sum(rate * time for rate, time in zip(history["samples_per_second"], history["seconds"], strict=True))
    return Result(
        seed,
        test_accuracy,
        validation_accuracy=history["val_accuracy"][-1],
        seconds=seconds,
        samples_per_second=samples / seconds,
        threads=trainer.network._threads(recipe.batch_size, num_threads),
        history=history,
    )


def misread_cheques(accuracy: float, digits: int = 4) -> float:
    """Fraction of cheques on which at least one of so many digits is read wrong (chapter 3's argument: $1000 to $9999,
    four digits, so 0.919 a digit spoils nearly 30 % of the cheques)."""
    return 1 - accuracy**digits
