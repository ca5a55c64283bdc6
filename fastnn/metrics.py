"""Metrics: numbers that say how well outputs fit what was wanted. NumPy alone, in float64.

The first argument is what was wanted, the second what came. Where a metric speaks of classes, either is

    classes  (n,)     whole numbers from 0
    scores   (n, k)   one a class, k >= 2: probabilities, logits or one-hot rows; the class is the largest, the first
                      of equals
    scores   (n, 1)   of one sigmoid unit: class 1 where the score is above 1/2, else 0

``Trainer.evaluate(metrics=)`` and ``Trainer.fit(metrics=)`` take those that give one number by name.
TypeError: an array does not hold real numbers. ValueError: shapes do not fit each other, or there is no row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks
from ._arrays import as_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "accuracy",
    "confusion_matrix",
    "f1",
    "mean_absolute_error",
    "mean_squared_error",
    "precision",
    "r2",
    "recall",
    "top_k_accuracy",
]

# ---- classes --------------------------------------------------------------------------------------------------------


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Fraction of rows whose class is right: 1/n sum_i [true_i = predicted_i]."""
    true, predicted = _two_of_classes(y_true, y_pred)
    return float(np.mean(true == predicted))


def top_k_accuracy(y_true: ArrayLike, scores: ArrayLike, k: int = 5) -> float:
    """Fraction of rows whose true class is among the k of largest score; of equal scores the lower class comes first.

    scores: (n, n_classes), none of them NaN. k: from 1 to n_classes.
    """
    values = as_array(scores, "scores")
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"scores must have shape (n, n_classes), n_classes at least 2, got {values.shape}")
    k = _checks.integer("k", k, 1, values.shape[1])
    true = _classes(y_true, "y_true")
    _check_rows(true, values, "scores")
    if np.isnan(values).any():
        raise ValueError("scores must not be NaN")
    if true.max() >= values.shape[1]:
        raise ValueError(f"y_true must hold classes in [0, {values.shape[1] - 1}], got {true.max()}")
    own = values[np.arange(len(true)), true][:, None]
    is_before = (values > own) | ((values == own) & (np.arange(values.shape[1]) < true[:, None]))
    return float(np.mean(is_before.sum(axis=1) < k))


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, n_classes: int | None = None) -> NDArray[np.int64]:
    """Counts (n_classes, n_classes), int64: row = true class, column = predicted class.

    n_classes: None: as many as the scores have columns, or one more than the largest class.
    """
    true, predicted = _two_of_classes(y_true, y_pred)
    seen = 1 + int(max(true.max(), predicted.max()))
    if n_classes is None:
        n_classes = max([seen, *(np.shape(each)[1] for each in (y_true, y_pred) if np.ndim(each) == 2)])
    n_classes = _checks.integer("n_classes", n_classes, 1)
    if n_classes < seen:
        raise _checks.wrong_value("n_classes", f"at least {seen}, one more than the largest class", n_classes)
    counts = np.bincount(true * n_classes + predicted, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes).astype(np.int64, copy=False)


def precision(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[np.float64]:
    """Of the rows taken for class c, the fraction that is of it: M_cc / sum_i M_ic, with the confusion matrix M.

    One number a class (n_classes,); NaN where no row was taken for the class.
    """
    matrix = confusion_matrix(y_true, y_pred)
    return _fraction(matrix.diagonal(), matrix.sum(axis=0))


def recall(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[np.float64]:
    """Of the rows of class c, the fraction taken for it: M_cc / sum_j M_cj, with the confusion matrix M.

    One number a class (n_classes,); NaN where no row is of the class.
    """
    matrix = confusion_matrix(y_true, y_pred)
    return _fraction(matrix.diagonal(), matrix.sum(axis=1))


def f1(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[np.float64]:
    """Harmonic mean of precision and recall: 2 M_cc / (sum_i M_ic + sum_j M_cj), with the confusion matrix M.

    One number a class (n_classes,); NaN where no row is of the class or was taken for it.
    """
    matrix = confusion_matrix(y_true, y_pred)
    return _fraction(2 * matrix.diagonal(), matrix.sum(axis=0) + matrix.sum(axis=1))


# ---- values ---------------------------------------------------------------------------------------------------------


def r2(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Coefficient of determination: 1 - sum_i (t_i - y_i)^2 / sum_i (t_i - mean t)^2.

    1 is perfect, 0 what the mean of y_true would reach, negative worse than that. Of several columns (n, n_out), the
    mean of the columns' values. ValueError: also for a column of y_true whose values are all the same.
    """
    true, predicted = _two_of_values(y_true, y_pred)
    around_mean = np.sum((true - true.mean(axis=0)) ** 2, axis=0)
    is_flat = (true == true[0]).all(axis=0)
    if is_flat.any():
        raise ValueError(f"y_true must vary in every column for r2, got the same value in column {np.argmax(is_flat)}")
    return float(np.mean(1 - np.sum((true - predicted) ** 2, axis=0) / around_mean))


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """1/(n n_out) sum |t - y|, of values (n,) or (n, n_out)."""
    true, predicted = _two_of_values(y_true, y_pred)
    return float(np.mean(np.abs(true - predicted)))


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """1/(n n_out) sum (t - y)^2, of values (n,) or (n, n_out). The loss "squared_error" is n_out/2 times this."""
    true, predicted = _two_of_values(y_true, y_pred)
    return float(np.mean((true - predicted) ** 2))


# ---- by name --------------------------------------------------------------------------------------------------------

Metric = Callable[[Any, Any], float]
Metrics = Sequence[str | Metric] | Mapping[str, str | Metric]
_NAMED: dict[str, Metric] = {
    "accuracy": accuracy,
    "r2": r2,
    "mean_absolute_error": mean_absolute_error,
    "mean_squared_error": mean_squared_error,
}
_TOP_K = re.compile(r"top_([1-9]\d*)_accuracy")


def get(metrics: Any) -> dict[str, Metric]:
    """Functions by name: of a sequence of names and functions, which give their own name, or of a mapping.

    TypeError: something else. ValueError: an unknown name, the same name twice, or a function without one.
    """
    if isinstance(metrics, Mapping):
        pairs = [
            (_text(name), metric if callable(metric) else _function(metric)[1]) for name, metric in metrics.items()
        ]
    elif isinstance(metrics, Sequence) and not isinstance(metrics, str):
        pairs = [_function(metric) for metric in metrics]
    else:
        raise _checks.wrong_kind("metrics", "a sequence of names and functions, or a mapping", metrics)
    functions: dict[str, Metric] = {}
    for name, function in pairs:
        if name in functions or name == "loss" or (name == "accuracy" and function is not accuracy):
            raise _checks.wrong_value("name of a metric", "its alone", name)
        functions[name] = function
    return functions


def _function(metric: Any) -> tuple[str, Metric]:
    if callable(metric):
        name = getattr(metric, "__name__", "")
        if not name.isidentifier():  # a lambda's is not
            raise ValueError(f"metrics must name each function, got {metric!r}: write {{'its_name': function}}")
        return name, metric
    if isinstance(metric, str) and (top := _TOP_K.fullmatch(metric)):
        return metric, partial(top_k_accuracy, k=int(top[1]))
    return metric, _NAMED[_checks.choice("metrics", metric, [*_NAMED, "top_K_accuracy"])]


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise _checks.wrong_kind("name of a metric", "a string", name)
    return name


# ---- arrays ---------------------------------------------------------------------------------------------------------


def _classes(values: ArrayLike, name: str) -> NDArray[np.int64]:
    array = as_array(values, name)
    if array.ndim not in (1, 2) or array.shape[1:] == (0,):
        raise ValueError(f"{name} must hold classes (n,) or scores (n, n_classes), got shape {array.shape}")
    if array.ndim == 2:
        return (array[:, 0] > 0.5).astype(np.int64) if array.shape[1] == 1 else array.argmax(axis=1)
    bad = ~((array >= 0) & (array == np.floor(array)) & (array < 2**31))  # NaN is bad too
    if bad.any():
        at = int(np.argmax(bad))
        raise ValueError(f"{name} must hold classes, whole numbers from 0 to 2**31 - 1, got {array[at]} in row {at}")
    return array.astype(np.int64)


def _two_of_classes(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    true, predicted = _classes(y_true, "y_true"), _classes(y_pred, "y_pred")
    _check_rows(true, predicted, "y_pred")
    return true, predicted


def _two_of_values(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as (n, n_out)."""
    true, predicted = (as_array(y, name) for y, name in ((y_true, "y_true"), (y_pred, "y_pred")))
    true, predicted = (y[:, None] if y.ndim == 1 else y for y in (true, predicted))
    if true.ndim != 2 or true.shape != predicted.shape:
        raise ValueError(
            f"y_pred must have the shape of y_true, (n,) or (n, n_out), got {predicted.shape}, {true.shape}"
        )
    if true.size == 0:
        raise ValueError("y_true must have at least one row, got none")
    return true.astype(np.float64), predicted.astype(np.float64)


def _check_rows(true: NDArray[Any], predicted: NDArray[Any], name: str) -> None:
    if len(true) == 0:
        raise ValueError("y_true must have at least one row, got none")
    if len(true) != len(predicted):
        raise ValueError(f"{name} must have a row for each of the {len(true)} rows of y_true, got {len(predicted)}")


def _fraction(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    result = np.full(len(whole), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result
