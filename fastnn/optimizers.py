"""Optimisers: how a gradient changes the parameters. Descriptions alone; the arithmetic is the update kernel's."""

from dataclasses import dataclass, field
from numbers import Real

from . import _checks
from .schedules import Constant, Schedule

__all__ = ["SGD", "Optimizer", "from_config"]


class Optimizer(_checks.Described, family="optimizer"):
    """Base of all optimisers."""


@dataclass(frozen=True, eq=False, repr=False)
class SGD(Optimizer):
    """Mini-batch stochastic gradient descent, with momentum if asked for.

    With g the gradient of the mean loss of a batch, eta the learning rate of the step, mu the momentum and v the
    velocity (zero at first), every parameter w changes by

        mu = 0      w <- w - eta g
        classical   v <- mu v + g,   w <- w - eta v
        Nesterov    v <- mu v + g,   w <- w - eta (g + mu v)

    in float32, each right-hand product and sum one fused multiply-add. The velocity holds gradients and not steps, so a
    change of the rate acts at once.

    learning_rate: a positive number, or a Schedule. momentum: from 0 to less than 1. nesterov: needs momentum > 0.

    Sources: Buduma, Fundamentals of Deep Learning, chapter 2 (gradient descent); Sutskever, Martens, Dahl and Hinton,
    "On the importance of initialization and momentum in deep learning", ICML 2013, with the rate outside the velocity.
    """

    learning_rate: float | Schedule
    momentum: float = field(default=0.0, kw_only=True)
    nesterov: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.learning_rate, Schedule):
            if not isinstance(self.learning_rate, Real):
                raise _checks.wrong_kind("learning_rate", "a positive finite number or a Schedule", self.learning_rate)
            self._set(learning_rate=_checks.positive("learning_rate", self.learning_rate))
        momentum = _checks.number("momentum", self.momentum, "a number from 0 to less than 1", lambda v: 0 <= v < 1)
        nesterov = _checks.flag("nesterov", self.nesterov)
        if nesterov and momentum == 0:
            raise _checks.wrong_value("momentum", "greater than 0 where nesterov=True", momentum)
        self._set(momentum=momentum, nesterov=nesterov)

    @property
    def schedule(self) -> Schedule:
        """The learning rate as a schedule, constant where a number was given."""
        return self.learning_rate if isinstance(self.learning_rate, Schedule) else Constant(self.learning_rate)


from_config = Optimizer.from_config
