"""What the examples of chapter 3, and the workflow of chapter 2, claim."""

from __future__ import annotations

import pytest

from fastnn import book
from fastnn.book._result import Result


@pytest.fixture(scope="module")
def result(request: pytest.FixtureRequest) -> Result:
    return book.system(request.param).run(0)


@pytest.mark.parametrize("result", ["initializers"], indirect=True)
def test_a_uniform_initialiser_hurts(result: Result) -> None:
    accuracy = result.numbers["validation_accuracy"]
    he, uniform = accuracy["He: normal, variance 2 / n_in"], accuracy["uniform(-1, 1)"]
    assert he > 0.9
    assert uniform < he - 0.04
    assert accuracy["zeros"] < 0.15  # all units of a layer remain the same unit


@pytest.mark.parametrize("result", ["cheque"], indirect=True)
def test_cheques(result: Result) -> None:
    misread = result.numbers["misread"]
    assert misread["the book's logistic regression"] == pytest.approx(0.287, abs=5e-4)
    before, after = misread["logistic regression, measured"], misread["multilayer perceptron, measured"]
    assert after < before / 2
    accuracy = result.numbers["accuracy"]["multilayer perceptron, measured"]
    assert after == pytest.approx(1 - accuracy**4)


@pytest.mark.parametrize("result", ["workflow"], indirect=True)
def test_each_branch_of_the_workflow(result: Result) -> None:
    assert result.numbers["branches"] == {
        "a hidden layer on XOR": "finished",
        "no hidden layer on XOR": "training stalled",
        "random labels": "validation stalled",
        "a test set from elsewhere": "test unsatisfactory",
    }


@pytest.mark.parametrize("result", ["operations"], indirect=True)
def test_every_class_of_operations_works(result: Result) -> None:
    assert len(result.numbers["works"]) == 7
    assert all(result.numbers["works"].values())


@pytest.mark.parametrize("result", ["production"], indirect=True)
def test_any_architecture_learns_and_leaves(result: Result) -> None:
    assert all(after < before / 1.5 for before, after in result.numbers["loss"].values())
    assert result.numbers["same_bits_in_c"] is True
    assert set(result.numbers["sizes"]) == {"c", "onnx", "safetensors"}
