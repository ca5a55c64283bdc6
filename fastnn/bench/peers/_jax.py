"""JAX."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np

from ..samples import Array, Samples
from ..shapes import Shape
from ._peer import FixedThreads


class Jax(FixedThreads):
    """An epoch is one compiled scan over the batches, the parameters donated."""

    name = "jax"
    package = "jax"
    platform: ClassVar[str] = "cpu"

    @classmethod
    def why_not(cls, shape: Shape, num_threads: int | None) -> str | None:
        if num_threads is not None and not hasattr(os, "sched_getaffinity"):
            return "JAX's threads can only be set on Linux"
        if num_threads is not None and num_threads > len(os.sched_getaffinity(0)):
            return f"JAX has no more threads than CPUs, {len(os.sched_getaffinity(0))}"
        return super().why_not(shape, num_threads)

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        import jax

        self._jax: Any = jax
        self._start(num_threads)
        self._epoch = jax.jit(self._scan, donate_argnums=0)

    @classmethod
    def _start(cls, num_threads: int | None) -> None:
        """XLA starts a thread for each CPU that it may use at its first work, and never again."""
        import jax

        if Jax.has_started:
            return
        Jax.has_started, Jax.n_threads = True, num_threads
        jax.config.update("jax_platforms", cls.platform)  # type: ignore[no-untyped-call]
        if num_threads is None:
            jax.devices()
            return
        cpus, before = os.sched_getaffinity(0), set(os.listdir("/proc/self/task"))
        os.sched_setaffinity(0, sorted(cpus)[:num_threads])
        try:
            jax.devices()
        finally:
            os.sched_setaffinity(0, cpus)
            for thread in set(os.listdir("/proc/self/task")) - before:
                with suppress(ProcessLookupError):  # it may have ended
                    os.sched_setaffinity(int(thread), cpus)

    def feed(self, data: Samples) -> None:
        size, n_in = self.shape.batch_size, self.shape.widths[0]
        y = data.y.astype(np.int32) if self.shape.is_classifier else data.y
        self._xs = self._put(data.floats.reshape(-1, size, n_in))
        self._ys = self._put(y.reshape(-1, size, *y.shape[1:]))

    def _put(self, value: Array) -> Any:
        """A copy: donated memory must not be NumPy's."""
        return self._jax.numpy.array(value, copy=True)

    def prepare(self) -> None:
        self._params = self._jax.block_until_ready([self._put(value) for value in self._initial])

    def epoch(self) -> float:
        self._params, loss = self._jax.block_until_ready(self._epoch(self._params, self._xs, self._ys))
        return float(loss)

    def _scan(self, params: Any, xs: Any, ys: Any) -> Any:
        grad = self._jax.value_and_grad(self._loss)

        def step(params: Any, batch: Any) -> Any:
            loss, grads = grad(params, *batch)
            return [value - self.shape.learning_rate * g for value, g in zip(params, grads, strict=True)], loss

        params, losses = self._jax.lax.scan(step, params, (xs, ys))
        return params, losses.mean()

    def _loss(self, params: Any, x: Any, y: Any) -> Any:
        jax, outputs = self._jax, self._outputs(params, x)
        if not self.shape.is_classifier:
            return 0.5 * ((outputs - y) ** 2).sum() / len(y)
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(outputs), y[:, None], axis=1).mean()

    def _outputs(self, params: Any, x: Any) -> Any:
        activations = {"relu": self._jax.nn.relu, "tanh": self._jax.numpy.tanh, "linear": lambda z: z}
        for i in range(0, len(params) - 2, 2):
            x = activations[self.shape.activation](x @ params[i] + params[i + 1])
        return x @ params[-2] + params[-1]

    def predictor(self, x: Array) -> Callable[[], Any]:
        def outputs(params: Any, x: Any) -> Any:
            z = self._outputs(params, x)
            return self._jax.nn.softmax(z) if self.shape.is_classifier else z

        compiled, rows = self._jax.jit(outputs), self._put(x)
        return lambda: compiled(self._params, rows).block_until_ready()
