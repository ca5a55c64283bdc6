"""What peers share: their parameters, reasons why not, and the threads of a BLAS."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import ClassVar

from ..shapes import Shape
from ..workloads import Contender, build, parameters


class Peer(Contender):
    """package: what must be installed."""

    package: ClassVar[str]

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        self._initial = parameters(build(shape))

    @classmethod
    def why_not(cls, shape: Shape, num_threads: int | None) -> str | None:
        if find_spec(cls.package) is None:
            return f"{cls.package} is not installed"
        return f"{cls.name} is written without dropout" if shape.keep_prob < 1 else None

    @property
    def is_classifier(self) -> bool:
        return self.shape.loss == "softmax_cross_entropy"


def why_no_blas_threads(num_threads: int | None) -> str | None:
    if num_threads is None or find_spec("threadpoolctl") is not None:
        return None
    return "threadpoolctl is not installed, which sets the threads of NumPy's BLAS"


def blas_threads(num_threads: int | None) -> Callable[[], object]:
    """A quick function that sets the threads of every BLAS loaded by now."""
    if num_threads is None:
        return lambda: None
    from threadpoolctl import ThreadpoolController

    controller = ThreadpoolController()
    return lambda: controller.limit(limits=num_threads, user_api="blas")
