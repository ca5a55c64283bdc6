"""Schedules: formulas, bits, custom schedules, bad arguments."""

import json
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from fastnn import schedules
from fastnn.schedules import Constant, LinearWarmup, Schedule, StepDecay

ALL = [
    Constant(0.1),
    StepDecay(0.5, 0.9, 7),
    StepDecay(0.5, 1, 1),
    LinearWarmup(0.5, 10, 50, start=0.05),
    LinearWarmup(0.5, 0, 3, end=0.1),
    LinearWarmup(0.2, 2, 3, start=0.4),
]


def test_constant() -> None:
    np.testing.assert_array_equal(Constant(0.1).rates(5, 3), np.full(3, 0.1, np.float32), strict=True)


def test_step_decay_is_the_exact_power_rounded_once() -> None:
    rates = StepDecay(0.3, 0.97, 4).rates(0, 1000)
    exact = [float(Fraction(0.3) * Fraction(0.97) ** (step // 4)) for step in range(1000)]
    np.testing.assert_array_equal(rates, np.array(exact, np.float32), strict=True)


def test_step_decay_ends_at_zero() -> None:
    assert StepDecay(1, 0.5, 1).rates(10**6, 2).tolist() == [0, 0]


def test_linear_warmup() -> None:
    rates = LinearWarmup(0.5, 4, 12, start=0.1, end=0.02).rates(0, 15)
    rise = [0.1 + (0.5 - 0.1) * (step / 4) for step in range(4)]
    fall = [0.5 + (0.02 - 0.5) * ((step - 4) / 8) for step in range(4, 12)]
    np.testing.assert_array_equal(rates, np.array([*rise, *fall, 0.02, 0.02, 0.02], np.float32), strict=True)


def test_linear_warmup_hits_its_marks() -> None:
    rates = LinearWarmup(0.5, 4, 12).rates(0, 20)
    assert rates[0] == 0
    assert rates[4] == 0.5 == rates.max()
    assert rates[12] == 0 == rates[19]
    assert (np.diff(rates[:5]) > 0).all()
    assert (np.diff(rates[4:13]) < 0).all()


def test_linear_warmup_without_warmup_starts_at_the_peak() -> None:
    assert LinearWarmup(0.5, 0, 2, start=9).rates(0, 3).tolist() == [0.5, 0.25, 0]


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_rates_do_not_depend_on_how_steps_are_cut(schedule: Schedule) -> None:
    whole = schedule.rates(0, 100)
    assert whole.dtype == np.float32
    assert whole.shape == (100,)
    cuts = [schedule.rates(first, n) for first, n in ((0, 1), (1, 30), (31, 0), (31, 69))]
    np.testing.assert_array_equal(np.concatenate(cuts), whole, strict=True)


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_config_round_trip(schedule: Schedule) -> None:
    assert schedules.from_config(json.loads(json.dumps(schedule.to_config()))) == schedule


def test_numpy_scalars_become_python_numbers() -> None:
    schedule = StepDecay(np.float32(0.5), np.float64(0.5), np.int64(3))
    assert [type(value) for value in (schedule.initial, schedule.factor, schedule.every)] == [float, float, int]


def test_schedules_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Constant(0.1).learning_rate = 0.2  # type: ignore[misc]


@dataclass(frozen=True)
class Listed(Schedule):
    """A schedule of the user's own."""

    first: float
    shorter: bool = False

    def at(self, steps: np.ndarray) -> np.ndarray:
        rates = np.where(steps == 0, self.first, 1.0)
        return rates[1:] if self.shorter else rates


def test_a_schedule_of_ones_own() -> None:
    schedule = Listed(0.5)
    assert schedule.rates(0, 3).tolist() == [0.5, 1, 1]
    assert schedules.from_config(schedule.to_config()) == schedule


@pytest.mark.parametrize("rate", [-1.0, np.nan, np.inf, 1e39])
def test_a_schedule_of_ones_own_is_checked(rate: float) -> None:
    with pytest.raises(ValueError, match=r"^rate of Listed\(.*\) at step 0 must be a non-negative finite number, got "):
        Listed(rate).rates(0, 3)


def test_a_schedule_of_ones_own_has_a_rate_for_every_step() -> None:
    with pytest.raises(ValueError, match=r"^rates of Listed\(.*\) must be of shape \(3,\), got \(2,\)$"):
        Listed(0.5, shorter=True).rates(0, 3)


def test_a_kind_has_one_class() -> None:
    with pytest.raises(TypeError, match=r"^Constant needs another name: the kind 'schedule.constant' belongs to"):
        type("Constant", (Schedule,), {"__module__": "elsewhere"})
    assert schedules.from_config(Constant(0.1).to_config()) == Constant(0.1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Constant("0.1"), TypeError, r"learning_rate must be a positive finite number, got '0.1' \(str\)"),
        (lambda: Constant(True), TypeError, r"learning_rate must be a positive finite number, got True \(bool\)"),
        (lambda: Constant(0), ValueError, "learning_rate must be a positive finite number, got 0"),
        (lambda: Constant(-0.1), ValueError, r"learning_rate must be a positive finite number, got -0\.1"),
        (lambda: Constant(np.nan), ValueError, "learning_rate must be a positive finite number, got nan"),
        (lambda: Constant(np.inf), ValueError, "learning_rate must be a positive finite number, got inf"),
        (lambda: Constant(1e39), ValueError, r"learning_rate must be .* that float32 can hold, got 1e\+39"),
        (lambda: Constant(10**400), ValueError, "learning_rate must be a positive finite number, got 10000"),
        (lambda: StepDecay(0, 0.5, 1), ValueError, "initial must be a positive finite number, got 0"),
        (lambda: StepDecay(None, 0.5, 1), TypeError, r"initial must be a positive finite number, got None"),
        (lambda: StepDecay(1, 0, 1), ValueError, "factor must be a number greater than 0 and at most 1, got 0"),
        (lambda: StepDecay(1, 1.5, 1), ValueError, r"factor must be a number greater than 0 and at most 1, got 1\.5"),
        (lambda: StepDecay(1, "x", 1), TypeError, "factor must be a number greater than 0 and at most 1, got 'x'"),
        (lambda: StepDecay(1, 0.5, 0), ValueError, "every must be a positive integer, got 0"),
        (lambda: StepDecay(1, 0.5, 2.0), TypeError, r"every must be a positive integer, got 2\.0 \(float\)"),
        (lambda: StepDecay(1, 0.5, True), TypeError, "every must be a positive integer, got True"),
        (
            lambda: StepDecay(1, 0.5, 2**63),
            ValueError,
            "every must be a positive integer that 64 bits can hold, got 92",
        ),
        (lambda: LinearWarmup(0, 1, 2), ValueError, "peak must be a positive finite number, got 0"),
        (lambda: LinearWarmup([1], 1, 2), TypeError, r"peak must be a positive finite number, got \[1\] \(list\)"),
        (lambda: LinearWarmup(1, -1, 2), ValueError, "warmup_steps must be a non-negative integer, got -1"),
        (lambda: LinearWarmup(1, 0.5, 2), TypeError, r"warmup_steps must be a non-negative integer, got 0\.5"),
        (lambda: LinearWarmup(1, 2, 2), ValueError, "warmup_steps must be less than total_steps = 2, got 2"),
        (lambda: LinearWarmup(1, 0, 0), ValueError, "total_steps must be a positive integer, got 0"),
        (lambda: LinearWarmup(1, 0, "9"), TypeError, "total_steps must be a positive integer, got '9'"),
        (lambda: LinearWarmup(1, 0, 1, start=-1), ValueError, "start must be a non-negative finite number, got -1"),
        (lambda: LinearWarmup(1, 0, 1, start=""), TypeError, "start must be a non-negative finite number, got ''"),
        (lambda: LinearWarmup(1, 0, 1, end=np.nan), ValueError, "end must be a non-negative finite number, got nan"),
        (lambda: LinearWarmup(1, 0, 1, end=None), TypeError, "end must be a non-negative finite number, got None"),
        (lambda: Constant(1).rates(-1, 1), ValueError, "first_step must be a non-negative integer, got -1"),
        (lambda: Constant(1).rates(0.0, 1), TypeError, r"first_step must be a non-negative integer, got 0\.0"),
        (lambda: Constant(1).rates(0, -1), ValueError, "n_steps must be a non-negative integer, got -1"),
        (lambda: Constant(1).rates(0, "1"), TypeError, "n_steps must be a non-negative integer, got '1'"),
        (lambda: schedules.from_config({"kind": "constant"}), ValueError, r"config\['kind'\] must be one of 'schedule"),
    ],
)
def test_bad_arguments(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()  # type: ignore[operator]


def test_schedule_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Schedule()  # type: ignore[abstract]
