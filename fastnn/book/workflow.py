"""The workflow of Fig. 2-14: four experiments, each of which ends on another branch of it.

Illustrated by points in the plane, where the book speaks of telling normal, benign and malignant tissue in an image.
"""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn
from fastnn.datasets import Dataset, Split

from . import _draw, _points
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TARGET = 0.9


def run(seed: int) -> Result:
    reports = {
        "a hidden layer on XOR": experiment(Dataset("XOR", *xor(seed)), hidden=16),
        "no hidden layer on XOR": experiment(Dataset("XOR", *xor(seed)), hidden=0),
        "random labels": experiment(Dataset("random labels", *noise(seed)), hidden=64),
        "a test set from elsewhere": experiment(Dataset("shifted", *shifted(seed)), hidden=16),
    }
    lines = [line for name, report in reports.items() for line in (f"{name}:", *indented(str(report)))]
    branches = {name: report.branch for name, report in reports.items()}
    shown = "; ".join(f"{name}: {branch}" for name, branch in branches.items())
    return Result(shown, lines, {"branches": branches}, reports)


def experiment(data: Dataset, hidden: int) -> fnn.WorkflowReport:
    layers = [*([fnn.Dense(hidden, "tanh")] if hidden else []), fnn.Dense(2)]
    net = fnn.Network(data.train.x.shape[1], layers, seed=0)
    trainer = fnn.Trainer(net, "softmax_cross_entropy", fnn.SGD(0.3))
    return fnn.workflow(trainer, data, target=TARGET, patience=20, min_delta=0.01, batch_size=10, progress=False)


def xor(seed: int) -> list[Split]:
    return [Split(*_points.xor(200, 3 * seed + i)) for i in range(3)]


def noise(seed: int) -> list[Split]:
    """Labels have nothing to do with the points: what is learnt of them does not carry over."""
    random = np.random.default_rng(seed)
    return [Split(random.normal(size=(n, 20)).astype(np.float32), random.integers(0, 2, n)) for n in (60, 200, 200)]


def shifted(seed: int) -> list[Split]:
    """The test points lie where no other points do."""
    train, validation, test = xor(seed)
    return [train, validation, Split(test.x + np.float32(1.5), test.y)]


def indented(text: str) -> list[str]:
    wrapped = (wrap(line, 110, subsequent_indent="  ") for line in text.splitlines())
    return [f"  {line}" for lines in wrapped for line in lines]


def plot(result: Result) -> Figure:
    figure, axes = _draw.panels(2, 2)
    for ax, (name, report) in zip(axes, result.scene.items(), strict=True):
        epochs = range(1, report.history.epochs + 1)
        ax.plot(epochs, report.history["accuracy"], label="training")
        ax.plot(epochs, report.history["val_accuracy"], label="validation")
        ax.plot(report.best_epoch, report.test["accuracy"], "k*", markersize=10, label="test, best epoch")
        ax.axhline(TARGET, color="0.5", linestyle="--", label="asked for")
        ax.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1.03), title=f"{name}:\n{report.branch}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure
