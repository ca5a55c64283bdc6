"""Schedules: formulas, bits, custom schedules, bad arguments."""

import hashlib
import json
import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from fastnn import _elementary, schedules
from fastnn.schedules import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    LinearWarmup,
    OneCycle,
    PiecewiseConstant,
    Schedule,
    StepDecay,
    Warmup,
)

ALL = [
    Constant(0.1),
    StepDecay(0.5, 0.9, 7),
    StepDecay(0.5, 1, 1),
    LinearWarmup(0.5, 10, 50, start=0.05),
    LinearWarmup(0.5, 0, 3, end=0.1),
    LinearWarmup(0.2, 2, 3, start=0.4),
    CosineDecay(0.3, 70, end=0.01),
    OneCycle(0.5, 80),
    OneCycle(0.5, 9, warmup_fraction=0, end_factor=2),
    PiecewiseConstant([10, 11, 60], (0.1, 0, 0.2, 0.05)),
    ExponentialDecay(0.5, 0.9, 7),
    Warmup(CosineDecay(0.3, 50), 20, start=0.1),
    Warmup(Warmup(StepDecay(0.3, 0.5, 9), 5), 7),
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


def test_the_half_wave_errs_by_its_last_bits() -> None:
    """Against 40 digits; relative to the value, so near its end too."""
    for total in (1, 2, 3, 7, 1000, 10**6 + 1):
        steps = np.unique(np.linspace(0, total, 400).astype(np.int64))
        ours = _elementary.half_cosine(steps, total)
        exact = [float(half_wave(int(step), total)) for step in steps]
        np.testing.assert_allclose(ours, exact, rtol=2e-15, atol=1e-38, err_msg=str(total))
        near = [(1 + math.cos(math.pi * step / total)) / 2 for step in steps.tolist()]
        np.testing.assert_allclose(ours, near, rtol=0, atol=1e-15)
        assert (ours[0], ours[-1]) == (1, 0)
        assert (np.diff(ours) < 0).all()


def half_wave(step: int, total: int) -> Decimal:
    """(1 + cos(pi step / total)) / 2, the cosine by its series."""
    with localcontext(prec=40):
        x = Decimal("3.14159265358979323846264338327950288419717") * step / total
        term, cosine = Decimal(1), Decimal(0)
        for k in range(1, 60):
            cosine += term
            term *= -x * x / ((2 * k - 1) * 2 * k)
        return (1 + cosine) / 2


def test_exp_and_log_err_by_their_last_bits() -> None:
    x = np.linspace(-700, 3, 3001)
    np.testing.assert_allclose(_elementary.exp(x), [float(Decimal(v).exp()) for v in x.tolist()], rtol=5e-16, atol=0)
    assert _elementary.exp(np.array([0.0, -1e6])).tolist() == [1, 0]
    for v in [1.0, 0.5, 0.7, 0.7071, 0.70711, 0.999999999, 1e-9, 1e-38, 5e-324, 1.5, 3e30]:
        exact = float(Decimal(v).ln())
        assert abs(_elementary.log(v) - exact) <= 5e-16 * (1 + abs(exact)), v


def test_cosine_decay() -> None:
    rates = CosineDecay(0.4, 40, end=0.1).rates(0, 60)
    exact = [0.1 + (0.4 - 0.1) * float(half_wave(min(step, 40), 40)) for step in range(60)]
    np.testing.assert_array_equal(rates, np.array(exact, np.float32), strict=True)
    assert (rates[0], rates[40], rates[-1]) == (np.float32(0.4), np.float32(0.1), np.float32(0.1))
    assert rates[20] == np.float32(0.25)
    assert (np.diff(rates[:41]) < 0).all()


def test_one_cycle_rises_to_its_peak_and_falls_to_almost_nothing() -> None:
    rates = OneCycle(0.5, 100).rates(0, 120)
    assert rates[0] == np.float32(0.5 / 25)
    assert rates[30] == 0.5 == rates.max()
    assert rates[15] == np.float32((0.5 + 0.02) / 2)
    assert rates[65] == np.float32((0.5 + 2e-6) / 2)
    assert set(rates[100:]) == {np.float32(0.5 / 250_000)}
    assert (np.diff(rates[:31]) > 0).all()
    assert (np.diff(rates[30:101]) < 0).all()
    assert OneCycle(0.5, 1).rates(0, 2).tolist() == [0.5, np.float32(2e-6)]


def test_piecewise_constant_changes_at_its_boundaries() -> None:
    rates = PiecewiseConstant([2, 3], [0.5, 0.25, 0]).rates(0, 5)
    assert rates.tolist() == [0.5, 0.5, 0.25, 0, 0]
    assert PiecewiseConstant([], [0.5]).rates(7, 2).tolist() == [0.5, 0.5]


def test_exponential_decay_is_smooth_between_the_steps_of_step_decay() -> None:
    initial, factor = 0.3, 0.37
    smooth = ExponentialDecay(initial, factor, 9)
    rates = smooth.rates(0, 400)
    exact = [float(Decimal(initial) * Decimal(factor) ** (Decimal(step) / 9)) for step in range(400)]
    np.testing.assert_array_equal(rates, np.array(exact, np.float32), strict=True)
    np.testing.assert_allclose(smooth.at(np.arange(400)), exact, rtol=2e-15)
    np.testing.assert_array_equal(rates[::9], StepDecay(initial, factor, 9).rates(0, 400)[::9])
    assert (np.diff(rates) < 0).all()
    assert ExponentialDecay(1, 1e-300, 1).rates(10**6, 2).tolist() == [0, 0]


def test_the_bits_of_the_rates_are_fixed() -> None:
    """In float64, before they are rounded: the same on every machine and with every NumPy."""
    steps = np.arange(5000)
    rates = [
        schedule.at(steps).astype("<f8").tobytes()
        for schedule in (CosineDecay(0.3, 4321), OneCycle(0.5, 4999), ExponentialDecay(0.1, 0.37, 71))
    ]
    digest = hashlib.sha256(b"".join(rates)).hexdigest()
    assert digest[:16] == "37d8e1bdedc0d115"


def test_warmup_rises_to_another_schedule_and_then_runs_it() -> None:
    cosine = CosineDecay(0.5, 30)
    rates = Warmup(cosine, 10, start=0.1).rates(0, 50)
    np.testing.assert_array_equal(rates[:10], np.array([0.1 + (0.5 - 0.1) * (i / 10) for i in range(10)], np.float32))
    np.testing.assert_array_equal(rates[10:], cosine.rates(0, 40))


def test_numpy_scalars_become_python_numbers() -> None:
    schedule = StepDecay(np.float32(0.5), np.float64(0.5), np.int64(3))
    assert [type(value) for value in (schedule.initial, schedule.factor, schedule.every)] == [float, float, int]


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
        (lambda: CosineDecay(0, 9), ValueError, "initial must be a positive finite number, got 0"),
        (lambda: CosineDecay(1, 0), ValueError, "total_steps must be an integer from 1 to 4503599627370496, got 0"),
        (lambda: CosineDecay(1, 9, end=-1), ValueError, "end must be a non-negative finite number, got -1"),
        (lambda: OneCycle(None, 9), TypeError, "peak must be a positive finite number, got None"),
        (lambda: OneCycle(1, 9.0), TypeError, r"total_steps must be an integer from 1 to .*, got 9\.0 \(float\)"),
        (lambda: OneCycle(1, 9, 1), ValueError, "warmup_fraction must be a number from 0 to less than 1, got 1"),
        (lambda: OneCycle(1, 9, start_factor=-1), ValueError, "start_factor must be a non-negative finite number"),
        (lambda: OneCycle(1, 9, end_factor="0"), TypeError, "end_factor must be a non-negative finite number, got '0'"),
        (lambda: PiecewiseConstant(3, [1, 2]), TypeError, "boundaries must be a list or a tuple of numbers, got 3"),
        (lambda: PiecewiseConstant([0], [1, 2]), ValueError, r"boundaries\[0\] must be a positive integer, got 0"),
        (lambda: PiecewiseConstant([2, 2], [1] * 3), ValueError, r"boundaries must be ascending, got \(2, 2\)"),
        (lambda: PiecewiseConstant([2], [1]), ValueError, "values must be 2 numbers, one more than boundaries, got"),
        (lambda: PiecewiseConstant([2], [1, -1]), ValueError, r"values\[1\] must be a non-negative finite number, got"),
        (lambda: ExponentialDecay(1, 1.5, 1), ValueError, "factor must be a number greater than 0 and at most 1, got"),
        (lambda: Warmup(0.1, 3), TypeError, r"schedule must be a Schedule, got 0\.1 \(float\)"),
        (lambda: Warmup(Constant(1), 0), ValueError, "steps must be a positive integer, got 0"),
        (lambda: Warmup(Constant(1), 1, start=-1), ValueError, "start must be a non-negative finite number, got -1"),
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
