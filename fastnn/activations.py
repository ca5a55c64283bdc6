"""Activations: formulas and names. The arithmetic is the kernels'.

z is what a unit sums up, x W + b of its layer; f(z) is what it says, float32. A network that trains needs the slope
f'(z), which at a kink is that of the left side.
"""

from __future__ import annotations

from typing import Any, ClassVar

from . import _checks

__all__ = [
    "ELU",
    "GELU",
    "Activation",
    "LeakyReLU",
    "Linear",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Threshold",
    "from_config",
]


class Activation(_checks.Described, family="activation"):
    """Base of all activations. name: what ``Dense(units, name)`` accepts, for the defaults of its constants."""

    name: ClassVar[str]
    is_trainable: ClassVar[bool] = True

    def __init_subclass__(cls, name: str, **options: Any) -> None:
        super().__init_subclass__(name=name, **options)
        cls.name = name

    @property
    def rule(self) -> tuple[Any, ...]:
        """What the engine takes: the name and the constants."""
        return (self.name, *self._values())

    @property
    def plain(self) -> str | Activation:
        """The name, where it says everything: of an activation whose constants are the defaults."""
        return self.name if self == type(self)() else self


@_checks.description
class Linear(Activation, name="linear"):
    """f(z) = slope z + intercept. f'(z) = slope.

    slope, intercept: finite numbers.
    TypeError, ValueError: they are none.
    Source: Buduma, Fundamentals of Deep Learning, chapter 1, linear neurons.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        self._set(
            slope=_checks.number("slope", self.slope),
            intercept=_checks.number("intercept", self.intercept),
        )

    @property
    def rule(self) -> tuple[Any, ...]:
        return ("linear",) if self == Linear() else super().rule


@_checks.description
class Sigmoid(Activation, name="sigmoid"):
    """f(z) = 1 / (1 + exp(-z)). f'(z) = f(z) (1 - f(z)).

    Source: Buduma, Fundamentals of Deep Learning, chapter 1.
    """


@_checks.description
class Tanh(Activation, name="tanh"):
    """f(z) = tanh z. f'(z) = 1 - f(z)^2.

    Source: Buduma, Fundamentals of Deep Learning, chapter 1.
    """


@_checks.description
class ReLU(Activation, name="relu"):
    """f(z) = max(z, 0). f'(z) = 1 for z > 0, else 0.

    Sources: Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", ICML 2010; Buduma,
    Fundamentals of Deep Learning, chapter 1.
    """


@_checks.description
class LeakyReLU(Activation, name="leaky_relu"):
    """f(z) = z for z > 0, else slope z. f'(z) = 1 for z > 0, else slope.

    slope: a non-negative finite number.
    TypeError, ValueError: it is none.
    Source: Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", ICML 2013.
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        self._set(slope=_checks.non_negative("slope", self.slope))


@_checks.description
class ELU(Activation, name="elu"):
    """f(z) = z for z > 0, else alpha (exp(z) - 1). f'(z) = 1 for z > 0, else f(z) + alpha.

    alpha: a positive finite number.
    TypeError, ValueError: it is none.
    Source: Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear Units
    (ELUs)", ICLR 2016.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        self._set(alpha=_checks.positive("alpha", self.alpha))


@_checks.description
class GELU(Activation, name="gelu"):
    """f(z) = z Phi(z), Phi(z) = 1/2 (1 + erf(z / sqrt 2)). f'(z) = Phi(z) + z exp(-z^2 / 2) / sqrt(2 pi).

    The exact form, not the one that approximates erf by tanh.
    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)", arXiv:1606.08415.
    """


@_checks.description
class SiLU(Activation, name="silu"):
    """f(z) = z s(z), s(z) = 1 / (1 + exp(-z)). f'(z) = s(z) (1 + z (1 - s(z))). Also known as swish.

    Sources: Hendrycks and Gimpel, arXiv:1606.08415; Ramachandran, Zoph and Le, "Searching for Activation Functions",
    arXiv:1710.05941.
    """


@_checks.description
class Softplus(Activation, name="softplus"):
    """f(z) = log(1 + exp(z)). f'(z) = 1 / (1 + exp(-z)).

    Source: Dugas, Bengio, Bélisle, Nadeau and Garcia, "Incorporating Second-Order Functional Knowledge for Better
    Option Pricing", NIPS 2000.
    """


@_checks.description
class Threshold(Activation, name="threshold"):
    """f(z) = -1 for z < 0, else 1: the perceptron. Its slope is 0, so a network with it predicts but does not train.

    Source: Buduma, Fundamentals of Deep Learning, chapter 1, perceptrons.
    """

    is_trainable: ClassVar[bool] = False


@_checks.description
class Softmax(Activation, name="softmax"):
    """f(z)_j = exp(z_j) / sum_k exp(z_k). Of the last layer alone, and folded into the loss.

    Source: Buduma, Fundamentals of Deep Learning, chapter 1.
    """


def get(activation: str | Activation, argument: str = "activation") -> Activation:
    """The activation of that name, or the activation itself.

    TypeError: neither a string nor an Activation. ValueError: an unknown name; the message lists the known ones.
    """
    return Activation.named(argument, activation)


NAMES = tuple(kind.partition(".")[2] for kind in Activation._below())
from_config = Activation.from_config
