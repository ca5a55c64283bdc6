"""scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..shapes import Shape
from ..workloads import Array, Data
from ._peer import Peer, blas_threads


class ScikitLearn(Peer):
    """MLPClassifier.partial_fit, which is one epoch."""

    name = "scikit-learn"
    package = "sklearn"

    @classmethod
    def why_not(cls, shape: Shape, num_threads: int | None) -> str | None:
        if shape.loss != "softmax_cross_entropy":
            return "scikit-learn's peer is a classifier"
        return super().why_not(shape, num_threads)

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        from sklearn.neural_network import MLPClassifier

        self._model = MLPClassifier(
            shape.widths[1:-1],
            activation=shape.activation,
            solver="sgd",
            alpha=0.0,
            batch_size=shape.batch_size,
            learning_rate_init=shape.learning_rate,
            momentum=0.0,
            nesterovs_momentum=False,
            shuffle=False,
        )
        first = np.zeros((shape.batch_size, shape.widths[0]), np.float32)  # makes the parameters
        self._model.partial_fit(first, np.zeros(len(first), np.int64), classes=np.arange(shape.widths[-1]))
        self._set_threads = blas_threads(num_threads)

    def feed(self, data: Data) -> None:
        self._x, self._y = data.floats, data.y.astype(np.int64)

    def prepare(self) -> None:
        self._set_threads()
        for i, (w, b) in enumerate(zip(self._model.coefs_, self._model.intercepts_, strict=True)):
            np.copyto(w, self._initial[2 * i])
            np.copyto(b, self._initial[2 * i + 1])

    def epoch(self) -> float:
        return float(self._model.partial_fit(self._x, self._y).loss_)

    def predictor(self, x: Array) -> Callable[[], Any]:
        return lambda: self._model.predict_proba(x)
