"""Initialisers: moments, quantiles, bounds, determinism, shapes and bad arguments.

Every statistical bound is five standard deviations of the estimator over N independent draws.
"""

import json
import math
from statistics import NormalDist

import numpy as np
import pytest

from fastnn import initializers
from fastnn.initializers import (
    Constant,
    Glorot,
    He,
    Initializer,
    Ones,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    Zeros,
)

SHAPE = (200, 500)
N = 100_000
STANDARD = NormalDist()
CENTRAL = STANDARD.cdf(2) - STANDARD.cdf(-2)  # what the truncated normal keeps
TRUNCATED_M2 = 1 - 4 * STANDARD.pdf(2) / CENTRAL  # its second and fourth moments, by parts
TRUNCATED_M4 = 3 * TRUNCATED_M2 - 16 * STANDARD.pdf(2) / CENTRAL

HE = math.sqrt(2 / 200)
GLOROT = math.sqrt(6 / 700)

# initializer, family, location, scale: of the standard normal, or of the uniform on [-1, 1)
DRAWN = [
    (RandomNormal(), "normal", 0.0, 1.0),
    (RandomNormal(-3, 0.5), "normal", -3.0, 0.5),
    (He(), "normal", 0.0, HE),
    (TruncatedNormal(), "truncated_normal", 0.0, 1.0),
    (TruncatedNormal(2, 0.1), "truncated_normal", 2.0, 0.1),
    (RandomUniform(), "uniform", 0.5, 0.5),
    (RandomUniform(-1, 1), "uniform", 0.0, 1.0),
    (Glorot(), "uniform", 0.0, GLOROT),
]
MOMENTS = {"normal": (1.0, 3.0), "truncated_normal": (TRUNCATED_M2, TRUNCATED_M4), "uniform": (1 / 3, 1 / 5)}
CDF = {
    "normal": STANDARD.cdf,
    "truncated_normal": lambda x: (STANDARD.cdf(x) - STANDARD.cdf(-2)) / CENTRAL,
    "uniform": lambda x: (x + 1) / 2,
}
ALL = [Zeros(), Ones(), Constant(0.25), *(initializer for initializer, *_ in DRAWN)]


def standardised(initializer: Initializer, location: float, scale: float) -> np.ndarray:
    values = initializer(SHAPE, seed=7, variable=3).astype(np.float64).ravel()
    assert len(values) == N
    return (values - location) / scale


@pytest.mark.parametrize(("initializer", "family", "location", "scale"), DRAWN, ids=repr)
def test_moments(initializer: Initializer, family: str, location: float, scale: float) -> None:
    z = standardised(initializer, location, scale)
    m2, m4 = MOMENTS[family]
    assert abs(z.mean()) <= 5 * math.sqrt(m2 / N)
    assert abs((z**2).mean() - m2) <= 5 * math.sqrt((m4 - m2**2) / N)


@pytest.mark.parametrize(("initializer", "family", "location", "scale"), DRAWN, ids=repr)
def test_quantiles(initializer: Initializer, family: str, location: float, scale: float) -> None:
    z = standardised(initializer, location, scale)
    for x in (-0.95, -0.5, -0.1, 0.0, 0.3, 0.9):
        p = CDF[family](x)
        assert abs((z < x).mean() - p) <= 5 * math.sqrt(p * (1 - p) / N)


@pytest.mark.parametrize(("initializer", "family", "location", "scale"), DRAWN, ids=repr)
def test_neighbours_are_uncorrelated(initializer: Initializer, family: str, location: float, scale: float) -> None:
    z = standardised(initializer, location, scale)
    m2, _ = MOMENTS[family]
    for lag in (1, 2, 4, 500):
        assert abs((z[:-lag] * z[lag:]).mean()) <= 5 * m2 / math.sqrt(N - lag)


@pytest.mark.parametrize(("mean", "stddev"), [(0, 1), (2, 0.1), (-5, 3)])
def test_truncated_normal_stays_within_two_standard_deviations(mean: float, stddev: float) -> None:
    values = TruncatedNormal(mean, stddev)((N,), seed=0, variable=0)
    assert np.float32(mean - 2 * stddev) <= values.min() < mean - 1.99 * stddev
    assert mean + 1.99 * stddev < values.max() <= np.float32(mean + 2 * stddev)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (3, 3.5)])
def test_random_uniform_stays_within_its_bounds(low: float, high: float) -> None:
    values = RandomUniform(low, high)((N,), seed=0, variable=0)
    margin = 0.001 * (high - low)
    assert np.float32(low) <= values.min() < low + margin
    assert high - margin < values.max() <= np.float32(high)


def test_scales_depend_on_the_shape() -> None:
    """The same draws, scaled: once in float64 and rounded once, so they differ by roundings alone."""
    shape = (50, 8)
    unit = RandomNormal()(shape, seed=1, variable=2)
    np.testing.assert_allclose(He()(shape, seed=1, variable=2), unit * math.sqrt(2 / 50), rtol=2**-22)
    unit = RandomUniform(-1, 1)(shape, seed=1, variable=2)
    r = math.sqrt(6 / 58)
    np.testing.assert_allclose(Glorot()(shape, seed=1, variable=2), unit * r, rtol=0, atol=r * 2**-23)


@pytest.mark.parametrize(("initializer", "value"), [(Zeros(), 0), (Ones(), 1), (Constant(0.1), 0.1)], ids=repr)
def test_constants(initializer: Initializer, value: float) -> None:
    expected = np.full((3, 4), value, np.float32)
    np.testing.assert_array_equal(initializer((3, 4), seed=0, variable=0), expected, strict=True)


@pytest.mark.parametrize("initializer", ALL, ids=repr)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (784, 10), [17, 16]])
def test_shape_dtype_and_ownership(initializer: Initializer, shape: tuple[int, ...]) -> None:
    values = initializer(shape, seed=0, variable=0)
    assert values.shape == tuple(shape)
    assert values.dtype == np.float32
    assert values.flags.c_contiguous
    assert values.flags.writeable
    assert not np.shares_memory(values, initializer(shape, seed=0, variable=0))


def test_vectors_and_cubes() -> None:
    assert RandomNormal()((5,), seed=0, variable=0).shape == (5,)
    assert RandomNormal()((2, 3, 4), seed=0, variable=0).shape == (2, 3, 4)


@pytest.mark.parametrize(("initializer", "family", "location", "scale"), DRAWN, ids=repr)
def test_a_function_of_seed_and_variable(initializer: Initializer, family: str, location: float, scale: float) -> None:
    values = initializer((40, 30), seed=5, variable=1)
    np.testing.assert_array_equal(initializer((40, 30), seed=5, variable=1), values)
    np.testing.assert_array_equal(initializer([40, 30], seed=np.uint64(5), variable=np.int8(1)), values)
    others = [initializer((40, 30), seed=s, variable=v) for s, v in ((6, 1), (5, 2), (5 + 2**32, 1), (1, 5))]
    for other in others:  # 1200 pairs: equal ones are rare by chance
        assert (other == values).mean() < 0.01


def test_values_do_not_depend_on_how_many_are_drawn() -> None:
    long = RandomNormal()((1000,), seed=5, variable=1)
    np.testing.assert_array_equal(RandomNormal()((7,), seed=5, variable=1), long[:7])
    np.testing.assert_array_equal(RandomNormal()((50, 20), seed=5, variable=1).ravel(), long)


def test_largest_seed_and_variable() -> None:
    values = RandomNormal()((100,), seed=2**64 - 1, variable=2**16 - 1)
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("name", "initializer"),
    [
        ("zeros", Zeros()),
        ("ones", Ones()),
        ("random_normal", RandomNormal(0, 1)),
        ("truncated_normal", TruncatedNormal(0, 1)),
        ("random_uniform", RandomUniform(0, 1)),
        ("he", He()),
        ("glorot", Glorot()),
    ],
)
def test_get(name: str, initializer: Initializer) -> None:
    assert initializers.get(name) == initializer
    assert initializers.get(initializer) is initializer


@pytest.mark.parametrize("initializer", ALL, ids=repr)
def test_config_round_trip(initializer: Initializer) -> None:
    assert initializers.from_config(json.loads(json.dumps(initializer.to_config()))) == initializer


def draw(shape: object = (2, 3), seed: object = 0, variable: object = 0) -> np.ndarray:
    return Zeros()(shape, seed=seed, variable=variable)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Constant(np.nan), ValueError, "value must be a finite number, got nan$"),
        (lambda: Constant(1e39), ValueError, r"value must be a finite number that float32 can hold, got 1e\+39$"),
        (lambda: Constant("1"), TypeError, r"value must be a finite number, got '1' \(str\)$"),
        (lambda: Constant(True), TypeError, r"value must be a finite number, got True \(bool\)$"),
        (lambda: RandomNormal(np.inf), ValueError, "mean must be a finite number, got inf$"),
        (lambda: RandomNormal("0"), TypeError, "mean must be a finite number, got '0'"),
        (lambda: RandomNormal(0, 0), ValueError, "stddev must be a positive finite number, got 0$"),
        (lambda: RandomNormal(0, None), TypeError, "stddev must be a positive finite number, got None"),
        (lambda: TruncatedNormal(np.nan), ValueError, "mean must be a finite number, got nan$"),
        (lambda: TruncatedNormal([0]), TypeError, r"mean must be a finite number, got \[0\] \(list\)$"),
        (lambda: TruncatedNormal(0, -1), ValueError, "stddev must be a positive finite number, got -1$"),
        (lambda: TruncatedNormal(0, 1j), TypeError, r"stddev must be a positive finite number, got 1j \(complex\)$"),
        (lambda: RandomUniform(np.nan, 1), ValueError, "low must be a finite number, got nan$"),
        (lambda: RandomUniform("0", 1), TypeError, "low must be a finite number, got '0'"),
        (lambda: RandomUniform(0, np.inf), ValueError, "high must be a finite number, got inf$"),
        (lambda: RandomUniform(0, None), TypeError, "high must be a finite number, got None"),
        (lambda: RandomUniform(1, 1), ValueError, r"high must be greater than low = 1\.0, got 1\.0$"),
        (lambda: RandomUniform(1, -1), ValueError, r"high must be greater than low = 1\.0, got -1\.0$"),
        (lambda: draw(shape=5), TypeError, r"shape must be a sequence of positive integers, got 5 \(int\)$"),
        (lambda: draw(shape="ab"), TypeError, "shape must be a sequence of positive integers, got 'ab'"),
        (lambda: draw(shape=()), ValueError, r"shape must be a sequence of positive integers, got \(\)$"),
        (lambda: draw(shape=(2, 0)), ValueError, r"shape\[1\] must be a positive integer, got 0$"),
        (lambda: draw(shape=(2.0, 1)), TypeError, r"shape\[0\] must be a positive integer, got 2\.0"),
        (lambda: draw(seed=-1), ValueError, "seed must be an integer from 0 to 18446744073709551615, got -1$"),
        (lambda: draw(seed=2**64), ValueError, "seed must be an integer from 0 to 18446744073709551615, got 18446"),
        (lambda: draw(seed=None), TypeError, "seed must be an integer from 0 to 18446744073709551615, got None"),
        (lambda: draw(variable=2**16), ValueError, "variable must be an integer from 0 to 65535, got 65536$"),
        (lambda: draw(variable=1.0), TypeError, r"variable must be an integer from 0 to 65535, got 1\.0"),
        (
            lambda: He()((3,), seed=0, variable=0),
            ValueError,
            r"shape must be \(n_in, n_out\) for He\(\), got \(3,\)$",
        ),
        (
            lambda: Glorot()((3, 4, 5), seed=0, variable=0),
            ValueError,
            r"shape must be \(n_in, n_out\) for Glorot\(\), got \(3, 4, 5\)$",
        ),
        (
            lambda: initializers.get("xavier"),
            ValueError,
            "initializer must be one of 'zeros', 'ones', 'random_normal', 'truncated_normal', 'random_uniform', 'he', "
            "'glorot' or an instance of Initializer, got 'xavier'$",
        ),
        (lambda: initializers.get(0.5, argument="b"), TypeError, r"b must be one of .*, got 0\.5 \(float\)$"),
        (
            lambda: initializers.from_config({"kind": "initializer.constant"}),
            ValueError,
            "config of 'initializer.constant' must have the fields of Constant, got missing 'value'$",
        ),
    ],
)
def test_bad_arguments(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()  # type: ignore[operator]
