"""Arrays that come from a user, checked once: dtype, shape, order and range, with errors that name the argument.

What leaves here is what the C core takes: C-contiguous uint8 or float32 rows, int32 labels, float32 targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _checks

_ROW_SUM_TOLERANCE = 1e-4  # of a row of probabilities: about 1,000 float32 roundings


def as_array(value: Any, name: str) -> np.ndarray:
    """A NumPy array over anything with ``__array__``, a buffer, ``__dlpack__`` on the CPU, or nested lists."""
    if isinstance(value, np.ndarray):
        array = value
    elif hasattr(value, "__array__") or not hasattr(value, "__dlpack__"):
        try:
            array = np.asarray(value)
        except ValueError as error:  # ragged nested lists
            got = f"{type(value).__name__}: {error}"
            raise ValueError(f"{name} must be a rectangular array of numbers, got {got}") from None
    else:
        try:
            array = np.from_dlpack(value)
        except (BufferError, RuntimeError) as error:  # as it says of another device
            raise TypeError(f"{name} must be an array on the CPU, got {type(value).__name__}: {error}") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype} from {type(value).__name__}")
    return array


def as_rows(x: Any, n_in: int, name: str = "x") -> np.ndarray:
    """Rows of the network's input: (n, n_in), uint8 as it is, everything else as float32."""
    array = as_array(x, name)
    check_rows(array, n_in, name)
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    return _as_float32(array, name)


def check_rows(array: np.ndarray, n_in: int, name: str) -> None:
    """Their shape and number."""
    if array.ndim != 2:
        hint = f"; for one row give {name}[None, :]" if array.shape == (n_in,) else ""
        raise ValueError(f"{name} must have shape (n, {n_in}), got {array.ndim} dimension(s) {array.shape}{hint}")
    if array.shape[1] != n_in:
        raise ValueError(f"{name} must have shape (n, {n_in}), got {array.shape}: {array.shape[1]} features a row")
    if array.shape[0] >= 2**31:
        raise ValueError(f"{name} must have fewer than 2**31 rows, got {array.shape[0]}")


def is_csr(x: Any) -> bool:
    """Whether x is one of SciPy's sparse matrices or arrays, or looks like it: SciPy is not imported."""
    return hasattr(x, "tocsr")


def as_csr(
    x: Any, n_in: int, scale: float, offset: float, name: str = "x"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(starts int64, columns int32 ascending in a row, values float32 rescaled) of a sparse matrix (n, n_in)."""
    matrix = x.tocsr()
    if len(matrix.shape) != 2 or matrix.shape[1] != n_in:
        raise ValueError(f"{name} must have shape (n, {n_in}), got a sparse matrix of shape {matrix.shape}")
    values = as_array(matrix.data, f"{name}.data")
    starts, columns = (as_array(getattr(matrix, part), f"{name}.{part}") for part in ("indptr", "indices"))
    lengths = np.diff(starts)
    is_whole = len(starts) == matrix.shape[0] + 1 and len(values) == len(columns) == starts[-1] and starts[0] == 0
    if not is_whole or (lengths < 0).any() or (columns < 0).any() or (columns >= n_in).any():
        raise ValueError(f"{name} must be a valid CSR matrix, got indptr or indices that do not fit its shape and data")
    rows = np.repeat(np.arange(len(lengths)), lengths)
    if ((np.diff(rows) == 0) & (np.diff(columns) <= 0)).any():
        starts, columns, values = _canonical(rows, columns, values, len(lengths))
    with np.errstate(over="ignore"):
        values = (values.astype(np.float64) * scale + offset).astype(np.float32)
    return _plain(starts, np.int64), _plain(columns, np.int32), _plain(values, np.float32)


def _canonical(
    rows: np.ndarray, columns: np.ndarray, values: np.ndarray, n_rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entries in order, those of one place added up."""
    order = np.lexsort((columns, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    firsts = np.flatnonzero(np.r_[True, (np.diff(rows) != 0) | (np.diff(columns) != 0)])
    starts = np.r_[0, np.cumsum(np.bincount(rows[firsts], minlength=n_rows))]
    return starts, columns[firsts], np.add.reduceat(values, firsts)


def as_targets(y: Any, n_rows: int, n_out: int, loss: str, name: str = "y") -> np.ndarray:
    """What the loss compares with: int32 class indices (n,), or float32 targets (n, n_out)."""
    array = as_array(y, name)
    if array.ndim == 0 or array.shape[0] != n_rows:
        raise ValueError(f"{name} must have one entry for each of the {n_rows} rows of x, got shape {array.shape}")
    if loss == "softmax_cross_entropy":
        if array.ndim == 1:
            return _as_labels(array, n_out, name)
        return _as_probabilities(_as_matrix(array, n_out, name, "or class indices of shape (n,)"), name)
    if loss == "custom":
        return _as_custom(array, n_out, name)
    if array.ndim == 1 and n_out == 1:
        array = array[:, None]
    targets = _as_matrix(array, n_out, name, f"for {loss}")
    if loss == "poisson" and targets.size and targets.min() < 0:
        row = int(np.argmax((targets < 0).any(axis=1)))
        raise ValueError(f"{name} must hold non-negative numbers for {loss}, got {targets[row].tolist()} in row {row}")
    if loss == "sigmoid_cross_entropy" and targets.size and (targets.min() < 0 or targets.max() > 1):
        row = int(np.argmax(((targets < 0) | (targets > 1)).any(axis=1)))
        raise ValueError(f"{name} must hold numbers in [0, 1] for {loss}, got {targets[row].tolist()} in row {row}")
    return targets


def as_weights(value: Any, n_rows: int, name: str = "sample_weight") -> np.ndarray:
    """A non-negative finite number for each row: float32 (n,)."""
    array = as_array(value, name)
    if array.shape != (n_rows,):
        raise ValueError(f"{name} must have shape ({n_rows},), one number for each row of x, got {array.shape}")
    weights = _finite(_as_float32(array, name), name)
    if (weights < 0).any():
        at = int(np.argmax(weights < 0))
        raise ValueError(f"{name} must hold non-negative numbers, got {weights[at]} in row {at}")
    return weights


def as_class_weights(value: Any, n_out: int, name: str = "class_weight") -> np.ndarray:
    """A non-negative finite number for each class: float32 (n_out,). Classes that a dict does not name have 1."""
    if not isinstance(value, Mapping):
        array = as_array(value, name)
        if array.shape != (n_out,):
            raise ValueError(f"{name} must have shape ({n_out},), one number for each class, got {array.shape}")
        return as_weights(array, n_out, name)
    each = np.ones(n_out, np.float32)
    for label, weight in value.items():
        each[_checks.integer(f"{name}'s class", label, 0, n_out - 1)] = _checks.non_negative(
            f"{name}[{label!r}]", weight
        )
    return each


def as_judgement(value: Any, n_rows: int, n_out: int) -> tuple[np.ndarray, np.ndarray]:
    """What the function of a CustomLoss returned: losses (n,) and their gradient (n, n_out), as float32."""
    expected = "the function of a CustomLoss must return a pair (losses, gradient)"
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        got = type(value).__name__ if not isinstance(value, (tuple, list)) else f"{len(value)} values"
        raise TypeError(f"{expected}, got {got}")
    checked = []
    for part, name, shape in zip(value, ("losses", "gradient"), ((n_rows,), (n_rows, n_out)), strict=True):
        array = as_array(part, f"{name} of a CustomLoss")
        if array.shape != shape:
            raise ValueError(f"{name} of a CustomLoss must have shape {shape}, got {array.shape}")
        with np.errstate(over="ignore"):
            checked.append(array.astype(np.float32, copy=False))
    return checked[0], checked[1]


def as_parameter(value: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Values for a variable: float32, exactly its shape, finite."""
    array = as_array(value, name)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return _finite(_as_float32(array, name), name)


def _as_float32(array: np.ndarray, name: str) -> np.ndarray:
    say_converted(array.dtype, name)
    return _plain(to_float32(array), np.float32)


def to_float32(array: np.ndarray) -> np.ndarray:
    """The array itself if it is float32; what float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def say_converted(dtype: np.dtype, name: str) -> None:
    if dtype != np.float32:
        import logging

        logging.getLogger("fastnn").info("%s: converted from %s to float32", name, dtype)


def _plain(array: np.ndarray, dtype: type) -> np.ndarray:
    """In C order and aligned, which views of bytes read from a file may not be."""
    return np.ascontiguousarray(array if array.flags.aligned else array.copy(), dtype)


def _finite(array: np.ndarray, name: str) -> np.ndarray:
    good = np.isfinite(array)
    if not good.all():
        at = tuple(int(i) for i in np.argwhere(~good)[0])
        raise ValueError(f"{name} must be finite, got {array[at]} at index {at if len(at) != 1 else at[0]}")
    return array


def _as_labels(array: np.ndarray, n_out: int, name: str) -> np.ndarray:
    if array.dtype.kind == "f":
        whole = array == np.floor(array)  # False for NaN
        whole &= np.isfinite(array)
        if not whole.all():
            at = int(np.argmin(whole))
            raise ValueError(
                f"{name} must hold class indices, whole numbers in [0, {n_out - 1}], got {array[at]} in row {at}"
            )
    bad = (array < 0) | (array >= n_out)
    if bad.any():
        at = int(np.argmax(bad))
        raise ValueError(f"{name} must hold class indices in [0, {n_out - 1}], got {array[at]} in row {at}")
    return _plain(array, np.int32)


def _as_custom(array: np.ndarray, n_out: int, name: str) -> np.ndarray:
    """Integers (n,) for several outputs are labels: int32. All else is float32 (n, k), of any k."""
    if array.ndim == 1 and n_out > 1 and array.dtype.kind in "biu":
        return _plain(array, np.int32)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape (n,) or (n, k) for a custom loss, got {array.shape}")
    return _finite(_as_float32(array, name), name)


def _as_matrix(array: np.ndarray, n_out: int, name: str, otherwise: str) -> np.ndarray:
    if array.ndim != 2 or array.shape[1] != n_out:
        raise ValueError(f"{name} must have shape (n, {n_out}) {otherwise}, got {array.shape}")
    return _finite(_as_float32(array, name), name)


def _as_probabilities(targets: np.ndarray, name: str) -> np.ndarray:
    sums = targets.sum(axis=1, dtype=np.float64)
    bad = (targets < 0).any(axis=1) | (np.abs(sums - 1) > _ROW_SUM_TOLERANCE)
    if bad.any():
        at = int(np.argmax(bad))
        raise ValueError(
            f"{name} must hold a probability for each class, non-negative with rows that sum to 1, "
            f"got {targets[at].tolist()} in row {at}"
        )
    return targets
