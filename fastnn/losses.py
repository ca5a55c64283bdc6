"""Losses: formulas and names. The arithmetic is the loss kernel's.

Symbols: B rows; z what the last layer gives (B, n_out), for the cross-entropies the logits; t the targets (B, n_out),
class c being the row with t_c = 1 and zeros elsewhere. Every loss is a mean over the rows, so gradients carry 1/B. The
link turns z into what ``predict_proba`` and ``predict`` report; it is stored with the model.
"""

from dataclasses import dataclass
from typing import ClassVar

from . import _checks

__all__ = ["Loss", "SigmoidCrossEntropy", "SoftmaxCrossEntropy", "SquaredError", "from_config", "get"]


class Loss(_checks.Described, family="loss"):
    """Base of all losses. name: what ``Trainer(loss=name)`` accepts. link: "identity", "sigmoid" or "softmax"."""

    name: ClassVar[str]
    link: ClassVar[str]


@dataclass(frozen=True, eq=False, repr=False)
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
    link: ClassVar[str] = "softmax"


@dataclass(frozen=True, eq=False, repr=False)
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
    link: ClassVar[str] = "sigmoid"


@dataclass(frozen=True, eq=False, repr=False)
class SquaredError(Loss):
    """Half the squared distance to the target: regression, and the neurons of the book's chapter 2.

        L = 1/B sum_rows 1/2 sum_j (z_j - t_j)^2
        dL/dz_j = (z_j - t_j) / B

    Targets: rows of floats (B, n_out). It has no accuracy.
    Source: Buduma, Fundamentals of Deep Learning, chapter 2, which sums over the rows where this takes the mean: a step
    of its at rate eps is one of ours at rate eps B.
    """

    name: ClassVar[str] = "squared_error"
    link: ClassVar[str] = "identity"


def get(loss: str | Loss) -> Loss:
    """The loss of that name, or the loss itself.

    TypeError: neither a string nor a Loss. ValueError: an unknown name; the message lists the known ones.
    """
    return Loss.named("loss", loss)


from_config = Loss.from_config
