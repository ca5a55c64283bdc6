"""Neuron and Perceptron: the formula, the rule, and what they refuse."""

import math

import numpy as np
import pytest

import fastnn as fnn


@pytest.mark.parametrize("function", [lambda z: z, np.tanh, lambda z: z * z])
def test_forward_is_the_function_of_the_logit(function):
    neuron = fnn.Neuron([1.0, -2.0, 0.5], bias=0.25, function=function)
    assert neuron.forward([3, 1, 4]) == function(3 - 2 + 2 + 0.25)
    samples = np.array([[3, 1, 4], [0, 0, 0]], dtype=np.uint8)
    assert neuron.forward(samples).tolist() == [function(3.25), function(0.25)]
    assert neuron.logit(samples).tolist() == [3.25, 0.25]


def test_forward_takes_a_function_of_one_number():
    assert fnn.Neuron([2], 0, lambda z: math.exp(z)).forward([0.5]) == math.e


def test_a_neuron_keeps_its_own_weights():
    weights = np.array([1.0, 2.0])
    neuron = fnn.Neuron(weights, 0, np.tanh)
    weights[:] = 0
    assert neuron.weights.tolist() == [1.0, 2.0]
    assert repr(neuron) == "Neuron(weights=[1.0, 2.0], bias=0)"


def test_a_perceptron_says_plus_one_on_its_line():
    perceptron = fnn.Perceptron([3, 4], bias=-24)
    assert perceptron.forward([8, 0]) == 1
    assert perceptron.forward([[7, 0], [8, 1]]).tolist() == [-1, 1]


def test_the_rule_step_by_step():
    perceptron = fnn.Perceptron([0, 0])
    x, y = [[1, 2], [3, 1], [-1, 0]], [1, -1, 1]
    assert perceptron.fit(x, y, epochs=1) == [
        1
    ]  # h = +1 at first: of the three, the second is wrong; then the third is right
    assert (perceptron.weights.tolist(), perceptron.bias) == ([-3.0, -1.0], -1.0)


def test_mistakes_are_at_most_those_of_the_bound():
    random = np.random.default_rng(3)
    plane = np.array([0.6, -0.64, 0.48])  # of norm 1, the last its bias
    rows = np.column_stack([random.uniform(-1, 1, (500, 2)), np.ones(500)])
    rows = rows[abs(rows @ plane) > 0.05]
    y = np.sign(rows @ plane)
    perceptron = fnn.Perceptron([0, 0])
    mistakes = perceptron.fit(rows[:, :2], y, epochs=1000)
    assert mistakes[-1] == 0
    assert (perceptron.forward(rows[:, :2]) == y).all()
    bound = ((rows**2).sum(axis=1).max() ** 0.5 / abs(rows @ plane).min()) ** 2
    assert 1 < sum(mistakes) <= bound


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1], 0, "tanh"), TypeError, r"function must be a callable of the logit, got 'tanh' \(str\)"),
        ((["a"], 0, abs), TypeError, r"weights must be finite numbers, shape \(n_in,\), got dtype <U1"),
        (([[1]], 0, abs), ValueError, r"weights must be finite numbers, shape \(n_in,\), got \[\[1\]\]"),
        (([math.nan], 0, abs), ValueError, r"weights must be finite numbers, shape \(n_in,\), got \[nan\]"),
        (([1], math.inf, abs), ValueError, "bias must be a finite number, got inf"),
    ],
)
def test_a_neuron_refuses(arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        fnn.Neuron(*arguments)


def test_wrong_inputs():
    with pytest.raises(ValueError, match=r"inputs must be finite numbers, shape \(2,\) or \(n, 2\), got shape \(3,\)"):
        fnn.Neuron([1, 2], 0, abs).forward([1, 2, 3])
    with pytest.raises(ValueError, match=r"x must be finite numbers, shape \(n, 2\), got shape \(2,\)"):
        fnn.Perceptron([1, 2]).fit([1, 2], [1])
    for y in ([0, 1], [1], [[1, 1]]):
        with pytest.raises(ValueError, match=r"y must be -1 or \+1, shape \(2,\), got"):
            fnn.Perceptron([1, 2]).fit([[1, 2], [3, 4]], y)
    with pytest.raises(ValueError, match="epochs must be a positive integer, got 0"):
        fnn.Perceptron([1, 2]).fit([[1, 2]], [1], epochs=0)
