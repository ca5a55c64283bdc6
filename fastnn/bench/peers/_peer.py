"""What peers share: their parameters, reasons why not, the choice of a way, and the threads of a BLAS."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, ClassVar

from ..shapes import Shape
from ..workloads import Contender, initial_parameters

_TRIAL = 0.03  # seconds that each of several ways is tried for


class Peer(Contender):
    """package: what must be installed."""

    package: ClassVar[str]

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        self._initial = initial_parameters(shape)

    @classmethod
    def why_not(cls, shape: Shape, num_threads: int | None) -> str | None:
        if find_spec(cls.package) is None:
            return f"{cls.package} is not installed"
        return f"{cls.name} is written without dropout" if shape.keep_prob < 1 else None


class FixedThreads(Peer):
    """A library whose threads are chosen once in a process, when it starts."""

    n_threads: ClassVar[int | None] = None  # None: it has not started, or chose as many as it likes
    has_started: ClassVar[bool] = False

    @classmethod
    def why_not(cls, shape: Shape, num_threads: int | None) -> str | None:
        if cls.has_started and num_threads not in (None, cls.n_threads):
            has = "as many as it likes" if cls.n_threads is None else cls.n_threads
            return f"{cls.name} chooses its threads when it starts: {has} in this process"
        return super().why_not(shape, num_threads)


def fastest(*ways: Callable[[], Any]) -> Callable[[], Any]:
    """The one of several ways to the same result that is quickest here."""
    return min(ways, key=_best_seconds)


def _best_seconds(run: Callable[[], Any]) -> float:
    """Of one call, after one that is not counted."""
    run()
    best, end = float("inf"), time.perf_counter() + _TRIAL
    while (began := time.perf_counter()) < end:
        run()
        best = min(best, time.perf_counter() - began)
    return best


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
