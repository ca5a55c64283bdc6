"""What a Trainer makes of its arguments and those of ``fit`` and ``evaluate``: checked, and as its loop takes them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _checks, _core, runtime
from . import metrics as _metrics
from ._arrays import as_array, as_class_weights, as_targets, as_weights
from ._stream import Stream, is_streamed
from .callbacks import Callback
from .layers import Rescaling

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .losses import Loss
    from .metrics import Metric, Metrics
    from .network import Network

# ---- of a Trainer ----------------------------------------------------------------------------------------------------


def check_clip(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _checks.wrong_kind(name, "None or a positive number", value)
    return _checks.number(name, value, "a positive number in float32", lambda v: bool(np.float32(v) > 0))


def check_link(network: Network, loss: Loss) -> None:
    last = network.layers[-1].activation  # type: ignore[attr-defined]
    if last == "softmax" and loss.link != "softmax":
        raise ValueError(f"loss must be 'softmax_cross_entropy' for a last layer with softmax, got {loss.name!r}")
    if last == loss.link == "sigmoid":
        raise ValueError(
            "the last layer must have activation 'linear' for loss 'sigmoid_cross_entropy', which applies the sigmoid "
            "itself, got 'sigmoid'"
        )


# ---- of fit and evaluate ---------------------------------------------------------------------------------------------


def check_callbacks(callbacks: Any, name: str = "callbacks") -> Sequence[Callback]:
    if not isinstance(callbacks, Sequence):
        raise _checks.wrong_kind(name, "a sequence of Callbacks", callbacks)
    for i, callback in enumerate(callbacks):
        if not isinstance(callback, Callback):
            raise _checks.wrong_kind(f"{name}[{i}]", "a Callback", callback)
    return callbacks


class Settings(NamedTuple):
    """Those arguments of ``fit`` that need no look at network or data."""

    epochs: int
    batch_size: int
    shuffle: bool
    drop_last: bool
    metrics: dict[str, Metric]
    max_seconds: float
    target_accuracy: float | None
    num_threads: int | None
    limit: int | None = None  # of threads, where num_threads is None


def check_settings(
    epochs: int,
    batch_size: int,
    shuffle: bool,
    drop_last: bool,
    metrics: Metrics,
    max_seconds: float | None,
    target_accuracy: float | None,
    num_threads: int | None,
    has_validation: bool,
) -> Settings:
    asked = _metrics.get(metrics)
    if asked and not has_validation:
        raise ValueError(f"metrics must come with validation_data, which they measure, got {list(asked)} alone")
    if target_accuracy is not None:
        expected = "a number from 0 to 1"
        target_accuracy = _checks.number("target_accuracy", target_accuracy, expected, lambda v: 0 <= v <= 1)
    if num_threads is not None:
        num_threads = _checks.integer("num_threads", num_threads, 1, runtime.MAX_THREADS)
    return Settings(
        _checks.integer("epochs", epochs, 0),
        _checks.integer("batch_size", batch_size, 1),
        _checks.flag("shuffle", shuffle),
        _checks.flag("drop_last", drop_last),
        asked,
        math.inf if max_seconds is None else _checks.positive("max_seconds", max_seconds),
        target_accuracy,
        num_threads,
    )


class Sets(NamedTuple):
    """The data of a ``fit``, as the engine takes it."""

    training: _core.Data | Stream
    validation: _core.Data | Stream | None

    def of(self, network: Network) -> Sets:
        """The same for another network that reads and judges it alike, as ``kind_of_data`` says."""
        training, validation = self
        return Sets(
            training.of(network._net) if isinstance(training, Stream) else training,
            validation.of(network._net) if isinstance(validation, Stream) else validation,
        )


def kind_of_data(network: Network, loss: Loss) -> tuple[object, ...]:
    """Equal for networks and losses that can share a data set."""
    first = network.layers[0]
    rescaling = (first.scale, first.offset) if isinstance(first, Rescaling) else None
    return network.n_in, network.n_out, rescaling, network.device, loss.name


class Work(NamedTuple):
    """What a trainer is to do in a ``fit``."""

    settings: Settings
    sets: Sets
    batch_size: int
    n_steps: int  # of an epoch


def work_of(loss: Loss, settings: Settings, sets: Sets) -> Work:
    """ValueError: the two do not go together."""
    if settings.target_accuracy is not None and not loss.has_accuracy:
        raise ValueError(f"target_accuracy must be None for loss {loss.name!r}, which has no accuracy")
    n, size = len(sets.training), settings.batch_size
    n_steps = n // size if settings.drop_last else -(-n // size)
    if n_steps == 0:
        raise ValueError(f"batch_size must be at most the {n} rows of x with drop_last, got {size}")
    return Work(settings, sets, min(size, n), n_steps)


def goal(work: Work, began: float) -> Callable[[Mapping[str, float]], bool]:
    """Whether, after an epoch with these logs, training has come to where it is to end. began: of time.monotonic()."""
    seconds, target = work.settings.max_seconds, work.settings.target_accuracy
    watched = "accuracy" if work.sets.validation is None else "val_accuracy"
    return lambda logs: time.monotonic() - began >= seconds or (target is not None and logs[watched] >= target)


def row_weights(loss: Loss, n_out: int, y: ArrayLike, sample_weight: Any, class_weight: Any) -> Any:
    """Of the rows, or None."""
    if class_weight is None:
        return sample_weight
    if loss.name != "softmax_cross_entropy":
        raise ValueError(f"class_weight must be None for loss {loss.name!r}: it has no classes")
    n_rows = len(as_array(y, "y"))
    targets = as_targets(y, n_rows, n_out, loss.name)
    each = as_class_weights(class_weight, n_out)
    rows = each[targets] if targets.ndim == 1 else targets @ each
    return rows if sample_weight is None else rows * as_weights(sample_weight, n_rows)


def sets_of(
    network: Network,
    loss: Loss,
    x: ArrayLike,
    y: ArrayLike,
    validation_data: Any,
    sample_weight: Any,
    class_weight: Any,
) -> Sets:
    weights = row_weights(loss, network.n_out, y, sample_weight, class_weight)
    return Sets(rows_of(network, loss, x, y, "x", "y", weights), validation_of(network, loss, validation_data))


def rows_of(
    network: Network, loss: Loss, x: ArrayLike, y: ArrayLike, x_name: str, y_name: str, weights: Any = None
) -> _core.Data | Stream:
    """What the engine takes, checked; at least one row."""
    network._require_values()
    given = (y, loss.rule, x_name, y_name, weights)
    data: _core.Data | Stream
    data = Stream(network._net, x, *given) if is_streamed(x) else _core.Data(network._net, x, *given)
    if len(data) == 0:
        raise ValueError(f"{x_name} must have at least one row, got none")
    if isinstance(data, _core.Data):
        data.find_zeros()
    return data


def validation_of(network: Network, loss: Loss, validation_data: Any) -> _core.Data | Stream | None:
    if validation_data is None:
        return None
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise _checks.wrong_kind("validation_data", "a pair (x, y)", validation_data)
    x, y = validation_data
    return rows_of(network, loss, x, y, "validation_data x", "validation_data y")
