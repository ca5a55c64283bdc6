"""Learning-rate schedules: the rate of every training step, counted from 0 over the whole training.

Rates are computed in float64 with +, -, * and / alone, which round the same everywhere, then rounded once to float32:
the same bits on every machine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import _checks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Constant", "LinearWarmup", "Schedule", "StepDecay", "from_config"]


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


@dataclass(frozen=True, eq=False, repr=False)
class Constant(Schedule):
    """The same rate at every step: rate(step) = learning_rate, positive."""

    learning_rate: float

    def __post_init__(self) -> None:
        self._set(learning_rate=_checks.positive("learning_rate", self.learning_rate))

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.full(steps.shape, self.learning_rate, np.float64)


@dataclass(frozen=True, eq=False, repr=False)
class StepDecay(Schedule):
    """The rate falls by a factor every so many steps: rate(step) = initial * factor ** floor(step / every).

    initial: positive. factor: greater than 0, at most 1. every: steps, a positive integer.
    """

    initial: float
    factor: float
    every: int

    def __post_init__(self) -> None:
        self._set(
            initial=_checks.positive("initial", self.initial),
            factor=_checks.number("factor", self.factor, "a number greater than 0 and at most 1", lambda v: 0 < v <= 1),
            every=_checks.integer("every", self.every, 1),
        )

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.initial * _power(self.factor, steps // self.every)


@dataclass(frozen=True, eq=False, repr=False)
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


def _power(base: float, exponents: NDArray[np.int64]) -> NDArray[np.float64]:
    """base ** exponents by squaring: the library's pow may differ in the last bit from one machine to the next."""
    result = np.ones(exponents.shape)
    while exponents.any():
        result = np.where(exponents & 1, result * base, result)
        base, exponents = base * base, exponents >> 1
    return result


from_config = Schedule.from_config
