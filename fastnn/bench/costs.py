"""What a feature costs beside plain gradient descent: ``fastnn bench --costs``, on the book's multilayer perceptron."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from .. import L1, L2, SGD, Adam, Checkpoint, Dense, Dropout, MaxNorm, Network, Rescaling, RMSProp, TensorBoard, Trainer
from ..layers import Layer
from . import shapes
from .samples import Samples, load

__all__ = ["FEATURES", "costs"]

_EPOCHS = 3
_RATE = 0.05
_VALIDATION = 5000  # rows, of those trained on
_PLAIN = "plain gradient descent"


@dataclass(frozen=True)
class Feature:
    """How a training with it differs from a plain one: arguments of its parts; files: the callback that writes them."""

    keep_prob: float = 1.0
    dense: Mapping[str, Any] = field(default_factory=dict)
    trainer: Mapping[str, Any] = field(default_factory=dict)
    is_masked: bool = False
    is_validated: bool = False
    files: Any = None


FEATURES = {
    _PLAIN: Feature(),
    "dropout, 0.5 of hidden units": Feature(keep_prob=0.5),
    "L2": Feature(trainer={"regularizer": L2(1e-4)}),
    "L1": Feature(trainer={"regularizer": L1(1e-6)}),
    "max-norm": Feature(dense={"constraint": MaxNorm(3.0)}),
    "a mask in each hidden layer": Feature(is_masked=True),
    "weight decay": Feature(trainer={"optimizer": SGD(_RATE, weight_decay=1e-4)}),
    "momentum": Feature(trainer={"optimizer": SGD(_RATE / 10, momentum=0.9)}),
    "Nesterov momentum": Feature(trainer={"optimizer": SGD(_RATE / 10, momentum=0.9, nesterov=True)}),
    "RMSProp": Feature(trainer={"optimizer": RMSProp(1e-4)}),
    "Adam": Feature(trainer={"optimizer": Adam(1e-4)}),
    "clipping by norm": Feature(trainer={"clip_norm": 1.0}),
    "validation on 5,000 rows": Feature(is_validated=True),
    "a checkpoint an epoch": Feature(files=Checkpoint),
    "TensorBoard, an epoch": Feature(files=TensorBoard),
    "TensorBoard, every batch": Feature(files=lambda folder: TensorBoard(folder, every="batch")),
}


def costs(num_threads: int, rounds: int, *, shape: shapes.Shape = shapes.A) -> str:
    """A line for each feature: seconds of an epoch, all that ``fit`` does included, and its share of a plain epoch.

    Medians over the rounds, in each of which all take their turn; of the share, the median of each round's.
    """
    data = load(shape)
    seconds: dict[str, list[float]] = {name: [] for name in FEATURES}
    skipped = {}
    for _ in range(rounds):
        for name, feature in FEATURES.items():
            try:
                seconds[name].append(_seconds(feature, shape, data, num_threads))
            except ImportError as error:
                skipped[name] = str(error)
    lines = [f"{'feature':<32}{'s/epoch':>10}{'more':>9}"]
    for name, taken in seconds.items():
        if name in skipped:
            lines.append(f"{name:<32}{skipped[name]}")
            continue
        more = median(a / b - 1 for a, b in zip(taken, seconds[_PLAIN], strict=True))
        lines.append(f"{name:<32}{median(taken):>10.4f}{100 * more:>8.1f}%")
    return "\n".join(lines)


def _seconds(feature: Feature, shape: shapes.Shape, data: Samples, num_threads: int) -> float:
    """Of an epoch, in the mean of a few after the first."""
    net = Network(shape.widths[0], _layers(feature, shape), seed=0)
    trainer = Trainer(net, **({"optimizer": SGD(_RATE)} | dict(feature.trainer)))
    options: dict[str, Any] = {"batch_size": shape.batch_size, "num_threads": num_threads, "progress": False}
    if feature.is_validated:
        options["validation_data"] = data.x[:_VALIDATION], data.y[:_VALIDATION]
    with ExitStack() as stack:
        if feature.files is not None:
            options["callbacks"] = [feature.files(stack.enter_context(tempfile.TemporaryDirectory()))]
        trainer.fit(data.x, data.y, **options)
        began = time.perf_counter()
        trainer.fit(data.x, data.y, epochs=_EPOCHS, **options)
        return (time.perf_counter() - began) / _EPOCHS


def _layers(feature: Feature, shape: shapes.Shape) -> list[Layer]:
    layers: list[Layer] = [Rescaling(1 / 255)]
    n_in = shape.widths[0]
    for units in shape.widths[1:-1]:
        mask = np.arange(n_in * units).reshape(n_in, units) % 2 if feature.is_masked else None
        layers.append(Dense(units, "relu", mask=mask, **feature.dense))
        if feature.keep_prob < 1:
            layers.append(Dropout(feature.keep_prob))
        n_in = units
    return [*layers, Dense(shape.widths[-1], **feature.dense)]
