"""Optimisers: descriptions and bad arguments."""

import json

import numpy as np
import pytest

from fastnn import optimizers, schedules
from fastnn.optimizers import SGD, Adam, RMSProp


def test_defaults() -> None:
    sgd = SGD(0.1)
    assert (sgd.learning_rate, sgd.momentum, sgd.nesterov, sgd.weight_decay) == (0.1, 0.0, False, 0.0)
    adam = Adam()
    assert (adam.learning_rate, adam.beta1, adam.beta2, adam.epsilon, adam.weight_decay) == (0.001, 0.9, 0.999, 1e-8, 0)
    rms = RMSProp()
    assert (rms.learning_rate, rms.decay, rms.epsilon, rms.momentum, rms.weight_decay) == (0.001, 0.9, 1e-8, 0, 0)


def test_a_number_is_a_constant_schedule() -> None:
    assert SGD(0.1).schedule == schedules.Constant(0.1)
    decay = schedules.StepDecay(0.1, 0.5, 10)
    assert SGD(decay).schedule is decay


def test_numpy_scalars_become_python_values() -> None:
    sgd = SGD(np.float32(0.5), momentum=np.float64(0.9), nesterov=np.True_)
    assert [type(value) for value in (sgd.learning_rate, sgd.momentum, sgd.nesterov)] == [float, float, bool]


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(1),
        SGD(0.1, momentum=0.9, nesterov=True),
        SGD(schedules.LinearWarmup(0.5, 1, 5), momentum=0.5),
        SGD(1, weight_decay=0.1),
        Adam(),
        Adam(schedules.StepDecay(0.1, 0.5, 10), beta1=0, beta2=0.5, epsilon=1, weight_decay=2),
        RMSProp(),
        RMSProp(schedules.StepDecay(0.1, 0.5, 10), decay=0, epsilon=1, momentum=0.5, weight_decay=2),
    ],
    ids=repr,
)
def test_config_round_trip(optimizer: optimizers.Optimizer) -> None:
    assert optimizers.from_config(json.loads(json.dumps(optimizer.to_config()))) == optimizer


def test_momentum_and_nesterov_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        SGD(0.1, 0.9)  # type: ignore[misc]
    with pytest.raises(TypeError):
        Adam(0.1, 0.9)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(-0.1), ValueError, r"learning_rate must be a positive finite number, got -0\.1$"),
        (lambda: SGD(0), ValueError, "learning_rate must be a positive finite number, got 0$"),
        (lambda: SGD(np.nan), ValueError, "learning_rate must be a positive finite number, got nan$"),
        (lambda: SGD(-np.inf), ValueError, "learning_rate must be a positive finite number, got -inf$"),
        (lambda: SGD(np.float64(1e40)), ValueError, "learning_rate must be .* that float32 can hold, got"),
        (lambda: SGD(True), TypeError, r"learning_rate must be a positive finite number, got True \(bool\)$"),
        (lambda: SGD("fast"), TypeError, r"learning_rate must be a positive finite number or a Schedule, got 'fast'"),
        (lambda: SGD(None), TypeError, "learning_rate must be a positive finite number or a Schedule, got None"),
        (lambda: SGD(schedules.Constant), TypeError, "learning_rate must be .* or a Schedule, got <class"),
        (lambda: SGD(0.1, momentum=1), ValueError, "momentum must be a number from 0 to less than 1, got 1$"),
        (lambda: SGD(0.1, momentum=-0.5), ValueError, r"momentum must be a number from 0 to less than 1, got -0\.5$"),
        (lambda: SGD(0.1, momentum=np.nan), ValueError, "momentum must be a number from 0 to less than 1, got nan$"),
        (lambda: SGD(0.1, momentum="0"), TypeError, "momentum must be a number from 0 to less than 1, got '0'"),
        (lambda: SGD(0.1, momentum=False), TypeError, "momentum must be a number from 0 to less than 1, got False"),
        (lambda: SGD(0.1, weight_decay=-1), ValueError, "weight_decay must be a non-negative finite number, got -1$"),
        (lambda: SGD(0.1, weight_decay="1"), TypeError, "weight_decay must be a non-negative finite number, got '1'"),
        (lambda: Adam(0), ValueError, "learning_rate must be a positive finite number, got 0$"),
        (lambda: Adam(beta1=1), ValueError, "beta1 must be a number from 0 to less than 1 in float32, got 1$"),
        (lambda: Adam(beta2=-0.1), ValueError, r"beta2 must be a number from 0 to less than 1 in float32, got -0\.1$"),
        (
            lambda: Adam(beta2=1 - 1e-9),
            ValueError,
            r"beta2 must be a number from 0 to less than 1 in float32, got 0\.9",
        ),
        (lambda: Adam(beta1="0"), TypeError, "beta1 must be a number from 0 to less than 1 in float32, got '0'"),
        (lambda: Adam(epsilon=0), ValueError, "epsilon must be a positive number in float32, got 0$"),
        (lambda: Adam(epsilon=1e-50), ValueError, "epsilon must be a positive number in float32, got 1e-50$"),
        (lambda: Adam(weight_decay=-1), ValueError, "weight_decay must be a non-negative finite number, got -1$"),
        (lambda: RMSProp(0), ValueError, "learning_rate must be a positive finite number, got 0$"),
        (lambda: RMSProp(decay=1), ValueError, "decay must be a number from 0 to less than 1 in float32, got 1$"),
        (lambda: RMSProp(epsilon=0), ValueError, "epsilon must be a positive number in float32, got 0$"),
        (lambda: RMSProp(momentum=1), ValueError, "momentum must be a number from 0 to less than 1, got 1$"),
        (lambda: SGD(0.1, nesterov=1), TypeError, r"nesterov must be True or False, got 1 \(int\)$"),
        (
            lambda: SGD(0.1, nesterov=True),
            ValueError,
            r"momentum must be greater than 0 where nesterov=True, got 0\.0$",
        ),
        (lambda: optimizers.from_config(3), TypeError, r"config must be a dict with a \"kind\", got 3 \(int\)$"),
        (
            lambda: optimizers.from_config({"kind": "adam"}),
            ValueError,
            r"config\['kind'\] must be one of 'optimizer.sgd', 'optimizer.adam', 'optimizer.rmsprop'",
        ),
        (
            lambda: optimizers.from_config({"kind": "optimizer.sgd", "learning_rate": 0.1, "nestrov": True}),
            ValueError,
            "config of 'optimizer.sgd' must have the fields of SGD, got unknown 'nestrov'$",
        ),
        (
            lambda: optimizers.from_config({"kind": "optimizer.sgd", "momentum": 0.5}),
            ValueError,
            "config of 'optimizer.sgd' must have the fields of SGD, got missing 'learning_rate'$",
        ),
        (
            lambda: optimizers.from_config({"kind": "optimizer.sgd", "learning_rate": {"kind": "layer.dense"}}),
            ValueError,
            "config of 'layer.dense' must have the fields of Dense, got missing 'units'$",
        ),
    ],
)
def test_bad_arguments(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()  # type: ignore[operator]
