"""Gradient clipping: the norm it measures, what it leaves alone, and what is refused. Its formula: test_engine.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core

N, N_IN = 60, 300
X = _core.draw("normal", N * N_IN, 0.0, 1.0, 1, 0).reshape(N, N_IN)
Y = np.arange(N) * 7 % 5
RULES = {"momentum": fnn.SGD(0.05, momentum=0.9), "adam": fnn.Adam(0.01), "rmsprop": fnn.RMSProp(0.001)}


def make_net() -> fnn.Network:
    """The first layer's gradients take more than one slot of the sum."""
    return fnn.Network(N_IN, [fnn.Dense(50, "tanh"), fnn.Dense(5)], seed=3)


def trained(num_threads: int = 1, rule: str = "momentum", **clips: Any) -> tuple[bytes, fnn.History]:
    net = make_net()
    trainer = fnn.Trainer(net, optimizer=RULES[rule], **clips)
    history = trainer.fit(X, Y, epochs=2, batch_size=25, num_threads=num_threads)
    return b"".join(variable.value.tobytes() for variable in net.variables.values()), history


@pytest.mark.parametrize("rule", RULES)
def test_bounds_that_hold_anyway_change_no_bit(isa: str, rule: str) -> None:
    bits, history = trained(rule=rule)
    assert trained(rule=rule, clip_norm=1e30)[0] == trained(rule=rule, clip_value=1e30)[0] == bits
    assert trained(rule=rule, clip_norm=0.5)[0] != bits != trained(rule=rule, clip_value=0.01)[0]
    assert "gradient_norm" not in history


@pytest.mark.parametrize("clips", [{"clip_norm": 0.5}, {"clip_value": 0.01}, {"clip_norm": 0.5, "clip_value": 0.01}])
def test_threads_and_instruction_sets_do_not_matter(isa: str, clips: Any) -> None:
    found = [trained(num_threads, **clips) for num_threads in (1, 2, 3, 8)]
    _core.use_isa(_core.available_isas()[-1])
    bits, history = trained(**clips)
    assert all(other == bits for other, _ in found)
    if "clip_norm" in clips:
        assert all(other["gradient_norm"] == history["gradient_norm"] for _, other in found)


def test_the_norm_is_of_all_gradients_of_trainable_variables(isa: str) -> None:
    net = make_net()
    net.variables["dense_1/b"].trainable = net.variables["dense_2/W"].trainable = False
    trainer = fnn.Trainer(net, optimizer=fnn.SGD(1.0), clip_norm=0.25)
    before = {name: variable.value for name, variable in net.variables.items()}
    gradients = net.gradients(X, Y)
    norm = math.sqrt(sum((gradients[name].astype(np.float64) ** 2).sum() for name in ("dense_1/W", "dense_2/b")))
    history = trainer.fit(X, Y, batch_size=N, shuffle=False)
    assert history["gradient_norm"] == [pytest.approx(norm, rel=1e-12)]
    assert norm > 0.5
    factor = np.float32(0.25 / norm)
    for name in ("dense_1/W", "dense_2/b"):
        np.testing.assert_array_equal(net.variables[name].value, before[name] - factor * gradients[name])
    for name in ("dense_1/b", "dense_2/W"):
        np.testing.assert_array_equal(net.variables[name].value, before[name])


@pytest.mark.parametrize("name", ["clip_norm", "clip_value"])
@pytest.mark.parametrize(
    ("value", "error", "got"),
    [
        (0, ValueError, "a positive number in float32, got 0$"),
        (-1.5, ValueError, r"a positive number in float32, got -1\.5$"),
        (math.nan, ValueError, "a positive number in float32, got nan$"),
        (1e-50, ValueError, "a positive number in float32, got 1e-50$"),
        ("1", TypeError, r"None or a positive number, got '1' \(str\)$"),
        (True, TypeError, r"None or a positive number, got True \(bool\)$"),
    ],
)
def test_bad_arguments(name: str, value: Any, error: type[Exception], got: str) -> None:
    with pytest.raises(error, match=f"^{name} must be {got}"):
        fnn.Trainer(make_net(), **{name: value})
