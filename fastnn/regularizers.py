"""Regularisers and constraints: what keeps weights small. Descriptions alone; the arithmetic is the kernels'.

They act on weights and never on biases.
"""

from . import _checks

__all__ = ["L1", "L2", "Constraint", "MaxNorm", "Regularizer", "from_config"]


class Regularizer(_checks.Described, family="regularizer"):
    """Base of all regularisers: the strengths that the engine knows."""

    @property
    def l1(self) -> float:
        return 0.0

    @property
    def l2(self) -> float:
        return 0.0


@_checks.description
class L2(Regularizer):
    """Adds 1/2 strength w^2 to the loss for every weight w of a layer: large weights cost more, all become smaller.

    Its gradient, strength w, is added to that of the loss before momentum or Adam see it, as one fused multiply-add. A
    step of plain gradient descent so takes rate strength w from w. For decay beside the gradient: ``SGD.weight_decay``.

    strength: a non-negative number; 0 adds nothing, also where a Trainer has a regulariser for all layers.
    TypeError, ValueError: strength is none of these.
    Source: Buduma, Fundamentals of Deep Learning, chapter 2 (which sums a step up without the rate).
    """

    strength: float

    def __post_init__(self) -> None:
        self._set(strength=_checks.non_negative("strength", self.strength))

    @property
    def l2(self) -> float:
        return self.strength


@_checks.description
class L1(Regularizer):
    """Adds strength |w| to the loss for every weight w of a layer: many become exactly 0, a unit uses few inputs.

    |w| has no gradient at 0, so it is met by a proximal step after that of the loss: every weight moves by
    rate strength towards 0, and one that would pass it stays there,

        w <- sign(w) max(|w| - rate strength, 0)

    with the learning rate of the step. That is the strength beside plain gradient descent; where momentum mu or Adam
    lengthen the steps along the gradient, L1 weighs less beside them, with momentum 1 - mu of its strength.

    strength: a non-negative number; 0 adds nothing, also where a Trainer has a regulariser for all layers.
    TypeError, ValueError: strength is none of these.
    Sources: Buduma, Fundamentals of Deep Learning, chapter 2; Parikh and Boyd, "Proximal Algorithms", 2014, sections
    4.2 and 6.5.2, for the step.
    """

    strength: float

    def __post_init__(self) -> None:
        self._set(strength=_checks.non_negative("strength", self.strength))

    @property
    def l1(self) -> float:
        return self.strength


class Constraint(_checks.Described, family="constraint"):
    """Base of all constraints."""


@_checks.description
class MaxNorm(Constraint):
    """Keeps the weights that come into a unit within a ball: after every update each column w of W becomes

        w <- w min(1, radius / ||w||)

    the nearest point of the ball of that radius about 0, up to float32's rounding. Weights stay bounded even where the
    learning rate is too high. Biases and frozen weights stay as they are, as do weights before the first update.

    radius: a number of at least 1e-15 (smaller squares would leave float32's range); 3 or 4 are typical.
    TypeError, ValueError: radius is none of these.
    Sources: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: A Simple Way to Prevent Neural
    Networks from Overfitting", JMLR 2014, section 5.1; Buduma, Fundamentals of Deep Learning, chapter 2.
    """

    radius: float

    def __post_init__(self) -> None:
        expected = "a finite number of at least 1e-15"
        self._set(radius=_checks.number("radius", self.radius, expected, lambda v: v >= 1e-15))


def check(argument: str, value: Regularizer | None) -> Regularizer | None:
    """value itself. TypeError: it is neither None nor a Regularizer."""
    if value is not None and not isinstance(value, Regularizer):
        raise _checks.wrong_kind(argument, "None, an L1 or an L2", value)
    return value


def check_constraint(argument: str, value: MaxNorm | None) -> MaxNorm | None:
    """value itself. TypeError: it is neither None nor a MaxNorm."""
    if value is not None and not isinstance(value, MaxNorm):
        raise _checks.wrong_kind(argument, "None or a MaxNorm", value)
    return value


from_config = Regularizer.from_config
