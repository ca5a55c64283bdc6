"""Initialisers (section "Multilayer perceptrons in TensorFlow"): what first values do to the multilayer perceptron.

The book starts from He et al.'s and says that going back to a uniform one "significantly hurts". Here the same network
784-256-256-10 learns digits for a few epochs from several, at one rate, and reports what comes of it. (At the book's
rate of 0.01 so few epochs tell little: the larger weights of uniform(-1, 1) learn faster at first.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import fastnn as fnn

from . import _data, _draw
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INITIALIZERS: dict[str, fnn.initializers.Initializer] = {
    "He: normal, variance 2 / n_in": fnn.He(),
    "Glorot": fnn.Glorot(),
    "truncated normal, deviation 0.05": fnn.TruncatedNormal(0.0, 0.05),
    "uniform(-1, 1)": fnn.RandomUniform(-1.0, 1.0),
    "normal, deviation 1": fnn.RandomNormal(0.0, 1.0),
    "zeros": fnn.Zeros(),
}
EPOCHS = 5
EXAMPLES = 20_000
RATE = 0.1


def run(seed: int) -> Result:
    data = _data.at_hand()
    histories = {name: train(initializer, data, seed) for name, initializer in INITIALIZERS.items()}
    lines = [f"{name:<34}{outcome(history)}" for name, history in histories.items()]
    accuracies = {name: history["val_accuracy"][-1] for name, history in histories.items()}
    he, uniform = accuracies["He: normal, variance 2 / n_in"], accuracies["uniform(-1, 1)"]
    shown = f"after {EPOCHS} epochs He's initialiser gives {he:.1%} on validation images, uniform(-1, 1) {uniform:.1%}"
    lines.insert(0, f"digits: {data.name}, {EXAMPLES} examples to train on")
    return Result(shown, lines, {"dataset": data.name, "validation_accuracy": accuracies}, histories)


def outcome(history: fnn.History) -> str:
    loss, accuracy = history["val_loss"][-1], history["val_accuracy"][-1]
    return "diverged" if math.isnan(loss) else f"validation loss {loss:.4g}, accuracy {accuracy:.1%}"


def train(initializer: fnn.initializers.Initializer, data: fnn.datasets.Dataset, seed: int) -> fnn.History:
    layers = [
        fnn.Rescaling(1 / 255),
        fnn.Dense(256, "relu", initializer=initializer),
        fnn.Dense(256, "relu", initializer=initializer),
        fnn.Dense(10, initializer=initializer),
    ]
    trainer = fnn.Trainer(fnn.Network(784, layers, seed=seed), optimizer=fnn.SGD(RATE))
    validation = (data.validation.x, data.validation.y)
    x, y = data.train.x[:EXAMPLES], data.train.y[:EXAMPLES]
    try:
        return trainer.fit(x, y, epochs=EPOCHS, validation_data=validation, progress=False)
    except FloatingPointError:  # diverged: nothing was learnt
        return fnn.History({"val_loss": [None] * EPOCHS, "val_accuracy": [0.0] * EPOCHS})


def plot(result: Result) -> Figure:
    figure, (loss, accuracy) = _draw.panels(2)
    for name, history in result.scene.items():
        epochs = range(1, EPOCHS + 1)
        loss.plot(epochs, history["val_loss"], marker="o", label=name)
        accuracy.plot(epochs, history["val_accuracy"], marker="o", label=name)
    loss.set(xlabel="epoch", ylabel="validation loss", yscale="log", title="Loss by initialiser")
    accuracy.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0, 1), title="Accuracy by initialiser")
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure
