"""scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..samples import Array, Samples
from ..shapes import Shape
from ._peer import Peer, blas_threads, why_no_blas_threads


class ScikitLearn(Peer):
    """partial_fit, which is one epoch, of MLPClassifier or MLPRegressor."""

    name = "scikit-learn"
    package = "sklearn"

    @classmethod
    def why_not(cls, shape: Shape, num_threads: int | None) -> str | None:
        return super().why_not(shape, num_threads) or why_no_blas_threads(num_threads)

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        self._model = (MLPClassifier if shape.is_classifier else MLPRegressor)(
            hidden_layer_sizes=shape.widths[1:-1],
            activation="identity" if shape.activation == "linear" else shape.activation,
            solver="sgd",
            alpha=0.0,
            batch_size=shape.batch_size,
            learning_rate_init=shape.learning_rate,
            momentum=0.0,
            nesterovs_momentum=False,
            shuffle=False,
        )
        first = np.zeros((shape.batch_size, shape.widths[0]), np.float32)
        if shape.is_classifier:  # makes the parameters, as does the other
            self._model.partial_fit(first, np.zeros(len(first), np.int64), classes=np.arange(shape.widths[-1]))
        else:
            self._model.partial_fit(first, self._targets(np.zeros((len(first), shape.widths[-1]), np.float32)))
        self._set_threads = blas_threads(num_threads)

    def feed(self, data: Samples) -> None:
        self._x, self._y = data.floats, data.y.astype(np.int64) if self.shape.is_classifier else self._targets(data.y)

    def _targets(self, y: Array) -> Array:
        """It wants a single output as a vector."""
        return y[:, 0] if y.shape[1] == 1 else y

    def prepare(self) -> None:
        self._set_threads()
        for i, (w, b) in enumerate(zip(self._model.coefs_, self._model.intercepts_, strict=True)):
            np.copyto(w, self._initial[2 * i])
            np.copyto(b, self._initial[2 * i + 1])

    def epoch(self) -> float:
        loss = float(self._model.partial_fit(self._x, self._y).loss_)
        return loss if self.shape.is_classifier else loss * self.shape.widths[-1]  # it averages over the outputs

    def predictor(self, x: Array) -> Callable[[], Any]:
        if self.shape.is_classifier:
            return lambda: self._model.predict_proba(x)
        return lambda: self._model.predict(x).reshape(len(x), -1)
