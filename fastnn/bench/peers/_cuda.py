"""PyTorch and JAX on a GPU: batches resident there and cut beforehand, predictions from host memory to host memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from ..samples import Array, Samples
from ..shapes import Shape
from ._jax import Jax
from ._peer import Peer
from ._torch import TorchCompiled, TorchEager, TorchHandWritten, _Torch

__all__ = ["GPU_PEERS", "TorchCompiledOnGpu", "TorchEagerGraphed", "TorchEagerOnGpu", "rehearse", "with_precision"]

# To PyTorch's own names. bf16: products of parameters rounded to it, which stay float32 themselves.
_MATMUL = {"fp32": "highest", "tf32": "high", "bf16": "highest"}


class OnGpu(_Torch):
    """precision: of matrix products, "fp32", "tf32" or "bf16"."""

    device = "cuda"
    precision: ClassVar[str] = "fp32"

    @classmethod
    def why_not(cls, shape: Shape, num_threads: int | None) -> str | None:
        reason = super().why_not(shape, num_threads)
        if reason is not None or cls.device == "cpu":
            return reason
        import torch

        return None if torch.cuda.is_available() else "torch sees no GPU"

    def prepare(self) -> None:
        self._torch.set_float32_matmul_precision(_MATMUL[self.precision])
        super().prepare()

    def predictor(self, x: Array) -> Callable[[], Any]:
        """x: uint8, rescaled on the device, or float32."""
        torch, tensor, probabilities = self._torch, self._torch.from_numpy(x), self._probabilities_of(len(x))

        def run() -> Any:
            with torch.inference_mode():
                rows = tensor.to(self.device)
                if rows.dtype == torch.uint8:
                    rows = rows.float().mul_(1 / 255)
                return probabilities(rows).cpu().numpy()

        return run

    def _autocast(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self._torch.autocast(
            self.device, self._torch.bfloat16, enabled=self.precision == "bf16"
        )
        return context


class Graphed(OnGpu):
    """An epoch as one CUDA graph: nothing is launched from the host but that."""

    @classmethod
    def why_not(cls, shape: Shape, num_threads: int | None) -> str | None:
        return "CUDA graphs need a GPU" if cls.device == "cpu" else super().why_not(shape, num_threads)

    def feed(self, data: Samples) -> None:
        super().feed(data)
        self.prepare()
        cuda = self._torch.cuda
        # What is made at the first call must not become part of the graph; PyTorch asks for a stream of its own.
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            self._train()
        cuda.current_stream().wait_stream(side)
        self._graph = cuda.CUDAGraph()
        with cuda.graph(self._graph, capture_error_mode="thread_local"):  # other libraries have threads, too
            self._sum = self._train()

    def epoch(self) -> float:
        self._graph.replay()
        return float(self._sum) / len(self._xs)


class TorchEagerOnGpu(OnGpu, TorchEager):
    """As on the CPU."""


class TorchCompiledOnGpu(OnGpu, TorchCompiled):
    """As on the CPU."""

    def _loss(self, params: Any, x: Any, y: Any) -> Any:
        with self._autocast():
            return super()._loss(params, x, y)


class TorchEagerGraphed(Graphed, TorchEager):
    name = "torch eager, graphed"


class TorchCompiledGraphed(Graphed, TorchCompiled):
    name = "torch compiled, graphed"


class TorchHandWrittenGraphed(Graphed, TorchHandWritten):
    name = "torch hand-written, graphed"


class JaxOnGpu(Jax):
    """Products in float32, which JAX would else compute in tf32; memory as needed, as others want some too."""

    platform = "cuda"

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        super().__init__(shape, num_threads)
        self._jax.config.update("jax_default_matmul_precision", "highest")


def with_precision(peer: type[OnGpu], precision: str) -> type[OnGpu]:
    """The same peer with products in that precision, which its name then tells."""
    return type(peer.__name__, (peer,), {"precision": precision, "name": f"{peer.name} {precision}"})


def rehearse() -> None:
    """Puts the peers of this module on the CPU, for a look whether all runs where there is no GPU."""
    OnGpu.device = JaxOnGpu.platform = "cpu"


GPU_PEERS: tuple[type[Peer], ...] = (
    TorchEagerOnGpu,
    TorchCompiledOnGpu,
    TorchEagerGraphed,
    TorchCompiledGraphed,
    TorchHandWrittenGraphed,
    JaxOnGpu,
)
