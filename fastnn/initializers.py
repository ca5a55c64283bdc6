"""Initialisers: the first values of a variable, float32.

``initializer(shape, seed=, variable=)`` is a function of its arguments alone: element i of variable v under seed s
comes from the Philox counter (i, v) under the key s, the same bits on every machine and with any number of threads.
Sources: the list of Buduma, Fundamentals of Deep Learning, chapter 3; He et al. 2015; Glorot and Bengio 2010.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from . import _checks, _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Constant",
    "Glorot",
    "He",
    "Initializer",
    "Ones",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "Zeros",
    "from_config",
    "get",
]

_MAX_VARIABLE = 2**16 - 1  # the counter has 16 bits for it


class Initializer(_checks.Described, ABC, family="initializer"):
    """Base of all initialisers. One of your own is a frozen dataclass that derives from it and defines ``values``."""

    def __call__(self, shape: Sequence[int], *, seed: int, variable: int) -> NDArray[np.float32]:
        """First values of a variable: a new float32 array of that shape.

        shape: positive sizes, (n_in, n_out) for the weights of a layer. seed: 0 to 2**64 - 1. variable: the variable's
        number in its network, 0 to 65535; each draws numbers of its own.
        TypeError, ValueError: an argument is none of these. ValueError: He and Glorot need two sizes.
        """
        return self.values(
            _checks.shape("shape", shape),
            _checks.integer("seed", seed, 0, _checks.MAX_SEED),
            _checks.integer("variable", variable, 0, _MAX_VARIABLE),
        )

    @abstractmethod
    def values(self, shape: tuple[int, ...], seed: int, variable: int) -> NDArray[np.float32]:
        """The same with checked arguments."""


@_checks.description
class Zeros(Initializer):
    """Every value 0."""

    def values(self, shape: tuple[int, ...], seed: int, variable: int) -> NDArray[np.float32]:
        return np.zeros(shape, np.float32)


@_checks.description
class Ones(Initializer):
    """Every value 1."""

    def values(self, shape: tuple[int, ...], seed: int, variable: int) -> NDArray[np.float32]:
        return np.ones(shape, np.float32)


@_checks.description
class Constant(Initializer):
    """Every value the same finite number, rounded to float32."""

    value: float

    def __post_init__(self) -> None:
        self._set(value=_checks.number("value", self.value))

    def values(self, shape: tuple[int, ...], seed: int, variable: int) -> NDArray[np.float32]:
        return np.full(shape, self.value, np.float32)


@_checks.description
class RandomNormal(Initializer):
    """Normal: density proportional to exp(-(x - mean)^2 / (2 stddev^2)). stddev: positive."""

    mean: float = 0.0
    stddev: float = 1.0

    def __post_init__(self) -> None:
        self._set(mean=_checks.number("mean", self.mean), stddev=_checks.positive("stddev", self.stddev))

    def values(self, shape: tuple[int, ...], seed: int, variable: int) -> NDArray[np.float32]:
        return _draw("normal", shape, self.mean, self.stddev, seed, variable)


@_checks.description
class TruncatedNormal(Initializer):
    """Normal within two standard deviations of the mean: what falls outside is drawn again. stddev: positive.

    stddev is that of the untruncated normal; the values' own is 0.8796 stddev.
    """

    mean: float = 0.0
    stddev: float = 1.0

    def __post_init__(self) -> None:
        self._set(mean=_checks.number("mean", self.mean), stddev=_checks.positive("stddev", self.stddev))

    def values(self, shape: tuple[int, ...], seed: int, variable: int) -> NDArray[np.float32]:
        return _draw("truncated_normal", shape, self.mean, self.stddev, seed, variable)


@_checks.description
class RandomUniform(Initializer):
    """Uniform from low to high. low < high."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        low, high = _checks.number("low", self.low), _checks.number("high", self.high)
        if high <= low:
            raise _checks.wrong_value("high", f"greater than low = {low}", high)
        self._set(low=low, high=high)

    def values(self, shape: tuple[int, ...], seed: int, variable: int) -> NDArray[np.float32]:
        return _draw("uniform", shape, self.low, self.high, seed, variable)


@_checks.description
class He(Initializer):
    """Normal with mean 0 and variance 2 / n_in, for the weights (n_in, n_out) of layers with ReLU.

    Keeps the variance of activations from layer to layer. Sources: He, Zhang, Ren and Sun, "Delving Deep into
    Rectifiers: Surpassing Human-Level Performance on ImageNet Classification", ICCV 2015, equation 10; Buduma,
    Fundamentals of Deep Learning, chapter 3.
    """

    def values(self, shape: tuple[int, ...], seed: int, variable: int) -> NDArray[np.float32]:
        n_in, _ = _matrix(self, shape)
        return _draw("normal", shape, 0.0, math.sqrt(2 / n_in), seed, variable)


@_checks.description
class Glorot(Initializer):
    """Uniform from -r to r, r = sqrt(6 / (n_in + n_out)), for the weights (n_in, n_out) of sigmoid and tanh layers.

    Variance 2 / (n_in + n_out). Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", AISTATS 2010, equation 16.
    """

    def values(self, shape: tuple[int, ...], seed: int, variable: int) -> NDArray[np.float32]:
        n_in, n_out = _matrix(self, shape)
        r = math.sqrt(6 / (n_in + n_out))
        return _draw("uniform", shape, -r, r, seed, variable)


def get(initializer: str | Initializer, *, argument: str = "initializer") -> Initializer:
    """The initialiser of that name with its defaults, or the initialiser itself.

    Names: "zeros", "ones", "random_normal", "truncated_normal", "random_uniform", "he", "glorot".
    argument: what messages call it.
    TypeError: neither a string nor an Initializer. ValueError: an unknown name.
    """
    return Initializer.named(argument, initializer)


from_config = Initializer.from_config


def _draw(
    distribution: str, shape: tuple[int, ...], a: float, b: float, seed: int, variable: int
) -> NDArray[np.float32]:
    drawn: NDArray[np.float32] = _core.draw(distribution, math.prod(shape), a, b, seed, variable)
    return drawn.reshape(shape)


def _matrix(initializer: Initializer, shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) != 2:
        raise _checks.wrong_value("shape", f"(n_in, n_out) for {initializer!r}", shape)
    return shape[0], shape[1]
