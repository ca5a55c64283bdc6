"""The examples of chapter 1: their claims, over several seeds."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn.book import activations, backpropagation, multilabel, network, neuron, perceptron, softmax

SEEDS = range(3)
pytestmark = pytest.mark.usefixtures("one_thread")  # small nets gain nothing from more


@pytest.mark.parametrize("seed", SEEDS)
def test_perceptron(seed):
    result = perceptron.run(seed)
    numbers = result.numbers
    assert numbers["accuracy"] == 1
    assert numbers["mistakes"] > 0
    assert numbers["in_layer"] == 1
    for name in ("xor", "rings"):
        assert not numbers[f"{name}_separated"]
        assert numbers[f"{name}_line"] < 0.85
        assert numbers[f"{name}_hidden_layer"] == 1


def test_students_are_judged_by_the_book():
    hours, passed = perceptron.students(fnn.Perceptron([3, 4], bias=-24), 0)
    assert (passed == np.where(3 * hours[:, 0] + 4 * hours[:, 1] >= 24, 1, -1)).all()
    assert 0.3 < np.mean(passed == 1) < 0.7


@pytest.mark.parametrize("seed", SEEDS)
def test_neuron_and_layer_agree(seed):
    assert neuron.run(seed).numbers["largest_difference"] < 1e-6  # float32


@pytest.mark.parametrize("seed", SEEDS)
def test_a_network_is_its_neurons(seed):
    numbers = network.run(seed).numbers
    assert numbers["difference"] < 1e-6
    assert numbers["reached"] == network.MASK[0].tolist() == [1, 1, 0]
    assert (numbers["grey, 28 x 28"], numbers["RGB, 32 x 32 x 3"]) == (784, 3072)


@pytest.mark.parametrize("seed", SEEDS)
def test_linear_layers_collapse(seed):
    result = activations.run(seed)
    assert result.numbers["linear"] < 1e-5
    assert result.numbers["tanh"] > 0.1
    z, curves, _ = result.scene
    exact = {**neuron.FUNCTIONS, **backpropagation.FUNCTIONS, "z / 2 + 1": lambda z: z / 2 + 1}
    assert set(curves) == set(exact)
    for name, curve in curves.items():
        assert curve == pytest.approx(exact[name](z.astype(np.float64)), abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_softmax(seed):
    result = softmax.run(seed)
    assert result.numbers["largest_error_of_sum"] < 1e-6
    assert result.numbers["change_by_shift"] == 0
    for scale, p in result.scene.items():
        z = softmax.LOGITS * np.float64(scale)
        assert p == pytest.approx(np.exp(z - z.max()) / np.exp(z - z.max()).sum(), abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_multilabel(seed):
    numbers = multilabel.run(seed).numbers
    assert set(multilabel.CODES) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert all(numbers[name] > 0.85 for name in multilabel.CODES.values())
    assert numbers["both_labels_right"] > 0.94
