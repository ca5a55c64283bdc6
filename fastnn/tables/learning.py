"""A network from a table: which task it is, how its numbers are scaled, and the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import datasets
from ..callbacks import Callback
from ..history import History
from ..layers import Dense, Dropout, Layer, Rescaling
from ..network import Network
from ..optimizers import Adam
from ..regularizers import L2
from ..trainer import Trainer
from .reading import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_CLASSES = 50  # of whole numbers that are taken for classes where no task is named
_BYTE = 255


@dataclass(frozen=True)
class Settings:
    """What ``learn`` may be told. task: "classification", "regression" or "auto". hidden: units of each hidden layer.
    keep_prob: of their dropout; 1: none. validation: the part of the rows that is held out, 0 for none."""

    task: str = "auto"
    hidden: Sequence[int] = (64, 64)
    activation: str = "relu"
    keep_prob: float = 1.0
    l2: float = 0.0
    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 0.001
    validation: float = 0.2
    seed: int = 0
    num_threads: int | None = None


@dataclass(frozen=True)
class Learned:
    """net: takes rows as the table has them, and says so in its metadata. validation: what it does on held-out rows."""

    net: Network
    history: History
    validation: dict[str, float]


def learn(table: Table, settings: Settings, callbacks: Sequence[Callback] = ()) -> Learned:
    """Trains a network on a table, with Adam.

    Bytes are divided by 255. Other features, and the targets of a regression, are standardised: mean 0, standard
    deviation 1 over the rows trained on. First and last layer take that into their weights afterwards, so that the
    network reads and gives plain values.
    ValueError: the table does not suit the task.
    """
    if table.y is None:
        raise ValueError("table must have a target, got none")
    classes, y = _targets(table.y, table.target, settings.task)
    train, held_out = _split(table.x, y, settings, is_classes=classes is not None)
    inputs, outputs = Scaling.of_features(train.x), Scaling.of_targets(train.y, classes)

    n_out = len(classes) if classes is not None else train.y.shape[1]
    net = Network(table.x.shape[1], _layers(settings, n_out, is_bytes=table.x.dtype == np.uint8), seed=settings.seed)
    loss = "softmax_cross_entropy" if classes is not None else "squared_error"
    trainer = Trainer(net, loss, Adam(settings.learning_rate), regularizer=L2(settings.l2) if settings.l2 else None)
    history = trainer.fit(
        inputs.apply(train.x),
        outputs.apply(train.y),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        validation_data=(inputs.apply(held_out.x), outputs.apply(held_out.y)) if len(held_out) else None,
        callbacks=callbacks,
        num_threads=settings.num_threads,
    )
    inputs.fold_into_first(net)
    outputs.fold_into_last(net)
    net.metadata.update(columns=list(table.columns), target=table.target, classes=classes)
    return Learned(net, history, _judged(trainer, held_out) if len(held_out) else {})


def _targets(y: NDArray[Any], name: str, task: str) -> tuple[list[str] | None, NDArray[Any]]:
    """The classes and each row's, or None and the values (n, n_out) of a regression."""
    is_text = y.dtype.kind in "UOS"
    is_whole = not is_text and y.ndim == 1 and bool(np.all(np.isfinite(y)) and np.all(y == np.floor(y)))
    if task == "auto":
        few = is_text or (is_whole and len(np.unique(y)) <= _MOST_CLASSES)
        task = "classification" if few else "regression"
    if task == "regression":
        if is_text or not np.all(np.isfinite(y)):
            raise ValueError(f"target {name!r} must hold finite numbers for a regression, got {y[0]!r} and others")
        return None, y.reshape(len(y), -1).astype(np.float64)
    if y.ndim != 1:
        raise ValueError(f"target {name!r} must be one class a row, got shape {y.shape}")
    values, indices = np.unique(y, return_inverse=True)
    if len(values) < 2:
        raise ValueError(f"target {name!r} must hold at least two classes, got {len(values)}")
    return [_class_name(value) for value in values], indices.astype(np.int32)


def _class_name(value: Any) -> str:
    if isinstance(value, (float, np.floating)) and value == int(value):
        return str(int(value))
    return str(value)


def _split(x: NDArray[Any], y: NDArray[Any], settings: Settings, *, is_classes: bool) -> list[datasets.Split]:
    held_out = round(settings.validation * len(x))
    if held_out >= len(x):
        raise ValueError(f"validation must leave rows to train on, got {settings.validation} of {len(x)} rows")
    if held_out == 0:
        return [datasets.Split(x, y), datasets.Split(x[:0], y[:0])]
    sizes = [len(x) - held_out, held_out]
    first, second = datasets.split(x, y, sizes, stratify=is_classes, seed=settings.seed)
    return [first, second]


def _layers(settings: Settings, n_out: int, *, is_bytes: bool) -> list[Layer]:
    layers: list[Layer] = [Rescaling(1 / _BYTE)] if is_bytes else []
    for i, units in enumerate(settings.hidden, start=1):
        layers.append(Dense(units, settings.activation, name=f"hidden_{i}"))
        if settings.keep_prob < 1:
            layers.append(Dropout(settings.keep_prob))
    return [*layers, Dense(n_out, name="output")]


def _judged(trainer: Trainer, rows: datasets.Split) -> dict[str, float]:
    """Of a classifier loss and accuracy; of a regression the root mean square of the error, and R^2."""
    if trainer.loss.link == "softmax":
        return trainer.evaluate(rows.x, rows.y)
    error = trainer.network(rows.x) - rows.y
    spread = rows.y - rows.y.mean(axis=0)
    squares, total = float(np.sum(error * error)), float(np.sum(spread * spread))
    return {"rmse": float(np.sqrt(squares / error.size)), "r2": 1 - squares / total if total else 0.0}


@dataclass(frozen=True)
class Scaling:
    """x' = (x - mean) / deviation, a column at a time; None: x' = x."""

    mean: NDArray[np.float64] | None = None
    deviation: NDArray[np.float64] | None = None

    @classmethod
    def of_features(cls, x: NDArray[Any]) -> Scaling:
        return cls() if x.dtype == np.uint8 else cls._of(x)

    @classmethod
    def of_targets(cls, y: NDArray[Any], classes: list[str] | None) -> Scaling:
        return cls() if classes is not None else cls._of(y)

    @classmethod
    def _of(cls, x: NDArray[Any]) -> Scaling:
        deviation = x.std(axis=0, dtype=np.float64)
        return cls(x.mean(axis=0, dtype=np.float64), np.where(deviation > 0, deviation, 1.0))

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        if self.mean is None or self.deviation is None:
            return x
        return ((x - self.mean) / self.deviation).astype(np.float32)

    def fold_into_first(self, net: Network) -> None:
        """The first layer reads x where it read x': x' W + b = x (W / deviation) + (b - mean / deviation W)."""
        if self.mean is None or self.deviation is None:
            return
        w, b = list(net.variables.values())[:2]
        scaled = w.value / self.deviation[:, None]
        b.assign(b.value - self.mean @ scaled)
        w.assign(scaled)

    def fold_into_last(self, net: Network) -> None:
        """The last layer gives y where it gave y': y = deviation y' + mean."""
        if self.mean is None or self.deviation is None:
            return
        w, b = list(net.variables.values())[-2:]
        w.assign(w.value * self.deviation)
        b.assign(b.value * self.deviation + self.mean)
