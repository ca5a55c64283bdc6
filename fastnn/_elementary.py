"""Elementary functions in float64 from +, -, * and / alone, which round the same everywhere.

The library's own pow, exp, log and cos may differ in the last bit from one machine to the next.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LN2 = 0.6931471805599453
_LN2_HIGH = 0.693147180369123816490  # its upper 33 bits: the product with a small integer is exact
_LN2_LOW = 1.90821492927058770002e-10
_SINE = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(8)]  # of x^(2k): to 4e-19 of the sine at pi/4
_EXP = [1 / math.factorial(k) for k in range(14)]  # to 5e-18 at ln(2) / 2
_ATANH = [1 / (2 * k + 1) for k in range(12)]  # to 2e-20 at 3 - 2 sqrt(2)


def power(base: float, exponents: NDArray[np.int64]) -> NDArray[np.float64]:
    """base ** exponents by squaring; exponents not negative. Relative error: about 1e-16 times the exponent."""
    result = np.ones(exponents.shape)
    while exponents.any():
        result = np.where(exponents & 1, result * base, result)
        base, exponents = base * base, exponents >> 1
    return result


def half_cosine(steps: NDArray[np.int64], total: int) -> NDArray[np.float64]:
    """(1 + cos(pi steps / total)) / 2 for steps from 0 to total: 1 falling to 0, to a relative error below 2e-15.

    It is the square of a cosine, so neither end loses digits: cos(x)^2 = 1 - sin(x)^2 = sin(pi/2 - x)^2.
    """
    is_early = 2 * steps <= total
    x = np.where(is_early, steps, total - steps) / total * (math.pi / 2)
    sine = x * _polynomial(_SINE, x * x)
    return np.where(is_early, 1 - sine * sine, sine * sine)


def exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """e ** x of finite numbers, to a relative error below 5e-16; 0 or a subnormal number where float64 ends."""
    n = np.rint(np.maximum(x, -1100.0) / _LN2)
    rest = (np.maximum(x, -1100.0) - n * _LN2_HIGH) - n * _LN2_LOW
    return np.ldexp(_polynomial(_EXP, rest), n.astype(np.int32))


def log(x: float) -> float:
    """Natural logarithm of a positive number, to an error below 5e-16 of 1 + abs(log(x))."""
    fraction, exponent = math.frexp(x)  # exact
    if fraction < 0.7071067811865476:
        fraction, exponent = 2 * fraction, exponent - 1
    s = (fraction - 1) / (fraction + 1)
    return exponent * _LN2_HIGH + (exponent * _LN2_LOW + float(2 * s * _polynomial(_ATANH, np.float64(s * s))))


def _polynomial(coefficients: list[float], x: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    result = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result
