"""NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..samples import Array, Samples
from ..shapes import Shape
from ._peer import Peer, blas_threads, why_no_blas_threads


class NumPy(Peer):
    """Arrays of a step allocated beforehand, operations in place, the learning rate folded into the gradient."""

    name = "numpy"
    package = "numpy"

    @classmethod
    def why_not(cls, shape: Shape, num_threads: int | None) -> str | None:
        return super().why_not(shape, num_threads) or why_no_blas_threads(num_threads)

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        self._params = [value.copy() for value in self._initial]
        self._set_threads = blas_threads(num_threads)
        self._make_buffers(shape.batch_size)

    def _make_buffers(self, n_batch: int) -> None:
        self._outputs = [np.empty((n_batch, units), np.float32) for units in self.shape.widths[1:]]
        self._deltas = [np.empty_like(output) for output in self._outputs]
        self._is_zero = [np.empty(output.shape, np.bool_) for output in self._outputs]
        self._grads = [np.empty_like(value) for value in self._params]
        self._column = np.empty((n_batch, 1), np.float32)
        self._rows = np.arange(n_batch)

    def feed(self, data: Samples) -> None:
        y = data.y.astype(np.intp) if self.shape.is_classifier else data.y
        self._batches = list(zip(_cut(data.floats, self.shape), _cut(y, self.shape), strict=True))

    def prepare(self) -> None:
        self._set_threads()
        for value, initial in zip(self._params, self._initial, strict=True):
            np.copyto(value, initial)

    def epoch(self) -> float:
        loss = 0.0
        for x, y in self._batches:
            self._forward(x)
            loss += self._softmax_loss(y) if self.shape.is_classifier else self._squared_loss(y)
            self._backward(x)
        return loss / self.shape.rows

    def _forward(self, x: Array) -> Array:
        last = len(self._outputs) - 1
        for i, out in enumerate(self._outputs):
            np.matmul(x, self._params[2 * i], out=out)
            out += self._params[2 * i + 1]
            if i < last and self.shape.activation == "relu":
                np.maximum(out, 0.0, out=out)
            elif i < last and self.shape.activation == "tanh":
                np.tanh(out, out=out)
            x = out
        return x

    def _softmax(self, out: Array) -> None:
        """In place; leaves the sums of the exponentials in the column."""
        np.max(out, axis=1, keepdims=True, out=self._column)
        out -= self._column
        np.exp(out, out=out)
        np.sum(out, axis=1, keepdims=True, out=self._column)
        out /= self._column

    def _softmax_loss(self, y: Array) -> float:
        p, delta = self._outputs[-1], self._deltas[-1]
        self._softmax(p)
        right = p[self._rows, y]
        np.copyto(delta, p)
        delta[self._rows, y] -= 1.0
        delta *= self.shape.learning_rate / len(delta)
        return -float(np.log(right, out=right).sum())

    def _squared_loss(self, y: Array) -> float:
        delta = self._deltas[-1]
        np.subtract(self._outputs[-1], y, out=delta)
        loss = 0.5 * float(np.vdot(delta, delta))
        delta *= self.shape.learning_rate / len(delta)
        return loss

    def _backward(self, x: Array) -> None:
        for i in reversed(range(len(self._outputs))):
            delta, read = self._deltas[i], self._outputs[i - 1] if i > 0 else x
            np.matmul(read.T, delta, out=self._grads[2 * i])
            np.sum(delta, axis=0, out=self._grads[2 * i + 1])
            if i > 0:
                np.matmul(delta, self._params[2 * i].T, out=self._deltas[i - 1])
                self._through_activation(i - 1)
        for value, grad in zip(self._params, self._grads, strict=True):
            value -= grad

    def _through_activation(self, i: int) -> None:
        delta, out = self._deltas[i], self._outputs[i]
        if self.shape.activation == "relu":
            np.less_equal(out, 0.0, out=self._is_zero[i])
            np.copyto(delta, 0.0, where=self._is_zero[i])
        elif self.shape.activation == "tanh":
            np.multiply(out, out, out=out)  # not read again in this step
            np.subtract(1.0, out, out=out)
            delta *= out

    def predictor(self, x: Array) -> Callable[[], Any]:
        self._make_buffers(len(x))

        def run() -> Array:
            out = self._forward(x)
            if self.shape.is_classifier:
                self._softmax(out)
            return out

        return run


def _cut(array: Array, shape: Shape) -> list[Array]:
    return np.split(array, shape.steps)
