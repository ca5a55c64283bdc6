# What _core.pyx offers to the rest of the package; see there.
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._pace import Pace

_Dropout = tuple[int, float, float] | None

def available_isas() -> tuple[str, ...]: ...
def isa() -> str: ...
def use_isa(name: str) -> None: ...
def team_backend() -> str: ...
def alloc_count() -> int: ...
def peak_flops(n_threads: int, n: int) -> float: ...
def barrier_seconds(n_threads: int, n: int) -> float: ...
def philox(counter: Sequence[int], seed: int) -> tuple[int, int, int, int]: ...
def permutation(n: int, seed: int, epoch: int = 0, stream: str = "shuffle") -> NDArray[np.uint32]: ...
def draw(distribution: str, n: int, a: float, b: float, seed: int, variable: int) -> NDArray[np.float32]: ...
def synthetic_digits(first: int, n: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
def apply(function: str, x: NDArray[np.float32], isa: str | None = None) -> NDArray[np.float32]: ...
def read_rows(
    descriptor: int, start: int, stride: int, rows: NDArray[np.uint32], places: NDArray[np.int64], out: NDArray[Any]
) -> int: ...

pass_rows: int

class Net:
    def __init__(
        self,
        n_in: int,
        scale: float,
        offset: float,
        input_dropout: _Dropout,
        layers: Sequence[tuple[int, str, _Dropout]],
    ) -> None: ...
    @property
    def n_in(self) -> int: ...
    @property
    def n_out(self) -> int: ...
    def set_mask(self, layer: int, mask: NDArray[np.float32]) -> None: ...
    def matrix(self, layer: int, which: str) -> NDArray[np.float32]: ...
    def assign(self, layer: int, which: str, value: ArrayLike, name: str) -> None: ...
    def is_finite(self) -> bool: ...
    def histogram(
        self, layer: int, which: str, edges: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], int, float, float, float, float]: ...
    def threads_worth(self, n_batch: int, limit: int) -> int: ...
    def predict(self, x: ArrayLike | Data, link: str, n_threads: int) -> NDArray[np.float32]: ...
    def evaluate(
        self, data: Data, loss: str, n_threads: int, so_far: tuple[float, int, int] = (0.0, 0, 0)
    ) -> tuple[float, int, int]: ...
    def gradients(
        self, data: Data, loss: str, n_threads: int, dropout: tuple[int, int] | None = None, poison: int | None = None
    ) -> tuple[float, list[NDArray[np.float32]]]: ...

class Data:
    x: NDArray[Any] | tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
    y: NDArray[Any] | None
    def __init__(
        self,
        net: Net,
        x: ArrayLike,
        y: ArrayLike | None = None,
        loss: str | None = None,
        x_name: str = "x",
        y_name: str = "y",
    ) -> None: ...
    def __len__(self) -> int: ...
    @property
    def skips_zeros(self) -> bool: ...
    def find_zeros(self, n_threads: int = 1) -> None: ...

class Predictor:
    n_batch: int
    n_threads: int
    def __init__(self, net: Net, n_batch: int, link: str, n_threads: int) -> None: ...
    def __call__(self, x: ArrayLike, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]: ...
    def poison(self, byte: int) -> None: ...

class Diverged(Exception): ...

class Training:
    seed: int
    step: int
    epoch: int
    perf: list[float]
    losses: NDArray[np.float64]
    gradient_norm: float
    def __init__(
        self,
        net: Net,
        loss: str,
        seed: int,
        *,
        update: str = "sgd",
        momentum: float = 0.0,
        beta1: float = 0.0,
        beta2: float = 0.0,
        epsilon: float = 0.0,
        decay: float = 0.0,
        restraints: Sequence[tuple[float, float, float]] = (),
        clip_value: float = 0.0,
        clip_norm: float = 0.0,
    ) -> None: ...
    def penalty(self) -> float: ...
    def run_epoch(
        self,
        data: Data,
        batch_size: int,
        rates: NDArray[np.float32],
        trainable: NDArray[np.uint8],
        order: NDArray[np.uint32] | None,
        n_threads: int,
        on_progress: Callable[[int, int, float], None] | None = None,
        unfused: bool = False,
        pace: Pace | None = None,
        so_far: tuple[float, int, int] | None = None,
    ) -> tuple[float, int, int]: ...
