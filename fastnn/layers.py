"""Layers: what a network is made of. Small frozen descriptions without arithmetic and without weights.

Two equal descriptions are two layers; one object is one layer, wherever it is placed. A Dense object gets its variables
in the first network that it is placed in, and has them in every other place and network: they share the values.
"""

import re
from dataclasses import field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, activations, initializers, regularizers
from .activations import Activation
from .initializers import Initializer
from .regularizers import MaxNorm, Regularizer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ACTIVATIONS", "Dense", "Dropout", "Layer", "Mask", "Rescaling", "from_config"]

ACTIVATIONS = activations.NAMES

_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")


class Layer(_checks.Described, family="layer"):
    """Base of all layers."""


class Mask:
    """Which connections a Dense layer has: an immutable matrix of 0 and 1, uint8 as an array (``numpy.asarray``)."""

    def __init__(self, matrix: "ArrayLike") -> None:
        array = np.asarray(matrix)
        expected = "a matrix of 0 and 1 (n_in, units)"
        if array.dtype.kind not in "biuf":
            raise _checks.wrong_kind("mask", expected, matrix)
        if array.ndim != 2 or array.size == 0 or not ((array == 0) | (array == 1)).all():
            raise _checks.wrong_value("mask", expected, matrix)
        self.shape: tuple[int, int] = array.shape
        self._bits = np.packbits(array.astype(bool)).tobytes()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> "NDArray[Any]":
        if copy is False:
            raise ValueError("a mask cannot be had without a copy: it is kept as bits")
        n = self.shape[0] * self.shape[1]
        bits = np.unpackbits(np.frombuffer(self._bits, np.uint8), count=n).reshape(self.shape)
        return bits if dtype is None else bits.astype(dtype)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and (self.shape, self._bits) == (other.shape, other._bits)

    def __hash__(self) -> int:
        return hash((self.shape, self._bits))

    def __repr__(self) -> str:
        return f"Mask({self.n_connections:,} of {self.shape[0]} x {self.shape[1]})"

    @property
    def n_connections(self) -> int:
        """Number of ones."""
        return int(np.asarray(self).sum())


@_checks.description
class Dense(Layer):
    """A layer in which every unit reads every input, or those that a mask allows: y = f(x W + b).

    Shapes: x (n, n_in), W (n_in, units), b (units,), y (n, units), float32.

    One object in several places, of one network or of several, is one layer with one W and one b: gradients of its
    places in a network are summed, and what one network learns the others know. A copy of it is a new layer.

    units: a positive integer. activation: f, a name or an Activation, whose docstrings give the formulas: "linear",
    "sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "threshold" (which does not train), and
    for the last layer "softmax". One that is no different from what its name stands for is kept as that name.
    initializer, bias_initializer: a name or an Initializer, for W and for b; None leaves the variable without values,
    and whoever uses it before it is assigned gets a RuntimeError.
    regularizer: an L1 or an L2 for W; None: the Trainer's, if it has one. constraint: a MaxNorm for W.
    mask: 0 and 1, (n_in, units): where it is 0, there is no connection: the weight is +0 from the beginning, its
    gradient is 0, and no update, whatever the optimiser, moves it. None: all connections.
    name: of the variables "name/W" and "name/b"; parts of letters, digits, "_", "-" and "." with "/" between them, such
    as "scope/hidden_1". None: the network chooses one.
    TypeError, ValueError: an argument is none of these.
    Source: Buduma, Fundamentals of Deep Learning, chapters 1 (neurons; not every one needs every connection) and 3
    (x W + b).
    """

    units: int
    activation: str | Activation = "linear"
    initializer: str | Initializer | None = field(default="he", kw_only=True)
    bias_initializer: str | Initializer | None = field(default="zeros", kw_only=True)
    regularizer: Regularizer | None = field(default=None, kw_only=True)
    constraint: MaxNorm | None = field(default=None, kw_only=True)
    mask: "ArrayLike | Mask | None" = field(default=None, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(
            units=_checks.integer("units", self.units, 1),
            activation=activations.get(self.activation).plain,
            initializer=_initializer("initializer", self.initializer),
            bias_initializer=_initializer("bias_initializer", self.bias_initializer),
            regularizer=regularizers.check("regularizer", self.regularizer),
            constraint=regularizers.check_constraint("constraint", self.constraint),
            mask=_check_mask(self.mask, self.units),
            name=_check_name(self.name),
        )

    def to_config(self) -> dict[str, Any]:
        config = super().to_config()
        return config | {"mask": None if self.mask is None else np.asarray(self.mask).tolist()}

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which are new layers: the description without its variables."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@_checks.description
class Dropout(Layer):
    """Keeps each unit with probability keep_prob (the book's p), otherwise makes it 0, in training alone.

    Draws anew for each unit of each row at each step. A unit is kept where its 16 random bits are below the threshold
    t = round(65536 keep_prob), so the exact probability is t / 65536; keep_prob = 1 draws nothing and changes nothing.

        inverted (default)  training: y = x 65536 / t where kept, prediction: y = x
        naive               training: y = x where kept,           prediction: y = x t / 65536

    keep_prob: from 1/65536 to 1. naive: bool. name: as for Dense.
    TypeError, ValueError: an argument is none of these.
    Sources: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: A Simple Way to Prevent Neural
    Networks from Overfitting", JMLR 2014; Buduma, Fundamentals of Deep Learning, chapter 2, both forms.
    """

    keep_prob: float
    naive: bool = field(default=False, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(
            keep_prob=_checks.number(
                "keep_prob", self.keep_prob, "a number from 1/65536 to 1", lambda v: 1 / 65536 <= v <= 1
            ),
            naive=_checks.flag("naive", self.naive),
            name=_check_name(self.name),
        )

    @property
    def threshold(self) -> int:
        """1 to 65536: a unit is kept where its 16 random bits are less."""
        return round(65536 * self.keep_prob)

    @property
    def train_scale(self) -> float:
        """What a kept unit is multiplied by in training."""
        return 1.0 if self.naive else 65536 / self.threshold

    @property
    def predict_scale(self) -> float:
        """What every unit is multiplied by in prediction."""
        return self.threshold / 65536 if self.naive else 1.0


@_checks.description
class Rescaling(Layer):
    """How raw input becomes numbers, first layer alone: x' = float32(float64(x) * scale + offset).

    Stored with the model, so that prediction sees what training saw: Rescaling(1 / 255) for pixels of a byte.
    scale: a finite number other than 0. offset: a finite number. Both stay float64.
    TypeError, ValueError: an argument is none of these.
    """

    scale: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        self._set(
            scale=_checks.number("scale", self.scale, "a finite number other than 0", lambda v: v != 0),
            offset=_checks.number("offset", self.offset),
        )


def _check_mask(mask: "ArrayLike | Mask | None", units: int) -> Mask | None:
    if mask is None:
        return None
    mask = mask if isinstance(mask, Mask) else Mask(mask)
    if mask.shape[1] != units:
        raise ValueError(f"mask must have a column for each of {units} units, got shape {mask.shape}")
    return mask


def _initializer(argument: str, value: str | Initializer | None) -> Initializer | None:
    return None if value is None else initializers.get(value, argument=argument)


def is_name(text: str) -> bool:
    """Whether layers and scopes may be called so."""
    return _NAME.fullmatch(text) is not None


def _check_name(name: str | None) -> str | None:
    expected = 'None or a name such as "scope/hidden_1"'
    if name is None:
        return None
    if not isinstance(name, str):
        raise _checks.wrong_kind("name", expected, name)
    if not is_name(name):
        raise _checks.wrong_value("name", expected, name)
    return str(name)


from_config = Layer.from_config
