"""Losses: formulas and names. The arithmetic is the loss kernel's.

Symbols: B rows; z what the last layer gives (B, n_out), for the cross-entropies the logits; t the targets (B, n_out),
class c being the row with t_c = 1 and zeros elsewhere. Every loss is a mean over the rows, so gradients carry 1/B. The
link turns z into what ``predict_proba`` and ``predict`` report; it is stored with the model.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from . import _checks

__all__ = [
    "AbsoluteError",
    "CustomLoss",
    "Huber",
    "Loss",
    "Poisson",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "from_config",
    "get",
]


LINKS = ("softmax", "sigmoid", "exp", "identity")


class Loss(_checks.Described, family="loss"):
    """Base of all losses. name: what ``Trainer(loss=name)`` accepts. link: one of LINKS."""

    name: ClassVar[str]
    link: str

    @property
    def rule(self) -> tuple[Any, ...]:
        """What the engine takes: the name and the constants."""
        return (self.name, *self._values())

    @property
    def has_accuracy(self) -> bool:
        """Whether what the network says is right or wrong."""
        return self.link in ("softmax", "sigmoid")


@_checks.description
class SoftmaxCrossEntropy(Loss):
    """Cross-entropy of a softmax: one class of many.

        p = softmax(z),   p_j = exp(z_j) / sum_k exp(z_k)
        L = -1/B sum_rows sum_j t_j log p_j
        dL/dz_j = (p_j sum_k t_k - t_j) / B,   which is (p_j - t_j) / B where each row of t sums to 1

    Computed from the logits, z - max z inside the exponentials: finite for any finite z. Targets: class indices (B,),
    one-hot rows or rows of probabilities (B, n_out). Accuracy: the largest output is the target's largest.
    Source: Buduma, Fundamentals of Deep Learning, chapters 1 (softmax) and 3 (loss of the MNIST classifiers).
    """

    name: ClassVar[str] = "softmax_cross_entropy"
    link = "softmax"


@_checks.description
class SigmoidCrossEntropy(Loss):
    """Cross-entropy of sigmoid units: any number of labels at once, one unit each.

        y_j = 1 / (1 + exp(-z_j))
        L = -1/B sum_rows sum_j [t_j log y_j + (1 - t_j) log(1 - y_j)]
          =  1/B sum_rows sum_j [max(z_j, 0) - z_j t_j + log(1 + exp(-|z_j|))]
        dL/dz_j = (y_j - t_j) / B

    Computed by the second line: finite for any finite z. The sum over the units is not divided by their number.
    Targets: rows of numbers from 0 to 1 (B, n_out). Accuracy: the fraction of units on the target's side of 1/2.
    Source: the multi-label coding of Buduma, Fundamentals of Deep Learning, chapter 1.
    """

    name: ClassVar[str] = "sigmoid_cross_entropy"
    link = "sigmoid"


@_checks.description
class SquaredError(Loss):
    """Half the squared distance to the target: regression, and the neurons of the book's chapter 2.

        L = 1/B sum_rows 1/2 sum_j (z_j - t_j)^2
        dL/dz_j = (z_j - t_j) / B

    Targets: rows of floats (B, n_out). It has no accuracy.
    Source: Buduma, Fundamentals of Deep Learning, chapter 2, which sums over the rows where this takes the mean: a step
    of its at rate eps is one of ours at rate eps B.
    """

    name: ClassVar[str] = "squared_error"
    link = "identity"


@_checks.description
class AbsoluteError(Loss):
    """The distance to the target along each output: regression that outliers move less.

        L = 1/B sum_rows sum_j |z_j - t_j|
        dL/dz_j = sign(z_j - t_j) / B, 0 where the two are equal

    Targets: rows of floats (B, n_out). It has no accuracy.
    """

    name: ClassVar[str] = "absolute_error"
    link = "identity"


@_checks.description
class Huber(Loss):
    """Squared near the target, absolute beyond delta.

        L = 1/B sum_rows sum_j h(z_j - t_j),   h(d) = d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2)
        dL/dz_j = min(max(z_j - t_j, -delta), delta) / B

    delta: a positive finite number. Targets: rows of floats (B, n_out). It has no accuracy.
    TypeError, ValueError: delta is none.
    Source: Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 1964.
    """

    delta: float = 1.0

    name: ClassVar[str] = "huber"
    link = "identity"

    def __post_init__(self) -> None:
        self._set(delta=_checks.positive("delta", self.delta))


@_checks.description
class Poisson(Loss):
    """Counts: the negative logarithm of the Poisson probability of t at the rate exp(z), without log(t!).

        L = 1/B sum_rows sum_j [exp(z_j) - t_j z_j]
        dL/dz_j = (exp(z_j) - t_j) / B

    ``predict`` gives the rates exp(z). Targets: rows of non-negative numbers (B, n_out). It has no accuracy.
    Source: McCullagh and Nelder, Generalized Linear Models, chapter 6 (the canonical, logarithmic, link).
    """

    name: ClassVar[str] = "poisson"
    link = "exp"


Function = Callable[[Any, Any], tuple[Any, Any]]


@_checks.description
class CustomLoss(Loss):
    """A loss that a Python function computes, for each batch.

        losses, gradient = function(outputs, targets)

    outputs: (B, n_out) float32, the last layer's, an array of the function's own. targets: those rows of y; integers
    (B,) as int32 where there are several outputs, else float32 (B, k) of any k. losses: (B,), one a row. gradient:
    (B, n_out), of the mean of the losses at the outputs. Both are taken as float32; weights of rows are applied to
    both afterwards.

    function runs on one thread while the others wait, and must not use the network, which is locked meanwhile. What it
    raises ends the training after the last whole step. link: what the outputs mean, as "softmax". It has no accuracy,
    and is not saved: ``to_config`` is a TypeError.
    TypeError, ValueError: function is not callable, link is none; a result of another kind or shape.
    """

    function: Function
    link: str = "identity"

    name: ClassVar[str] = "custom"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise _checks.wrong_kind("function", "a function (outputs, targets) -> (losses, gradient)", self.function)
        self._set(link=_checks.choice("link", self.link, LINKS))

    @property
    def rule(self) -> tuple[Any, ...]:
        return (self.name, self.function)

    @property
    def has_accuracy(self) -> bool:
        return False

    def to_config(self) -> dict[str, Any]:
        raise TypeError("a CustomLoss has no config: its function cannot be written")


def get(loss: str | Loss) -> Loss:
    """The loss of that name, or the loss itself.

    TypeError: neither a string nor a Loss. ValueError: an unknown name; the message lists the known ones.
    """
    return Loss.named("loss", loss)


from_config = Loss.from_config
