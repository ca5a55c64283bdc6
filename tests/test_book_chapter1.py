"""The examples of chapter 1: their claims, over several seeds."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn.book import perceptron

SEEDS = range(3)


@pytest.mark.parametrize("seed", SEEDS)
def test_perceptron(seed):
    result = perceptron.run(seed)
    numbers = result.numbers
    assert numbers["accuracy"] == 1
    assert numbers["mistakes"] > 0
    for name in ("xor", "rings"):
        assert not numbers[f"{name}_separated"]
        assert numbers[f"{name}_line"] < 0.85
        assert numbers[f"{name}_hidden_layer"] == 1


def test_students_are_judged_by_the_book():
    hours, passed = perceptron.students(fnn.Perceptron([3, 4], bias=-24), 0)
    assert (passed == np.where(3 * hours[:, 0] + 4 * hours[:, 1] >= 24, 1, -1)).all()
    assert 0.3 < np.mean(passed == 1) < 0.7
