"""A network from a table: which task it is, how its numbers are scaled, and the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import datasets
from .._checks import FLOAT32_MAX
from ..callbacks import Callback, EarlyStopping
from ..history import History
from ..layers import Dense, Dropout, Layer, Rescaling
from ..network import Network
from ..optimizers import Adam
from ..regularizers import L2
from ..trainer import Trainer
from .reading import Table
from .scaling import Scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_CLASSES = 50  # of whole numbers that are taken for classes where no task is named
_BYTE = 255
_LEAST_DEVIATION = 1e-30  # below, weights that take it in are too large for float32
_ROWS_CHECKED = 10_000


@dataclass(frozen=True)
class Settings:
    """What ``learn`` may be told. task: "classification", "regression" or "auto". hidden: units of each hidden layer.
    keep_prob: of their dropout; 1: none. validation: the part of the rows that is held out, 0 for none. patience:
    epochs without a better loss there after which the training ends, with the best parameters; None: all epochs.
    device: where the network is trained, and lives afterwards."""

    task: str = "auto"
    hidden: Sequence[int] = (64, 64)
    activation: str = "relu"
    keep_prob: float = 1.0
    l2: float = 0.0
    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 0.001
    validation: float = 0.2
    patience: int | None = None
    seed: int = 0
    num_threads: int | None = None
    device: str = "cpu:0"


@dataclass(frozen=True)
class Learned:
    """net: takes rows as the table has them, and says so in its metadata. validation: what it does on held-out rows.

    best_epoch: whose parameters the network has, if patience was given. rounding: how far its outputs, as float32 of
    plain values, are from those of standardised values, as a part of the largest; farthest: the column that most makes
    them differ, in words.
    """

    net: Network
    history: History
    validation: dict[str, float]
    best_epoch: int | None
    rounding: float
    farthest: str


def learn(table: Table, settings: Settings, callbacks: Sequence[Callback] = ()) -> Learned:
    """Trains a network on a table, with Adam.

    Bytes are divided by 255. Other features, and the targets of a regression, are standardised: mean 0, standard
    deviation 1 over the rows trained on; a constant feature gets weights of zero. First and last layer take that into
    their weights afterwards, so that the network reads and gives plain values.
    Whole numbers as a target are classes if there are at most 50, each on two rows or more on average.
    ValueError: the table does not suit the task, or the device is missing.
    """
    if table.y is None:
        raise ValueError("table must have a target, got none")
    classes, y = _targets(table.y, table.target, settings.task)
    train, held_out = _split(table.x, y, settings, is_classes=classes is not None)
    if settings.patience is not None and not len(held_out):
        raise ValueError("patience must come with held-out rows, whose loss it watches, got none")
    inputs, outputs = Scaling.of_features(train.x), Scaling.of_targets(train.y, classes)
    _check_spread(table.columns, inputs)

    n_out = len(classes) if classes is not None else train.y.shape[1]
    layers = _layers(settings, n_out, is_bytes=table.x.dtype == np.uint8)
    net = Network(table.x.shape[1], layers, seed=settings.seed, device=settings.device)
    loss = "softmax_cross_entropy" if classes is not None else "squared_error"
    trainer = Trainer(net, loss, Adam(settings.learning_rate), regularizer=L2(settings.l2) if settings.l2 else None)
    stopping = [EarlyStopping(patience=settings.patience)] if settings.patience is not None else []
    history = trainer.fit(
        inputs.apply(train.x),
        outputs.apply(train.y),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        validation_data=(inputs.apply(held_out.x), outputs.apply(held_out.y)) if len(held_out) else None,
        callbacks=[*stopping, *callbacks],
        num_threads=settings.num_threads,
    )
    rounding = _fold(net, inputs, outputs, train.x[:_ROWS_CHECKED])
    net.metadata.update(columns=list(table.columns), target=table.target, classes=classes)
    return Learned(
        net,
        history,
        _judged(trainer, held_out) if len(held_out) else {},
        stopping[0].best_epoch if stopping else None,
        rounding,
        _farthest(table, inputs, outputs),
    )


def _check_spread(columns: Sequence[str], inputs: Scaling) -> None:
    if inputs.deviation is None:
        return
    for name, deviation in zip(columns, inputs.deviation, strict=True):
        if deviation < _LEAST_DEVIATION:
            raise ValueError(
                f"feature {name!r} must have a standard deviation of at least {_LEAST_DEVIATION:g}, got {deviation:g}: "
                "give it in another unit"
            )


def _fold(net: Network, inputs: Scaling, outputs: Scaling, x: NDArray[Any]) -> float:
    """Takes both scalings into the weights. Returns the largest difference that this makes to outputs for x, on the
    scale trained on, as a part of the largest output."""
    before = net(inputs.apply(x))
    inputs.fold_into_first(net)
    outputs.fold_into_last(net)
    after = outputs.apply(net(x))
    return float(np.max(np.abs(after - before)) / (np.max(np.abs(before)) or 1.0))


def _farthest(table: Table, inputs: Scaling, outputs: Scaling) -> str:
    """The column that lies farthest from zero, measured by its spread, in words; empty if none is scaled."""
    features = [(f"feature {name!r}", *c) for name, c in zip(table.columns, inputs.columns(), strict=False)]
    targets = [(f"target {table.target!r}", *c) for c in outputs.columns()]
    if not features and not targets:
        return ""
    name, mean, deviation = max(features + targets, key=lambda column: abs(column[1]) / column[2])
    return f"{name} has mean {mean:.6g} and standard deviation {deviation:.3g}"


def _targets(y: NDArray[Any], name: str, task: str) -> tuple[list[str] | None, NDArray[Any]]:
    """The classes and each row's, or None and the values (n, n_out) of a regression."""
    is_text = y.dtype.kind in "UOS"
    is_whole = not is_text and y.ndim == 1 and bool(np.all(np.isfinite(y)) and np.all(y == np.floor(y)))
    if task == "auto":
        is_few = is_whole and len(np.unique(y)) <= min(_MOST_CLASSES, len(y) // 2)
        task = "classification" if is_text or is_few else "regression"
    if task == "regression":
        if is_text or not np.all(np.abs(y) <= FLOAT32_MAX):
            wrong = next(value for value in y.reshape(-1).tolist() if not _is_float32(value))
            raise ValueError(f"target {name!r} must hold finite numbers for a regression, got {wrong!r} and others")
        return None, y.reshape(len(y), -1).astype(np.float64)
    if not is_text and not np.all(np.isfinite(y)):
        raise ValueError(f"target {name!r} must hold finite numbers or texts for classes, got NaN or infinity")
    if y.ndim != 1:
        raise ValueError(f"target {name!r} must be one class a row, got shape {y.shape}")
    values, indices = np.unique(y, return_inverse=True)
    if len(values) < 2:
        raise ValueError(f"target {name!r} must hold at least two classes, got {len(values)}")
    return [_class_name(value) for value in values], indices.astype(np.int32)


def _is_float32(value: Any) -> bool:
    try:
        return abs(float(value)) <= FLOAT32_MAX
    except ValueError:
        return False


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
