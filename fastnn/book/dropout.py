"""Dropout after both hidden layers: in training each unit is kept with probability p, drawn anew each time.

naive (example 2-1)     training: x where kept,     prediction: p x
inverted (example 2-2)  training: x / p where kept, prediction: x

So in training a unit has the mean p x in the naive form and x in the inverted one: of a masked unit, not of the outputs
of a net that is not linear. With p = 1 nothing changes, not a bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn

from . import _draw, _points
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P, UNITS = 0.5, 8
FORMS = {"naive": True, "inverted": False}


def run(seed: int) -> Result:
    lines, numbers, means = [], {}, {}
    for name, naive in FORMS.items():
        means[name] = x, dropped = means_of_units(naive, seed)
        ratio = numbers[f"{name}_mean"] = float(np.mean(dropped / x))
        ratio_at_prediction = numbers[f"{name}_prediction"] = prediction(naive, seed)
        lines.append(f"{name:<9}a unit's mean in training {ratio:.4f} x, in prediction {ratio_at_prediction:.4f} x")
    numbers["p_1_changes"] = changed = int((trained(1.0, seed, 5)[1] != trained(None, seed, 5)[1]).sum())
    lines.append(f"p = 1: {changed} parameters differ from those of a training without dropout")
    histories = {name: trained(p, seed, 120, naive=naive)[0] for name, p, naive in RUNS}
    for name, history in histories.items():
        numbers[f"{name}_validation_loss"] = last = float(np.mean(history["val_loss"][-20:]))
        lines.append(f"{name:<17}validation loss {min(history['val_loss']):.3f} at best, {last:.3f} in the end")
    shown = "in training a unit has the mean {naive_mean:.3f} x (naive) or {inverted_mean:.3f} x (inverted)"
    shown = shown.format(**numbers)
    return Result(shown, lines, numbers, (means, histories))


RUNS = (("no dropout", None, False), ("naive dropout", P, True), ("inverted dropout", P, False))


def means_of_units(naive: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each hidden unit the mean over 100,000 samples: without dropout, and as the layer above sees it in training.

    A linear unit above, with weights w = 0 and targets -1, has the gradient mean(x_i) at w_i: after one step of rate 1
    its weights are minus the means."""
    samples = np.random.default_rng(seed).normal(size=(100_000, 4)).astype(np.float32)
    hidden = fnn.Dense(UNITS, "relu", bias_initializer=fnn.Constant(1.0), name="hidden")
    layers = [hidden, fnn.Dropout(P, naive=naive), fnn.Dense(1, initializer="zeros", name="above")]
    net = fnn.Network(4, layers, seed=seed)
    for name in ("hidden/W", "hidden/b"):
        net.variables[name].trainable = False
    below = fnn.Network(4, [hidden])  # the same layer: the same weights
    trainer = fnn.Trainer(net, "squared_error", fnn.SGD(1.0))
    trainer.fit(samples, np.full(len(samples), -1.0), batch_size=len(samples))
    return below(samples).mean(axis=0, dtype=np.float64), -net.variables["above/W"].value[:, 0].astype(np.float64)


def prediction(naive: bool, seed: int) -> float:
    """What prediction multiplies a hidden unit by."""
    layers = [fnn.Dense(1, "relu", initializer="ones"), fnn.Dropout(P, naive=naive), fnn.Dense(1, initializer="ones")]
    return float(fnn.Network(1, layers, seed=seed)([[3.0]])[0, 0] / 3.0)


def trained(p: float | None, seed: int, epochs: int, *, naive: bool = False) -> tuple[fnn.History, np.ndarray]:
    """A net of three layers on few examples: its history and its parameters."""
    x, y = _points.board(400, seed)
    train, validation = fnn.datasets.split(x, y, [100, 300], seed=seed)
    layers: list[fnn.layers.Layer] = []
    for _ in range(2):
        layers += [fnn.Dense(100, "relu"), *([fnn.Dropout(p, naive=naive)] if p is not None else [])]
    net = fnn.Network(2, [*layers, fnn.Dense(2)], seed=seed)
    trainer = fnn.Trainer(net, "softmax_cross_entropy", fnn.Adam(0.005))
    held_out = (validation.x, validation.y)
    history = trainer.fit(train.x, train.y, epochs=epochs, batch_size=10, validation_data=held_out)
    return history, np.concatenate([variable.value.ravel() for variable in net.variables.values()])


def plot(result: Result) -> Figure:
    means, histories = result.scene
    figure, (units, training) = _draw.panels(2)
    for offset, (name, (x, dropped)) in zip((-0.2, 0.2), means.items(), strict=True):
        units.bar(np.arange(UNITS) + offset, dropped / x, 0.4, label=name)
    units.axhline(1, color="gray", linestyle="--")
    units.axhline(P, color="gray", linestyle=":")
    units.set(xlabel="hidden unit", ylabel="mean in training / x", title=f"Units kept with p = {P:g}")
    fnn.plots.learning_curves(histories, ax=training)
    training.set_title("Training (units dropped) and validation")
    for ax in (units, training):
        _draw.legend(ax)
    return figure
