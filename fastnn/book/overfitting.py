"""Overfitting: a line and a polynomial of degree 12 through the same points (Figs. 2-8, 2-9), and its sign in training.

Both curves are one linear unit, on the powers up to 1 and up to 12 (made orthogonal on the training points, so that
descent is quick). The data are cut into parts without a common example, to train, to validate after each epoch (d/b
updates for d examples and batches of b), and to test once (Figs. 2-12, 2-13). When training goes on to improve and
validation does not, the network learns its examples by heart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn

from . import _draw, _points
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEGREES = {"line": 1, "degree 12": 12}
N_SEEN, N_ADDED, NOISE = 13, 100, 0.3
GRID = np.linspace(-1, 1, 400)
SHOWN = ("loss", "val_loss", "accuracy", "val_accuracy")


def run(seed: int) -> Result:
    random = np.random.default_rng(seed)
    x = np.concatenate([np.linspace(-1, 1, N_SEEN), random.uniform(-1, 1, N_ADDED)])
    t = (0.3 + 1.5 * x + random.normal(0, NOISE, len(x))).astype(np.float32)
    lines, numbers, curves = [], {}, {}
    for name, degree in DEGREES.items():
        predict = fitted(x[:N_SEEN], t[:N_SEEN], degree)
        errors = np.square(predict(x) - t)
        numbers[name] = {"seen": float(errors[:N_SEEN].mean()), "added": float(errors[N_SEEN:].mean())}
        curves[name] = predict(GRID)
        lines.append(
            "{:<10}mean squared error {seen:.4f} on points seen, {added:.4f} on added ones".format(
                name, **numbers[name]
            )
        )
    trainer, history, test = by_heart(seed)
    best = int(np.argmin(history["val_loss"]))
    numbers["network"] = {
        f"{name}_{when}": history[name][i] for when, i in (("best", best), ("last", -1)) for name in SHOWN
    }
    for when, i in (("best", best), ("last", -1)):
        accuracies = (
            f"accuracy {history['accuracy'][i]:.1%} in training, {history['val_accuracy'][i]:.1%} in validation"
        )
        lines.append(f"network, {when} epoch of validation loss: {accuracies}")
    lines.append(f"test, once: {test:.1%} after {trainer.epoch} epochs of {trainer.step // trainer.epoch} updates")
    added = [numbers[name]["added"] for name in DEGREES]
    shown = "squared error on added data: of the line {:.3f}, of the curve through all points seen {:.3f}".format(
        *added
    )
    return Result(shown, lines, numbers, (x, t, curves, history))


def fitted(x: np.ndarray, t: np.ndarray, degree: int) -> Callable[[np.ndarray], np.ndarray]:
    """The polynomial of least squares, found by descent: its powers are made orthonormal on x, so the bowl is round."""

    def powers(x: np.ndarray) -> np.ndarray:
        return np.polynomial.legendre.legvander(x, degree)

    change = np.linalg.inv(np.linalg.qr(powers(x))[1]) * np.sqrt(len(x))
    net = fnn.Network(degree + 1, [fnn.Dense(1, initializer="zeros", name="unit")])
    net.variables["unit/b"].trainable = False
    trainer = fnn.Trainer(net, "squared_error", fnn.SGD(0.5))
    trainer.fit(powers(x) @ change, t, epochs=100, batch_size=len(x), shuffle=False)
    return lambda x: net(powers(x) @ change)[:, 0]


def by_heart(seed: int) -> tuple[fnn.Trainer, fnn.History, float]:
    """A network with more parameters than examples; its history, and its accuracy on the test set."""
    x, y = _points.board(600, seed, spread=0.5)
    train, validation, test = fnn.datasets.split(x, y, [100, 250, 250], stratify=True, seed=seed)
    net = fnn.Network(2, [fnn.Dense(100, "relu"), fnn.Dense(100, "relu"), fnn.Dense(2)], seed=seed)
    trainer = fnn.Trainer(net, "softmax_cross_entropy", fnn.Adam(0.003))
    history = trainer.fit(train.x, train.y, epochs=150, batch_size=10, validation_data=(validation.x, validation.y))
    return trainer, history, trainer.evaluate(test.x, test.y)["accuracy"]


def plot(result: Result) -> Figure:
    x, t, curves, history = result.scene
    figure, (seen, added, *training) = _draw.panels(2, 2)
    for ax, n, title in ((seen, N_SEEN, "What was seen (Fig. 2-8)"), (added, len(x), "With data added (Fig. 2-9)")):
        ax.plot(x[:n], t[:n], "o", color="gray", markersize=4, label="data")
        for name, curve in curves.items():
            ax.plot(GRID, curve, label=name)
        ax.set(xlabel="x", ylabel="t", ylim=(-3, 4), title=title)
        _draw.legend(ax)
    history.plot(training)
    training[0].set_title("A network learns by heart")
    return figure
