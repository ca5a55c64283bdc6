"""The samples that a shape is trained on: MNIST's digits, or drawn ones, or made-up numbers."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import datasets
from .shapes import Shape

__all__ = ["Array", "Samples", "load"]

Array = NDArray[Any]


class Samples(NamedTuple):
    """x uint8 or float32 (n, n_in), y class indices (n,) or float32 rows (n, n_out); floats: x as peers want it."""

    source: str
    x: Array
    y: Array
    floats: Array


def load(shape: Shape, rows: int | None = None) -> Samples:
    """The first rows of them (None: those of an epoch). Digits are MNIST's, if FASTNN_DATA has them, or drawn."""
    rows = shape.rows if rows is None else rows
    if shape.samples == "dense":
        return _numbers(rows, shape.widths[0], shape.widths[-1], shape.is_classifier)
    digits = _digits(rows)
    if shape.samples == "bytes":
        return digits
    return digits._replace(source=digits.source.replace("uint8", "float32"), x=digits.floats)


@lru_cache(maxsize=4)
def _digits(rows: int) -> Samples:
    name, split = "MNIST", _mnist()
    if split is None:
        name, split = "drawn digits", datasets.synthetic_digits(rows)
    x, y = split.x[:rows], split.y[:rows]
    return Samples(f"{name}, uint8", x, y, x.astype(np.float32) / np.float32(255))


@lru_cache(maxsize=1)
def _mnist() -> datasets.Split | None:
    if not os.environ.get("FASTNN_DATA"):
        return None
    try:
        return datasets.mnist(download=False).train
    except FileNotFoundError:
        return None


@lru_cache(maxsize=4)
def _numbers(rows: int, n_in: int, n_out: int, is_classifier: bool) -> Samples:
    """x: in (-1, 1) and never 0; y: a linear map of it, the largest of its outputs or their tanh."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (rows, n_in)).astype(np.float32)
    x[x == 0] = 0.5
    z = x @ (random.standard_normal((n_in, n_out), np.float32) * np.float32(np.sqrt(3 / n_in)))
    y = z.argmax(axis=1) if is_classifier else np.tanh(z)
    return Samples("numbers without zeros, float32", x, y, x)
