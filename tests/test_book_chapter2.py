"""The examples of chapter 2: their claims, over several seeds, and against formulas of their own."""

from itertools import pairwise

import numpy as np
import pytest

import fastnn as fnn
from fastnn.book import (
    _points,
    backpropagation,
    cafeteria,
    descent,
    dropout,
    l1,
    l2,
    max_norm,
    overfitting,
    regions,
    sigmoid_neuron,
)

SEEDS = range(3)
pytestmark = pytest.mark.usefixtures("one_thread")  # small nets gain nothing from more


@pytest.mark.parametrize("seed", SEEDS)
def test_cafeteria_finds_the_prices(seed):
    assert cafeteria.run(seed).numbers["largest_error"] < 0.005  # half a cent


def test_cafeteria_steps_by_the_delta_rule():
    random = np.random.default_rng(1)
    x, w = random.integers(0, 6, (30, 3)).astype(np.float32), np.array([1.0, -2.0, 3.0], np.float32)
    t = x @ cafeteria.PRICES
    eps = 0.5 * 2 / np.linalg.eigvalsh(x.T @ x)[-1]
    expected = w + [eps * np.sum(x[:, k] * (t - x @ w)) for k in range(3)]
    assert cafeteria.descent(x, t, w, 0.5, 1)[1] == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("share", "grows"), [(0.97, False), (1.03, True)])
def test_the_largest_rate_of_the_bowl(share, grows):
    x = np.random.default_rng(2).integers(0, 6, (30, 2)).astype(np.float32)
    t = x @ cafeteria.PRICES[:2]
    path = cafeteria.descent(x, t, np.array([4.0, -3.0], np.float32), share, 40)
    errors = cafeteria.bowl(x, t)(path)
    assert (errors[-1] > errors[20]) == grows
    assert errors[0] == pytest.approx(0.5 * np.sum((t - x @ path[0]) ** 2))


@pytest.mark.parametrize("seed", SEEDS)
def test_sigmoid_neuron(seed):
    numbers = sigmoid_neuron.run(seed).numbers
    assert numbers["difference"] < 1e-6
    assert numbers["weights_found_to"] < 1e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_backpropagation(seed):
    numbers = backpropagation.run(seed).numbers
    assert numbers["from_recursion"] < 2e-6  # float32
    assert numbers["from_differences"] < 2e-6


@pytest.mark.parametrize("seed", range(6))
def test_noise_leaves_the_spurious_minimum(seed):
    numbers = descent.run(seed).numbers
    spurious, lowest = numbers["minima"]
    assert descent.errors(np.array([spurious])).mean() > descent.errors(np.array([lowest])).mean() + 0.05
    ends = numbers["ends"]
    assert ends["batch"] == pytest.approx(spurious, abs=0.01)
    for name in ("stochastic", "mini-batch"):
        assert ends[name] == pytest.approx(lowest, abs=0.1)
    assert [len(descent.X) // size for size in descent.SIZES.values()] == [1, 6, 3]  # updates an epoch


@pytest.mark.parametrize("seed", SEEDS)
def test_overfitting(seed):
    numbers = overfitting.run(seed).numbers
    line, curve, net = numbers["line"], numbers["degree 12"], numbers["network"]
    assert curve["seen"] < 1e-8 < line["seen"]  # it hits every point
    assert line["added"] < curve["added"] / 2
    assert line["added"] == pytest.approx(overfitting.NOISE**2, rel=0.6)
    assert net["loss_last"] < net["loss_best"]  # training goes on to improve, validation does not
    assert net["val_loss_last"] > net["val_loss_best"]
    assert net["accuracy_last"] - net["accuracy_best"] > max(0, net["val_accuracy_last"] - net["val_accuracy_best"])


def test_the_polynomial_is_that_of_least_squares():
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, 40)
    t = np.cos(4 * x).astype(np.float32)
    expected = np.polynomial.Polynomial.fit(x, t, 5)
    assert overfitting.fitted(x, t, 5)(x) == pytest.approx(expected(x), abs=1e-5)


def test_training_accuracy_grows_with_hidden_units():
    accuracies = {}
    for seed in range(6):
        numbers = regions.run(seed).numbers
        for name in regions.NETWORKS:
            accuracies.setdefault(name, []).append(numbers[name]["training"])
    few, more, many = (np.array(accuracies[f"{n} hidden units"]) for n in (3, 6, 20))
    assert (few < more).all()
    assert (more < many).all()
    assert many.mean() > few.mean() + 0.1
    assert accuracies["1 layer of 3"] == accuracies["3 hidden units"]
    one, two, four = (np.mean(accuracies[name]) for name in ("1 layer of 3", "2 layers of 3", "4 layers of 3"))
    assert one < two < four  # so narrow, deep nets may end in a poor minimum: on average alone


def test_the_mnist_net_has_nearly_25_000_parameters():
    result = regions.run(0)
    assert result.numbers["mnist_parameters"] == 24_790
    assert result.lines[-1].strip() == "24,790 parameters"


@pytest.mark.parametrize("seed", range(5))
def test_l2_makes_weights_smaller(seed):
    result = l2.run(seed)
    norms = [each["norm"] for each in result.numbers.values()]
    assert list(result.numbers) == ["0", "0.01", "0.1", "1"]
    assert all(stronger < 0.9 * weaker for weaker, stronger in pairwise(norms))


@pytest.mark.parametrize("seed", range(5))
def test_l1_makes_weights_zero(seed):
    numbers = l1.run(seed).numbers
    zeros = [numbers[name]["zeros"] for name in ("none", "L1 of 0.001", "L1 of 0.003", "L1 of 0.01")]
    assert zeros[0] == 0
    assert zeros == sorted(set(zeros))
    assert zeros[-1] > 0.5
    assert numbers["L2 of 0.01"]["zeros"] == 0
    assert numbers["L1 of 0.01"]["inputs_of_a_unit"] < l1.N_IN / 2


@pytest.mark.parametrize("seed", SEEDS)
def test_max_norm_bounds_weights(seed):
    numbers = max_norm.run(seed).numbers
    for rate in max_norm.RATES:
        assert numbers[f"max-norm {rate:g}"]["largest_norm"] <= max_norm.RADIUS * (1 + 1e-6)
        assert not numbers[f"max-norm {rate:g}"]["diverged"]
    free = [numbers[f"free {rate:g}"]["largest_norm"] for rate in max_norm.RATES]
    assert free[0] < free[1] / 5 < free[2] / 100
    assert free[1] > 3 * max_norm.RADIUS


@pytest.mark.parametrize("seed", SEEDS)
def test_dropout(seed):
    numbers = dropout.run(seed).numbers
    assert numbers["naive_mean"] == pytest.approx(dropout.P, abs=0.005)  # 100,000 draws for each of 8 units
    assert numbers["inverted_mean"] == pytest.approx(1, abs=0.01)
    assert numbers["naive_prediction"] == dropout.P
    assert numbers["inverted_prediction"] == 1
    assert numbers["p_1_changes"] == 0
    for form in ("naive", "inverted"):
        assert numbers[f"{form} dropout_validation_loss"] < numbers["no dropout_validation_loss"]


def test_dropout_changes_a_training():
    assert (dropout.trained(0.5, 0, 1)[1] != dropout.trained(None, 0, 1)[1]).mean() > 0.9


@pytest.mark.parametrize("points", [_points.xor, _points.rings, _points.moons, _points.board])
def test_points_are_a_function_of_the_seed(points):
    x, y = points(300, 5)
    assert (x.dtype, x.shape, y.shape) == (np.float32, (300, 2), (300,))
    assert set(y.tolist()) == {0, 1}
    assert 0.3 < y.mean() < 0.7
    assert (points(300, 5)[0] == x).all()
    assert (points(300, 6)[0] != x).any()
    one_line = fnn.Perceptron([0, 0])
    assert min(one_line.fit(x, 2 * y - 1, epochs=50)) > 0
