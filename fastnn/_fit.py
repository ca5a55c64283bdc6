"""What a Trainer makes of its arguments and those of ``fit`` and ``evaluate``: checked, and as its loop takes them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _core
from ._arrays import as_array, as_class_weights, as_targets, as_weights
from ._stream import Stream, is_streamed
from .callbacks import Callback

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .losses import Loss
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


def check_callbacks(callbacks: Any) -> Sequence[Callback]:
    if not isinstance(callbacks, Sequence):
        raise _checks.wrong_kind("callbacks", "a sequence of Callbacks", callbacks)
    for i, callback in enumerate(callbacks):
        if not isinstance(callback, Callback):
            raise _checks.wrong_kind(f"callbacks[{i}]", "a Callback", callback)
    return callbacks


def goal(
    loss: Loss, max_seconds: float | None, target_accuracy: float | None, has_validation: bool
) -> Callable[[Mapping[str, float]], bool]:
    """Whether, after an epoch with these logs, training has come to where it is to end."""
    began, seconds, target = time.monotonic(), math.inf, math.inf
    if max_seconds is not None:
        seconds = _checks.positive("max_seconds", max_seconds)
    if target_accuracy is not None:
        expected = "a number from 0 to 1"
        target = _checks.number("target_accuracy", target_accuracy, expected, lambda v: 0 <= v <= 1)
        if not loss.has_accuracy:
            raise ValueError(f"target_accuracy must be None for loss {loss.name!r}, which has no accuracy")
    watched = "val_accuracy" if has_validation else "accuracy"
    return lambda logs: time.monotonic() - began >= seconds or logs.get(watched, 0.0) >= target


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
    return data


def validation_of(network: Network, loss: Loss, validation_data: Any) -> _core.Data | Stream | None:
    if validation_data is None:
        return None
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise _checks.wrong_kind("validation_data", "a pair (x, y)", validation_data)
    x, y = validation_data
    data = rows_of(network, loss, x, y, "validation_data x", "validation_data y")
    if isinstance(data, _core.Data):
        data.find_zeros(network._threads(len(data), None))
    return data
