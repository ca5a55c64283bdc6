"""Standardisation: columns of mean 0 and standard deviation 1 to train on, and its way into a network's weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..network import Network


@dataclass(frozen=True)
class Scaling:
    """x' = (x - mean) / deviation, a column at a time; a constant column is x' = 0, its deviation infinite here.

    None: x' = x.
    """

    mean: NDArray[np.float64] | None = None
    deviation: NDArray[np.float64] | None = None

    @classmethod
    def of_features(cls, x: NDArray[Any]) -> Scaling:
        """None of bytes."""
        return cls() if x.dtype == np.uint8 else cls._of(x, constant=np.inf)

    @classmethod
    def of_targets(cls, y: NDArray[Any], classes: list[str] | None) -> Scaling:
        """None of classes. A constant target only loses its mean."""
        return cls() if classes is not None else cls._of(y, constant=1.0)

    @classmethod
    def _of(cls, x: NDArray[Any], constant: float) -> Scaling:
        is_constant = x.max(axis=0) == x.min(axis=0)  # where the deviation is a rounding error, not zero
        deviation = x.std(axis=0, dtype=np.float64)
        return cls(x.mean(axis=0, dtype=np.float64), np.where(is_constant, constant, deviation))

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        if self.mean is None or self.deviation is None:
            return x
        return ((x - self.mean) / self.deviation).astype(np.float32)

    def columns(self) -> list[tuple[float, float]]:
        """Mean and deviation of each column; no column: x' = x."""
        if self.mean is None or self.deviation is None:
            return []
        return list(zip(self.mean.tolist(), self.deviation.tolist(), strict=True))

    def fold_into_first(self, net: Network) -> None:
        """The first layer reads x where it read x': x' W + b = x (W / deviation) + (b - mean / deviation W)."""
        if self.mean is None or self.deviation is None:
            return
        w, b = list(net.variables.values())[:2]
        scaled = w.value / self.deviation[:, None]
        b.assign(b.value - self.mean @ scaled)
        w.assign(scaled)

    def fold_into_last(self, net: Network) -> None:
        """The last layer gives y where it gave y': y = deviation y' + mean."""
        if self.mean is None or self.deviation is None:
            return
        w, b = list(net.variables.values())[-2:]
        w.assign(w.value * self.deviation)
        b.assign(b.value * self.deviation + self.mean)
