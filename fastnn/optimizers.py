"""Optimisers: how a gradient changes the parameters. Descriptions alone; the arithmetic is the update kernel's."""

from abc import ABC, abstractmethod
from dataclasses import field
from numbers import Real
from typing import Any

import numpy as np

from . import _checks
from .schedules import Constant, Schedule

__all__ = ["SGD", "Adam", "Optimizer", "RMSProp", "from_config"]


class Optimizer(_checks.Described, ABC, family="optimizer"):
    """Base of all optimisers."""

    learning_rate: float | Schedule

    @property
    def schedule(self) -> Schedule:
        """The learning rate as a schedule, constant where a number was given."""
        return self.learning_rate if isinstance(self.learning_rate, Schedule) else Constant(self.learning_rate)

    @property
    @abstractmethod
    def rule(self) -> dict[str, Any]:
        """The engine's name of the update and its constants."""


@_checks.description
class SGD(Optimizer):
    """Mini-batch stochastic gradient descent, with momentum if asked for.

    With g the gradient of the mean loss of a batch, eta the learning rate of the step, mu the momentum and v the
    velocity (zero at first), every parameter w changes by

        mu = 0      w <- w - eta g
        classical   v <- mu v + g,   w <- w - eta v
        Nesterov    v <- mu v + g,   w <- w - eta (g + mu v)

    in float32, each right-hand product and sum one fused multiply-add; v ends at 0 where it has decayed below 2^-126.
    The velocity holds gradients and not steps, so a change of the rate acts at once. Before that, decoupled weight
    decay takes its part of each weight, but of no bias,

        w <- w - (eta weight_decay) w

    past the velocity, with its product in parentheses rounded to float32. Without momentum that is L2 of the same
    strength, but for rounding; with momentum it is not.

    learning_rate: a positive number, or a Schedule. momentum: from 0 to less than 1. nesterov: needs momentum > 0.
    weight_decay: a non-negative number.
    TypeError, ValueError: an argument is none of these.

    Sources: Buduma, Fundamentals of Deep Learning, chapter 2 (gradient descent); Sutskever, Martens, Dahl and Hinton,
    "On the importance of initialization and momentum in deep learning", ICML 2013, with the rate outside the velocity;
    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 1, in the form of PyTorch's
    AdamW: the rate in place of the schedule's multiplier.
    """

    learning_rate: float | Schedule
    momentum: float = field(default=0.0, kw_only=True)
    nesterov: bool = field(default=False, kw_only=True)
    weight_decay: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        momentum = _momentum(self.momentum)
        nesterov = _checks.flag("nesterov", self.nesterov)
        if nesterov and momentum == 0:
            raise _checks.wrong_value("momentum", "greater than 0 where nesterov=True", momentum)
        self._set(
            learning_rate=_rate(self.learning_rate),
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=_checks.non_negative("weight_decay", self.weight_decay),
        )

    @property
    def rule(self) -> dict[str, Any]:
        name = "sgd" if self.momentum == 0 else "nesterov" if self.nesterov else "momentum"
        return {"update": name, "momentum": self.momentum, "decay": self.weight_decay}


@_checks.description
class Adam(Optimizer):
    """Adam: steps along the mean of past gradients, divided by the root of the mean of their squares.

    With g the gradient of the mean loss of a batch, eta the learning rate of the step, t its number, from 1, and m and
    v zero at first, every parameter w changes by

        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g g
        w <- w - (eta / (1 - beta1^t)) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)

    in float32; what stands in parentheses and 1 / sqrt(1 - beta2^t) are computed in float64, once a step, and rounded.
    m and v end at 0 where they have decayed below 2^-126.
    Before that, decoupled weight decay takes its part of each weight, but of no bias: w <- w - (eta weight_decay) w,
    which is AdamW.

    learning_rate: a positive number, or a Schedule. beta1, beta2: from 0 to less than 1, as float32 too. epsilon: a
    positive number. weight_decay: a non-negative number.
    TypeError, ValueError: an argument is none of these.

    Sources: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1; Loshchilov and Hutter,
    "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2, in the form of PyTorch's AdamW: the rate in place
    of the schedule's multiplier.
    """

    learning_rate: float | Schedule = 0.001
    beta1: float = field(default=0.9, kw_only=True)
    beta2: float = field(default=0.999, kw_only=True)
    epsilon: float = field(default=1e-8, kw_only=True)
    weight_decay: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        self._set(
            learning_rate=_rate(self.learning_rate),
            beta1=_beta("beta1", self.beta1),
            beta2=_beta("beta2", self.beta2),
            epsilon=_checks.number("epsilon", self.epsilon, "a positive number in float32", _is_positive),
            weight_decay=_checks.non_negative("weight_decay", self.weight_decay),
        )

    @property
    def rule(self) -> dict[str, Any]:
        betas = {"beta1": self.beta1, "beta2": self.beta2}
        return {"update": "adam", **betas, "epsilon": self.epsilon, "decay": self.weight_decay}


@_checks.description
class RMSProp(Optimizer):
    """RMSProp: gradients divided by the root of the running mean of their squares.

    With g the gradient of the mean loss of a batch, eta the learning rate of the step, mu the momentum, and s and v
    zero at first, every parameter w changes by

        s <- decay s + (1 - decay) g g
        r =  g / (sqrt(s) + epsilon)
        mu = 0   w <- w - eta r
        mu > 0   v <- mu v + r,   w <- w - eta v

    in float32, each sum of a product one fused multiply-add. s and v end at 0 where they have decayed below 2^-126.
    s starts at 0 without a correction for that, so the first steps are longer: the very first is one of
    eta / sqrt(1 - decay). Before all that, decoupled weight decay takes its part of each weight, but of no bias:
    w <- w - (eta weight_decay) w.

    learning_rate: a positive number, or a Schedule. decay: from 0 to less than 1, as float32 too. epsilon: a positive
    number. momentum: from 0 to less than 1. weight_decay: a non-negative number.
    TypeError, ValueError: an argument is none of these.

    Source: Tieleman and Hinton, "Lecture 6.5 - rmsprop: Divide the gradient by a running average of its recent
    magnitude", Coursera: Neural Networks for Machine Learning, 2012; epsilon and momentum as in PyTorch's RMSprop,
    whose alpha is decay.
    """

    learning_rate: float | Schedule = 0.001
    decay: float = field(default=0.9, kw_only=True)
    epsilon: float = field(default=1e-8, kw_only=True)
    momentum: float = field(default=0.0, kw_only=True)
    weight_decay: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        self._set(
            learning_rate=_rate(self.learning_rate),
            decay=_beta("decay", self.decay),
            epsilon=_checks.number("epsilon", self.epsilon, "a positive number in float32", _is_positive),
            momentum=_momentum(self.momentum),
            weight_decay=_checks.non_negative("weight_decay", self.weight_decay),
        )

    @property
    def rule(self) -> dict[str, Any]:
        means = {"beta2": self.decay, "epsilon": self.epsilon, "momentum": self.momentum}
        return {"update": "rmsprop", **means, "decay": self.weight_decay}


def _momentum(value: float) -> float:
    return _checks.number("momentum", value, "a number from 0 to less than 1", lambda v: 0 <= v < 1)


def _beta(name: str, value: float) -> float:
    return _checks.number(name, value, "a number from 0 to less than 1 in float32", _is_fraction)


def _is_fraction(value: float) -> bool:
    return value >= 0 and bool(np.float32(value) < 1)


def _is_positive(value: float) -> bool:
    return bool(np.float32(value) > 0)


def _rate(value: float | Schedule) -> float | Schedule:
    if isinstance(value, Schedule):
        return value
    if not isinstance(value, Real):
        raise _checks.wrong_kind("learning_rate", "a positive finite number or a Schedule", value)
    return _checks.positive("learning_rate", value)


from_config = Optimizer.from_config
