"""What layers, activations, losses, schedules, optimizers, initializers and regularizers have in common: _checks.py."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

import fastnn as fnn
from fastnn import _checks
from fastnn._checks import Described

DESCRIPTIONS = [
    fnn.ELU(alpha=0.5),
    fnn.Dense(3, "tanh"),
    fnn.Huber(delta=2.0),
    fnn.StepDecay(0.1, 0.5, 2),
    fnn.Adam(0.1),
    fnn.RandomNormal(stddev=0.5),
    fnn.MaxNorm(3.0),
]


@pytest.mark.parametrize("description", DESCRIPTIONS, ids=lambda each: each.kind)
def test_descriptions_are_frozen(description: Described) -> None:
    before = description.to_config()
    for name in [*before.keys() - {"kind"}, "other"]:
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"^cannot assign to field '{name}'$"):
            setattr(description, name, 1.0)
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"^cannot delete field '{name}'$"):
            delattr(description, name)
    assert description.to_config() == before


@pytest.mark.parametrize("description", DESCRIPTIONS, ids=lambda each: each.kind)
def test_descriptions_are_values(description: Described) -> None:
    again = dataclasses.replace(description)  # type: ignore[type-var]
    for other in (again, copy.deepcopy(description), pickle.loads(pickle.dumps(description))):
        assert other is not description
        assert (other, hash(other), repr(other)) == (description, hash(description), repr(description))


def test_a_frozen_dataclass_of_ones_own_may_extend_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_checks, "_classes", dict(_checks._classes))  # which other tests list

    @dataclasses.dataclass(frozen=True)
    class Shifted(fnn.RandomNormal, name="shifted"):
        shift: float = 1.0

    shifted = Shifted(stddev=2.0, shift=3.0)
    assert Described.from_config(shifted.to_config()) == shifted
    for name in ("stddev", "shift"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(shifted, name, 1.0)


def test_a_class_of_ones_own_may_remember_things(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_checks, "_classes", dict(_checks._classes))  # which other tests list

    class Counted(fnn.RandomNormal, name="counted"):
        def __init__(self) -> None:
            super().__init__(stddev=2.0)
            self.calls = 0

    counted = Counted()
    counted.calls += 1
    assert counted.calls == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        counted.stddev = 1.0  # type: ignore[misc]
