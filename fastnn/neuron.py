"""One neuron, and the perceptron with its own rule of learning: to understand what networks are made of.

In float64 NumPy, for any function of the logit. Networks compute many neurons at once: see ``Dense``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["Neuron", "Perceptron"]


class Neuron:
    """A neuron: the logit z = sum_i w_i x_i + b, and a function of it as output.

    weights: (n_in,) finite numbers. bias: a finite number. function: any callable of z, which is a float64 number for
    one sample and an array (n,) for n of them.
    TypeError, ValueError: an argument is none of these.
    Source: Buduma, Fundamentals of Deep Learning, chapter 1, example 1-1.
    """

    def __init__(self, weights: ArrayLike, bias: float, function: Callable[[Any], Any]) -> None:
        if not callable(function):
            raise _checks.wrong_kind("function", "a callable of the logit", function)
        self.weights = _floats("weights", weights, "finite numbers, shape (n_in,)", (1,))
        self.bias = _checks.number("bias", bias)
        self.function = function

    def logit(self, inputs: ArrayLike) -> Any:
        """z = sum_i w_i x_i + b: a number for inputs (n_in,), an array (n,) for inputs (n, n_in)."""
        return self._inputs("inputs", inputs) @ self.weights + self.bias

    def forward(self, inputs: ArrayLike) -> Any:
        """function(z): of one sample (n_in,), or of each of n samples (n, n_in).

        TypeError, ValueError: inputs are not finite numbers, or of another shape.
        """
        return self.function(self.logit(inputs))

    def _inputs(self, name: str, value: ArrayLike) -> Floats:
        n_in = len(self.weights)
        expected = f"finite numbers, shape ({n_in},) or (n, {n_in})"
        x = _floats(name, value, expected, (1, 2))
        if x.shape[-1] != n_in:
            raise ValueError(f"{name} must be {expected}, got shape {x.shape}")
        return x

    def __repr__(self) -> str:
        return f"{type(self).__name__}(weights={self.weights.tolist()}, bias={self.bias:g})"


class Perceptron(Neuron):
    """A neuron that says +1 or -1: h(x) = -1 if x . w + b < 0, else +1. It separates two classes by a line (a plane).

    weights: (n_in,) finite numbers. bias: a finite number.
    TypeError, ValueError: an argument is none of these.
    Source: Buduma, Fundamentals of Deep Learning, chapter 1.
    """

    def __init__(self, weights: ArrayLike, bias: float = 0.0) -> None:
        super().__init__(weights, bias, _sign)

    def fit(self, x: ArrayLike, y: ArrayLike, *, epochs: int = 100) -> list[int]:
        """Learns from mistakes alone: goes through the rows of x in order, and where h is wrong

            w <- w + y x,   b <- b + y

        until an epoch passes without a mistake, or so many epochs are over. Returns the mistakes of each epoch. Classes
        that a line separates it separates after at most (R / m)^2 mistakes, R being the largest norm of a row (x, 1)
        and m the rows' smallest distance to a separating plane through 0; on others it goes on for ever.

        x: (n, n_in) finite numbers. y: (n,) of -1 and +1. epochs: a positive integer.
        TypeError, ValueError: an argument is none of these.
        Sources: Rosenblatt, "The Perceptron", Psychological Review 1958; Novikoff, "On Convergence Proofs on
        Perceptrons", 1962, for the bound, which supposes weights and bias of zero at first.
        """
        rows = self._inputs("x", x)
        if rows.ndim != 2:
            raise ValueError(f"x must be finite numbers, shape (n, {len(self.weights)}), got shape {rows.shape}")
        classes = _floats("y", y, f"-1 or +1, shape ({len(rows)},)", (1,))
        if classes.shape != (len(rows),) or not np.isin(classes, (-1, 1)).all():
            raise ValueError(f"y must be -1 or +1, shape ({len(rows)},), got {_checks._shown(y)}")
        mistakes = []
        for _ in range(_checks.integer("epochs", epochs, 1)):
            mistakes.append(sum(self._learn(row, label) for row, label in zip(rows, classes.tolist(), strict=True)))
            if mistakes[-1] == 0:
                break
        return mistakes

    def _learn(self, row: Floats, label: float) -> bool:
        """Whether it was a mistake."""
        if self.forward(row) == label:
            return False
        self.weights += label * row
        self.bias += label
        return True


def _sign(z: Any) -> Any:
    return np.where(np.less(z, 0), -1, 1)[()]


def _floats(name: str, value: ArrayLike, expected: str, dimensions: tuple[int, ...]) -> Floats:
    """A copy in float64."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be {expected}, got dtype {array.dtype}")
    floats = array.astype(np.float64)
    if floats.ndim not in dimensions or not np.isfinite(floats).all():
        raise ValueError(f"{name} must be {expected}, got {_checks._shown(value)}")
    return floats
