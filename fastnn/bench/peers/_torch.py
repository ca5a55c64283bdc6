"""PyTorch: with autograd, without, and compiled."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from shutil import which
from typing import Any, ClassVar
from warnings import catch_warnings

import numpy as np

from ..samples import Array, Samples
from ..shapes import Shape
from ._peer import Peer


class _Torch(Peer):
    """device: where the parameters and the batches lie."""

    package = "torch"
    device: ClassVar[str] = "cpu"

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        import torch

        self._torch: Any = torch

    def _copy(self, value: Array) -> Any:
        """A tensor of its own, to be written to."""
        return self._there(value.copy())

    def _there(self, value: Array) -> Any:
        """A tensor on the device; on the CPU its memory is that of value."""
        return self._torch.from_numpy(value).to(self.device)

    def feed(self, data: Samples) -> None:
        size = self.shape.batch_size
        self._xs = self._there(data.floats).split(size)
        self._ys = self._there(data.y.astype(np.int64) if self.shape.is_classifier else data.y).split(size)

    def prepare(self) -> None:
        if self.num_threads is not None:
            self._torch.set_num_threads(self.num_threads)

    def epoch(self) -> float:
        return float(self._train()) / len(self._xs)

    def _train(self) -> Any:
        """An epoch; the sum of its batches' losses, on the device."""
        raise NotImplementedError

    def predictor(self, x: Array) -> Callable[[], Any]:
        torch, tensor, probabilities = self._torch, self._torch.from_numpy(x), self._probabilities_of(len(x))

        def run() -> Any:
            with torch.inference_mode():
                return probabilities(tensor)

        return run

    def _probabilities_of(self, n_batch: int) -> Callable[[Any], Any]:
        """A function that gives those of so many rows; for squared error, the outputs."""
        raise NotImplementedError


class TorchEager(_Torch):
    """What most people write: nn.Sequential, autograd and optim.SGD in its fused form, over tensors cut beforehand."""

    name = "torch eager"

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        nn = self._torch.nn
        activations = {"relu": nn.ReLU, "tanh": nn.Tanh, "linear": nn.Identity}
        layers = []
        for n_in, n_out in zip(shape.widths[:-1], shape.widths[1:], strict=True):
            layers += [nn.Linear(n_in, n_out), activations[shape.activation]()]
        self._model = nn.Sequential(*layers[:-1]).to(self.device)
        self._optimizer = self._torch.optim.SGD(self._model.parameters(), shape.learning_rate, fused=True)

    def prepare(self) -> None:
        super().prepare()
        with self._torch.no_grad():
            for parameter, value in zip(self._model.parameters(), self._initial, strict=True):
                parameter.copy_(self._copy(value.T))

    def _train(self) -> Any:
        total = self._torch.zeros((), device=self.device)
        for x, y in zip(self._xs, self._ys, strict=True):
            self._optimizer.zero_grad()
            loss = self._loss(self._model(x), y)
            loss.backward()
            self._optimizer.step()
            total += loss.detach()
        return total

    def _loss(self, outputs: Any, y: Any) -> Any:
        if self.shape.is_classifier:
            return self._torch.nn.functional.cross_entropy(outputs, y)
        return (outputs - y).square().sum() * (0.5 / len(y))

    def _probabilities_of(self, n_batch: int) -> Callable[[Any], Any]:
        def probabilities(x: Any) -> Any:
            outputs = self._model(x)
            return outputs.softmax(1) if self.shape.is_classifier else outputs

        return probabilities


class TorchCompiled(_Torch):
    """A whole step, gradients and update, as one function through torch.compile, parameters updated in place."""

    name = "torch compiled"

    @classmethod
    def why_not(cls, shape: Shape, num_threads: int | None) -> str | None:
        if which(os.environ.get("CXX", "g++")) is None:
            return "torch.compile needs a C++ compiler"
        return super().why_not(shape, num_threads)

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        self._params = [self._copy(value) for value in self._initial]
        with catch_warnings(action="ignore", category=DeprecationWarning):
            import_module("torch.utils.mkldnn")  # which the compiler will do, and deprecates what is in it
        self._torch.compiler.reset()  # it keeps a few versions of a function, then compiles no more
        self._compiled = self._torch.compile(self._step, fullgraph=True, dynamic=False)

    def prepare(self) -> None:
        super().prepare()
        for value, initial in zip(self._params, self._initial, strict=True):
            value.copy_(self._copy(initial))

    def _train(self) -> Any:
        with self._torch.no_grad():
            total = self._torch.zeros((), device=self.device)
            for x, y in zip(self._xs, self._ys, strict=True):
                self._compiled(self._params, x, y, total)
            return total

    def _step(self, params: Any, x: Any, y: Any, total: Any) -> None:
        grads, loss = self._torch.func.grad_and_value(self._loss)(params, x, y)
        for value, grad in zip(params, grads, strict=True):
            value.sub_(grad, alpha=self.shape.learning_rate)
        total.add_(loss)

    def _loss(self, params: Any, x: Any, y: Any) -> Any:
        outputs = self._outputs(params, x)
        if self.shape.is_classifier:
            return self._torch.nn.functional.cross_entropy(outputs, y)
        return (outputs - y).square().sum() * (0.5 / len(y))

    def _outputs(self, params: Any, x: Any) -> Any:
        activation = {"relu": self._torch.relu, "tanh": self._torch.tanh, "linear": lambda z: z}[self.shape.activation]
        for i in range(0, len(params) - 2, 2):
            x = activation(self._torch.addmm(params[i + 1], x, params[i]))
        return self._torch.addmm(params[-1], x, params[-2])

    def _probabilities_of(self, n_batch: int) -> Callable[[Any], Any]:
        def outputs(params: Any, x: Any) -> Any:
            z = self._outputs(params, x)
            return z.softmax(1) if self.shape.is_classifier else z

        compiled = self._torch.compile(outputs, fullgraph=True, dynamic=False)
        return lambda x: compiled(self._params, x)


class TorchHandWritten(_Torch):
    """Its kernels without autograd: buffers made beforehand, the update fused into the weight gradient's product."""

    name = "torch hand-written"

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        self._params = [self._copy(value) for value in self._initial]
        self._make_buffers(shape.batch_size)

    def _make_buffers(self, n_batch: int) -> None:
        self._outputs = [self._torch.empty(n_batch, units, device=self.device) for units in self.shape.widths[1:]]
        self._deltas = [self._torch.empty_like(output) for output in self._outputs]

    def feed(self, data: Samples) -> None:
        super().feed(data)
        if self.shape.is_classifier:
            self._ys = [y[:, None] for y in self._ys]
            self._minus_one = self._torch.full((self.shape.batch_size, 1), -1.0, device=self.device)

    def prepare(self) -> None:
        super().prepare()
        for value, initial in zip(self._params, self._initial, strict=True):
            value.copy_(self._copy(initial))

    def _train(self) -> Any:
        with self._torch.inference_mode():
            total = self._torch.zeros((), device=self.device)
            for x, y in zip(self._xs, self._ys, strict=True):
                total += self._loss(self._forward(x), y)
                self._backward(x)
            return total / self.shape.batch_size

    def _forward(self, x: Any) -> Any:
        torch, last = self._torch, len(self._outputs) - 1
        for i, out in enumerate(self._outputs):
            torch.addmm(self._params[2 * i + 1], x, self._params[2 * i], out=out)
            if i < last and self.shape.activation == "relu":
                out.relu_()
            elif i < last and self.shape.activation == "tanh":
                out.tanh_()
            x = out
        return x

    def _loss(self, out: Any, y: Any) -> Any:
        """Sum over the batch; the last delta is its gradient."""
        torch, delta = self._torch, self._deltas[-1]
        if not self.shape.is_classifier:
            torch.sub(out, y, out=delta)
            return delta.square().sum() * 0.5
        torch.log_softmax(out, 1, out=out)
        torch.exp(out, out=delta)
        delta.scatter_add_(1, y, self._minus_one)
        return out.gather(1, y).sum().neg_()

    def _backward(self, x: Any) -> None:
        rate = self.shape.learning_rate / self.shape.batch_size
        for i in reversed(range(len(self._outputs))):
            delta, read = self._deltas[i], self._outputs[i - 1] if i > 0 else x
            w, b = self._params[2 * i : 2 * i + 2]
            if i > 0:
                self._torch.mm(delta, w.t(), out=self._deltas[i - 1])
                self._through_activation(i - 1)
            w.addmm_(read.t(), delta, alpha=-rate)
            b.sub_(delta.sum(0), alpha=rate)

    def _through_activation(self, i: int) -> None:
        delta, out, aten = self._deltas[i], self._outputs[i], self._torch.ops.aten
        if self.shape.activation == "relu":
            aten.threshold_backward.grad_input(delta, out, 0, grad_input=delta)
        elif self.shape.activation == "tanh":
            aten.tanh_backward.grad_input(delta, out, grad_input=delta)

    def _probabilities_of(self, n_batch: int) -> Callable[[Any], Any]:
        self._make_buffers(n_batch)

        def probabilities(x: Any) -> Any:
            out = self._forward(x)
            return self._torch.softmax(out, 1, out=out) if self.shape.is_classifier else out

        return probabilities
