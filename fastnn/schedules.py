"""Learning-rate schedules: the rate of every training step, counted from 0 over the whole training.

Rates are computed in float64 with +, -, * and / alone, which round the same everywhere, then rounded once to float32:
the same bits on every machine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from . import _checks, _elementary

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Constant",
    "CosineDecay",
    "ExponentialDecay",
    "LinearWarmup",
    "OneCycle",
    "PiecewiseConstant",
    "Schedule",
    "StepDecay",
    "Warmup",
    "from_config",
]

_MAX_TOTAL = 2**52  # twice this and a step are whole numbers in float64


class Schedule(_checks.Described, ABC, family="schedule"):
    """Base of all schedules. A schedule of your own is a frozen dataclass that derives from it and defines ``at``."""

    @abstractmethod
    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rates of the given steps: int64 (n,) -> float64 (n,), non-negative and finite."""

    def rates(self, first_step: int, n_steps: int) -> NDArray[np.float32]:
        """Learning rates of steps first_step, first_step + 1, ...: float32 (n_steps,).

        TypeError, ValueError: an argument is not a non-negative integer.
        ValueError: ``at`` gave another shape, or a rate that is negative, not finite or too large for float32.
        """
        first = _checks.integer("first_step", first_step, 0)
        count = _checks.integer("n_steps", n_steps, 0)
        steps = first + np.arange(count, dtype=np.int64)
        rates = np.asarray(self.at(steps), dtype=np.float64)
        if rates.shape != steps.shape:
            raise _checks.wrong_value(f"rates of {self!r}", f"of shape {steps.shape}", rates.shape)
        good = (rates >= 0) & (rates <= _checks.FLOAT32_MAX)
        if not good.all():
            i = int(np.argmin(good))
            raise _checks.wrong_value(
                f"rate of {self!r} at step {steps[i]}", "a non-negative finite number", float(rates[i])
            )
        return rates.astype(np.float32)


@_checks.description
class Constant(Schedule):
    """The same rate at every step: rate(step) = learning_rate, positive."""

    learning_rate: float

    def __post_init__(self) -> None:
        self._set(learning_rate=_checks.positive("learning_rate", self.learning_rate))

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.full(steps.shape, self.learning_rate, np.float64)


@_checks.description
class StepDecay(Schedule):
    """The rate falls by a factor every so many steps: rate(step) = initial * factor ** floor(step / every).

    initial: positive. factor: greater than 0, at most 1. every: steps, a positive integer.
    """

    initial: float
    factor: float
    every: int

    def __post_init__(self) -> None:
        self._set(**_decay(self.initial, self.factor, self.every))

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.initial * _elementary.power(self.factor, steps // self.every)


@_checks.description
class LinearWarmup(Schedule):
    """A linear rise to the peak, then a linear fall.

    rate(step) = start + (peak - start) * step / warmup_steps                              step < warmup_steps
               = peak + (end - peak) * (step - warmup_steps) / (total_steps - warmup_steps)    up to total_steps
               = end                                                                           from there on

    peak: positive. start, end: not negative. warmup_steps: 0 (no rise) or more, less than total_steps. Warm-up as in
    Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017.
    """

    peak: float
    warmup_steps: int
    total_steps: int
    start: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        total = _checks.integer("total_steps", self.total_steps, 1)
        warmup = _checks.integer("warmup_steps", self.warmup_steps, 0)
        if warmup >= total:
            raise _checks.wrong_value("warmup_steps", f"less than total_steps = {total}", warmup)
        self._set(
            peak=_checks.positive("peak", self.peak),
            warmup_steps=warmup,
            total_steps=total,
            start=_checks.non_negative("start", self.start),
            end=_checks.non_negative("end", self.end),
        )

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        rise = self.start + (self.peak - self.start) * (steps / max(self.warmup_steps, 1))
        fall = self.peak + (self.end - self.peak) * (
            (steps - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        )
        return np.where(steps < self.warmup_steps, rise, np.where(steps < self.total_steps, fall, self.end))


@_checks.description
class CosineDecay(Schedule):
    """A fall along half a wave of the cosine: slow at both ends.

    rate(step) = end + (initial - end) * (1 + cos(pi * step / total_steps)) / 2    up to total_steps
               = end                                                               from there on

    initial: positive. total_steps: a positive integer. end: not negative.
    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, without the restarts.
    """

    initial: float
    total_steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        self._set(
            initial=_checks.positive("initial", self.initial),
            total_steps=_checks.integer("total_steps", self.total_steps, 1, _MAX_TOTAL),
            end=_checks.non_negative("end", self.end),
        )

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        return _cosine(self.initial, self.end, steps, self.total_steps)


@_checks.description
class OneCycle(Schedule):
    """A rise to a large peak and a fall to almost nothing, each along half a wave of the cosine.

    With n = floor(warmup_fraction * total_steps), start = peak * start_factor and end = peak * end_factor:

    rate(step) = start + (peak - start) * (1 - cos(pi * step / n)) / 2                          step < n
               = end + (peak - end) * (1 + cos(pi * (step - n) / (total_steps - n))) / 2        up to total_steps
               = end                                                                            from there on

    peak: positive. total_steps: a positive integer. warmup_fraction: from 0 (no rise) to less than 1. start_factor,
    end_factor: not negative.
    Smith, "A disciplined approach to neural network hyper-parameters: Part 1", 2018. His cycle is of straight lines
    with a last piece of very small rates; the cosines are what later became usual. Momentum is not cycled.
    """

    peak: float
    total_steps: int
    warmup_fraction: float = 0.3
    start_factor: float = 1 / 25
    end_factor: float = 1 / 250_000

    def __post_init__(self) -> None:
        expected = "a number from 0 to less than 1"
        self._set(
            peak=_checks.positive("peak", self.peak),
            total_steps=_checks.integer("total_steps", self.total_steps, 1, _MAX_TOTAL),
            warmup_fraction=_checks.number("warmup_fraction", self.warmup_fraction, expected, lambda v: 0 <= v < 1),
            start_factor=_checks.non_negative("start_factor", self.start_factor),
            end_factor=_checks.non_negative("end_factor", self.end_factor),
        )

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        n = int(self.warmup_fraction * self.total_steps)
        rise = _cosine(self.peak * self.start_factor, self.peak, steps, max(n, 1))
        fall = _cosine(self.peak, self.peak * self.end_factor, steps - n, self.total_steps - n)
        return np.where(steps < n, rise, fall)


@_checks.description
class PiecewiseConstant(Schedule):
    """Rates given one by one: values[0] before step boundaries[0], values[1] from there to before boundaries[1], ...

    boundaries: ascending positive integers, each the first step of its new rate. values: not negative, one more than
    boundaries.
    """

    boundaries: Sequence[int]
    values: Sequence[float]

    def __post_init__(self) -> None:
        for name in ("boundaries", "values"):
            if not isinstance(getattr(self, name), (list, tuple)):
                raise _checks.wrong_kind(name, "a list or a tuple of numbers", getattr(self, name))
        boundaries = tuple(_checks.integer(f"boundaries[{i}]", b, 1) for i, b in enumerate(self.boundaries))
        if any(left >= right for left, right in pairwise(boundaries)):
            raise _checks.wrong_value("boundaries", "ascending", boundaries)
        values = tuple(_checks.non_negative(f"values[{i}]", value) for i, value in enumerate(self.values))
        if len(values) != len(boundaries) + 1:
            raise _checks.wrong_value("values", f"{len(boundaries) + 1} numbers, one more than boundaries", values)
        self._set(boundaries=boundaries, values=values)

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array(self.values)[np.searchsorted(np.array(self.boundaries, np.int64), steps, side="right")]


@_checks.description
class ExponentialDecay(Schedule):
    """A smooth fall by a factor every so many steps: rate(step) = initial * factor ** (step / every).

    initial: positive. factor: greater than 0, at most 1. every: steps, a positive integer. At multiples of ``every`` it
    is StepDecay, bit for bit.
    """

    initial: float
    factor: float
    every: int

    def __post_init__(self) -> None:
        self._set(**_decay(self.initial, self.factor, self.every))

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        part = _elementary.exp(steps % self.every / self.every * _elementary.log(self.factor))
        return self.initial * _elementary.power(self.factor, steps // self.every) * part


@_checks.description
class Warmup(Schedule):
    """A linear rise to the first rate of another schedule, which then runs from its own step 0.

    rate(step) = start + (first - start) * step / steps    step < steps, where first is the schedule's rate of step 0
               = the schedule's rate of step - steps       from there on

    schedule: any Schedule. steps: a positive integer. start: not negative.
    """

    schedule: Schedule
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            raise _checks.wrong_kind("schedule", "a Schedule", self.schedule)
        self._set(
            steps=_checks.integer("steps", self.steps, 1),
            start=_checks.non_negative("start", self.start),
        )

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        first = self.schedule.at(np.zeros(1, np.int64))[0]
        rise = self.start + (first - self.start) * (steps / self.steps)
        return np.where(steps < self.steps, rise, self.schedule.at(np.maximum(steps - self.steps, 0)))


def _decay(initial: float, factor: float, every: int) -> dict[str, float]:
    """The checked fields of a decay by a factor."""
    return {
        "initial": _checks.positive("initial", initial),
        "factor": _checks.number("factor", factor, "a number greater than 0 and at most 1", lambda v: 0 < v <= 1),
        "every": _checks.integer("every", every, 1),
    }


def _cosine(first: float, last: float, steps: NDArray[np.int64], total: int) -> NDArray[np.float64]:
    """From first at step 0 to last at step total, and first and last beyond these."""
    return last + (first - last) * _elementary.half_cosine(np.clip(steps, 0, total), total)


from_config = Schedule.from_config
