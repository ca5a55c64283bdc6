"""TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ..samples import Array, Samples
from ..shapes import Shape
from ._peer import FixedThreads, fastest


class TensorFlow(FixedThreads):
    """An epoch is one graph with a loop over the batches, compiled by XLA: quicker than a graph a step."""

    name = "tensorflow"
    package = "tensorflow"

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # it would tell on stderr what it was compiled for
        import tensorflow

        tensorflow.get_logger().setLevel("ERROR")  # it would warn that a function is made for each shape
        self._tf: Any = tensorflow
        self._start(num_threads)
        self._params = [tensorflow.Variable(value) for value in self._initial]
        self._epoch = tensorflow.function(self._loop, jit_compile=True)

    def _start(self, num_threads: int | None) -> None:
        if not TensorFlow.has_started:
            TensorFlow.has_started, TensorFlow.n_threads = True, num_threads
            if num_threads is not None:
                self._tf.config.threading.set_intra_op_parallelism_threads(num_threads)
                self._tf.config.threading.set_inter_op_parallelism_threads(1)

    def feed(self, data: Samples) -> None:
        size, n_in = self.shape.batch_size, self.shape.widths[0]
        y = data.y.astype(np.int32) if self.shape.is_classifier else data.y
        self._xs = self._tf.constant(data.floats.reshape(-1, size, n_in))
        self._ys = self._tf.constant(y.reshape(-1, size, *y.shape[1:]))

    def prepare(self) -> None:
        for variable, value in zip(self._params, self._initial, strict=True):
            variable.assign(value)

    def epoch(self) -> float:
        return float(self._epoch(self._xs, self._ys)) / self.shape.steps

    def _loop(self, xs: Any, ys: Any) -> Any:
        tf = self._tf

        def step(i: Any, total: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = self._loss(xs[i], ys[i])
            for variable, grad in zip(self._params, tape.gradient(loss, self._params), strict=True):
                variable.assign_sub(self.shape.learning_rate * grad)
            return i + 1, total + loss

        start = (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(lambda i, total: i < self.shape.steps, step, start)[1]

    def _loss(self, x: Any, y: Any) -> Any:
        tf, outputs = self._tf, self._outputs(x)
        if self.shape.is_classifier:
            return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, outputs))
        return tf.reduce_sum(tf.square(outputs - y)) * (0.5 / self.shape.batch_size)

    def _outputs(self, x: Any) -> Any:
        activations = {"relu": self._tf.nn.relu, "tanh": self._tf.tanh, "linear": self._tf.identity}
        for i in range(0, len(self._params) - 2, 2):
            x = activations[self.shape.activation](x @ self._params[i] + self._params[i + 1])
        return x @ self._params[-2] + self._params[-1]

    def predictor(self, x: Array) -> Callable[[], Any]:
        def outputs(x: Any) -> Any:
            z = self._outputs(x)
            return self._tf.nn.softmax(z) if self.shape.is_classifier else z

        rows = self._tf.constant(x)
        ways = [self._tf.function(outputs, jit_compile=jit).get_concrete_function(rows) for jit in (False, True)]
        return fastest(*(lambda way=way: way(rows).numpy() for way in ways))
